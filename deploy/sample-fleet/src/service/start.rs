//! From the arguments to the line that says where the service listens, and to its last connection.

use std::{io, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::net::TcpListener;

use super::{
    instance::{Identity, NotAHeader, Service},
    missing::{Missing, MissingError},
    pages,
    switches::{SwitchError, Switches},
};
use crate::{
    child::{self, Blame, ChildArguments, ChildError, EndSignals},
    listener::{self, locked, reset},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment that the service belongs to.
    #[arg(long)]
    environment: String,
    /// The group that the service belongs to.
    #[arg(long, default_value = "")]
    group: String,
    /// The name of the service.
    #[arg(long)]
    name: String,
    /// Which instance of the service this is.
    #[arg(long, default_value = "1")]
    instance: String,
    /// `http`; anything else (tcp, mysql, postgres, redis) accepts and stays silent.
    #[arg(long, default_value = "http")]
    kind: Kind,
    /// The version that the service says it has.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    service_version: String,
    /// A page that this version does not have yet: it answers 404. Repeatable; only for `http`.
    #[arg(long, value_name = "PATH")]
    without: Vec<String>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Faults to start with, as JSON: {"status":500}.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    switch: String,
    #[command(flatten)]
    child: ChildArguments,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Http,
    /// A port that is open and no more, under the name of what it stands for.
    Silent(String),
}

impl FromStr for Kind {
    type Err = std::convert::Infallible;

    fn from_str(kind: &str) -> Result<Self, Self::Err> {
        Ok(if kind == "http" {
            Self::Http
        } else {
            Self::Silent(kind.to_owned())
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error("listen on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("start with switches {json}")]
    Switch { json: String, source: SwitchError },
    #[error("start a thread for the switch \"burn\"")]
    Burn(#[source] io::Error),
    #[error(transparent)]
    Missing(#[from] MissingError),
    #[error("--without is for --kind http: a service that never answers has no pages")]
    Pageless,
    #[error("name and version must fit into a header: {0:?}")]
    Name(String),
}

impl Blame for ServiceError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Child(_) | Self::Listen { .. } | Self::Burn(_) => 1,
            Self::Switch { .. } | Self::Missing(_) | Self::Pageless | Self::Name(_) => 2,
        }
    }
}

/// The one line that the starter reads.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    schema: &'static str,
    service: &'a str,
    environment: &'a str,
    instance: &'a str,
    listen: SocketAddr,
}

/// Runs the service until a signal ends it.
pub(crate) fn run(arguments: Arguments) -> Result<(), ServiceError> {
    arguments.child.bind_to_parent()?;
    let switches = switches(&arguments)?;
    let Arguments { kind, listen, .. } = arguments;
    let missing = Missing::parse(arguments.without)?;
    match kind {
        Kind::Silent(_) if missing.is_any() => return Err(ServiceError::Pageless),
        Kind::Http | Kind::Silent(_) => {}
    }
    let names = [
        arguments.environment,
        arguments.group,
        arguments.name,
        arguments.instance,
    ];
    let identity = Identity::new(names, arguments.service_version)
        .map_err(|NotAHeader(text)| ServiceError::Name(text))?;
    let service = Arc::new(Service::new(identity, missing));
    service.turn(switches).map_err(ServiceError::Burn)?;
    child::event_loop()?.block_on(live(service, &kind, listen))
}

fn switches(arguments: &Arguments) -> Result<Switches, ServiceError> {
    let json = &arguments.switch;
    let turned = Switches::default().turned(json.as_bytes(), Duration::ZERO);
    match arguments.kind {
        Kind::Http => turned,
        Kind::Silent(_) => turned.and_then(Switches::for_silent),
    }
    .map_err(|source| ServiceError::Switch {
        json: json.clone(),
        source,
    })
}

async fn live(service: Arc<Service>, kind: &Kind, listen: SocketAddr) -> Result<(), ServiceError> {
    let mut signals = EndSignals::listen()?;
    let failed = |source| ServiceError::Listen {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    child::announce(&Ready {
        schema: "nepho.sample-service/v1",
        service: &service.identity.name,
        environment: &service.identity.environment,
        instance: &service.identity.instance,
        listen: listener.local_addr().map_err(failed)?,
    })?;
    let counts = Arc::clone(&service.counts);
    match kind {
        Kind::Http => {
            listener::accept(listener, counts, signals.asked(), |stream, end| {
                pages::serve(Arc::clone(&service), stream, end)
            })
            .await;
        }
        Kind::Silent(_) => {
            let resets = service.switches().resets();
            listener::accept(
                listener,
                counts,
                signals.asked(),
                |stream, end| async move {
                    if resets {
                        reset(&stream);
                    } else {
                        listener::stay_silent(stream, end).await;
                    }
                },
            )
            .await;
        }
    }
    let counts = locked(&service.counts).clone();
    let (requests, connections) = (counts.requests, counts.connections.accepted);
    tracing::info!(kind = ?kind, requests, connections, "service ended");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_speaks() {
        assert_eq!("http".parse(), Ok(Kind::Http));
        assert_eq!("mysql".parse(), Ok(Kind::Silent("mysql".to_owned())));
    }
}
