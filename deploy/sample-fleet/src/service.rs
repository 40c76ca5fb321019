//! One service of the fleet: who it is, and its life from the first line to the last connection.

use std::{
    io,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Instant,
};

use http::HeaderValue;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    child::{self, Blame, ChildArguments, ChildError, EndSignals},
    counts::Counts,
    listener::{self, locked, reset},
    pages,
    switches::{SwitchError, Switches},
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
    #[error("name and version must fit into a header: {0:?}")]
    Name(String),
}

impl Blame for ServiceError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Child(_) | Self::Listen { .. } => 1,
            Self::Switch { .. } | Self::Name(_) => 2,
        }
    }
}

/// What the connections of one service share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) identity: Identity,
    pub(crate) switches: Mutex<Switches>,
    pub(crate) counts: Arc<Mutex<Counts>>,
    started: Instant,
}

#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) environment: String,
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) instance: String,
    pub(crate) version: String,
    pub(crate) instance_header: HeaderValue,
    pub(crate) version_header: HeaderValue,
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
    let Arguments {
        kind,
        listen,
        switch,
        ..
    } = arguments;
    let switches = Switches::default().turned(switch.as_bytes());
    let switches = match kind {
        Kind::Http => switches,
        Kind::Silent(_) => switches.and_then(Switches::for_silent),
    }
    .map_err(|source| ServiceError::Switch {
        json: switch,
        source,
    })?;
    let service = Arc::new(Service {
        identity: Identity::new(
            [
                arguments.environment,
                arguments.group,
                arguments.name,
                arguments.instance,
            ],
            arguments.service_version,
        )?,
        switches: Mutex::new(switches),
        counts: Arc::default(),
        started: Instant::now(),
    });
    child::event_loop()?.block_on(live(service, &kind, listen))
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
            let resets = locked(&service.switches).resets();
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

impl Service {
    /// What `/state` answers.
    pub(crate) fn state(&self) -> Value {
        let identity = &self.identity;
        let switches = locked(&self.switches).clone();
        let counts = locked(&self.counts).clone();
        let mut state = json!({
            "schema": "nepho.sample-state/v1",
            "service": identity.name,
            "environment": identity.environment,
            "group": identity.group,
            "instance": identity.instance,
            "version": identity.version,
            "uptime_ms": u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "switches": switches,
        });
        let counts = serde_json::to_value(counts).expect("counts have string keys");
        if let (Value::Object(state), Value::Object(counts)) = (&mut state, counts) {
            state.extend(counts);
        }
        state
    }
}

impl Identity {
    fn new(names: [String; 4], version: String) -> Result<Self, ServiceError> {
        let [environment, group, name, instance] = names;
        let header = |text: String| {
            HeaderValue::from_str(&text).map_err(|_not_a_header| ServiceError::Name(text.clone()))
        };
        Ok(Self {
            instance_header: header(format!("{environment}/{name}/{instance}"))?,
            version_header: header(version.clone())?,
            environment,
            group,
            name,
            instance,
            version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_speaks() {
        assert_eq!("http".parse(), Ok(Kind::Http));
        assert_eq!("mysql".parse(), Ok(Kind::Silent("mysql".to_owned())));
    }

    #[test]
    fn a_name_that_would_break_a_header_is_refused() {
        let names = ["local", "edge", "bad\nname", "1"].map(str::to_owned);
        assert!(matches!(
            Identity::new(names, "1".to_owned()),
            Err(ServiceError::Name(_))
        ));
    }
}
