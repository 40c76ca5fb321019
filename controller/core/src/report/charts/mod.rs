//! What the plots of a report are made of: an additive part of `nepho.report/v1`, bounded whatever
//! was recorded, and like the rest of the report a pure function of the set of records.
//!
//! - `plot`: for each stage, step and pair of environments the percentiles of the merged response
//!   times, and how they lay over time, in `columns`.
//! - `marks`: what happened when. `gauge`: resources over time.

use std::collections::BTreeMap;

use nepho_common::{
    id::{AgentId, EnvironmentName, InstanceId, StageName, StepName, ThingName},
    recording::Unit,
    time::{Nanos, RunTime},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{doubts::Doubts, fold::Folded};

pub(super) mod columns;
mod gauge;
mod marks;
mod plot;

/// What the plots are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Charts {
    /// In the order of the plan, then of the environments.
    pub plots: Vec<Plot>,
    /// How many more there would be.
    #[serde(default)]
    pub more_plots: u64,
    /// What happened, in order.
    pub marks: Vec<Mark>,
    /// How many more there would be.
    #[serde(default)]
    pub more_marks: u64,
    /// Resources, by name, unit, agent and target.
    pub gauges: Vec<GaugeSeries>,
    /// How many more there would be.
    #[serde(default)]
    pub more_gauges: u64,
    /// The scenario file as it was run; absent when the journal does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<Source>,
}

/// Requests of one step from one environment to another: how long they took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plot {
    /// The stage.
    pub stage: StageName,
    /// The step.
    pub step: StepName,
    /// From where.
    pub from: EnvironmentName,
    /// To where.
    pub to: EnvironmentName,
    /// How many succeeded; the curve and the bands are made of these.
    pub successes: u64,
    /// How many failed.
    pub failures: u64,
    /// How many failed on our side, which says nothing of the target.
    pub our_side: u64,
    /// The largest of the response times.
    pub max_ns: Option<Nanos>,
    /// Percentiles of the response time, from low to high, as far as there are ten values above.
    pub curve: Vec<Percentile>,
    /// How long a column is.
    pub every_ns: Nanos,
    /// Response times over time; columns of which nothing is known are left out.
    pub columns: Vec<Column>,
    /// How many values come from recordings that are longer than a column, and lie in the one in
    /// which their recording began.
    pub coarse: u64,
}

/// A percentile, as a fraction, with the interval that holds the true one with 95 % confidence if
/// the values are independent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Percentile {
    /// Numerator.
    pub num: u64,
    /// Denominator.
    pub den: u64,
    /// The percentile: upper edge of its bin.
    pub at_ns: Nanos,
    /// Lower end; absent when there are too few values for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_ns: Option<Nanos>,
    /// Upper end; absent when there are too few values for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_ns: Option<Nanos>,
}

/// A part of a stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Where it begins, in run time.
    pub at_ns: RunTime,
    /// How many successes took how long, by [`band_of`].
    pub bands: BTreeMap<u32, u64>,
    /// How many failed.
    pub failures: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// When, in run time.
    pub at_ns: RunTime,
    /// What.
    pub what: Happening,
    /// A stage or an agent; empty for the controller.
    pub about: String,
}

/// What can happen in a run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Happening {
    /// A stage began.
    StageBegan,
    /// A stage ended: the last agent to say so.
    StageEnded,
    /// Nothing was heard of an agent from here on.
    AgentLost,
    /// An agent was back.
    AgentReturned,
    /// An agent was back as another process.
    AgentRestarted,
    /// An agent's clock stood still; what it measured from here on in the stage is spoilt.
    ClockDisturbed,
}

/// One gauge of one agent over the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GaugeSeries {
    /// What, for example `process.rss`.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// Who read it.
    pub agent: AgentId,
    /// Where the agent is.
    pub from: EnvironmentName,
    /// Of what; the agent's own host when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<InstanceId>,
    /// Of which process or container on that host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<ThingName>,
    /// How many values.
    pub values: u64,
    /// How long a point stands for.
    pub every_ns: Nanos,
    /// The smallest and the largest value of each stretch in which there is one.
    pub points: Vec<GaugePoint>,
}

/// The values of one stretch of time: of whatever was read there, the extremes are kept. Shares are
/// in parts per million, counts and things per second in thousandths, bytes and nanoseconds whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GaugePoint {
    /// Where the stretch begins, in run time.
    pub at_ns: RunTime,
    /// The smallest value.
    pub min: i64,
    /// The largest value.
    pub max: i64,
}

/// A file that the run was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Its text, at most 64 KiB of it.
    pub text: String,
    /// How many bytes are left out at its end.
    #[serde(default)]
    pub more_bytes: u64,
}

/// The most of a file that a report holds, in bytes.
const SOURCE_MAX: usize = 64 << 10;

/// The first band: below 1,024 ns.
const LOWEST_BITS: u32 = 10;

/// The band of a response time, two to each doubling: band 2n holds what is from 2^n ns to less than
/// half as much again, band 2n + 1 the rest below 2^(n + 1) ns. All below 1,024 ns is band 20.
#[must_use]
pub const fn band_of(value: Nanos) -> u32 {
    let value = if value.0 < 1 << LOWEST_BITS {
        1 << LOWEST_BITS
    } else {
        value.0
    };
    let bits = value.ilog2();
    let in_upper_half = (value >> (bits - 1)) & 1 == 1;
    2 * bits + if in_upper_half { 1 } else { 0 }
}

/// Where a band begins and where the next one does.
#[must_use]
pub const fn band_edges(band: u32) -> (Nanos, Nanos) {
    (Nanos(edge(band)), Nanos(edge(band.saturating_add(1))))
}

const fn edge(band: u32) -> u64 {
    let bits = if band > 2 * 63 { 63 } else { band / 2 };
    let whole = 1u64 << bits;
    if band.is_multiple_of(2) {
        whole
    } else {
        whole + whole / 2
    }
}

/// The smallest step of 1, 2, 5, 10, 20… seconds, and from there in minutes people count in, that
/// divides `length` into at most `parts`.
fn stretch(length: Nanos, least: Nanos, parts: u64) -> Nanos {
    const SECONDS: [u64; 14] = [
        1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200,
    ];
    let fits = |one: &Nanos| *one >= least && length.0.div_ceil(one.0) <= parts;
    let mut all = SECONDS.into_iter().map(Nanos::from_secs);
    // Beyond ten days in 120 columns a column is as long as it has to be.
    all.find(fits)
        .unwrap_or(Nanos(length.0.div_ceil(parts.max(1))).max(least))
}

/// What the plots of this run are made of; `None` without a plan.
pub(super) fn charts(folded: &Folded, doubts: &mut Doubts) -> Option<Charts> {
    let plan = folded.plan.as_ref()?;
    let (plots, more_plots) = plot::plots(folded, plan);
    let (marks, more_marks) = marks::marks(folded, plan);
    let (gauges, more_gauges) = gauge::series(folded, plan, doubts);
    let scenario = folded.scenario.as_ref().map(|text| {
        let mut end = text.len().min(SOURCE_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Source {
            text: text.split_at(end).0.to_owned(),
            more_bytes: (text.len() - end) as u64,
        }
    });
    Some(Charts {
        plots,
        more_plots,
        marks,
        more_marks,
        gauges,
        more_gauges,
        scenario,
    })
}

#[cfg(test)]
mod tests {
    use nepho_common::histogram::{BINS, range_of};

    use super::*;

    #[test]
    fn bands_have_no_gaps_and_hold_what_their_edges_say() {
        for value in [
            0,
            1_023,
            1_024,
            1_535,
            1_536,
            2_047,
            2_048,
            15_000_000,
            u64::MAX,
        ] {
            let band = band_of(Nanos(value));
            let (low, high) = band_edges(band);
            assert!(low.0 <= value || band == 20, "{value}");
            assert!(value < high.0 || band == 127, "{value}");
        }
        assert_eq!(band_edges(20), (Nanos(1_024), Nanos(1_536)));
        assert_eq!(band_edges(21), (Nanos(1_536), Nanos(2_048)));
    }

    #[test]
    fn no_bin_of_the_histogram_lies_in_two_bands() {
        for bin in 2..BINS {
            let (low, high) = range_of(bin);
            assert_eq!(band_of(Nanos(low)), band_of(Nanos(high)), "{bin}");
        }
    }

    #[test]
    fn time_is_divided_as_people_count_it() {
        let ten = Nanos::from_secs(10);
        for (secs, expected) in [(18, 10), (1_200, 10), (3_600, 30), (86_400, 1_200)] {
            let found = stretch(Nanos::from_secs(secs), ten, 120);
            assert_eq!(found, Nanos::from_secs(expected), "{secs}");
        }
        let ages = stretch(Nanos(u64::MAX), ten, 120);
        assert!(u64::MAX.div_ceil(ages.0) <= 120);
    }
}
