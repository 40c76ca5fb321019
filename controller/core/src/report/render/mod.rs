//! A report for machines, for managers and for the terminal. Every renderer is pure and total: a
//! report of an empty journal renders. What comes from outside is escaped for where it goes.
//!
//! - [`json`]: `nepho.report/v1`, for machines.
//! - [`html`]: one page without outside references, to be forwarded.
//! - [`markdown`]: the same for where Markdown is read.
//! - [`junit`], [`github`]: for what runs tests.
//! - [`terminal`]: the short summary at the end of a run.
//! - [`Lang`]: in which language; `catalogue`: everything that is said in words of ours.
//! - `svg`: charts.
//! - `escape`: foreign text made harmless; `words`: what several renderers say alike; `stairs`: a table
//!   that some findings have.

mod catalogue;
mod escape;
pub mod github;
#[cfg(test)]
mod hostile;
pub mod html;
pub mod json;
pub mod junit;
mod lang;
pub mod markdown;
mod stairs;
mod svg;
pub mod terminal;
mod words;

pub use lang::Lang;
pub(super) use stairs::shown;
pub(super) use words::outcome;
