//! From the configuration to the line that says where each route listens, and to the end.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    config::{self, ConfigError, RouteConfig},
    route::{CarriedLine, Route},
    target::{CHECK_INTERVAL, Target},
    timer::Timer,
};
use crate::child::{self, Blame, ChildArguments, ChildError, EndSignals};

/// A route whose target was not seen until then is announced as down; it opens when it is.
const FIRST_LOOK_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The routes, as JSON: {"schema":"nepho.sample-proxy/v1","routes":[{"name":"a->b",
    /// "listen":"127.0.0.1:0","target":"127.0.0.1:4000","there_ms":7.5,"back_ms":7.5}]}.
    #[arg(long)]
    config: PathBuf,
    /// At the end, write here as JSON what each route carried and how often its target was checked.
    #[arg(long)]
    counts: Option<PathBuf>,
    #[command(flatten)]
    child: ChildArguments,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("route {name:?}: bind {address}")]
    Bind {
        name: String,
        address: SocketAddr,
        source: io::Error,
    },
    #[error("keep the timer")]
    Timer(#[source] io::Error),
    #[error("write counts to {path}")]
    Counts { path: PathBuf, source: io::Error },
}

impl Blame for ProxyError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Child(_) | Self::Bind { .. } | Self::Timer(_) | Self::Counts { .. } => 1,
            Self::Config(_) => 3,
        }
    }
}

/// The one line that the starter reads.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    schema: &'static str,
    routes: Vec<ReadyRoute<'a>>,
}

#[derive(Debug, Serialize)]
struct ReadyRoute<'a> {
    name: &'a str,
    listen: SocketAddr,
    up: bool,
}

#[derive(Debug, Serialize)]
struct CountsFile<'a> {
    schema: &'static str,
    routes: Vec<CarriedLine<'a>>,
}

/// Keeps the routes until a signal ends them.
pub(crate) fn run(arguments: Arguments) -> Result<(), ProxyError> {
    arguments.child.bind_to_parent()?;
    let routes = config::read(&arguments.config)?;
    child::lift_open_files();
    child::event_loop()?.block_on(live(routes, arguments.counts.as_deref()))
}

async fn live(configs: Vec<RouteConfig>, counts: Option<&Path>) -> Result<(), ProxyError> {
    let mut signals = EndSignals::listen()?;
    let timer = Timer::new().map_err(ProxyError::Timer)?;
    let targets = targets(&configs);
    let routes = reserve(configs, &targets, &timer)?;
    let mut keepers = JoinSet::new();
    watch(targets, &mut keepers);
    let mut first_looks = Vec::new();
    for route in &routes {
        let (known, first_look) = oneshot::channel();
        let route = Arc::clone(route);
        keepers.spawn(async move { route.keep(known).await });
        first_looks.push(first_look);
    }
    let outcome = tokio::select! {
        outcome = async {
            announce(&routes, first_looks).await?;
            signals.asked().await;
            Ok(())
        } => outcome,
        failed = timer.run() => match failed {
            Err(error) => Err(ProxyError::Timer(error)),
        },
    };
    if let Some(path) = counts {
        write_counts(&routes, path)?;
    }
    outcome
}

/// One target per checked address.
fn targets(configs: &[RouteConfig]) -> BTreeMap<SocketAddr, Arc<Target>> {
    let checked = configs.iter().filter(|route| route.check);
    checked
        .map(|route| (route.target, Arc::new(Target::new(route.target))))
        .collect()
}

fn reserve(
    configs: Vec<RouteConfig>,
    targets: &BTreeMap<SocketAddr, Arc<Target>>,
    timer: &Arc<Timer>,
) -> Result<Vec<Arc<Route>>, ProxyError> {
    let reserve = |config: RouteConfig| {
        let (name, address) = (config.name.clone(), config.listen);
        let target = targets
            .get(&config.target)
            .filter(|_| config.check)
            .cloned();
        Route::reserve(config, target, Arc::clone(timer))
            .map(Arc::new)
            .map_err(|source| ProxyError::Bind {
                name,
                address,
                source,
            })
    };
    configs.into_iter().map(reserve).collect()
}

fn watch(targets: BTreeMap<SocketAddr, Arc<Target>>, keepers: &mut JoinSet<Infallible>) {
    let many = u32::try_from(targets.len()).expect("the configuration bounds the routes");
    for (place, target) in (1..).zip(targets.into_values()) {
        let shift = CHECK_INTERVAL * place / many;
        keepers.spawn(async move { target.watch(shift).await });
    }
}

async fn announce(
    routes: &[Arc<Route>],
    first_looks: Vec<oneshot::Receiver<bool>>,
) -> Result<(), ProxyError> {
    let deadline = Instant::now() + FIRST_LOOK_DEADLINE;
    let mut lines = Vec::new();
    for (route, first_look) in routes.iter().zip(first_looks) {
        let up = matches!(timeout_at(deadline, first_look).await, Ok(Ok(true)));
        lines.push(ReadyRoute {
            name: route.name(),
            listen: route.address(),
            up,
        });
    }
    child::announce(&Ready {
        schema: "nepho.sample-proxy-ready/v1",
        routes: lines,
    })?;
    Ok(())
}

fn write_counts(routes: &[Arc<Route>], path: &Path) -> Result<(), ProxyError> {
    let lines = routes.iter().map(|route| route.carried()).collect();
    let file = CountsFile {
        schema: "nepho.sample-proxy-counts/v1",
        routes: lines,
    };
    let text = serde_json::to_vec(&file).expect("our own values have string keys");
    std::fs::write(path, text).map_err(|source| ProxyError::Counts {
        path: path.to_owned(),
        source,
    })
}
