//! Finding a program that belongs to us: beside us, not on the user's word.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

/// `--version` answers at once; a machine that is out of memory pages.
const VERSION_WITHIN: Duration = Duration::from_secs(10);

/// Why a program can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SiblingError {
    /// It is nowhere.
    #[error("can't find {name}; tried:{}", list(tried))]
    Missing {
        /// Its name.
        name: String,
        /// Where it was looked for, in order.
        tried: Vec<PathBuf>,
    },
    /// It does not say which version it has.
    #[error("can't ask {} for its version; tried:{}", path.display(), list(tried))]
    Mute {
        /// Which.
        path: PathBuf,
        /// Where it was looked for, in order.
        tried: Vec<PathBuf>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is of another version.
    #[error(
        "{} is {found:?}, and this is {expected:?}; tried:{}",
        path.display(),
        list(tried)
    )]
    Version {
        /// Which.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
        /// Where it was looked for, in order.
        tried: Vec<PathBuf>,
    },
}

fn list(tried: &[PathBuf]) -> String {
    tried
        .iter()
        .map(|path| format!("\n  {}", path.display()))
        .collect()
}

/// The folders that are looked into, in order.
#[derive(Debug, Clone)]
pub struct Siblings {
    folders: Vec<PathBuf>,
}

impl Siblings {
    /// `bin_dir` if it was given; the folder of our own executable; `../libexec/nephoscope`; PATH.
    #[must_use]
    pub fn new(bin_dir: Option<&Path>) -> Self {
        let mut folders: Vec<PathBuf> = bin_dir.into_iter().map(Path::to_owned).collect();
        // Without `/proc` there is no executable to look beside.
        let executable = env::current_exe().ok();
        if let Some(own) = executable.as_deref().and_then(Path::parent) {
            // Tests run from `target/debug/deps`, and the programs lie in `target/debug`.
            let own = match (own.ends_with("deps"), own.parent()) {
                (true, Some(parent)) => parent,
                (true, None) | (false, _) => own,
            };
            folders.push(own.to_owned());
            if let Some(prefix) = own.parent() {
                folders.push(prefix.join("libexec/nephoscope"));
            }
        }
        let path = env::var_os("PATH").unwrap_or_default();
        folders.extend(env::split_paths(&path).filter(|folder| folder.is_absolute()));
        Self { folders }
    }

    /// The program of this name and of our version.
    ///
    /// # Errors
    /// When there is none, or the first one is of another version.
    pub async fn find(&self, name: &str) -> Result<PathBuf, SiblingError> {
        let mut tried = Vec::new();
        for folder in &self.folders {
            let path = folder.join(name);
            tried.push(path.clone());
            if path.is_file() {
                return check(name, path, tried).await;
            }
        }
        let name = name.to_owned();
        Err(SiblingError::Missing { name, tried })
    }
}

async fn check(name: &str, path: PathBuf, tried: Vec<PathBuf>) -> Result<PathBuf, SiblingError> {
    let asked = Command::new(&path)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let answer = match timeout(VERSION_WITHIN, asked).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(elapsed.into()),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(source) => {
            return Err(SiblingError::Mute {
                path,
                tried,
                source,
            });
        }
    };
    let said = String::from_utf8_lossy(&answer.stdout);
    let found: String = said.trim().chars().take(80).collect();
    let expected = format!("{name} {}", env!("CARGO_PKG_VERSION"));
    if found == expected {
        Ok(path)
    } else {
        Err(SiblingError::Version {
            path,
            found,
            expected,
            tried,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn program(dir: &Path, name: &str, says: &str) {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn only(folders: &[&Path]) -> Siblings {
        let folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
        Siblings { folders }
    }

    #[tokio::test]
    async fn the_first_hit_is_taken_when_its_version_is_ours() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ours = format!("friend {}", env!("CARGO_PKG_VERSION"));
        program(second.path(), "friend", &ours);
        let siblings = only(&[first.path(), second.path()]);
        let found = siblings.find("friend").await.unwrap();
        assert_eq!(found, second.path().join("friend"));
    }

    #[tokio::test]
    async fn another_version_is_refused_although_a_right_one_comes_later() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        program(first.path(), "friend", "friend 0.0.1");
        let ours = format!("friend {}", env!("CARGO_PKG_VERSION"));
        program(second.path(), "friend", &ours);
        let siblings = only(&[first.path(), second.path()]);
        let error = siblings.find("friend").await.unwrap_err();
        assert!(error.to_string().contains("is \"friend 0.0.1\""), "{error}");
    }

    #[tokio::test]
    async fn every_place_that_was_tried_is_named() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let siblings = only(&[first.path(), second.path()]);
        let text = siblings.find("friend").await.unwrap_err().to_string();
        for dir in [first, second] {
            let place = dir.path().join("friend");
            assert!(text.contains(&place.display().to_string()), "{text}");
        }
    }

    #[test]
    fn a_test_program_looks_beside_its_folder_and_the_given_folder_comes_first() {
        let siblings = Siblings::new(Some(Path::new("/given")));
        assert_eq!(siblings.folders[0], Path::new("/given"));
        assert!(!siblings.folders[1].ends_with("deps"));
        assert!(siblings.folders[2].ends_with("libexec/nephoscope"));
    }
}
