//! The demo: the reference fleet of forty services as real processes on this machine, each cloud
//! at its distance, a private controller and three real agents.
//!
//! ```text
//! reference (fleet.csv) --services--> forty ports --distances--> three proxies --theatre--> agents
//!                                        '------- files: cluster-config.yaml, scenario, ports.csv
//! ```
//!
//! - [`theatre`]: everything started, and ended.
//! - `reference`: who the forty are. `services`: their processes. `distances`: who is how far from
//!   whom, and the proxies that make it so. [`files`]: what the user gets to see and to keep.
//!   [`faults`]: what is broken in the broken one.
//!
//! Deliberately absent: running the scenario (it goes the way of every `nepho run`).

mod distances;
pub mod faults;
pub mod files;
mod reference;
mod services;
pub mod theatre;

pub use theatre::{DemoError, Play, Theatre};
