//! One service of the fleet, and the faults that are planted into it.
//!
//! `start` leads from the arguments to the last connection, `instance` is what its connections
//! share, `pages` answers them.
//!
//! The faults: `missing` pages, `switches` that are turned while it runs (pure; one of them has
//! `burn` keep a thread busy), and `tls` with a certificate that ends.
//!
//! Deliberately absent: what a real service would do. It has three pages that say who it is.

mod burn;
mod instance;
mod missing;
mod pages;
mod start;
mod switches;
mod tls;

pub(crate) use start::{Arguments, run};
