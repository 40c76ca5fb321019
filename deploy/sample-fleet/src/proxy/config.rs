//! The routes that the proxy is told to keep.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

const SCHEMA: &str = "nepho.sample-proxy/v1";
/// Each route has a port and a task; the largest fleet of the demo needs 120.
const MOST_ROUTES: usize = 1024;
/// Beyond a minute the queues would hold more than any test means.
const LONGEST_MS: f64 = 60_000.0;

#[derive(Debug, Clone)]
pub(super) struct RouteConfig {
    pub(super) name: String,
    pub(super) listen: SocketAddr,
    pub(super) target: SocketAddr,
    /// From client to target.
    pub(super) there: Duration,
    /// From target to client.
    pub(super) back: Duration,
    /// Whether the route is open only while the target is.
    pub(super) check: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("parse {path}")]
    Parse {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("{path} is not valid: {}", mistakes.join("; "))]
    Invalid {
        path: PathBuf,
        mistakes: Vec<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    schema: String,
    routes: Vec<RawRoute>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    name: String,
    listen: SocketAddr,
    target: SocketAddr,
    there_ms: f64,
    back_ms: f64,
    #[serde(default = "checked_by_default")]
    check: bool,
}

fn checked_by_default() -> bool {
    true
}

pub(super) fn read(path: &Path) -> Result<Vec<RouteConfig>, ConfigError> {
    let at = || path.to_owned();
    let text = std::fs::read(path).map_err(|source| ConfigError::Read { path: at(), source })?;
    let raw: RawConfig = serde_json::from_slice(&text)
        .map_err(|source| ConfigError::Parse { path: at(), source })?;
    parse(raw).map_err(|mistakes| ConfigError::Invalid {
        path: at(),
        mistakes,
    })
}

/// All mistakes at once.
fn parse(raw: RawConfig) -> Result<Vec<RouteConfig>, Vec<String>> {
    let mut mistakes = Vec::new();
    if raw.schema != SCHEMA {
        mistakes.push(format!("schema is {:?}, not {SCHEMA:?}", raw.schema));
    }
    if raw.routes.is_empty() || raw.routes.len() > MOST_ROUTES {
        mistakes.push(format!(
            "{} routes, not 1 to {MOST_ROUTES}",
            raw.routes.len()
        ));
    }
    let mut names = BTreeSet::new();
    let mut routes = Vec::new();
    for route in raw.routes {
        let RawRoute {
            name,
            listen,
            target,
            there_ms,
            back_ms,
            check,
        } = route;
        if !names.insert(name.clone()) {
            mistakes.push(format!("route {name:?} is there twice"));
        }
        if target.port() == 0 {
            mistakes.push(format!("route {name:?}: the target has no port"));
        }
        let mut delay = |milliseconds: f64| {
            if !(0.0..=LONGEST_MS).contains(&milliseconds) {
                mistakes.push(format!(
                    "route {name:?}: {milliseconds} ms is not 0 to 60000"
                ));
                return Duration::ZERO;
            }
            Duration::from_secs_f64(milliseconds / 1000.0)
        };
        let (there, back) = (delay(there_ms), delay(back_ms));
        routes.push(RouteConfig {
            name,
            listen,
            target,
            there,
            back,
            check,
        });
    }
    if mistakes.is_empty() {
        Ok(routes)
    } else {
        Err(mistakes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<Vec<RouteConfig>, Vec<String>> {
        parse(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_route_is_checked_unless_it_says_otherwise() {
        let routes = parsed(
            r#"{"schema":"nepho.sample-proxy/v1","routes":[
            {"name":"a","listen":"127.0.0.1:0","target":"127.0.0.1:1","there_ms":7.5,"back_ms":0},
            {"name":"b","listen":"127.0.0.1:0","target":"127.0.0.1:1","there_ms":0,"back_ms":0,
             "check":false}]}"#,
        )
        .unwrap();
        assert_eq!(
            routes.iter().map(|route| route.check).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(routes[0].there, Duration::from_micros(7500));
    }

    #[test]
    fn every_mistake_is_named() {
        let mistakes = parsed(
            r#"{"schema":"other","routes":[
            {"name":"a","listen":"127.0.0.1:0","target":"127.0.0.1:0","there_ms":-1,"back_ms":0},
            {"name":"a","listen":"127.0.0.1:0","target":"127.0.0.1:1","there_ms":0,"back_ms":1e9}
            ]}"#,
        )
        .unwrap_err();
        assert_eq!(mistakes.len(), 5, "{mistakes:?}");
    }
}
