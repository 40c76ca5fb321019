//! What the store can't do, and what then is to be done.

use std::{path::PathBuf, sync::Arc};

use nepho_common::{id::RunId, journal::RecordKey};

/// Why the store could not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The lock file can't be made or opened.
    #[error("can't open {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Another process has the store open.
    #[error("another controller has {} open: stop it, or give this one a data directory of its own", path.display())]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// The file can't be opened as a store.
    #[error("can't open the store {}", path.display())]
    Open {
        /// The store.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// A migration failed; the one before it holds.
    #[error("can't bring the store to schema {version}")]
    Migrate {
        /// Which.
        version: i64,
        /// Why.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// A later release wrote it.
    #[error(
        "the store has schema {found}, and this release knows up to {known}: \
         use the newer nepho that wrote it, or another data directory"
    )]
    Newer {
        /// What it has.
        found: i64,
        /// What we know.
        known: i64,
    },
    /// Nothing of this was stored.
    #[error("can't write to the store")]
    Write(#[source] Arc<sqlx::Error>),
    /// Something can't be read.
    #[error("can't read {what} from the store")]
    Read {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// A row is there but is not what we wrote.
    #[error("the store is damaged: {table}.{column} can't be read back")]
    Damaged {
        /// Where.
        table: &'static str,
        /// What.
        column: &'static str,
    },
    /// A record breaks the rules, and nothing of its batch was stored.
    #[error("record {} of {} can't be stored: {why}", key.seq, key.agent)]
    Unstorable {
        /// Which.
        key: Box<RecordKey>,
        /// Why.
        why: &'static str,
    },
    /// A run of this name is there already.
    #[error("there is a run {0} already")]
    RunExists(RunId),
    /// No run has this name.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// Another controller drives this run now.
    #[error("another controller has taken up run {0}: this one no longer writes for it")]
    Fenced(RunId),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}
