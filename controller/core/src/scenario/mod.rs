//! What the operator wrote: stages of steps, and what is expected of them.
//!
//! `raw` is the file as it may be written (and its JSON Schema), `parse` is the only door from
//! there to [`Scenario`]; a [`Bundle`] is the scenario with every file that it names. Deliberately
//! absent: choosing agents and targets, which the planner does.

mod amount;
mod asked;
mod bundle;
mod duration;
mod expectation;
mod load;
mod parse;
mod probe;
mod ratio;
mod raw;
mod safety;
mod schema;
mod selector;
mod stage;
mod watch;

pub use asked::{DnsProbe, EventProbe, HttpProbe, ProbeKind, PrometheusProbe, TcpProbe, TlsProbe};
pub use bundle::{Bundle, Loaded, SCENARIO, Source, load, references};
pub(crate) use duration::print_days;
pub use duration::{BadDuration, parse_duration, print_duration};
pub use expectation::{Bounds, Expectation, Judge, Over, Steady};
pub use load::{Load, LoadModel, Request, Via};
pub(crate) use parse::LASTS;
pub(crate) use probe::EVERY;
pub use probe::{Agents, Probe};
pub use ratio::{BadRatio, Ratio};
pub use safety::AbortIf;
pub use schema::{FileKind, schema_json};
pub use selector::Selector;
pub use stage::{Scenario, Stage, Step};
pub use watch::Watch;

#[cfg(test)]
mod examples;
#[cfg(test)]
mod golden;
