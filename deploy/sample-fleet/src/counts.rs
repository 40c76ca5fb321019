//! What a service received: the other side of every count that a load step reports.

use std::collections::BTreeMap;

use serde::Serialize;

/// Paths beyond this number, or longer than this, are counted together: a client that invents
/// paths must not make us grow.
const MOST_PATHS: usize = 64;
const LONGEST_PATH: usize = 128;
const OTHER_PATHS: &str = "(other)";

/// Requests to `/state` and `/admin` are left out, so that asking changes nothing.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Counts {
    /// Requests whose head was read, answered or not.
    pub(crate) requests: u64,
    paths: BTreeMap<String, PathCount>,
    pub(crate) connections: Connections,
}

#[derive(Debug, Default, Clone, Serialize)]
struct PathCount {
    received: u64,
    /// By status; a request that hung, was reset or still waits is in none.
    answered: BTreeMap<u16, u64>,
}

#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Connections {
    pub(crate) accepted: u64,
    pub(crate) open: usize,
    /// Reset at once, because too many were open.
    pub(crate) refused: u64,
}

impl Counts {
    /// Counts a request and says its number.
    pub(crate) fn received(&mut self, path: &str) -> u64 {
        self.requests += 1;
        self.path(path).received += 1;
        self.requests
    }

    pub(crate) fn answered(&mut self, path: &str, status: u16) {
        *self.path(path).answered.entry(status).or_default() += 1;
    }

    fn path(&mut self, path: &str) -> &mut PathCount {
        let fits = path.len() <= LONGEST_PATH && self.paths.len() < MOST_PATHS;
        let path = if fits || self.paths.contains_key(path) {
            path
        } else {
            OTHER_PATHS
        };
        self.paths.entry(path.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hung_request_is_received_but_not_answered() {
        let mut counts = Counts::default();
        assert_eq!(counts.received("/health"), 1);
        assert_eq!(counts.received("/health"), 2);
        counts.answered("/health", 200);
        let health = &counts.paths["/health"];
        assert_eq!((counts.requests, health.received), (2, 2));
        assert_eq!(health.answered, BTreeMap::from([(200, 1)]));
    }

    #[test]
    fn invented_paths_are_counted_together() {
        let mut counts = Counts::default();
        for number in 0..1000 {
            counts.received(&format!("/{number}"));
        }
        counts.received(&"/x".repeat(1000));
        assert_eq!(counts.paths.len(), MOST_PATHS + 1);
        assert_eq!(
            counts.paths.values().map(|path| path.received).sum::<u64>(),
            1001
        );
        assert_eq!(counts.requests, 1001);
    }
}
