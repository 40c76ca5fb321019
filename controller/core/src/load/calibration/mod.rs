//! What a host can send: how much at most, and how much on time.
//!
//! ```text
//! Search --next_rate--> a trial --a second of load--> Trial --note--> Search … --> Calibration
//! ```

mod search;
mod text;

use nepho_common::{calibrated::Calibrated, load::Withheld, time::Nanos};
use serde::Serialize;

use self::search::{LIMITS, float};
pub use self::search::{Search, Trial};
use super::{Spread, Summary, doubts};

/// What this host can send: what `nepho calibrate -o json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Calibration {
    /// Always `nepho.calibration/v1`.
    pub schema: String,
    /// Processors of this host that the generator may use. The target of the calibration runs on
    /// them, too.
    pub cores: u32,
    /// Threads of the generator.
    pub threads: u32,
    /// Connections in all.
    pub connections: u32,
    /// Requests per second of as many users as connections, who ask again as soon as they are
    /// answered.
    pub closed_rate: f64,
    /// Processor time of the generator's threads for a million requests, in seconds, meanwhile.
    pub cpu_seconds_per_million: f64,
    /// The answers' times meanwhile: in a closed loop at its limit they are waiting, mostly.
    pub closed_service_ns: Option<Spread>,
    /// Up to which rates requests are sent on time.
    pub on_time: Vec<OnTime>,
    /// Every second that was tried, in order.
    pub trials: Vec<Trial>,
    /// Whether time ran out before the search was over: then the rates are lower bounds.
    pub cut_short: bool,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
    /// What speaks against these figures.
    pub doubts: Vec<String>,
}

/// Up to which rate requests are sent on time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct OnTime {
    /// How late they may be, at the 99th percentile, in nanoseconds; 99.9 % of them must be sent.
    pub lag_p99_max_ns: u64,
    /// The highest rate that was kept up with, in requests per second; absent if none was.
    pub rate: Option<u64>,
    /// What a load should be planned with at most: 70 % of it.
    pub plan_with: Option<u64>,
}

impl Calibration {
    /// Names this format.
    pub const SCHEMA: &'static str = "nepho.calibration/v1";

    /// From the closed loop, the processor time that its threads used, the search, and the worst of
    /// what the host withheld meanwhile.
    #[must_use]
    pub fn new(
        (cores, threads): (u32, u32),
        closed: &Summary,
        used: Nanos,
        search: &Search,
        withheld: Withheld,
        took: Nanos,
    ) -> Self {
        let mut said = Vec::new();
        doubts::withheld(withheld, &mut |_, text| said.push(text));
        let on_time = |limit: Nanos| {
            let rate = search.found(limit);
            OnTime {
                lag_p99_max_ns: limit.0,
                rate,
                plan_with: rate.map(|rate| rate.saturating_mul(Calibrated::PLANNED_MAX) / 100),
            }
        };
        Self {
            schema: Self::SCHEMA.to_owned(),
            cores,
            threads,
            connections: closed.connections,
            closed_rate: closed.rate,
            // Nanoseconds for one are thousandths of a second for a million.
            cpu_seconds_per_million: float(used.0) / float(closed.sent.max(1)) / 1_000.0,
            closed_service_ns: closed.service_ns,
            on_time: LIMITS.map(on_time).into(),
            trials: search.tried().to_vec(),
            cut_short: search.clone().next_rate().is_some(),
            took_ns: took.0,
            doubts: said,
        }
    }

    /// What plans are held to: the rate that was kept up with at the wider of the limits. `None` if
    /// none was.
    #[must_use]
    pub fn calibrated(&self) -> Option<Calibrated> {
        let rate = self.on_time.first().and_then(|one| one.rate)?;
        Calibrated::new(rate, self.threads, self.cores).ok()
    }
}
