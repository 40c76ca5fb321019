//! What both doctors ask of a host: a directory of ours, a file for nobody else, room on the disk,
//! file descriptors, a clock that somebody keeps, a certificate that lasts.

use super::Check;
use crate::time::{Nanos, WallMillis};

/// Less than this and a run's results may not fit: a day of forty services is about 100 MB.
const DISK_LEAST: u64 = 256 << 20;
/// Less than this and somebody should know.
const DISK_GOOD: u64 = 2 << 30;
/// A clock that is known no better than this makes reports of one moment speak of several.
const CLOCK_GOOD: Nanos = Nanos::from_millis(100);

/// A directory that has to be ours alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where.
    pub path: String,
    /// What is there.
    pub found: Found,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// It can't even be looked at.
    Unreadable(String),
    /// A directory, with its permission bits, and whether a file could be made in it.
    There {
        /// The lowest nine bits count.
        mode: u32,
        /// Why no file can be made in it; `None` when one was.
        unwritable: Option<String>,
    },
}

/// Whether it is there, ours, and closed to others; `make` is what makes it.
#[must_use]
pub fn directory(check: &str, Directory { path, found }: &Directory, make: &str) -> Check {
    match found {
        Found::Missing => Check::fail(check, format!("{path} does not exist"), make),
        Found::Unreadable(why) => Check::fail(
            check,
            format!("{path} can't be looked at: {why}"),
            format!("namei -l {path}"),
        ),
        Found::There {
            unwritable: Some(why),
            ..
        } => Check::fail(
            check,
            format!("{path} can't be written: {why}"),
            format!("sudo chown -R \"$(id -u)\" {path} && chmod 700 {path}"),
        ),
        Found::There { mode, .. } if mode & 0o022 != 0 => Check::fail(
            check,
            format!("others may write to {path}: mode {:03o}", mode & 0o777),
            format!("chmod 700 {path}"),
        ),
        Found::There { mode, .. } if mode & 0o077 != 0 => Check::warn(
            check,
            format!("others may look into {path}: mode {:03o}", mode & 0o777),
            format!("chmod 700 {path}"),
        ),
        Found::There { mode, .. } => Check::ok(check, format!("{path}, mode {:03o}", mode & 0o777)),
    }
}

/// A failure when anybody else may read this file.
#[must_use]
pub fn secret_file(check: &str, path: &str, mode: u32) -> Option<Check> {
    let open = mode & 0o077 != 0;
    let seen = || format!("others may read {path}: mode {:03o}", mode & 0o777);
    open.then(|| Check::fail(check, seen(), format!("chmod 600 {path}")))
}

/// Bytes of a file system that we may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Free for us.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// Whether there is room below `path`; `None` when nobody could say.
#[must_use]
pub fn disk(path: &str, disk: Option<Disk>) -> Check {
    const CHECK: &str = "disk space";
    let Some(Disk { free, total }) = disk else {
        let seen = format!("the file system of {path} does not say");
        return Check::warn(CHECK, seen, format!("df -h {path}"));
    };
    let seen = format!("{} MiB of {} MiB free", free >> 20, total >> 20);
    let mend = format!("du -xah {path} | sort -h | tail -n 20");
    match free {
        ..DISK_LEAST => Check::fail(CHECK, seen, mend),
        DISK_LEAST..DISK_GOOD => Check::warn(CHECK, seen, mend),
        DISK_GOOD.. => Check::ok(CHECK, seen),
    }
}

/// The limit of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// What holds now; a process may raise it itself, up to `hard`.
    pub soft: u64,
    /// What only root raises.
    pub hard: u64,
}

/// Whether `needed` files can be open at once.
#[must_use]
pub fn descriptors(Descriptors { soft, hard }: Descriptors, needed: u64) -> Check {
    const CHECK: &str = "open files";
    let seen = format!("{hard} at most ({soft} to begin with), {needed} needed");
    let mend = format!(
        "ulimit -Hn {} (in a unit: LimitNOFILE)",
        needed.max(4096) * 2
    );
    if hard < needed {
        Check::fail(CHECK, seen, mend)
    } else if hard / 2 < needed {
        Check::warn(CHECK, seen, mend)
    } else {
        Check::ok(CHECK, seen)
    }
}

/// Who keeps the wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// Somebody does.
    Kept {
        /// Who says so.
        by: &'static str,
        /// How far it is off at most, if that is known.
        bound: Option<Nanos>,
    },
    /// Somebody says that nobody does.
    Adrift {
        /// Who says so.
        by: &'static str,
    },
    /// Nobody can be asked, as in most containers.
    Unknown,
}

/// Whether the wall clock can be trusted. Durations never depend on it; certificates do.
#[must_use]
pub fn clock(keeper: &Keeper) -> Check {
    const CHECK: &str = "clock";
    match keeper {
        Keeper::Kept { by, bound: None } => Check::ok(CHECK, format!("synchronised, says {by}")),
        Keeper::Kept {
            by,
            bound: Some(bound),
        } => {
            let seen = format!("synchronised within {bound}, says {by}");
            if *bound > CLOCK_GOOD {
                Check::warn(CHECK, seen, "chronyc makestep")
            } else {
                Check::ok(CHECK, seen)
            }
        }
        Keeper::Adrift { by } => {
            let seen = format!("nobody keeps it, says {by}");
            Check::fail(CHECK, seen, "sudo timedatectl set-ntp true")
        }
        Keeper::Unknown => {
            let seen = "neither chrony nor systemd is here to say who keeps it";
            Check::warn(
                CHECK,
                seen,
                "timedatectl (on the host, if this is a container)",
            )
        }
    }
}

/// What `chronyc -c tracking` says: fields with commas between. `None` when it is something else.
///
/// The bound is chrony's own: offset + root dispersion + half of the root delay (chronyc(1)).
#[must_use]
pub fn keeper_by_chrony(answer: &str) -> Option<Keeper> {
    let by = "chrony";
    let fields: Vec<&str> = answer.trim().split(',').collect();
    let [offset, delay, dispersion] = [4, 10, 11].map(|at| {
        fields
            .get(at)?
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite())
    });
    let seconds = offset?.abs() + dispersion? + delay? / 2.0;
    match *fields.get(13)? {
        "Not synchronised" => Some(Keeper::Adrift { by }),
        "Normal" | "Insert second" | "Delete second" => {
            // Saturates: an absurd offset is a bound that nobody likes.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a sum of positive seconds; `as` saturates"
            )]
            let bound = Nanos((seconds * 1e9) as u64);
            Some(Keeper::Kept {
                by,
                bound: Some(bound),
            })
        }
        _ => None,
    }
}

/// What `timedatectl show -p NTPSynchronized --value` says, which is the kernel's own word
/// (adjtimex(2), `STA_UNSYNC`).
#[must_use]
pub fn keeper_by_systemd(answer: &str) -> Option<Keeper> {
    let by = "the kernel, through timedatectl";
    match answer.trim() {
        "yes" => Some(Keeper::Kept { by, bound: None }),
        "no" => Some(Keeper::Adrift { by }),
        _ => None,
    }
}

/// Whether a certificate is good and for how long; `mend` brings another one. One that is renewed at
/// half of its life and has less than a quarter left was not renewed.
#[must_use]
pub fn certificate(
    check: &str,
    (from, to): (WallMillis, WallMillis),
    now: WallMillis,
    mend: &str,
) -> Check {
    let left = to.0.saturating_sub(now.0);
    let seen = format!("good from {from} to {to}");
    if now < from {
        let seen = format!("{seen}: it is not good yet, so this clock is behind");
        Check::fail(check, seen, "sudo timedatectl set-ntp true")
    } else if left <= 0 {
        Check::fail(check, format!("{seen}: it has ended"), mend)
    } else if left < to.0.saturating_sub(from.0) / 4 {
        Check::warn(check, format!("{seen}: it was not renewed in time"), mend)
    } else {
        Check::ok(check, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn a_directory_is_ours_alone_or_the_command_says_how() {
        let state = |found| {
            let path = "/d".to_owned();
            let check = directory("d", &Directory { path, found }, "mkdir -m 700 /d");
            assert_eq!(check.mend.is_some(), check.state != State::Ok, "{check:?}");
            check.state
        };
        let there = |mode| Found::There {
            mode,
            unwritable: None,
        };
        assert_eq!(state(there(0o40700)), State::Ok);
        assert_eq!(state(there(0o755)), State::Warn);
        assert_eq!(state(there(0o770)), State::Fail);
        assert_eq!(state(there(0o702)), State::Fail);
        assert_eq!(state(Found::Missing), State::Fail);
        assert_eq!(state(Found::Unreadable("no".to_owned())), State::Fail);
        let unwritable = Some("read-only file system".to_owned());
        let mode = 0o700;
        assert_eq!(state(Found::There { mode, unwritable }), State::Fail);
    }

    #[test]
    fn a_secret_is_its_owners_alone() {
        assert_eq!(secret_file("f", "/f", 0o100_600), None);
        for mode in [0o640, 0o604, 0o660] {
            let check = secret_file("f", "/f", mode).unwrap();
            assert_eq!(check.state, State::Fail);
            assert_eq!(check.mend.as_deref(), Some("chmod 600 /f"));
        }
    }

    #[test]
    fn room_and_files_run_out_by_degrees() {
        let free = |free| {
            disk(
                "/d",
                Some(Disk {
                    free,
                    total: 1 << 40,
                }),
            )
            .state
        };
        assert_eq!(free(DISK_LEAST - 1), State::Fail);
        assert_eq!(free(DISK_LEAST), State::Warn);
        assert_eq!(free(DISK_GOOD), State::Ok);
        assert_eq!(disk("/d", None).state, State::Warn);
        let files = |hard| descriptors(Descriptors { soft: 1024, hard }, 4000).state;
        assert_eq!(files(3999), State::Fail);
        assert_eq!(files(4000), State::Warn);
        assert_eq!(files(8000), State::Ok);
    }

    #[test]
    fn chrony_and_systemd_are_understood_and_nothing_else_is() {
        let tracking = "C0248F97,192.36.143.151,2,1795393620.1,-0.000010,0.000001,0.00001,-1.2,0.0,0.01,0.004,0.0005,64.2,Normal\n";
        let kept = keeper_by_chrony(tracking).unwrap();
        let bound = Some(Nanos(2_510_000));
        assert_eq!(
            kept,
            Keeper::Kept {
                by: "chrony",
                bound
            }
        );
        assert_eq!(clock(&kept).state, State::Ok);
        let far = keeper_by_chrony(&tracking.replace("-0.000010", "-0.5")).unwrap();
        assert_eq!(clock(&far).state, State::Warn);
        let adrift = keeper_by_chrony(&tracking.replace("Normal", "Not synchronised")).unwrap();
        assert_eq!(clock(&adrift).state, State::Fail);
        for nonsense in [
            "",
            "506 Cannot talk to daemon",
            &tracking.replace("0.004", "NaN"),
        ] {
            assert_eq!(keeper_by_chrony(nonsense), None, "{nonsense}");
        }
        assert_eq!(clock(&keeper_by_systemd("yes\n").unwrap()).state, State::Ok);
        assert_eq!(clock(&keeper_by_systemd("no").unwrap()).state, State::Fail);
        assert_eq!(keeper_by_systemd("Failed to connect to bus"), None);
        assert_eq!(clock(&Keeper::Unknown).state, State::Warn);
    }

    #[test]
    fn a_certificate_is_judged_by_its_whole_life() {
        let state = |now| {
            let life = (WallMillis(1_000), WallMillis(101_000));
            certificate("c", life, WallMillis(now), "renew").state
        };
        assert_eq!(state(999), State::Fail);
        assert_eq!(state(1_000), State::Ok);
        assert_eq!(state(76_000), State::Ok);
        assert_eq!(state(76_001), State::Warn);
        assert_eq!(state(101_000), State::Fail);
    }
}
