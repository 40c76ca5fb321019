//! Pages that this version of the service does not have yet.

use std::collections::BTreeSet;

use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Missing(BTreeSet<String>);

#[derive(Debug, thiserror::Error)]
pub(crate) enum MissingError {
    #[error("--without {0:?} names no page: give a path like /version, without a query")]
    NoPath(String),
    #[error("--without {0:?} takes nothing away: every version answers /state and /admin")]
    AlwaysThere(String),
}

impl Missing {
    pub(super) fn parse(paths: Vec<String>) -> Result<Self, MissingError> {
        let page = |path: String| {
            let plain = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '?' | '#');
            if !path.starts_with('/') || !path.chars().all(plain) {
                Err(MissingError::NoPath(path))
            } else if is_ours(&path) {
                Err(MissingError::AlwaysThere(path))
            } else {
                Ok(path)
            }
        };
        paths
            .into_iter()
            .map(page)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains(path)
    }
}

/// What is for whoever plants faults, not for whoever measures: neither counted nor switched.
pub(super) fn is_ours(path: &str) -> bool {
    path == "/state" || path.starts_with("/admin/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_that_can_be_asked_for_can_be_missing() {
        let parsed = |path: &str| Missing::parse(vec![path.to_owned()]);
        assert!(parsed("/version").is_ok_and(|missing| missing.has("/version")));
        for wrong in ["version", "", "/a b", "/a?b", "/a#b"] {
            assert!(
                matches!(parsed(wrong), Err(MissingError::NoPath(_))),
                "{wrong:?}"
            );
        }
        for ours in ["/state", "/admin/switch"] {
            assert!(matches!(parsed(ours), Err(MissingError::AlwaysThere(_))));
        }
    }
}
