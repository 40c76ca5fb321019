//! One service of the fleet, and the faults that are planted into it.
//!
//! `start` leads from the arguments to the last connection, `instance` is what its connections
//! share, `pages` answers them, `missing` says which pages are not there yet. `switches` are the faults that can be turned while it runs: pure,
//! but for `burn`, which has a thread.
//!
//! Deliberately absent: what a real service would do. It has three pages that say who it is.

mod burn;
mod instance;
mod missing;
mod pages;
mod start;
mod switches;

pub(crate) use start::{Arguments, run};
