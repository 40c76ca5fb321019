//! The policy file of this host: read once at the start, and only from a file that nobody but root
//! or this agent's own user can change.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nepho_common::policy::{BadPolicy, FILE_MAX, Policy};
use rustix::process::geteuid;

use crate::chain::Chain;

/// Why a policy file allows nothing. Each says what mends it.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is not there, or can't be read.
    #[error("read the policy {}; `nepho-agent join` writes a careful one", path.display())]
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
    /// Not YAML of this shape.
    #[error("the policy {} does not parse: {why}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and why.
        why: String,
    },
    /// It contradicts itself.
    #[error("the policy {} is not sound", path.display())]
    Unsound {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: BadPolicy,
    },
}

/// The policy in `path`, or why everything is refused; the latter is said in the log too.
///
/// # Errors
/// The reason as a text, with what mends it.
pub fn in_force(path: &Path) -> Result<Policy, String> {
    read(path).map_err(|error| {
        let why = Chain(&error).to_string();
        tracing::error!(error = %why, "every work is refused");
        why
    })
}

/// Reads a policy.
///
/// # Errors
/// [`PolicyError`].
pub fn read(path: &Path) -> Result<Policy, PolicyError> {
    let failed = |source| PolicyError::Read {
        path: path.to_owned(),
        source,
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
    parse(&text, path)
}

fn text(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(FILE_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str, path: &Path) -> Result<Policy, PolicyError> {
    let parsed: Result<Policy, _> = serde_saphyr::from_str(text);
    let policy = parsed.map_err(|error| PolicyError::Parse {
        path: path.to_owned(),
        // Its first line says what and where; the others draw a picture.
        why: error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    })?;
    policy.checked().map_err(|source| PolicyError::Unsound {
        path: path.to_owned(),
        source,
    })
}

const HEAD: &str = "\
# What this agent may do, whoever asks. Owned by root or by the agent's own user, and writable by
# nobody else; the agent reads it when it starts. Without it, the agent refuses every work.
#
# targets: {network: 10.0.0.0/8, ports: all} or {host: \"*.staging.example\", ports: [443, \"8000-8010\"]}
#   A name must be named by a host, and each of its addresses must lie in a network.
# secrets: \"env:NAME\" or \"file:/PATH\", each with the targets that it may be sent to.
# Link-local, metadata, multicast and broadcast addresses are refused whatever stands here.
";

/// Writes the careful default, unless there is a file already.
///
/// # Errors
/// The file can't be made.
pub fn write_careful(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    };
    file.write_all(careful().as_bytes())?;
    file.sync_all()
}

fn careful() -> String {
    let Policy {
        api,
        actions,
        targets,
        limits,
        ..
    } = Policy::careful();
    // A line of JSON is a line of YAML.
    let json = |rule| serde_json::to_string(rule).expect("a rule has only string keys");
    let actions: Vec<_> = actions.iter().map(ToString::to_string).collect();
    let targets: Vec<_> = targets
        .iter()
        .map(|rule| format!("  - {}\n", json(rule)))
        .collect();
    format!(
        "{HEAD}api: {api}\nactions: [{}]\ntargets:\n{}limits:\n  requests-per-second: {}\n  \
         connections: {}\n  stage-seconds: {}\nsecrets: {{}}\n",
        actions.join(", "),
        targets.concat(),
        limits.requests_per_second,
        limits.connections,
        limits.stage_seconds
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

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
        write_careful(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Policy::careful());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::write(&path, "mine").unwrap();
        write_careful(&path).unwrap();
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
        assert!(none.contains("nepho-agent join"), "{none}");
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
            ("[probe.http, probe.tcp]", "[probe.http, probe.http]"),
            ("\"ports\":\"all\"", "\"ports\":\"all\",\"ports\":\"all\""),
            ("connections: 1000", "connections: many"),
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
        let yaml = text.replacen(
            "secrets: {}",
            "secrets:\n  env:TOKEN:\n    - {host: \"*.a.example\", ports: [443, 8000-8010]}",
            1,
        );
        let policy = with(&yaml, 0o600).unwrap();
        assert_eq!(policy.secrets.len(), 1);
    }
}
