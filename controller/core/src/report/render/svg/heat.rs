//! Latency over time: a column for each stretch, a cell for each band of latency, darker the more
//! requests took so long. Failures stand below, what happened stands above.

use std::collections::BTreeMap;

use nepho_common::time::{Nanos, RunTime};

use super::{
    super::{
        super::charts::{Column, Plot, band_edges},
        escape::html,
    },
    Flag, Frame, Px, Svg,
    scale::{durations, log2, place},
};

/// With the strip of failures, and without.
const HEIGHTS: (i64, i64) = (230, 195);
const FRAME: Frame = Frame {
    left: 560,
    top: 180,
    right: 4_080,
    bottom: 1_750,
};
/// Below the labels of the axis.
const FAILURES: (i64, i64) = (2_270, 1_990);
/// As many shades as the style sheet has.
const SHADES: i64 = 6;
/// So many bands are drawn at least, or one cell would fill the picture.
const BANDS_MIN: u32 = 8;

/// A stage on the axis of time.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Span {
    pub(in super::super) from: RunTime,
    pub(in super::super) lasts: Nanos,
}

/// The response times of one plot over its stage.
pub(in super::super) fn heat(label: &str, plot: &Plot, span: Span, flags: &[Flag]) -> String {
    let height = if plot.failures > 0 {
        HEIGHTS.0
    } else {
        HEIGHTS.1
    };
    let mut svg = Svg::new(height, label);
    // A column that is longer than its stage ends with it.
    let length = clamp(span.lasts.0.max(1));
    let x = |at: RunTime| {
        let since = clamp(at.since(span.from).0).min(length);
        place(since, (0, length), (FRAME.left, FRAME.right))
    };
    let (first, last) = bands(plot);
    let edge = |band: u32| log2(band_edges(band).0.0);
    let range = (edge(first), edge(last + 1));
    let y = |log: i64| place(log, range, (FRAME.bottom, FRAME.top));
    let (low, high) = (band_edges(first).0, band_edges(last).1);
    let ticks = durations(low, high).into_iter();
    let ticks = ticks.filter(|tick| (low..=high).contains(tick));
    let rows: Vec<_> = ticks
        .map(|tick| (y(log2(tick.0)), tick.to_string()))
        .collect();
    svg.rows(FRAME, &rows);
    let quarters = (0..=4u64).map(|n| Nanos(span.lasts.0 / 4 * n));
    let columns: Vec<_> = quarters
        .map(|since| (x(span.from.plus(since)), super::since(since)))
        .collect();
    svg.columns(FRAME, &columns);
    cells(&mut svg, plot, &x, |band| {
        (y(edge(band + 1)), y(edge(band)))
    });
    failures(&mut svg, plot, &x);
    flagged(&mut svg, span, flags, &x);
    svg.axes(FRAME);
    svg.end()
}

/// The lowest and the highest band that is drawn.
fn bands(plot: &Plot) -> (u32, u32) {
    let all = || plot.columns.iter().flat_map(|column| column.bands.keys());
    let first = all().min().copied().unwrap_or(40).clamp(20, 126);
    let last = all().max().copied().unwrap_or(40).clamp(first, 126);
    let pad = BANDS_MIN.saturating_sub(last - first).div_ceil(2).max(1);
    (first.saturating_sub(pad).max(20), (last + pad).min(126))
}

/// One path for each shade, over all cells that have it.
fn cells(svg: &mut Svg, plot: &Plot, x: &impl Fn(RunTime) -> Px, y: impl Fn(u32) -> (Px, Px)) {
    let counts = || plot.columns.iter().flat_map(|column| column.bands.values());
    let most = log2(counts().max().copied().unwrap_or(1).saturating_add(1)).max(1);
    let mut shades: BTreeMap<i64, String> = BTreeMap::new();
    for column in &plot.columns {
        let (left, right) = (x(column.at_ns), x(column.at_ns.plus(plot.every_ns)));
        for (band, n) in &column.bands {
            let shade = (log2(n.saturating_add(1)) * SHADES / (most + 1)).min(SHADES - 1);
            let (top, bottom) = y((*band).clamp(20, 126));
            let (width, height) = (Px(right.0 - left.0), Px(bottom.0 - top.0));
            let steps = shades.entry(shade).or_default();
            steps.push_str(&format!("M{left} {top}h{width}v{height}h-{width}z"));
        }
    }
    for (shade, steps) in shades {
        svg.path(&format!("k{shade}"), &steps);
    }
}

/// A bar for each column with failures, on a logarithmic scale of its own.
fn failures(svg: &mut Svg, plot: &Plot, x: &impl Fn(RunTime) -> Px) {
    let failed: Vec<&Column> = plot.columns.iter().filter(|one| one.failures > 0).collect();
    let Some(most) = failed.iter().map(|column| column.failures).max() else {
        return;
    };
    let (bottom, top) = FAILURES;
    let mut steps = String::new();
    for column in failed {
        let (left, right) = (x(column.at_ns), x(column.at_ns.plus(plot.every_ns)));
        let most = log2(most.saturating_add(1));
        let y = place(
            log2(column.failures.saturating_add(1)),
            (0, most),
            (bottom, top),
        );
        let (width, height) = (Px(right.0 - left.0), Px(bottom - y.0));
        steps.push_str(&format!("M{left} {y}h{width}v{height}h-{width}z"));
    }
    svg.path("bad", &steps);
    svg.line(
        "a",
        (Px(FRAME.left), Px(bottom)),
        (Px(FRAME.right), Px(bottom)),
    );
    svg.text(
        (Px(FRAME.left - 50), Px(bottom - 40)),
        "end",
        &format!("✗ {most}"),
    );
}

/// What happened within the stage.
fn flagged(svg: &mut Svg, span: Span, flags: &[Flag], x: &impl Fn(RunTime) -> Px) {
    let end = span.from.plus(span.lasts);
    for flag in flags
        .iter()
        .filter(|flag| flag.at >= span.from && flag.at <= end)
    {
        let at = x(flag.at);
        svg.push(format_args!("<g><title>{}</title>", html(&flag.text)));
        svg.line("m", (at, Px(FRAME.top)), (at, Px(FRAME.bottom)));
        svg.text((at, Px(FRAME.top - 40)), "middle", &flag.number.to_string());
        svg.push(format_args!("</g>\n"));
    }
}

fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
