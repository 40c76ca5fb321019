//! What is wrong with an agent's host: facts in, checks out.

use nepho_common::{
    doctor::{
        Check,
        host::{self, Descriptors, Directory, Disk, Keeper},
    },
    time::{Nanos, WallMillis},
};

/// Two connections to the controller, the spool, and a connection for each request that is open:
/// 1,000 targets at most, each for as long as its time-out.
const FILES: u64 = 2048;
/// So long an ended certificate is renewed by proving its key, as the controller does it.
const COMES_BACK: i64 = 30 * 24 * 3600 * 1000;
/// Requests are sent at instants; a timer that rings later than this by itself spoils them.
const LATE_GOOD: Nanos = Nanos::from_millis(1);
/// A timer that counts in steps of this cannot keep an instant at all.
const RESOLUTION_GOOD: Nanos = Nanos::from_millis(1);

/// What was found on an agent's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// By this host's wall clock.
    pub now: WallMillis,
    /// Where it keeps its things.
    pub data_dir: Directory,
    /// `identity.pem`.
    pub identity: Identity,
    /// `agent.json`: whether it reads, and whom it names.
    pub about: Result<About, String>,
    /// The controller's two ports; empty when nobody knows where they are.
    pub doors: Vec<Door>,
    /// Who keeps the wall clock.
    pub clock: Keeper,
    /// What timers can do here.
    pub timer: Timer,
    /// The limit of open files.
    pub files: Descriptors,
    /// Results that wait.
    pub spool: Spool,
    /// Below the spool.
    pub disk: Option<Disk>,
    /// What this agent may do.
    pub policy: Policy,
}

/// Key and certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// It never joined.
    Missing,
    /// It can't be used, and why.
    Bad(String),
    /// It is there.
    There {
        /// Where.
        path: String,
        /// Permission bits.
        mode: u32,
        /// From when until when its certificate is good.
        life: (WallMillis, WallMillis),
    },
}

/// Who the agent is and whom it calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub agent: String,
    /// Where it is.
    pub environment: String,
    /// Where it enrols.
    pub controller: String,
}

/// One of the controller's ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// `enrolment` or `sessions`.
    pub what: &'static str,
    /// Host and port.
    pub address: String,
    /// How long a handshake took, or why there was none.
    pub answer: Result<Nanos, String>,
}

/// What timers can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// The step in which the clock counts.
    pub resolution: Nanos,
    /// By how much alarms were late, the median of some.
    pub late: Nanos,
}

/// Results that wait to be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spool {
    /// It was not made yet.
    Missing,
    /// It can't be read, and why.
    Bad {
        /// Where.
        path: String,
        /// Why.
        why: String,
    },
    /// It reads.
    There {
        /// Where.
        path: String,
        /// Records that are not acknowledged.
        owed: u64,
        /// Bytes on disk.
        bytes: u64,
        /// What can't be read.
        damaged: u64,
    },
}

/// The policy file, as the agent itself reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// It is in force.
    Sound {
        /// Where.
        path: String,
    },
    /// It is not there.
    Missing {
        /// Where.
        path: String,
    },
    /// Somebody else's.
    Foreign {
        /// Where.
        path: String,
        /// Whose.
        uid: u32,
    },
    /// Others may change it.
    Writable {
        /// Where.
        path: String,
    },
    /// It does not read, and why.
    Bad {
        /// Where.
        path: String,
        /// Why.
        why: String,
    },
}

/// Judges them. `agent` is how this agent is called, up to its verb.
#[must_use]
pub fn judge(facts: &Facts, agent: &str) -> Vec<Check> {
    let to = facts.about.as_ref().ok().map(|about| &about.controller);
    let to = to.map_or("HOST:7443", String::as_str);
    let join = |force: &str| format!("{agent} join --controller {to} --token-file FILE{force}");
    let path = &facts.data_dir.path;
    let mut checks = vec![
        host::directory("data directory", &facts.data_dir, &join("")),
        match &facts.about {
            Ok(About {
                agent, environment, ..
            }) => Check::ok("agent", format!("{agent} in {environment}")),
            Err(why) => Check::fail("agent", why.as_str(), join(" --force")),
        },
    ];
    checks.extend(identity(facts, agent, &join));
    checks.extend(facts.doors.iter().map(door));
    checks.push(host::clock(&facts.clock));
    checks.push(timer(facts.timer));
    checks.push(host::descriptors(facts.files, FILES));
    checks.push(spool(&facts.spool, agent));
    checks.push(host::disk(path, facts.disk));
    checks.push(policy(&facts.policy));
    checks
}

fn identity(facts: &Facts, agent: &str, join: &dyn Fn(&str) -> String) -> Vec<Check> {
    const FILE: &str = "identity";
    const LIFE: &str = "certificate";
    match &facts.identity {
        Identity::Missing => vec![Check::fail(FILE, "it never joined", join(""))],
        Identity::Bad(why) => vec![Check::fail(FILE, why.as_str(), join(" --force"))],
        Identity::There { path, mode, life } => {
            let file = host::secret_file(FILE, path, *mode)
                .unwrap_or_else(|| Check::ok(FILE, format!("{path}, mode {:03o}", mode & 0o777)));
            let run = format!("{agent} run (it renews by itself, or comes back by its old key)");
            let off = facts.now.0.saturating_sub(life.1.0);
            let mend = if off > COMES_BACK {
                join(" --force")
            } else {
                run
            };
            vec![file, host::certificate(LIFE, *life, facts.now, &mend)]
        }
    }
}

fn door(door: &Door) -> Check {
    let Door {
        what,
        address,
        answer,
    } = door;
    let check = format!("{what} port");
    match answer {
        Ok(took) => Check::ok(&check, format!("{address} answers after {took}")),
        Err(why) => Check::fail(
            &check,
            format!("{address}: {why}"),
            format!(
                "nc -vz {} (and `nepho doctor` there)",
                address.replace(':', " ")
            ),
        ),
    }
}

fn timer(Timer { resolution, late }: Timer) -> Check {
    const CHECK: &str = "timer";
    let seen = format!("counts in steps of {resolution}, rings {late} late");
    if resolution >= RESOLUTION_GOOD {
        let mend = "a kernel with CONFIG_HIGH_RES_TIMERS; grep . /proc/timer_list | head";
        Check::fail(CHECK, seen, mend)
    } else if late > LATE_GOOD {
        Check::warn(
            CHECK,
            seen,
            "top (what else runs here? measurements need the time)",
        )
    } else {
        Check::ok(CHECK, seen)
    }
}

fn spool(spool: &Spool, agent: &str) -> Check {
    const CHECK: &str = "spool";
    match spool {
        Spool::Missing => Check::ok(CHECK, "none yet: the first start makes one"),
        Spool::Bad { path, why } => Check::fail(
            CHECK,
            format!("{path} can't be read: {why}"),
            format!("mv {path} {path}.old && {agent} run (a new one begins)"),
        ),
        Spool::There {
            path,
            owed,
            bytes,
            damaged,
        } => {
            let seen = format!("{owed} records owed, {} KiB on disk", bytes.div_ceil(1024));
            if *damaged == 0 {
                return Check::ok(CHECK, seen);
            }
            let seen = format!("{seen}, {damaged} parts damaged");
            let mend = format!("sudo dmesg --level err,warn | tail; ls -l {path} (check the disk)");
            Check::warn(CHECK, seen, mend)
        }
    }
}

/// Without a sound one the agent refuses all work.
fn policy(policy: &Policy) -> Check {
    const CHECK: &str = "policy";
    match policy {
        Policy::Sound { path } => Check::ok(CHECK, format!("{path} is in force")),
        Policy::Missing { path } => Check::fail(
            CHECK,
            format!("{path} does not exist, so all work is refused"),
            format!("install -m 644 POLICY {path} (joining writes a careful one)"),
        ),
        Policy::Foreign { path, uid } => Check::fail(
            CHECK,
            format!("{path} belongs to user {uid}, so all work is refused"),
            format!("sudo chown root {path}"),
        ),
        Policy::Writable { path } => Check::fail(
            CHECK,
            format!("others may change {path}, so all work is refused"),
            format!("chmod go-w {path}"),
        ),
        Policy::Bad { path, why } => Check::fail(
            CHECK,
            format!("{why}: all work is refused"),
            format!("${{EDITOR:-vi}} {path}"),
        ),
    }
}

#[cfg(test)]
mod tests;
