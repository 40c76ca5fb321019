//! The policy file of this host: read at the start and at SIGHUP, and only from a file that nobody
//! but root or this agent's own user can change. Nothing that comes over the wire is ever written
//! to it.
//!
//! - `yaml`: a text as a tree with lines. `shape`: a policy out of it, or all its mistakes.
//! - `careful`: what joining writes.

mod careful;
mod shape;
mod yaml;

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nepho_common::{
    id::Digest,
    policy::{FILE_MAX, Policy},
};
use rustix::process::geteuid;

pub use self::careful::write_careful;
use crate::chain::Chain;

/// What is wrong in a policy, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// What.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Why a policy file allows nothing. Each says what mends it.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// There is none.
    #[error("there is no policy {path}; write a careful one with: nepho-agent policy init --policy {path}", path = .0.display())]
    Missing(PathBuf),
    /// It can't be read.
    #[error("read the policy {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a plain file.
    #[error("the policy {} is no regular file", .0.display())]
    NoFile(PathBuf),
    /// Somebody else's.
    #[error("the policy {path} belongs to user {uid}; mend it with: chown root {path}", path = path.display())]
    Owner {
        /// Which.
        path: PathBuf,
        /// Whose.
        uid: u32,
    },
    /// Open to others.
    #[error("the policy {path} can be changed by others; mend it with: chmod go-w {path}", path = .0.display())]
    Writable(PathBuf),
    /// Too large.
    #[error("the policy {} is larger than {FILE_MAX} bytes", .0.display())]
    Large(PathBuf),
    /// It is not a policy.
    #[error("the policy {} {}", path.display(), listed(mistakes))]
    Mistakes {
        /// Which.
        path: PathBuf,
        /// All of them, by their lines.
        mistakes: Vec<Mistake>,
    },
}

fn listed(mistakes: &[Mistake]) -> String {
    let count = match mistakes.len() {
        1 => "has a mistake".to_owned(),
        many => format!("has {many} mistakes"),
    };
    let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    format!("{count}: {}", mistakes.join("; "))
}

/// The policy in `path`, or why everything is refused; the latter is said in the log too.
///
/// # Errors
/// The reason as a text, with what mends it.
pub fn in_force(path: &Path) -> Result<Policy, String> {
    let read = read(path).inspect(|policy| {
        tracing::info!(path = %path.display(), policy = summary(policy), "the policy in force");
    });
    read.map_err(|error| {
        let why = Chain(&error).to_string();
        tracing::error!(error = %why, "every work is refused");
        why
    })
}

/// A policy in a line: what shows that two agents have the same one, and the most they may do.
#[must_use]
pub fn summary(policy: &Policy) -> String {
    let digest = Digest::of(policy.canonical().as_bytes()).short();
    let (limits, actions) = (policy.limits, &policy.actions);
    let actions: Vec<_> = actions.iter().map(ToString::to_string).collect();
    let threads = limits.load_threads;
    let threads = threads.map(|most| format!(", {most} threads of load"));
    format!(
        "{digest}: {}; {} targets, {} secrets; at most {} requests/s, {} connections, \
         stages of {} s{}",
        actions.join(", "),
        policy.targets.len(),
        policy.secrets.len(),
        limits.requests_per_second,
        limits.connections,
        limits.stage_seconds,
        threads.unwrap_or_default()
    )
}

/// Reads a policy.
///
/// # Errors
/// [`PolicyError`].
pub fn read(path: &Path) -> Result<Policy, PolicyError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            PolicyError::Missing(path)
        } else {
            PolicyError::Read { path, source }
        }
    };
    // Opened first and looked at then, so that what is judged is what is read. A pipe must not
    // stop the agent.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(PolicyError::NoFile(path.to_owned()));
    }
    if about.uid() != 0 && about.uid() != geteuid().as_raw() {
        return Err(PolicyError::Owner {
            path: path.to_owned(),
            uid: about.uid(),
        });
    }
    if about.mode() & 0o022 != 0 {
        return Err(PolicyError::Writable(path.to_owned()));
    }
    let text = text(file).map_err(failed)?;
    if text.len() > FILE_MAX {
        return Err(PolicyError::Large(path.to_owned()));
    }
    shape::policy(&text).map_err(|mistakes| PolicyError::Mistakes {
        path: path.to_owned(),
        mistakes,
    })
}

fn text(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(FILE_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::{careful::careful, *};

    fn with(text: &str, mode: u32) -> Result<Policy, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        in_force(&path)
    }

    #[test]
    fn the_careful_default_is_written_once_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        assert!(write_careful(&path).unwrap());
        assert_eq!(read(&path).unwrap(), Policy::careful());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::write(&path, "mine").unwrap();
        assert!(!write_careful(&path).unwrap());
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "mine",
            "never overwritten"
        );
    }

    #[test]
    fn a_file_that_others_can_change_allows_nothing_and_says_what_mends_it() {
        for mode in [0o620, 0o602, 0o666] {
            let why = with(&careful(), mode).unwrap_err();
            assert!(why.contains("chmod go-w /"), "{why}");
        }
        for mode in [0o600, 0o644, 0o400] {
            assert!(with(&careful(), mode).is_ok());
        }
        let none = in_force(Path::new("/nonexistent/policy.yaml")).unwrap_err();
        assert!(
            none.contains("nepho-agent policy init --policy /nonexistent/policy.yaml"),
            "{none}"
        );
        let dir = in_force(Path::new("/tmp")).unwrap_err();
        assert!(dir.contains("no regular file"), "{dir}");
    }

    #[test]
    fn somebody_else_s_file_allows_nothing() {
        if !geteuid().is_root() {
            println!("SKIPPED: giving a file away needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        write_careful(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(1234), None).unwrap();
        let why = in_force(&path).unwrap_err();
        assert!(
            why.contains("belongs to user 1234") && why.contains("chown root"),
            "{why}"
        );
    }

    #[test]
    fn what_does_not_parse_allows_nothing() {
        let text = careful();
        for (from, to) in [
            ("api:", "apii:"),
            ("secrets: {}", "secrets: {}\nsecrets: {}"),
            ("probe.http,", "probe.http, probe.http,"),
            ("\"ports\":\"all\"", "\"ports\":\"all\",\"ports\":\"all\""),
            ("connections: 2000", "connections: many"),
            ("limits:", "more: 1\nlimits:"),
            ("secrets: {}", "secrets: [\n"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text, "{from}");
            let why = with(&bad, 0o600).unwrap_err();
            assert!(why.contains("policy.yaml"), "{why}");
        }
        let large = format!("{text}#{}", "x".repeat(FILE_MAX));
        assert!(with(&large, 0o600).unwrap_err().contains("larger than"));
    }

    #[test]
    fn the_example_of_the_documentation_is_a_policy() {
        let page = include_str!("../../docs/policy.md");
        let (_, rest) = page.split_once("```yaml\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let policy = with(example, 0o600).unwrap();
        assert_eq!(policy.secrets.len(), 2);
        assert!(policy.targets.iter().any(|rule| !rule.addresses.is_empty()));
    }
}
