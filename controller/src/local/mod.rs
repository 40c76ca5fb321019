//! Programs that are started beside us, and a whole controller with agents that lives for one run.
//!
//! ```text
//! sibling (where is the program?) --> child (alive, ended, what it said) --> private (controller + agents)
//! ```
//!
//! - [`sibling`]: finding `nepho-agent` and `nepho-sample-fleet`.
//! - [`calibrated`]: how much load this host was found to send.
//! - [`child`]: a process that we started and that ends with us.
//! - [`private`]: `run --local` and the demo: a controller in a temporary directory, one agent for
//!   each environment, all on loopback with ports of the system's choice.

pub mod calibrated;
pub mod child;
pub mod private;
pub mod sibling;
