//! What is wrong with a controller's host: facts in, checks out.

use nepho_common::{
    doctor::{
        Check,
        host::{self, Descriptors, Directory, Disk, Keeper},
    },
    id::AgentId,
    time::{Nanos, WallMillis},
};

/// Beside its agents: listeners, the store, the API and whoever asks.
const FILES_OF_OUR_OWN: u64 = 256;
/// Control and results are connections of their own.
const FILES_OF_AN_AGENT: u64 = 2;
/// Two heartbeats of 5 s: one may be on its way.
const SILENT: Nanos = Nanos::from_secs(10);
/// A start can't be closer than what is known of the clocks; the promise is a millisecond.
const CLOCK_GOOD: Nanos = Nanos::from_millis(10);

/// What was found on a controller's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// By this host's wall clock.
    pub now: WallMillis,
    /// Where it keeps its things.
    pub data_dir: Directory,
    /// Key and certificate in `ca.pem`.
    pub authority: Authority,
    /// `nepho.sqlite`.
    pub store: Store,
    /// Below the data directory.
    pub disk: Option<Disk>,
    /// Whether a controller answers on the API's socket.
    pub answer: Answer,
    /// Enrolment and sessions.
    pub ports: Vec<Port>,
    /// Who keeps the wall clock.
    pub clock: Keeper,
    /// The limit of open files.
    pub files: Descriptors,
    /// Every agent, if a controller answers.
    pub agents: Vec<Agent>,
}

/// The authority's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// None was made yet.
    Missing,
    /// It can't be used, and why.
    Bad(String),
    /// It is there.
    There {
        /// Where.
        path: String,
        /// Permission bits.
        mode: u32,
        /// From when until when it is good.
        life: (WallMillis, WallMillis),
    },
}

/// The store's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// None was made yet.
    Missing,
    /// It can't be opened or read, and why.
    Bad {
        /// Where.
        path: String,
        /// Why.
        why: String,
    },
    /// It opens.
    Version {
        /// The version of its schema.
        found: i64,
        /// The version that this release writes.
        known: i64,
    },
}

/// Who answers on the API's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nobody, and why.
    Nobody(String),
    /// A controller of this version.
    Controller(String),
}

/// One of the ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// `enrolment` or `sessions`.
    pub what: &'static str,
    /// Address and port.
    pub address: String,
    /// Its number.
    pub number: u16,
    /// Who has it.
    pub found: Holder,
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: it can be listened on.
    Nobody,
    /// Our own controller, by its authority; with the life of the certificate that it shows.
    Ours((WallMillis, WallMillis)),
    /// Somebody else, or another authority.
    Other(String),
    /// It can't be listened on, and why.
    Denied(String),
}

/// An agent, as the controller shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its name.
    pub agent: AgentId,
    /// Whether a session is open.
    pub connected: bool,
    /// Since when nothing was heard.
    pub silent_for: Option<Nanos>,
    /// How wide the interval is in which its clock's offset lies.
    pub clock: Option<Nanos>,
    /// Of its program.
    pub version: Option<String>,
    /// It is no longer one of ours.
    pub revoked: bool,
    /// A second copy of its identity was seen.
    pub cloned: bool,
}

/// Judges them. `start` is how this controller is started, `nepho` how the command line is called to
/// talk to it.
#[must_use]
pub fn judge(facts: &Facts, start: &str, nepho: &str) -> Vec<Check> {
    let path = &facts.data_dir.path;
    let made = format!("{start} (makes it)");
    let mut checks = vec![
        host::directory("data directory", &facts.data_dir, &made),
        authority(facts, path),
        store(&facts.store),
        host::disk(path, facts.disk),
        match &facts.answer {
            Answer::Controller(version) => Check::ok("controller", format!("version {version}")),
            Answer::Nobody(why) => Check::warn("controller", why.as_str(), start),
        },
    ];
    checks.extend(facts.ports.iter().map(|one| port(one, facts.now)));
    checks.push(host::clock(&facts.clock));
    let agents = facts.agents.iter().filter(|agent| !agent.revoked);
    let needed = FILES_OF_OUR_OWN + FILES_OF_AN_AGENT * agents.clone().count() as u64;
    checks.push(host::descriptors(facts.files, needed));
    if let Answer::Controller(version) = &facts.answer {
        let agents: Vec<&Agent> = agents.collect();
        checks.push(connected(&agents, nepho));
        checks.push(clocks(&agents, nepho));
        checks.push(versions(&agents, version));
    }
    checks
}

fn authority(facts: &Facts, dir: &str) -> Check {
    const CHECK: &str = "authority";
    let backup = format!("cp BACKUP/ca.pem {dir}/ca.pem && chmod 600 {dir}/ca.pem");
    match &facts.authority {
        // Agents that were enrolled trust a key that is gone.
        Authority::Missing if facts.store != Store::Missing => {
            Check::fail(CHECK, "there is a store, but no authority", backup)
        }
        Authority::Missing => Check::ok(CHECK, "none yet: the controller's first start makes one"),
        Authority::Bad(why) => Check::fail(CHECK, why.as_str(), backup),
        Authority::There { path, mode, life } => host::secret_file(CHECK, path, *mode)
            .unwrap_or_else(|| {
                let again = format!("mv {path} {path}.old (then enrol every agent again)");
                host::certificate(CHECK, *life, facts.now, &again)
            }),
    }
}

fn store(store: &Store) -> Check {
    const CHECK: &str = "store";
    match store {
        Store::Missing => Check::ok(CHECK, "none yet: the controller's first start makes one"),
        Store::Bad { path, why } => Check::fail(
            CHECK,
            format!("{path} can't be read: {why}"),
            format!("sqlite3 {path} 'PRAGMA integrity_check' (or put a backup in its place)"),
        ),
        Store::Version { found, known } => {
            let seen = format!("schema {found}, this release writes {known}");
            if found > known {
                let mend = "install the release of nepho that wrote it, or a newer one";
                Check::fail(CHECK, seen, mend)
            } else {
                Check::ok(CHECK, seen)
            }
        }
    }
}

fn port(port: &Port, now: WallMillis) -> Check {
    let Port {
        what,
        address,
        number,
        found,
    } = port;
    let check = format!("{what} port");
    let mend = format!("ss -ltnp 'sport = :{number}' (end that program, or give another --{what})");
    match found {
        Holder::Nobody => Check::ok(&check, format!("{address} is free")),
        Holder::Ours(life) => {
            let again = "systemctl restart nepho-controller (it makes a new certificate)";
            let judged = host::certificate(&check, *life, now, again);
            let seen = format!("{address} is our controller's, certificate {}", judged.seen);
            Check { seen, ..judged }
        }
        Holder::Other(why) => Check::fail(&check, format!("{address} is taken: {why}"), mend),
        Holder::Denied(why) => Check::fail(&check, format!("{address} can't be had: {why}"), mend),
    }
}

fn connected(agents: &[&Agent], nepho: &str) -> Check {
    const CHECK: &str = "agents";
    let silent =
        |agent: &&&Agent| !agent.connected || agent.silent_for.is_none_or(|silent| silent > SILENT);
    let here = agents.iter().filter(|agent| agent.connected).count();
    let counted = format!("{here} of {} connected", agents.len());
    if let Some(copied) = agents.iter().find(|agent| agent.cloned) {
        let name = &copied.agent;
        let mend = format!("{nepho} agents revoke {name}");
        return Check::fail(CHECK, format!("{name} has a second copy"), mend);
    }
    if agents.is_empty() {
        let mend = format!("{nepho} enroll --environment NAME");
        return Check::warn(CHECK, "none is enrolled", mend);
    }
    match agents.iter().find(silent) {
        Some(one) => Check::warn(
            CHECK,
            format!("{counted}; {} is silent", one.agent),
            "nepho-agent doctor (on its host)",
        ),
        None => Check::ok(CHECK, counted),
    }
}

fn clocks(agents: &[&Agent], nepho: &str) -> Check {
    const CHECK: &str = "agents' clocks";
    let known = agents.iter().filter(|agent| agent.connected);
    let known = known.filter_map(|agent| Some((agent.clock?, &agent.agent)));
    match known.max() {
        None => Check::ok(CHECK, "nothing is known of any"),
        Some((width, agent)) if width > CLOCK_GOOD => Check::warn(
            CHECK,
            format!("{agent} is known to ±{} only", width.half()),
            format!("{nepho} agents show {agent}"),
        ),
        Some((width, agent)) => Check::ok(
            CHECK,
            format!("known to ±{} or better ({agent})", width.half()),
        ),
    }
}

fn versions(agents: &[&Agent], ours: &str) -> Check {
    const CHECK: &str = "agents' versions";
    let other = agents
        .iter()
        .find(|agent| agent.version.as_ref().is_some_and(|theirs| theirs != ours));
    match other {
        None => Check::ok(CHECK, format!("all {ours}")),
        Some(agent) => {
            let theirs = agent.version.as_deref().unwrap_or_default();
            let seen = format!("{} has {theirs}, the controller {ours}", agent.agent);
            Check::warn(CHECK, seen, "install the controller's release on its host")
        }
    }
}

#[cfg(test)]
mod tests;
