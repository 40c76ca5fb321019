//! Real servers as children of a test, each in a folder of its own; they end with the value that
//! holds them.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
use tempfile::TempDir;

/// Prometheus replays its log on start; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// For what no event tells.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    dir: TempDir,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a child that has been waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Free a moment ago: these servers can't be told to take any port and say which.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Where this program, which is not ours, is on this machine; says loudly when it is not there.
pub(crate) fn exists(name: &str, test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut found = folders.map(|folder| folder.join(name));
    let found = found.find(|path| path.is_file());
    if found.is_none() {
        skip(test, &format!("there is no {name}"));
    }
    found
}

/// Says loudly that a test is not done on this machine, and where that is counted.
pub(crate) fn skip(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
    if let Some(path) = std::env::var_os("NEPHO_TEST_SKIPS") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        writeln!(file.unwrap(), "{test}: {why}").unwrap();
    }
}

impl Server {
    /// Starts `program` with what `arguments` says of its folder and its port, and waits until it
    /// takes connections.
    pub(crate) fn start(
        program: &Path,
        arguments: impl Fn(&Path, u16) -> Vec<String>,
        listens: impl Fn(u16) -> bool,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments(dir.path(), port))
            .current_dir(dir.path());
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let mut server = Self { child, dir, port };
        let begin = Instant::now();
        while !listens(port) {
            let ended = server.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begin.elapsed() < PATIENCE,
                "{}",
                server.log()
            );
            std::thread::sleep(LOOK_EVERY);
        }
        server
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

pub(crate) fn takes_connections(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// An authority, and a certificate of it for `names` that is good for so many more days.
pub(crate) struct Certified {
    pub(crate) roots: RootCertStore,
    /// Certificate and key in one file, as HAProxy wants them; nginx takes it for both.
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
    pub(crate) chain: Vec<rustls::pki_types::CertificateDer<'static>>,
}

pub(crate) fn certified(names: &[&str], days: i64) -> Certified {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "An authority of this test");
    authority.distinguished_name = subject;
    let its_key = KeyPair::generate().unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.self_signed(&its_key).unwrap().der().clone())
        .unwrap();
    let issuer = Issuer::new(authority, its_key);
    let mut params = CertificateParams::default();
    let name = |name: &&str| match name.parse() {
        Ok(ip) => SanType::IpAddress(ip),
        Err(_) => SanType::DnsName((*name).try_into().unwrap()),
    };
    params.subject_alt_names = names.iter().map(name).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let day = Duration::from_secs(86_400);
    let today = date_time_ymd(1970, 1, 1) + now;
    params.not_before = today - day * 30;
    let span = day * u32::try_from(days.abs()).unwrap();
    params.not_after = if days < 0 { today - span } else { today + span };
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, &issuer).unwrap();
    Certified {
        roots,
        pem: format!("{}{}", signed.pem(), key.serialize_pem()),
        chain: vec![signed.der().clone()],
        key,
    }
}

impl Certified {
    /// For a server within the test.
    pub(crate) fn server(&self, alpn: &[u8]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(ring);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth();
        let mut config = config.with_single_cert(self.chain.clone(), key).unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

/// What nginx needs to run as one process out of one folder.
pub(crate) fn nginx(program: &Path, servers: &str, files: &[(&str, &str)]) -> Server {
    let arguments = |dir: &Path, port: u16| {
        for (name, content) in files {
            std::fs::write(dir.join(name), content).unwrap();
        }
        let at = dir.display();
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temp = temp.map(|kind| format!("{kind}_temp_path {at}/{kind};"));
        let servers = servers.replace("PORT", &port.to_string());
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{}}\nhttp {{ access_log off; {}\n{servers}\n}}\n",
            temp.join(" "),
        );
        std::fs::write(dir.join("nginx.conf"), config).unwrap();
        let path = |name: &str| dir.join(name).display().to_string();
        [
            "-p",
            &at.to_string(),
            "-e",
            &path("error.log"),
            "-c",
            &path("nginx.conf"),
        ]
        .map(str::to_owned)
        .into()
    };
    Server::start(program, arguments, takes_connections)
}

/// One HAProxy with this configuration.
pub(crate) fn haproxy(program: &Path, config: &str, files: &[(&str, &str)]) -> Server {
    let arguments = |dir: &Path, port: u16| {
        for (name, content) in files {
            std::fs::write(dir.join(name), content).unwrap();
        }
        let config = config.replace("PORT", &port.to_string());
        let text = format!(
            "defaults\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n{config}"
        );
        std::fs::write(dir.join("haproxy.cfg"), text).unwrap();
        // In the foreground, without a master.
        ["-db", "-f", "haproxy.cfg"].map(str::to_owned).into()
    };
    Server::start(program, arguments, takes_connections)
}
