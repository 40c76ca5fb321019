//! All of the controller wired together, as `nepho controller`, `--local` and the demo run it.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nepho_common::control::Host;
use nepho_proto::{
    session::{enrolment_server, sessions_server},
    tls::{self, TlsError},
};
use rustls::ServerConfig;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    clock, driver,
    driver::{Handle, Holder, LEASE_RENEW_EVERY, take_up},
    identity::{
        ca::{Authority, AuthorityError},
        enrol::Registrar,
        tries::Tries,
    },
    journal::{Store, StoreError},
    listen::{Agents, Arrivals, Cuts, Limits, Strangers, listen, server_builder},
    revise::{Late, Reviser},
    sessions::Desk,
    web::{self, BindError},
};

/// The controller's own certificate is made anew at half its life of 24 h.
const RENEW_EVERY: Duration = Duration::from_secs(12 * 3600);
/// How long streams may take to end by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// Where a controller keeps its things and listens.
#[derive(Debug, Clone)]
pub struct Config {
    /// Authority, store and by default the socket.
    pub data_dir: PathBuf,
    /// For enrolment; port 0 takes a free one.
    pub enrolment: SocketAddr,
    /// For sessions; port 0 takes a free one.
    pub sessions: SocketAddr,
    /// The API's Unix socket.
    pub socket: PathBuf,
    /// What agents are told of where to enrol, HOST:PORT; else this host's name and the port.
    pub advertise: Option<String>,
    /// How long an agent's certificate is good for.
    pub certificate_life: Duration,
}

/// A controller that listens.
#[derive(Debug)]
pub struct Controller {
    /// The way to it from inside.
    pub handle: Handle,
    /// Where enrolment listens.
    pub enrolment: SocketAddr,
    /// Where sessions listen.
    pub sessions: SocketAddr,
    /// The API's Unix socket.
    pub socket: PathBuf,
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<()>,
    store: Store,
}

/// Why a controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The data directory can't be made or kept to ourselves.
    #[error("can't use the data directory {}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A port can't be had.
    #[error("can't listen on {address} for {what}")]
    Listen {
        /// For what.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The API's socket can't be had.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The listeners' TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Starts a controller; comes back once everything listens.
///
/// # Errors
/// [`ServiceError`] names what could not be had.
pub async fn start(config: Config) -> Result<Controller, ServiceError> {
    make_data_dir(&config.data_dir)?;
    let store = Store::open(&config.data_dir.join("nepho.sqlite")).await?;
    let authority = Authority::open(&config.data_dir, clock::wall())?;
    let authority = Arc::new(authority.with_agent_life(config.certificate_life));
    let enrolment = bind("enrolment", config.enrolment).await?;
    let sessions = bind("sessions", config.sessions).await?;
    let api = web::bind(&config.socket)?;
    let (enrolment_at, sessions_at) = (address(&enrolment)?, address(&sessions)?);

    let (shutdown, down) = watch::channel(false);
    let host = host();
    let holder = Holder::new(&host.name);
    let (mut driver, inputs) = driver::driver();
    // Before anybody can connect: an agent that comes back finds its run.
    for (taken, owned) in take_up(&store, &holder).await? {
        driver.take_up(taken, owned);
    }
    let cuts = Cuts::default();
    let tls = Certificates::make(&authority)?;
    let (mutual, plain) = (tls.mutual.subscribe(), tls.plain.subscribe());
    let mut tasks = JoinSet::new();
    tasks.spawn(driver.drive(down.clone()));
    tasks.spawn(keep_leases(store.clone(), holder.clone(), down.clone()));
    tasks.spawn(tls.renew(Arc::clone(&authority), down.clone()));

    let registrar = Registrar {
        store: store.clone(),
        authority: Arc::clone(&authority),
        cuts: cuts.clone(),
        sessions_port: sessions_at.port(),
        wall: clock::wall,
        tries: Tries::default(),
    };
    let arrivals = Arrivals::default();
    let late = Late::default();
    let reviser = Reviser {
        store: store.clone(),
        holder: holder.clone(),
        driver: inputs.clone(),
        late: late.clone(),
    };
    tasks.spawn(reviser.work(down.clone()));
    let desk = Desk::new(
        inputs.clone(),
        store.clone(),
        registrar.clone(),
        arrivals.clone(),
        late,
        down.clone(),
    );
    let gate = Agents {
        store: store.clone(),
        cuts: cuts.clone(),
        arrivals,
        wall: clock::wall,
    };
    let incoming = listen(sessions, mutual, gate, Limits::sessions(descriptors()));
    let routes = server_builder().add_routes(sessions_server(desk));
    let ended = until(down.clone());
    tasks.spawn(async move {
        let served = routes.serve_with_incoming_shutdown(incoming, ended);
        served
            .await
            .unwrap_or_else(|error| warn!(%error, "sessions are no longer served"));
    });

    let incoming = listen(enrolment, plain, Strangers::default(), Limits::strangers());
    let routes = server_builder().add_routes(enrolment_server(registrar));
    let ended = until(down.clone());
    tasks.spawn(async move {
        let served = routes.serve_with_incoming_shutdown(incoming, ended);
        served
            .await
            .unwrap_or_else(|error| warn!(%error, "enrolment is no longer served"));
    });

    let advertised = config
        .advertise
        .unwrap_or_else(|| format!("{}:{}", host.name, enrolment_at.port()));
    let handle = Handle::new(
        inputs,
        store.clone(),
        authority,
        host,
        advertised,
        cuts,
        holder,
    );
    let serving = web::serve(api, handle.clone(), until(down));
    tasks.spawn(async move {
        serving
            .await
            .unwrap_or_else(|error| warn!(%error, "the API is no longer served"));
    });
    let socket = config.socket;
    info!(enrolment = %enrolment_at, sessions = %sessions_at, api = %socket.display(), "controller listens");
    Ok(Controller {
        handle,
        enrolment: enrolment_at,
        sessions: sessions_at,
        socket,
        shutdown,
        tasks,
        store,
    })
}

impl Controller {
    /// Ends everything: agents are told, streams get a grace, the rest is cut.
    pub async fn shutdown(mut self) {
        self.shutdown.send_replace(true);
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(GRACE, drained).await.is_err() {
            let cut = self.tasks.len();
            warn!(
                cut,
                "some of the controller's tasks did not end by themselves and were cut"
            );
            self.tasks.shutdown().await;
        }
        if let Err(error) = std::fs::remove_file(&self.socket) {
            warn!(%error, socket = %self.socket.display(), "the socket is left behind");
        }
        drop(self.handle);
        self.store.close().await;
    }
}

/// The listeners' TLS, which changes while they listen.
struct Certificates {
    mutual: watch::Sender<Arc<ServerConfig>>,
    plain: watch::Sender<Arc<ServerConfig>>,
}

impl Certificates {
    fn make(authority: &Authority) -> Result<Self, ServiceError> {
        let (mutual, plain) = configs(authority)?;
        Ok(Self {
            mutual: watch::Sender::new(mutual),
            plain: watch::Sender::new(plain),
        })
    }

    async fn renew(self, authority: Arc<Authority>, mut down: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = down.wait_for(|down| *down) => return,
                () = sleep(RENEW_EVERY) => {}
            }
            match configs(&authority) {
                Ok((mutual, plain)) => {
                    self.mutual.send_replace(mutual);
                    self.plain.send_replace(plain);
                    info!("the controller has a new certificate");
                }
                Err(error) => warn!(%error, "the controller's certificate was not renewed"),
            }
        }
    }
}

type Configs = (Arc<ServerConfig>, Arc<ServerConfig>);

fn configs(authority: &Authority) -> Result<Configs, ServiceError> {
    let (chain, key) = authority.controller_identity(clock::wall())?;
    let mutual = tls::server_config_mutual(authority.ca_der(), chain.clone(), key.clone_key())?;
    Ok((mutual, tls::server_config_plain(chain, key)?))
}

fn make_data_dir(path: &Path) -> Result<(), ServiceError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let failed = |source| ServiceError::DataDir {
        path: path.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)
}

/// Keeps the leases of this process's runs.
async fn keep_leases(store: Store, holder: Holder, mut down: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = down.wait_for(|down| *down) => return,
            () = sleep(LEASE_RENEW_EVERY) => {}
        }
        if let Err(error) = holder.renew(&store).await {
            warn!(%error, "the leases of this controller's runs were not renewed");
        }
    }
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServiceError> {
    let failed = |source| ServiceError::Listen {
        what,
        address,
        source,
    };
    TcpListener::bind(address).await.map_err(failed)
}

fn address(listener: &TcpListener) -> Result<SocketAddr, ServiceError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let failed = |source| ServiceError::Listen {
        what: "its own address",
        address: unknown,
        source,
    };
    listener.local_addr().map_err(failed)
}

/// How many descriptors this process may have, after asking for all that it can get: the usual soft
/// limit of 1024 is for programs that still call `select`.
fn descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    let got = match setrlimit(Resource::Nofile, most) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    got.unwrap_or(u64::MAX)
}

async fn until(mut down: watch::Receiver<bool>) {
    // An error means that nobody can ask any more: that is an end too.
    drop(down.wait_for(|down| *down).await);
}

/// The controller's host, for the report's conditions.
fn host() -> Host {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let memory = rustix::system::sysinfo();
    Host {
        name: text(uname.nodename()),
        os: pretty.map_or_else(
            || text(uname.sysname()),
            |name| name.trim_matches('"').to_owned(),
        ),
        kernel: text(uname.release()),
        arch: text(uname.machine()),
        cpus: std::thread::available_parallelism()
            .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory: memory.totalram.saturating_mul(u64::from(memory.mem_unit)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
