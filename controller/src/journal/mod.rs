//! The store: the journal of every run, and what the controller must remember across restarts.
//!
//! - `store`: opening, reading, and the questions that writers ask.
//! - `writer`: the one task that writes; it commits for many requesters at once. What it does
//!   inside a transaction: `append` (records), `runs`, `admit` (join tokens and agents).
//! - `rollup`: recordings merged for reports, by the writer when nobody waits; derived from the
//!   records, and made from them again.
//! - `lease`: which controller drives a run.
//! - `row`: what is kept beside the journal: runs, agents, join tokens.
//! - `schema`: migrations, forward only. `look`: its version, from outside.
//! - `sql`: every statement, in one file.
//!
//! The engine is SQLite. The SQL, the column types and the migrations are written so that
//! PostgreSQL can take them (`migrations/postgres` lies beside), and `conformance.rs` is one suite
//! for both; but the PostgreSQL engine itself is not built yet and nothing here claims to have
//! been run on it.
//!
//! Deliberately absent: what a record says (the report's).

mod admit;
mod append;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash;
mod error;
mod lease;
mod look;
mod renew;
#[cfg(test)]
mod rolled;
mod rollup;
mod row;
mod runs;
mod schema;
mod sql;
mod store;
mod writer;

pub use error::StoreError;
pub use lease::{Claim, Claimed};
pub use look::version;
pub use rollup::Kept;
pub use row::{
    Admission, Admitted, AgentRow, Ending, Grant, Made, NewToken, Offer, Offered, RunRow, RunState,
    TokenRefusal, TokenUse,
};
pub use store::{Appended, Store};
