//! The forty services as processes, each on a port of the system's choice.

use std::{
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::try_join_all;
use serde::Deserialize;

use super::{
    faults::{self, Fault, NAME},
    reference::Service,
    theatre::DemoError,
};
use crate::local::child::Child;

/// Forty processes on two busy cores are up within a few seconds.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A service that listens.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) service: Service,
    pub(super) address: SocketAddr,
    /// Whether it speaks HTTPS.
    pub(super) tls: bool,
}

/// The line in which a service says where it listens.
#[derive(Debug, Deserialize)]
struct Ready {
    listen: SocketAddr,
    #[serde(default)]
    tls: bool,
}

/// The version that all services say they have, unless one was left behind.
const VERSION: &str = "2.4.0";

/// Starts all of them; the processes are put into `children`, whatever becomes of the rest. `dir`
/// takes a name of the program for each, so that whoever looks at processes sees services.
pub(super) async fn start(
    (program, dir): (&Path, &Path),
    services: Vec<Service>,
    faults: &[Fault],
    children: &mut Vec<Child>,
) -> Result<Vec<Running>, DemoError> {
    let order: Vec<_> = services.iter().map(Service::id).collect();
    // The balancer has to know where those behind it listen.
    let (last, first): (Vec<_>, Vec<_>) = services.into_iter().partition(is_balancer);
    let named = |service: &Service| {
        let holder = faults::holder(faults, service);
        holder.map_or_else(|| service.name.to_string(), str::to_owned)
    };
    let known = |service: &Service| arguments(service, &named(service), faults);
    let made = (program, dir);
    let mut running = listening(made, first, children, (&named, &known)).await?;
    let behind: Vec<_> = running
        .iter()
        .filter(|one| is_balanced(&one.service))
        .collect();
    let behind = behind.iter().map(|one| {
        let id = one.service.id();
        format!("{id}/1={}", one.address)
    });
    let behind: Vec<_> = behind.flat_map(|to| ["--to".to_owned(), to]).collect();
    let balancing = |service: &Service| {
        let more = faults::options(faults, service)
            .into_iter()
            .map(str::to_owned);
        let own = ["balancer".to_owned()].into_iter().chain(behind.clone());
        own.chain(more).chain([die_with_us()]).collect()
    };
    let balancers = listening(made, last, children, (&named, &balancing));
    running.extend(balancers.await?);
    let place = |one: &Running| order.iter().position(|id| *id == one.service.id());
    running.sort_by_key(place);
    Ok(running)
}

/// The group that is one pool behind the balancer of its environment.
pub(super) const BALANCED: &str = "loomacrm";

/// Whether it spreads requests over [`BALANCED`].
pub(super) fn is_balancer(service: &Service) -> bool {
    service.name.as_str() == "load-balancer"
}

fn is_balanced(service: &Service) -> bool {
    service.group.as_str() == BALANCED
}

async fn listening(
    (program, dir): (&Path, &Path),
    services: Vec<Service>,
    children: &mut Vec<Child>,
    (name, arguments): (
        impl Fn(&Service) -> String,
        impl Fn(&Service) -> Vec<String>,
    ),
) -> Result<Vec<Running>, DemoError> {
    let first = children.len();
    for service in &services {
        let program = linked(
            program,
            &dir.join(service.environment.as_str()),
            &name(service),
        )?;
        let known = service.id();
        let arguments = arguments(service);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        children.push(Child::start(known, &program, &arguments)?);
    }
    let started = children.get_mut(first..).unwrap_or_default();
    let lines = started
        .iter_mut()
        .map(|child| child.first_line::<Ready>("saying where it listens", READY_WITHIN));
    let lines = try_join_all(lines).await?;
    let running = services.into_iter().zip(lines);
    Ok(running
        .map(|(service, Ready { listen, tls })| Running {
            service,
            address: listen,
            tls,
        })
        .collect())
}

/// The program under this name.
fn linked(program: &Path, dir: &Path, name: &str) -> Result<PathBuf, DemoError> {
    let path = dir.join(name);
    let made = std::fs::create_dir_all(dir).and_then(|()| symlink(program, &path));
    match made {
        Ok(()) => Ok(path),
        Err(source) => Err(DemoError::Write { path, source }),
    }
}

fn arguments(service: &Service, name: &str, faults: &[Fault]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut more = faults::options(faults, service);
    if service.is_name_server() {
        all.push("name-server".to_owned());
        if more.is_empty() {
            all.extend(["--answer".to_owned(), format!("{}={}", NAME.0, NAME.1)]);
        }
    } else {
        let environment = service.environment.as_str();
        let known = [
            ("--environment", environment),
            ("--group", service.group.as_str()),
            ("--name", name),
            ("--kind", &service.kind),
        ];
        all.push("service".to_owned());
        for (option, value) in known {
            all.extend([option.to_owned(), value.to_owned()]);
        }
        if !more.contains(&"--service-version") {
            more.extend(["--service-version", VERSION]);
        }
    }
    all.extend(more.into_iter().map(str::to_owned));
    all.push(die_with_us());
    all
}

/// The option that ties a process of the sample fleet to our life.
pub(super) fn die_with_us() -> String {
    format!("--die-with-parent={}", std::process::id())
}
