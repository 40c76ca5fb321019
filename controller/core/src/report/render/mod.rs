//! A report for machines, for managers and for the terminal. Every renderer is pure and total: a
//! report of an empty journal renders. What comes from outside is escaped for where it goes.
//!
//! - [`json`]: `nepho.report/v1`, for machines.
//! - [`markdown`]: to be forwarded.
//! - [`terminal`]: the short summary at the end of a run.
//! - `escape`: foreign text made harmless; `words`: what the last two say alike.

mod escape;
pub mod json;
pub mod markdown;
pub mod terminal;
mod words;
