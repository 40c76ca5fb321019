//! Gauges over the run: the largest values as a line, what lies between smallest and largest as a
//! band. Stages are told apart by lines upwards.

use nepho_common::{
    recording::Unit,
    time::{Nanos, RunTime},
};

use super::{
    super::super::charts::{GaugePoint, GaugeSeries},
    Frame, LINE_CLASSES, Px, Svg,
    heat::Span,
    scale::{amount, place, steps},
};

const HEIGHT: i64 = 200;
const FRAME: Frame = Frame {
    left: 640,
    top: 100,
    right: 4_080,
    bottom: 1_750,
};

/// A line ends where so many times as long as usual nothing was said.
const SILENT: u64 = 4;

/// A line for each of at most [`super::LINES`] series of one unit.
pub(in super::super) fn series(
    label: &str,
    unit: Unit,
    all: &[&GaugeSeries],
    stages: &[Span],
) -> String {
    let mut svg = Svg::new(HEIGHT, label);
    let points = || all.iter().flat_map(|one| &one.points);
    let begun = stages.iter().map(|span| span.from);
    let from = begun.chain(points().map(|one| one.at_ns)).min();
    let from = from.unwrap_or_default();
    let every = all.iter().map(|one| one.every_ns).max().unwrap_or_default();
    let over = stages.iter().map(|span| span.from.plus(span.lasts));
    let to = over.chain(points().map(|one| one.at_ns.plus(every))).max();
    let length = i64::try_from(to.unwrap_or(from).since(from).0).unwrap_or(i64::MAX);
    let x = |at: RunTime| {
        let since = i64::try_from(at.since(from).0).unwrap_or(i64::MAX);
        place(since, (0, length.max(1)), (FRAME.left, FRAME.right))
    };
    let highest = points().map(|one| one.max).max().unwrap_or(0);
    let lowest = points().map(|one| one.min).min().unwrap_or(0).min(0);
    let ticks = steps(highest, unit);
    let top = ticks.last().copied().unwrap_or(1);
    let y = |value: i64| place(value, (lowest, top), (FRAME.bottom, FRAME.top));
    let rows: Vec<_> = ticks
        .iter()
        .map(|tick| (y(*tick), amount(*tick, unit)))
        .collect();
    svg.rows(FRAME, &rows);
    let instants = stages.iter().map(|span| span.from).chain(to);
    let columns: Vec<_> = instants
        .map(|at| (x(at), super::since(at.since(from))))
        .collect();
    svg.columns(FRAME, &columns);
    for (one, class) in all.iter().zip(LINE_CLASSES) {
        let middle = |point: &GaugePoint| x(point.at_ns.plus(Nanos(one.every_ns.0 / 2)));
        for strand in strands(&one.points) {
            let line = |value: fn(&GaugePoint) -> i64| -> Vec<(Px, Px)> {
                let points = strand.iter();
                points.map(|one| (middle(one), y(value(one)))).collect()
            };
            let (upper, lower) = (line(|point| point.max), line(|point| point.min));
            if upper != lower {
                let around = upper
                    .iter()
                    .chain(lower.iter().rev())
                    .copied()
                    .collect::<Vec<_>>();
                svg.path(&format!("r {class}"), &(joined(&around) + "Z"));
            }
            svg.path(&format!("l {class}"), &joined(&upper));
            if let Some(end) = upper.last() {
                svg.dot(class, *end);
            }
        }
    }
    svg.axes(FRAME);
    svg.end()
}

/// The pieces between which nothing was said for much longer than is usual: a line across would claim
/// what nobody measured.
fn strands(points: &[GaugePoint]) -> impl Iterator<Item = &[GaugePoint]> {
    let gaps = points
        .windows(2)
        .map(|pair| pair[1].at_ns.since(pair[0].at_ns));
    let mut gaps: Vec<Nanos> = gaps.collect();
    gaps.sort_unstable();
    let usual = gaps.get(gaps.len() / 2).copied().unwrap_or_default();
    let most = usual.0.saturating_mul(SILENT);
    points.chunk_by(move |one, next| next.at_ns.since(one.at_ns).0 <= most)
}

fn joined(points: &[(Px, Px)]) -> String {
    let step = |(number, (x, y)): (usize, &(Px, Px))| {
        format!("{}{x} {y}", if number == 0 { "M" } else { "L" })
    };
    points.iter().enumerate().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_nothing_was_said_for_long() {
        let lengths = |seconds: &[u64]| {
            let point = |second: &u64| GaugePoint {
                at_ns: RunTime::default().plus(Nanos::from_secs(*second)),
                min: 0,
                max: 1,
            };
            let points: Vec<_> = seconds.iter().map(point).collect();
            strands(&points).map(<[_]>::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&[0, 2, 4, 30, 32]), [3, 2]);
        assert_eq!(
            lengths(&[0, 2, 4, 12, 14]),
            [5],
            "a reading or two are missing"
        );
        assert_eq!(lengths(&[0, 30, 60]), [3], "read seldom");
        assert_eq!(lengths(&[7]), [1]);
        assert_eq!(lengths(&[]), [0; 0]);
    }
}
