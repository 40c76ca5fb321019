//! From the arguments to the line that says where the service listens, and to its last connection.

use std::{
    io,
    net::SocketAddr,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime, SystemTimeError, UNIX_EPOCH},
};

use serde::Serialize;
use tokio::net::TcpListener;

use super::{
    instance::{Identity, NotAHeader, Service},
    missing::{Missing, MissingError},
    pages,
    switches::{SwitchError, Switches},
    tls::{Handshakes, TlsArguments, TlsError},
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
    #[command(flatten)]
    tls: TlsArguments,
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
    Tls(#[from] TlsError),
    #[error("--tls is for --kind http: a service that never answers shakes no hands")]
    Unprotected,
    #[error("tell the time: this machine's clock says a year before 1970")]
    Clock(#[source] SystemTimeError),
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
            Self::Child(_) | Self::Listen { .. } | Self::Burn(_) | Self::Clock(_) => 1,
            Self::Tls(error) if error.is_wrong_argument() => 2,
            Self::Tls(_) => 1,
            Self::Switch { .. }
            | Self::Unprotected
            | Self::Missing(_)
            | Self::Pageless
            | Self::Name(_) => 2,
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
    /// Said only by a service that speaks HTTPS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls: bool,
}

/// How connections are served.
enum Serving {
    Plain,
    Protected(Handshakes),
    Silent,
}

/// Runs the service until a signal ends it.
pub(crate) fn run(arguments: Arguments) -> Result<(), ServiceError> {
    arguments.child.bind_to_parent()?;
    let switches = switches(&arguments)?;
    let serving = serving(&arguments)?;
    let missing = Missing::parse(arguments.without)?;
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
    child::event_loop()?.block_on(live(service, serving, arguments.listen))
}

fn serving(arguments: &Arguments) -> Result<Serving, ServiceError> {
    let tls = &arguments.tls;
    match arguments.kind {
        Kind::Silent(_) if tls.is_asked_for() => Err(ServiceError::Unprotected),
        Kind::Silent(_) if !arguments.without.is_empty() => Err(ServiceError::Pageless),
        Kind::Silent(_) => Ok(Serving::Silent),
        Kind::Http => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_err(ServiceError::Clock)?;
            let handshakes = tls.handshakes(arguments.listen.ip(), now)?;
            Ok(handshakes.map_or(Serving::Plain, Serving::Protected))
        }
    }
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

async fn live(
    service: Arc<Service>,
    serving: Serving,
    listen: SocketAddr,
) -> Result<(), ServiceError> {
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
        tls: matches!(serving, Serving::Protected(_)),
    })?;
    let counts = Arc::clone(&service.counts);
    let ended = signals.asked();
    match serving {
        Serving::Plain => {
            let serve = |stream, end| pages::serve(Arc::clone(&service), stream, end);
            listener::accept(listener, counts, ended, serve).await;
        }
        Serving::Protected(handshakes) => {
            let serve = |stream, mut end| {
                let (service, handshakes) = (Arc::clone(&service), handshakes.clone());
                async move {
                    if let Some(stream) = handshakes.shake(stream, &mut end).await {
                        pages::serve(service, stream, end).await;
                    }
                }
            };
            listener::accept(listener, counts, ended, serve).await;
        }
        Serving::Silent => {
            let resets = service.switches().resets();
            let serve = |stream, end| async move {
                if resets {
                    reset(&stream);
                } else {
                    listener::stay_silent(stream, end).await;
                }
            };
            listener::accept(listener, counts, ended, serve).await;
        }
    }
    let counts = locked(&service.counts).clone();
    let (requests, connections) = (counts.requests, counts.connections.accepted);
    tracing::info!(requests, connections, "service ended");
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
