//! What a container engine says: three questions over its Unix socket, and its answers parsed. An
//! engine is as hostile as any target: its answers are bounded in bytes and in time.

use std::{collections::BTreeMap, io};

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use nepho_common::{event::Presence, plan::ContainerPick};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{net::UnixStream, task::JoinSet};

/// A container takes about 2 KiB of the list.
const ANSWER_MAX: usize = 8 << 20;
/// Containers that are asked for at a time: enough to make little of one that waits, and few
/// connections for an engine that has other things to do.
pub(super) const AT_ONCE: usize = 8;

/// A connection to an engine, for a few questions.
pub(super) struct Engine {
    sender: http1::SendRequest<Empty<Bytes>>,
    /// Ends with this.
    _connection: JoinSet<()>,
}

/// Why an engine said nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// Nothing answers at its socket.
    #[error("no container engine answers at its socket")]
    Connect(#[source] io::Error),
    /// It talks, but not HTTP.
    #[error("the container engine broke off")]
    Exchange(#[source] hyper::Error),
    /// It says no.
    #[error("the container engine answered {0}")]
    Status(StatusCode),
    /// Too large, or cut.
    #[error("the answer of the container engine can't be taken")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No JSON, or other than it was.
    #[error("the container engine answered something else")]
    Parse(#[source] serde_json::Error),
}

impl EngineError {
    /// In the words of a report.
    pub(super) fn presence(&self) -> Presence {
        match self {
            Self::Connect(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Presence::Forbidden
            }
            Self::Connect(_) => Presence::NoEngine,
            Self::Status(status)
                if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(status) =>
            {
                Presence::Forbidden
            }
            Self::Exchange(_) | Self::Status(_) | Self::Body(_) | Self::Parse(_) => {
                Presence::NoAnswer
            }
        }
    }
}

/// A container, in the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(rename = "Names", default)]
    names: Option<Vec<String>>,
    #[serde(rename = "Labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Listed {
    /// Whether it is meant.
    pub(super) fn fits(&self, pick: &ContainerPick) -> bool {
        match pick {
            ContainerPick::Name(name) => {
                let mut names = self.names.iter().flatten();
                names.any(|one| one.strip_prefix('/').unwrap_or(one) == name.as_str())
            }
            ContainerPick::Label(label) => {
                let labels = self.labels.as_ref();
                let is = |key: &str| labels.and_then(|labels| labels.get(key));
                match label.as_str().split_once('=') {
                    Some((key, value)) => is(key).is_some_and(|found| found == value),
                    None => is(label.as_str()).is_some(),
                }
            }
        }
    }

    /// An id goes into the path of the next question, so it is looked at.
    fn is_sane(&self) -> bool {
        let hex = self.id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        hex && (1..=128).contains(&self.id.len())
    }
}

/// How a container was started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Inspected {
    /// How often the engine started it again by itself.
    #[serde(rename = "RestartCount", default)]
    pub(super) restarts: u64,
    #[serde(rename = "State")]
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct State {
    #[serde(rename = "StartedAt", default)]
    started: String,
    #[serde(rename = "Running", default)]
    running: bool,
    /// It ended, and is started again in a while. An engine calls that running too.
    #[serde(rename = "Restarting", default)]
    restarting: bool,
}

impl Inspected {
    /// The instant, as the engine writes it.
    pub(super) fn started(&self) -> &str {
        &self.state.started
    }

    /// Whether it does anything now.
    pub(super) const fn runs(&self) -> bool {
        self.state.running && !self.state.restarting
    }
}

/// What a container used so far. Whatever the engine does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Stats {
    cpu_stats: Option<CpuStats>,
    memory_stats: Option<MemoryStats>,
    networks: Option<BTreeMap<String, Network>>,
    blkio_stats: Option<BlkioStats>,
    pids_stats: Option<PidsStats>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct CpuStats {
    cpu_usage: Option<CpuUsage>,
    throttling_data: Option<Throttling>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct CpuUsage {
    total_usage: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Throttling {
    periods: u64,
    throttled_periods: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct MemoryStats {
    usage: Option<u64>,
    stats: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Network {
    rx_bytes: u64,
    tx_bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct BlkioStats {
    io_service_bytes_recursive: Option<Vec<Blkio>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Blkio {
    op: String,
    value: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct PidsStats {
    current: Option<u64>,
}

/// The counters of one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Processor time in nanoseconds.
    pub(super) cpu: Option<u64>,
    /// Periods, and those in which it was held back.
    pub(super) throttled: Option<(u64, u64)>,
    /// Bytes without the part of the page cache that could go at any moment.
    pub(super) memory: Option<u64>,
    /// Processes and threads.
    pub(super) threads: Option<u64>,
    /// Bytes that came in and went out.
    pub(super) network: Option<(u64, u64)>,
    /// Bytes from and to disks.
    pub(super) disk: Option<(u64, u64)>,
}

impl Stats {
    /// In our words. Memory is what `docker stats` shows: without inactive file pages, by the name
    /// that either version of control groups has for them.
    pub(super) fn used(&self) -> Used {
        let cpu = self.cpu_stats.as_ref();
        let memory = self.memory_stats.as_ref().and_then(|memory| {
            let pages = memory.stats.as_ref()?;
            let of = |name: &str| pages.get(name).and_then(serde_json::Value::as_u64);
            let idle = of("total_inactive_file").or_else(|| of("inactive_file"))?;
            Some(memory.usage?.saturating_sub(idle))
        });
        let network = self.networks.as_ref().map(|all| {
            let sum = |of: fn(&Network) -> u64| all.values().map(of).fold(0, u64::saturating_add);
            (sum(|one| one.rx_bytes), sum(|one| one.tx_bytes))
        });
        let disk = self.blkio_stats.as_ref().and_then(|disk| {
            let all = disk.io_service_bytes_recursive.as_ref()?;
            let sum = |op: &str| {
                let mine = all.iter().filter(|one| one.op.eq_ignore_ascii_case(op));
                mine.map(|one| one.value).fold(0, u64::saturating_add)
            };
            Some((sum("read"), sum("write")))
        });
        Used {
            cpu: cpu.and_then(|cpu| Some(cpu.cpu_usage?.total_usage)),
            throttled: cpu.and_then(|cpu| {
                let Throttling {
                    periods,
                    throttled_periods,
                } = cpu.throttling_data?;
                Some((periods, throttled_periods))
            }),
            memory,
            threads: self.pids_stats.as_ref().and_then(|pids| pids.current),
            network,
            disk,
        }
    }
}

impl Engine {
    /// Connects.
    ///
    /// # Errors
    /// Nothing answers there.
    pub(super) async fn connect(socket: &str) -> Result<Self, EngineError> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(EngineError::Connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(EngineError::Exchange)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            // What went wrong is said to whoever waits for the answer.
            drop(connection.await);
        });
        Ok(Self {
            sender,
            _connection: tasks,
        })
    }

    /// The containers, whether they run or not.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn list(&mut self) -> Result<Vec<Listed>, EngineError> {
        let mut all: Vec<Listed> = self.ask("/containers/json?all=true").await?;
        all.retain(Listed::is_sane);
        Ok(all)
    }

    /// How this one was started; `None` when it is gone.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn inspect(&mut self, one: &Listed) -> Result<Option<Inspected>, EngineError> {
        unless_gone(self.ask(&format!("/containers/{}/json", one.id)).await)
    }

    /// What this one used so far; nothing is known of it when it is gone.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn used(&mut self, one: &Listed) -> Result<Used, EngineError> {
        let path = format!("/containers/{}/stats?stream=false&one-shot=true", one.id);
        let stats: Option<Stats> = unless_gone(self.ask(&path).await)?;
        Ok(stats.unwrap_or_default().used())
    }

    /// Without a version in its path, an engine answers in its own.
    async fn ask<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, EngineError> {
        let request = Request::get(path)
            .header(http::header::HOST, "localhost")
            .body(Empty::new())
            .expect("a path of ours, and ids that were looked at");
        self.sender.ready().await.map_err(EngineError::Exchange)?;
        let answer = self.sender.send_request(request).await;
        let answer = answer.map_err(EngineError::Exchange)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(EngineError::Body)?.to_bytes();
        if status != StatusCode::OK {
            return Err(EngineError::Status(status));
        }
        serde_json::from_slice(&body).map_err(EngineError::Parse)
    }
}

fn unless_gone<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(EngineError::Status(StatusCode::NOT_FOUND)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(json: &str) -> Listed {
        serde_json::from_str(json).unwrap()
    }

    fn name(text: &str) -> ContainerPick {
        ContainerPick::Name(text.to_owned().try_into().unwrap())
    }

    fn label(text: &str) -> ContainerPick {
        ContainerPick::Label(text.to_owned().try_into().unwrap())
    }

    #[test]
    fn a_container_is_meant_by_its_whole_name_or_by_a_label() {
        let web = listed(r#"{"Id":"ab12","Names":["/web-1"],"Labels":{"role":"web","a":""}}"#);
        assert!(web.fits(&name("web-1")) && !web.fits(&name("web")) && !web.fits(&name("/web-1x")));
        assert!(web.fits(&label("role=web")) && web.fits(&label("role")) && web.fits(&label("a=")));
        assert!(!web.fits(&label("role=db")) && !web.fits(&label("rol")));
        let bare = listed(r#"{"Id":"ab12","Names":null,"Labels":null,"State":"running"}"#);
        assert!(!bare.fits(&name("web-1")) && !bare.fits(&label("role")));
    }

    #[test]
    fn an_id_that_would_lead_elsewhere_is_not_asked_for() {
        assert!(listed(r#"{"Id":"ab12"}"#).is_sane());
        for id in ["", "../../secrets", "a?b", "a b"] {
            assert!(!listed(&format!("{{\"Id\":{id:?}}}")).is_sane(), "{id}");
        }
    }

    #[test]
    fn memory_is_what_docker_stats_shows() {
        let of = |pages: &str| {
            let json = format!(r#"{{"memory_stats":{{"usage":1000,"stats":{pages}}}}}"#);
            serde_json::from_str::<Stats>(&json).unwrap().used().memory
        };
        assert_eq!(of(r#"{"inactive_file":300,"anon":5}"#), Some(700));
        assert_eq!(
            of(r#"{"inactive_file":1,"total_inactive_file":400}"#),
            Some(600)
        );
        assert_eq!(of(r#"{"inactive_file":2000}"#), Some(0));
        assert_eq!(of("{}"), None, "what is not said is not guessed");
    }

    #[test]
    fn stats_are_read_and_what_is_missing_stays_so() {
        let json = r#"{"read":"2026-01-01T00:00:00Z","cpu_stats":{"cpu_usage":{"total_usage":5,
            "usage_in_kernelmode":1},"online_cpus":2,"throttling_data":{"periods":10,
            "throttled_periods":3,"throttled_time":1}},"pids_stats":{"current":4},
            "networks":{"eth0":{"rx_bytes":1,"tx_bytes":2,"rx_packets":1},"eth1":{"rx_bytes":10,
            "tx_bytes":20}},"blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,
            "op":"read","value":7},{"major":8,"minor":0,"op":"Write","value":8}]}}"#;
        let used = serde_json::from_str::<Stats>(json).unwrap().used();
        assert_eq!((used.cpu, used.throttled), (Some(5), Some((10, 3))));
        assert_eq!((used.threads, used.memory), (Some(4), None));
        assert_eq!((used.network, used.disk), (Some((11, 22)), Some((7, 8))));
        // Of a container that has just ended.
        let none = r#"{"cpu_stats":{"cpu_usage":null},"memory_stats":{},"pids_stats":{},
            "networks":null,"blkio_stats":{"io_service_bytes_recursive":null}}"#;
        assert_eq!(
            serde_json::from_str::<Stats>(none).unwrap().used(),
            Used::default()
        );
    }

    #[tokio::test]
    async fn no_engine_and_no_leave_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let path = socket.to_str().unwrap();
        let away = Engine::connect(path).await.err().unwrap();
        assert_eq!(away.presence(), Presence::NoEngine);
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let dead = Engine::connect(path).await.err().unwrap();
        assert_eq!(
            dead.presence(),
            Presence::NoEngine,
            "a socket that nobody listens at"
        );
        let refused = EngineError::Connect(io::ErrorKind::PermissionDenied.into());
        assert_eq!(refused.presence(), Presence::Forbidden);
        let odd = EngineError::Status(StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(odd.presence(), Presence::NoAnswer);
    }
}
