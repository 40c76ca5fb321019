//! Latency over percentiles: the axis is one of nines, so that p99.9 is as far from p99 as that is
//! from p90, and latency is logarithmic. Each line has its 95 % interval as a band, and ends where
//! fewer than ten values lie above.

use nepho_common::time::Nanos;

use super::{
    super::super::charts::{Percentile, Plot},
    Frame, LINE_CLASSES, Px, Svg,
    scale::{durations, log2, place},
};

const HEIGHT: i64 = 250;
const FRAME: Frame = Frame {
    left: 560,
    top: 100,
    right: 4_080,
    bottom: 2_250,
};

/// The labels below, and how many tenths of nothing are left there: 1, 1/2, 1/10, …
const LABELS: [(u64, &str); 7] = [
    (1, "0"),
    (2, "50%"),
    (10, "90%"),
    (100, "99%"),
    (1_000, "99.9%"),
    (10_000, "99.99%"),
    (100_000, "99.999%"),
];

/// A line for each of at most [`super::LINES`] plots.
pub(in super::super) fn percentile(label: &str, plots: &[&Plot]) -> String {
    let mut svg = Svg::new(HEIGHT, label);
    let points = || plots.iter().flat_map(|plot| &plot.curve);
    let low = points().map(|one| one.low_ns.unwrap_or(one.at_ns)).min();
    let high = points().map(|one| one.high_ns.unwrap_or(one.at_ns)).max();
    let ticks = durations(low.unwrap_or_default(), high.unwrap_or_default());
    let range = (
        ticks.first().map_or(0, |tick| log2(tick.0)),
        ticks.last().map_or(1, |tick| log2(tick.0)),
    );
    let y = |value: Nanos| place(log2(value.0), range, (FRAME.bottom, FRAME.top));
    // At least up to p90, so that a short curve is seen to be short.
    let last = points().map(nines).max().unwrap_or(0).max(log2(10));
    let x = |nines: i64| place(nines, (0, last), (FRAME.left, FRAME.right));
    let rows: Vec<_> = ticks
        .iter()
        .map(|tick| (y(*tick), tick.to_string()))
        .collect();
    svg.rows(FRAME, &rows);
    let there = LABELS.into_iter().filter(|(left, _)| log2(*left) <= last);
    let columns: Vec<_> = there
        .map(|(left, label)| (x(log2(left)), label.to_owned()))
        .collect();
    svg.columns(FRAME, &columns);
    for (plot, class) in plots.iter().zip(LINE_CLASSES) {
        let line: Vec<_> = plot
            .curve
            .iter()
            .map(|one| (x(nines(one)), y(one.at_ns)))
            .collect();
        svg.path(&format!("r {class}"), &band(plot, &x, &y));
        svg.path(&format!("l {class}"), &joined(&line));
        if let Some(end) = line.last() {
            svg.dot(class, *end);
        }
    }
    svg.axes(FRAME);
    svg.end()
}

/// How far to the right: the logarithm of one over what is left above.
fn nines(one: &Percentile) -> i64 {
    log2(one.den) - log2(one.den - one.num.min(one.den - 1))
}

/// Around the points that have both ends.
fn band(plot: &Plot, x: &impl Fn(i64) -> Px, y: &impl Fn(Nanos) -> Px) -> String {
    let both = |one: &Percentile| Some((x(nines(one)), y(one.low_ns?), y(one.high_ns?)));
    let both: Vec<_> = plot.curve.iter().filter_map(both).collect();
    if both.len() < 2 {
        return String::new();
    }
    let upper = both.iter().map(|(x, _, high)| (*x, *high));
    let lower = both.iter().rev().map(|(x, low, _)| (*x, *low));
    let around: Vec<_> = upper.chain(lower).collect();
    joined(&around) + "Z"
}

fn joined(points: &[(Px, Px)]) -> String {
    let step = |(number, (x, y)): (usize, &(Px, Px))| {
        format!("{}{x} {y}", if number == 0 { "M" } else { "L" })
    };
    points.iter().enumerate().map(step).collect()
}
