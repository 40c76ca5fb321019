//! Gathers what [`nepho_controller_core::doctor`] judges. It changes nothing, and may be called while
//! the controller runs.

use std::{
    error::Error,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nepho_common::{
    doctor::host::{
        Descriptors, Directory, Disk, Found, Keeper, keeper_by_chrony, keeper_by_systemd,
    },
    id::Digest,
    time::WallMillis,
};
use nepho_controller_core::doctor::{Agent, Answer, Authority, Facts, Holder, Port, Store};
use nepho_proto::tls;
use rustix::{
    fs::{Access, access, statvfs},
    process::{Resource, getrlimit},
};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{net::TcpStream, process::Command, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{
    clock,
    identity::ca::{self, AuthorityError},
    journal,
    view::AgentView,
    web::Client,
};

/// Programs that tell of the clock answer at once or hang on a bus that is not there.
const ASK_MAX: Duration = Duration::from_secs(3);
/// On loopback or this host's own address; who takes longer is no controller of ours.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The controller's data directory.
    pub data_dir: PathBuf,
    /// Where it enrols.
    pub enrolment: SocketAddr,
    /// Where it has sessions.
    pub sessions: SocketAddr,
    /// Its API.
    pub client: Client,
}

/// Looks at everything.
pub async fn facts(subject: &Subject) -> Facts {
    let dir = &subject.data_dir;
    let (authority, pin) = authority(dir);
    let trusted = pin.map(tls::client_config_enrol);
    let (answer, agents) = answer(&subject.client).await;
    Facts {
        now: clock::wall(),
        data_dir: directory(dir),
        authority,
        store: store(&dir.join("nepho.sqlite")).await,
        disk: disk(dir),
        answer,
        ports: vec![
            port("enrolment", subject.enrolment, trusted.clone()).await,
            port("sessions", subject.sessions, trusted).await,
        ],
        clock: keeper().await,
        files: files(),
        agents,
    }
}

fn directory(path: &Path) -> Directory {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
        Err(error) => Found::Unreadable(error.to_string()),
        Ok(data) if !data.is_dir() => Found::Unreadable("it is no directory".to_owned()),
        Ok(data) => Found::There {
            mode: data.permissions().mode(),
            unwritable: access(path, Access::WRITE_OK | Access::EXEC_OK)
                .err()
                .map(|error| error.to_string()),
        },
    };
    Directory {
        path: path.display().to_string(),
        found,
    }
}

/// The file, and the digest of its certificate when there is one.
fn authority(dir: &Path) -> (Authority, Option<Digest>) {
    let path = dir.join(ca::FILE);
    let mode = match fs::metadata(&path) {
        Ok(data) => data.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Authority::Missing, None),
        Err(error) => return (Authority::Bad(error.to_string()), None),
    };
    // It is there, so nothing is made by opening it.
    match ca::Authority::open(dir, clock::wall()) {
        Ok(_) | Err(AuthorityError::Open { .. }) => {}
        Err(error) => return (Authority::Bad(chain(&error)), None),
    }
    let certificate = CertificateDer::from_pem_file(&path).ok();
    let life = certificate.as_ref().and_then(tls::validity);
    let Some((certificate, life)) = certificate.zip(life) else {
        return (Authority::Bad("it holds no certificate".to_owned()), None);
    };
    let path = path.display().to_string();
    let pin = Digest::of(&certificate);
    (Authority::There { path, mode, life }, Some(pin))
}

async fn store(path: &Path) -> Store {
    if !path.exists() {
        return Store::Missing;
    }
    match journal::version(path).await {
        Ok((found, known)) => Store::Version { found, known },
        Err(error) => Store::Bad {
            path: path.display().to_string(),
            why: chain(&error),
        },
    }
}

async fn answer(client: &Client) -> (Answer, Vec<Agent>) {
    let both = async { Ok((client.version().await?, client.agents().await?)) };
    let both: Result<_, crate::web::ClientError> = both.await;
    match both {
        Ok((version, agents)) => {
            let agents = agents.agents.into_iter().map(agent).collect();
            (Answer::Controller(version.version), agents)
        }
        Err(error) => (Answer::Nobody(chain(&error)), Vec::new()),
    }
}

fn agent(view: AgentView) -> Agent {
    Agent {
        connected: view.connected,
        silent_for: view.silent_for,
        clock: view.clock.map(|clock| clock.width()),
        version: view.host.map(|host| host.version),
        revoked: view.revoked.is_some(),
        cloned: view.cloned,
        agent: view.agent,
    }
}

/// Listening tells whether it is free; a handshake, by whose certificate it is taken.
async fn port(what: &'static str, address: SocketAddr, trusted: Option<Arc<ClientConfig>>) -> Port {
    let found = match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Holder::Nobody,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match trusted {
            None => Holder::Other("and there is no authority here".to_owned()),
            Some(trusted) => {
                let shaken = timeout(HANDSHAKE_MAX, shake(reachable(address), trusted)).await;
                let shaken = shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                shaken.map_or_else(|why| Holder::Other(why.to_string()), Holder::Ours)
            }
        },
        Err(error) => Holder::Denied(error.to_string()),
    };
    Port {
        what,
        address: address.to_string(),
        number: address.port(),
        found,
    }
}

/// An address to dial for one that is listened on.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The life of the certificate that is shown there, if our authority signed it.
async fn shake(
    address: SocketAddr,
    trusted: Arc<ClientConfig>,
) -> io::Result<(WallMillis, WallMillis)> {
    let tcp = TcpStream::connect(address).await?;
    // The peer is known by its SPIFFE id, so the name says nothing.
    let name = ServerName::try_from("controller").expect("a plain word is a name");
    let tls = TlsConnector::from(trusted).connect(name, tcp).await?;
    let shown = tls.get_ref().1.peer_certificates();
    let life = shown.and_then(|chain| tls::validity(chain.first()?));
    life.ok_or_else(|| io::Error::other("it shows no certificate"))
}

async fn keeper() -> Keeper {
    let chrony = said("chronyc", &["-n", "-c", "tracking"]).await;
    if let Some(keeper) = chrony.as_deref().and_then(keeper_by_chrony) {
        return keeper;
    }
    let words = ["show", "--property=NTPSynchronized", "--value"];
    let systemd = said("timedatectl", &words).await;
    let systemd = systemd.as_deref().and_then(keeper_by_systemd);
    systemd.unwrap_or(Keeper::Unknown)
}

/// What a program prints; `None` when it is not here or fails.
async fn said(program: &str, words: &[&str]) -> Option<String> {
    let asked = Command::new(program)
        .args(words)
        .kill_on_drop(true)
        .output();
    let output = timeout(ASK_MAX, asked).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

fn files() -> Descriptors {
    let limit = getrlimit(Resource::Nofile);
    Descriptors {
        soft: limit.current.unwrap_or(u64::MAX),
        hard: limit.maximum.unwrap_or(u64::MAX),
    }
}

fn disk(path: &Path) -> Option<Disk> {
    let found = statvfs(path).ok()?;
    Some(Disk {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
