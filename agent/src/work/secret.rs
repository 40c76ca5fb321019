//! Secrets, read where they are needed and never shown.

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
};

use nepho_common::secret::SecretRef;

use crate::scrub;

/// The shortest secret. What is shorter stands in every text by chance, and could not be taken out
/// of any without leaving it unreadable.
const SECRET_MIN: usize = 4;
/// The longest secret: what fits into a header that servers take.
const SECRET_MAX: usize = 8 << 10;

/// A secret's value. It prints as `<secret>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Secret {
    /// The value, to be sent and for nothing else.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// Why there is no value. None of them holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum NoSecret {
    /// No such variable.
    #[error("the variable is not set, or is no text")]
    Unset,
    /// No such file, or none that may be read.
    #[error("can't read the file: {0}")]
    Read(io::ErrorKind),
    /// A directory, a pipe, a device.
    #[error("it is no regular file")]
    NoFile,
    /// Open to others.
    #[error("others may read the file, its mode is {0:o}; mend it with chmod 600")]
    Open(u32),
    /// Too short, too long, or more than a line.
    #[error("it is not one line of {SECRET_MIN} to {SECRET_MAX} printable characters")]
    Form,
}

/// Reads a secret. A line end at the very end is no part of it.
///
/// # Errors
/// [`NoSecret`].
pub fn read(reference: &SecretRef) -> Result<Secret, NoSecret> {
    let text = match reference {
        SecretRef::Env(name) => std::env::var(name).map_err(|_| NoSecret::Unset)?,
        SecretRef::File(path) => file(path)?,
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let printable = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if !(SECRET_MIN..=SECRET_MAX).contains(&text.len()) || !printable {
        return Err(NoSecret::Form);
    }
    scrub::learn(text);
    Ok(Secret(text.to_owned()))
}

fn file(path: &str) -> Result<String, NoSecret> {
    let failed = |error: io::Error| NoSecret::Read(error.kind());
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(NoSecret::NoFile);
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o177 != 0 {
        return Err(NoSecret::Open(mode));
    }
    let mut text = String::new();
    // Two more than the most: a line end is no part of it, and what is longer shows.
    file.take(SECRET_MAX as u64 + 3)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_secret_prints_as_nothing() {
        let secret = Secret("canary".to_owned());
        assert_eq!(format!("{secret:?} {secret}"), "<secret> <secret>");
    }

    #[test]
    fn a_file_that_others_may_read_gives_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let reference = SecretRef::File(path.to_str().unwrap().to_owned());
        assert!(matches!(
            read(&reference),
            Err(NoSecret::Read(io::ErrorKind::NotFound))
        ));
        fs::write(&path, "canary\n").unwrap();
        let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o610] {
            set(mode);
            let error = read(&reference).unwrap_err();
            assert!(matches!(error, NoSecret::Open(found) if found == mode));
            assert!(!error.to_string().contains("canary"));
        }
        for mode in [0o600, 0o400] {
            set(mode);
            assert_eq!(read(&reference).unwrap().reveal(), "canary");
        }
        assert_eq!(scrub::clean("a canary!"), "a <secret>!");
        set(0o600);
        for bad in [
            "",
            "\n",
            "abc",
            "canary\ncanary\n",
            "can\0ary",
            "canärý",
            &"c".repeat(8193),
        ] {
            fs::write(&path, bad).unwrap();
            let error = read(&reference).unwrap_err();
            assert!(matches!(error, NoSecret::Form), "{bad:?}: {error}");
        }
        let folder = SecretRef::File(dir.path().to_str().unwrap().to_owned());
        assert!(matches!(read(&folder), Err(NoSecret::NoFile)));
        let unset = SecretRef::Env("NEPHO_NO_SUCH_VARIABLE".to_owned());
        assert!(matches!(read(&unset), Err(NoSecret::Unset)));
    }
}
