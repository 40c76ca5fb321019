//! What every verb is given: where to print, and how to find the controller and our programs.

use std::{env, path::PathBuf};

use nepho_controller_core::report::render::Lang;

use super::{Failure, Out};
use crate::{local::sibling::Siblings, web::Client};

/// What every verb is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) out: Out,
    /// In which reports are written.
    pub(crate) lang: Lang,
    controller: Option<String>,
    bin_dir: Option<PathBuf>,
}

impl Context {
    pub(super) const fn new(
        out: Out,
        lang: Lang,
        controller: Option<String>,
        bin_dir: Option<PathBuf>,
    ) -> Self {
        Self {
            out,
            lang,
            controller,
            bin_dir,
        }
    }

    /// The controller that was named, else the one in the default data directory.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        match &self.controller {
            Some(address) => Ok(Client::at(address)?),
            None => Ok(Client::new(data_dir()?.join(SOCKET))),
        }
    }

    pub(crate) fn siblings(&self) -> Siblings {
        Siblings::new(self.bin_dir.as_deref())
    }
}

/// The API's socket in a controller's data directory.
pub(super) const SOCKET: &str = "nepho.sock";

/// Where a controller keeps its data when nothing else is said: as the system's for root, else the
/// user's (XDG base directories, `XDG_STATE_HOME`).
pub(super) fn data_dir() -> Result<PathBuf, Failure> {
    let root = rustix::process::geteuid().is_root();
    let absolute = |name| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    choose(root, absolute("XDG_STATE_HOME"), absolute("HOME")).ok_or(Failure::NoHome)
}

fn choose(root: bool, state: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    if root {
        return Some(PathBuf::from("/var/lib/nepho"));
    }
    let state = state.or_else(|| Some(home?.join(".local/state")))?;
    Some(state.join("nepho"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn data_is_kept_where_the_system_wants_it() {
        let some = |path: &str| Some(PathBuf::from(path));
        for (root, state, home, expected) in [
            (true, some("/s"), some("/h"), Some("/var/lib/nepho")),
            (false, some("/s"), some("/h"), Some("/s/nepho")),
            (false, None, some("/h"), Some("/h/.local/state/nepho")),
            (false, None, None, None),
        ] {
            assert_eq!(
                choose(root, state, home).as_deref(),
                expected.map(Path::new)
            );
        }
    }
}
