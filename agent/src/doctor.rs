//! `nepho-agent doctor`: gathers what [`nepho_agent_core::doctor`] judges. It changes nothing, and
//! may be called while the agent runs.

use std::{io, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use nepho_agent_core::doctor::{self, Door, Facts, Policy, Timer};
use nepho_common::{
    doctor::{
        Examination,
        host::{Descriptors, Directory, Disk, Found, Keeper, keeper_by_chrony, keeper_by_systemd},
    },
    id::Digest,
    time::Nanos,
};
use nepho_proto::tls;
use rustix::{
    fs::{Access, access, statvfs},
    process::{Resource, getrlimit},
    time::{ClockId, clock_getres},
};
use tokio::{process::Command, time::timeout};

use crate::{
    address::Address,
    chain::Chain,
    clock::{self, Alarm},
    dial::Dialer,
    identity::{About, DataDir, Identity, IdentityError},
    policy::{self, PolicyError},
    spool,
};

/// Programs that tell of the clock answer at once or hang on a bus that is not there.
const ASK_MAX: Duration = Duration::from_secs(3);
/// A dozen alarms: the median of them is no accident.
const ALARMS: usize = 12;
const ALARM_AFTER: Nanos = Nanos::from_millis(5);

/// Looks at everything, and judges it; `policy` is the file that says what the agent may do.
pub async fn examine(dir: &DataDir, policy: &Path) -> Examination {
    let about = About::load(dir);
    let identity = Identity::load(dir);
    let facts = Facts {
        now: clock::wall(),
        data_dir: directory(&dir.0),
        identity: key(dir, &identity),
        doors: doors(about.as_ref().ok(), identity.as_ref().ok()).await,
        about: about
            .map(|about| doctor::About {
                agent: about.agent.to_string(),
                environment: about.environment.to_string(),
                controller: about.controller.to_string(),
            })
            .map_err(|error| Chain(&error).to_string()),
        clock: keeper().await,
        timer: timer().await,
        files: files(),
        spool: spooled(&dir.spool()),
        disk: disk(&dir.0),
        policy: judged(policy),
    };
    Examination::new("agent", doctor::judge(&facts, "nepho-agent"))
}

fn directory(path: &Path) -> Directory {
    let found = match std::fs::metadata(path) {
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

fn key(dir: &DataDir, identity: &Result<Identity, IdentityError>) -> doctor::Identity {
    let identity = match identity {
        Ok(identity) => identity,
        Err(IdentityError::NotJoined(_)) => return doctor::Identity::Missing,
        Err(error) => return doctor::Identity::Bad(Chain(error).to_string()),
    };
    let path = dir.identity();
    let mode = std::fs::metadata(&path).map(|data| data.permissions().mode());
    match (mode, tls::validity(identity.certificate())) {
        (Ok(mode), Some(life)) => doctor::Identity::There {
            path: path.display().to_string(),
            mode,
            life,
        },
        (Err(error), _) => doctor::Identity::Bad(error.to_string()),
        (Ok(_), None) => doctor::Identity::Bad("its certificate does not parse".to_owned()),
    }
}

/// The enrolment port as it is asked for a renewal, the sessions port as it is asked for a session:
/// TLS in both directions, and HTTP/2.
async fn doors(about: Option<&About>, identity: Option<&Identity>) -> Vec<Door> {
    let Some(About {
        controller,
        sessions,
        ..
    }) = about
    else {
        return Vec::new();
    };
    let Some(identity) = identity else {
        return Vec::new();
    };
    let pin = Digest::of(identity.authority());
    let enrolment = Dialer::fixed(controller.clone(), tls::client_config_enrol(pin));
    let mut doors = vec![door("enrolment", controller, enrolment).await];
    match identity.tls() {
        Ok(config) => {
            let dialer = Dialer::fixed(sessions.clone(), config);
            doors.push(door("sessions", sessions, dialer).await);
        }
        Err(error) => doors.push(Door {
            what: "sessions",
            address: sessions.to_string(),
            answer: Err(Chain(&error).to_string()),
        }),
    }
    doors
}

async fn door(what: &'static str, address: &Address, dialer: Dialer) -> Door {
    let begin = clock::now();
    let answer = dialer.channel().await;
    Door {
        what,
        address: address.to_string(),
        answer: answer
            .map(|_| clock::now().since(begin))
            .map_err(|error| Chain(&error).to_string()),
    }
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

async fn timer() -> Timer {
    let step = clock_getres(ClockId::Monotonic);
    let seconds = u64::try_from(step.tv_sec).unwrap_or(u64::MAX);
    let nanos = u64::try_from(step.tv_nsec).unwrap_or(0);
    Timer {
        resolution: Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos)),
        // Without a timer nothing could ever be sent at its instant.
        late: late().await.unwrap_or(Nanos::from_secs(1)),
    }
}

/// By how much alarms are late, the median of some.
async fn late() -> io::Result<Nanos> {
    let mut alarm = Alarm::new()?;
    let mut late = Vec::with_capacity(ALARMS);
    for _ in 0..ALARMS {
        let at = clock::now().plus(ALARM_AFTER);
        alarm.until(at).await?;
        late.push(clock::now().since(at));
    }
    late.sort();
    Ok(late.get(ALARMS / 2).copied().unwrap_or_default())
}

fn files() -> Descriptors {
    let limit = getrlimit(Resource::Nofile);
    Descriptors {
        soft: limit.current.unwrap_or(u64::MAX),
        hard: limit.maximum.unwrap_or(u64::MAX),
    }
}

fn spooled(path: &Path) -> doctor::Spool {
    let text = path.display().to_string();
    match spool::inspect(path) {
        Ok(found) => doctor::Spool::There {
            path: text,
            owed: found.owed,
            bytes: found.bytes,
            damaged: found.damaged,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => doctor::Spool::Missing,
        Err(error) => doctor::Spool::Bad {
            path: text,
            why: error.to_string(),
        },
    }
}

fn disk(path: &Path) -> Option<Disk> {
    let found = statvfs(path).ok()?;
    Some(Disk {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

/// As the agent itself reads it.
fn judged(path: &Path) -> Policy {
    let text = path.display().to_string();
    match policy::read(path) {
        Ok(_) => Policy::Sound { path: text },
        Err(PolicyError::Missing(_)) => Policy::Missing { path: text },
        Err(PolicyError::Owner { path: _, uid }) => Policy::Foreign { path: text, uid },
        Err(PolicyError::Writable(_)) => Policy::Writable { path: text },
        Err(
            error @ (PolicyError::Read { .. }
            | PolicyError::NoFile(_)
            | PolicyError::Large(_)
            | PolicyError::Mistakes { .. }),
        ) => Policy::Bad {
            path: text,
            why: Chain(&error).to_string(),
        },
    }
}
