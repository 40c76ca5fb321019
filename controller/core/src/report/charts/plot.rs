//! Percentiles and response times over time, for each stage, step and pair of environments.

use std::collections::BTreeMap;

use nepho_common::{
    histogram::{Histogram, range_of},
    id::{EnvironmentName, StageName, StepName},
    plan::Plan,
    recording::{Metric, Outcome, Series},
    time::{Nanos, RunTime},
};

use super::{
    super::{
        fold::Folded,
        measured::Asked,
        recorded::{OfSeries, Piece, Recorded},
        sample::is_failure,
        stats::quantile_ranks,
    },
    Column, Percentile, Plot, band_of,
    columns::Columns,
};

/// How many pairs are plotted: 40 services in 3 environments, and four steps of all of them.
const PLOTS_MAX: usize = 60;

/// The percentiles of the curve. Denser where latency is decided, and for each nine the same four.
const TICKS: [(u64, u64); 27] = [
    (0, 1),
    (1, 10),
    (1, 4),
    (2, 5),
    (1, 2),
    (3, 5),
    (7, 10),
    (3, 4),
    (4, 5),
    (17, 20),
    (9, 10),
    (37, 40),
    (19, 20),
    (39, 40),
    (99, 100),
    (397, 400),
    (199, 200),
    (399, 400),
    (999, 1_000),
    (3_997, 4_000),
    (1_999, 2_000),
    (3_999, 4_000),
    (9_999, 10_000),
    (19_999, 20_000),
    (99_999, 100_000),
    (199_999, 200_000),
    (999_999, 1_000_000),
];

/// So many values have to lie above a percentile that is shown (the plan's rule for reports).
const ABOVE: u128 = 10;

/// In the order of the plan: place of stage and step, then the two environments.
type Place<'a> = (usize, usize, &'a EnvironmentName, &'a EnvironmentName);

/// A plot under way.
struct Gathering<'a> {
    stage: &'a StageName,
    step: &'a StepName,
    time: Columns,
    successes: Histogram,
    failures: u64,
    our_side: u64,
    columns: BTreeMap<u64, Column>,
    coarse: u64,
}

pub(super) fn plots(folded: &Folded, plan: &Plan) -> (Vec<Plot>, u64) {
    let mut places = BTreeMap::new();
    for (at, stage) in plan.stages.iter().enumerate() {
        for (step_at, step) in stage.steps.iter().enumerate() {
            places.insert((&stage.name, &step.name), (at, step_at, stage.lasts));
        }
    }
    let asked = Asked::of(plan, folded.identity());
    let mut all: BTreeMap<Place<'_>, Gathering<'_>> = BTreeMap::new();
    let is_plotted = |of: &&OfSeries| {
        of.series.metric == Metric::ResponseTime && asked.check(&of.author, &of.series).is_ok()
    };
    for OfSeries { series, pieces, .. } in folded.recorded.each().filter(is_plotted) {
        // What passed the check is in the plan and its stage.
        let Some(&(stage_at, step_at, lasts)) = places.get(&(&series.stage, &series.step)) else {
            continue;
        };
        let ordered = folded.story.ordered.get(&series.stage);
        let place = (stage_at, step_at, &series.from, &series.to.environment);
        let gathering = all.entry(place).or_insert_with(|| Gathering {
            stage: &series.stage,
            step: &series.step,
            // Without an order the first recording of the stage has to do.
            time: Columns::of(
                ordered.map_or_else(
                    || first(&folded.recorded, &series.stage),
                    |ordered| ordered.at_run,
                ),
                lasts,
            ),
            successes: Histogram::default(),
            failures: 0,
            our_side: 0,
            columns: BTreeMap::new(),
            coarse: 0,
        });
        pieces
            .iter()
            .for_each(|piece| gathering.take(series, piece));
    }
    let more = all.len().saturating_sub(PLOTS_MAX) as u64;
    let plots = all.into_iter().take(PLOTS_MAX);
    let plots = plots.map(|((_, _, from, to), gathering)| gathering.plot(from, to));
    (plots.collect(), more)
}

/// When the first recording of a stage began.
fn first(recorded: &Recorded, stage: &StageName) -> RunTime {
    let of_stage = recorded.each().filter(|of| of.series.stage == *stage);
    let pieces = of_stage.flat_map(|of| &of.pieces);
    let begun = pieces.map(|piece| piece.interval.from).min();
    begun.unwrap_or_default()
}

impl Gathering<'_> {
    fn take(&mut self, series: &Series, piece: &Piece) {
        let (interval, histogram) = (piece.interval, &piece.histogram);
        let n = histogram.count();
        let (number, is_long) = self.time.place(interval);
        let at_ns = self.time.at(number);
        let column = self.columns.entry(number).or_insert_with(|| Column {
            at_ns,
            ..Column::default()
        });
        let outcome = series.outcome;
        if outcome == Outcome::Success {
            self.successes.merge(histogram);
            for (bin, n) in histogram.bins() {
                let band = band_of(Nanos(range_of(bin).0));
                let sum = column.bands.entry(band).or_default();
                *sum = sum.saturating_add(n);
            }
        } else if is_failure(outcome) {
            self.failures = self.failures.saturating_add(n);
            column.failures = column.failures.saturating_add(n);
        } else {
            self.our_side = self.our_side.saturating_add(n);
        }
        if is_long {
            self.coarse = self.coarse.saturating_add(n);
        }
    }

    fn plot(self, from: &EnvironmentName, to: &EnvironmentName) -> Plot {
        Plot {
            stage: self.stage.clone(),
            step: self.step.clone(),
            from: from.clone(),
            to: to.clone(),
            successes: self.successes.count(),
            failures: self.failures,
            our_side: self.our_side,
            max_ns: self.successes.max(),
            curve: curve(&self.successes),
            every_ns: self.time.every,
            columns: self.columns.into_values().collect(),
            coarse: self.coarse,
        }
    }
}

/// The percentiles that enough values lie above, each with its interval.
fn curve(seen: &Histogram) -> Vec<Percentile> {
    let n = seen.count();
    let enough =
        |&(num, den): &(u64, u64)| u128::from(n) * u128::from(den - num) >= ABOVE * u128::from(den);
    let percentile = |(num, den): (u64, u64)| {
        let ranks = (num > 0).then(|| quantile_ranks(n, (num, den))).flatten();
        let at_ns = if num == 0 {
            seen.min()?
        } else {
            seen.quantile(num, den)?
        };
        Some(Percentile {
            num,
            den,
            at_ns,
            low_ns: ranks.and_then(|(lower, _)| Some(seen.at_rank(lower)?.0)),
            high_ns: ranks.and_then(|(_, upper)| Some(seen.at_rank(upper)?.1)),
        })
    };
    let shown = TICKS.into_iter().filter(enough);
    shown.filter_map(percentile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n: u64) -> Histogram {
        let mut histogram = Histogram::default();
        (1..=n).for_each(|i| histogram.record(Nanos(i * 100_000)));
        histogram
    }

    #[test]
    fn a_curve_ends_where_fewer_than_ten_values_lie_above() {
        let last = |n| curve(&of(n)).last().map(|one| (one.num, one.den));
        assert_eq!(last(9), None);
        assert_eq!(last(10), Some((0, 1)));
        assert_eq!(last(19), Some((2, 5)));
        assert_eq!(last(20), Some((1, 2)));
        assert_eq!(last(999), Some((39, 40)));
        assert_eq!(last(1_000), Some((99, 100)));
        assert_eq!(last(10_000), Some((999, 1_000)));
    }

    #[test]
    fn intervals_are_the_values_at_the_ranks_of_the_published_example() {
        let all = curve(&of(10_000));
        let p99 = all
            .iter()
            .find(|one| (one.num, one.den) == (99, 100))
            .unwrap();
        let (low, high) = (p99.low_ns.unwrap().0, p99.high_ns.unwrap().0);
        // Ranks 9,880 and 9,920, each to the width of its bin.
        assert!(
            (988_000_000 - 524_288..=988_000_000).contains(&low),
            "{low}"
        );
        assert!(
            (992_000_000..=992_000_000 + 524_288).contains(&high),
            "{high}"
        );
        assert!(low <= p99.at_ns.0 && p99.at_ns.0 <= high);
        assert!(all.is_sorted_by_key(|one| one.at_ns));
    }
}
