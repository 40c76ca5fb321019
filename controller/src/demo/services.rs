//! The forty services as processes, each on a port of the system's choice.

use std::{net::SocketAddr, path::Path, time::Duration};

use futures_util::future::try_join_all;
use serde::Deserialize;

use super::reference::Service;
use crate::local::child::{Child, ChildError};

/// Forty processes on two busy cores are up within a few seconds.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A service that listens.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) service: Service,
    pub(super) address: SocketAddr,
}

/// The line in which a service says where it listens.
#[derive(Debug, Deserialize)]
struct Ready {
    listen: SocketAddr,
}

/// Starts all of them; the processes are put into `children`, whatever becomes of the rest.
pub(super) async fn start(
    program: &Path,
    services: Vec<Service>,
    children: &mut Vec<Child>,
) -> Result<Vec<Running>, ChildError> {
    let die_with_us = die_with_us();
    let first = children.len();
    for service in &services {
        let name = format!("{}/{}", service.environment, service.name);
        let arguments = [
            "service",
            "--environment",
            service.environment.as_str(),
            "--group",
            service.group.as_str(),
            "--name",
            service.name.as_str(),
            "--kind",
            &service.kind,
            &die_with_us,
        ];
        children.push(Child::start(name, program, &arguments)?);
    }
    let started = children.get_mut(first..).unwrap_or_default();
    let lines = started
        .iter_mut()
        .map(|child| child.first_line::<Ready>("saying where it listens", READY_WITHIN));
    let lines = try_join_all(lines).await?;
    let running = services.into_iter().zip(lines);
    Ok(running
        .map(|(service, Ready { listen })| Running {
            service,
            address: listen,
        })
        .collect())
}

/// The option that ties a process of the sample fleet to our life.
pub(super) fn die_with_us() -> String {
    format!("--die-with-parent={}", std::process::id())
}
