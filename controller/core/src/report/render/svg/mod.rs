//! Charts as SVG, by pure functions of what is plotted: integer arithmetic only, so that the same
//! report is the same picture everywhere. Colours and fonts are the page's.
//!
//! - `scale`: values to places, and which of them get a label.
//! - `percentile`: latency over percentiles. `heat`: latency over time. `series`: gauges over time.

mod heat;
mod percentile;
mod scale;
mod series;

use std::fmt::Write as _;

use nepho_common::time::{Nanos, RunTime};

pub(super) use self::{
    heat::{Span, heat},
    percentile::percentile,
    scale::amount,
    series::series,
};
use super::{escape::html, words};

/// How many lines one chart has: as many as the style sheet tells apart.
pub(super) const LINES: usize = 6;

/// The names of the lines, as the style sheet has them.
pub(super) const LINE_CLASSES: [&str; LINES] = ["s0", "s1", "s2", "s3", "s4", "s5"];

/// A place, in tenths of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Px(i64);

impl std::fmt::Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, tenth) = (self.0 / 10, (self.0 % 10).abs());
        let sign = if self.0 < 0 && whole == 0 { "-" } else { "" };
        match tenth {
            0 => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{tenth}"),
        }
    }
}

/// Where the picture is, without its labels: left, top, right, bottom.
#[derive(Debug, Clone, Copy)]
struct Frame {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

/// The width of every chart, in pixels: a telephone shows it at four fifths of its size.
const WIDTH: i64 = 420;

/// A picture under way.
struct Svg(String);

impl Svg {
    /// What it shows, for those who can't see it.
    fn new(height: i64, label: &str) -> Self {
        Self(format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
            html(label)
        ))
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.0
            .write_fmt(arguments)
            .expect("a string takes everything");
    }

    fn path(&mut self, class: &str, steps: &str) {
        if !steps.is_empty() {
            self.push(format_args!("<path class=\"{class}\" d=\"{steps}\"/>\n"));
        }
    }

    fn line(&mut self, class: &str, from: (Px, Px), to: (Px, Px)) {
        let steps = format!("M{} {}L{} {}", from.0, from.1, to.0, to.1);
        self.path(class, &steps);
    }

    fn dot(&mut self, class: &str, at: (Px, Px)) {
        self.push(format_args!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"2.5\"/>\n",
            at.0, at.1
        ));
    }

    /// `anchor` is start, middle or end.
    fn text(&mut self, at: (Px, Px), anchor: &str, text: &str) {
        self.push(format_args!(
            "<text class=\"t\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>\n",
            at.0,
            at.1,
            html(text)
        ));
    }

    /// Lines across, and their labels to the left.
    fn rows(&mut self, frame: Frame, ticks: &[(Px, String)]) {
        for (y, label) in ticks {
            self.line("g", (Px(frame.left), *y), (Px(frame.right), *y));
            self.text((Px(frame.left - 50), Px(y.0 + 40)), "end", label);
        }
    }

    /// Lines upwards, and their labels below as far as they don't touch.
    fn columns(&mut self, frame: Frame, ticks: &[(Px, String)]) {
        let mut free = i64::MIN;
        for (x, label) in ticks {
            self.line("g", (*x, Px(frame.top)), (*x, Px(frame.bottom)));
            // So wide is a figure of these fonts, and more is not at hand to measure it by.
            let half = i64::try_from(label.chars().count()).unwrap_or(0) * 35;
            let (anchor, from) = if x.0 + half > frame.right + 60 {
                ("end", x.0 - 2 * half)
            } else {
                ("middle", x.0 - half)
            };
            if from > free {
                self.text((*x, Px(frame.bottom + 140)), anchor, label);
                free = from + 2 * half + 30;
            }
        }
    }

    /// The two axes.
    fn axes(&mut self, frame: Frame) {
        self.path(
            "a",
            &format!(
                "M{} {}V{}H{}",
                Px(frame.left),
                Px(frame.top),
                Px(frame.bottom),
                Px(frame.right)
            ),
        );
    }
}

/// How long after a start.
fn since(passed: Nanos) -> String {
    words::at(RunTime(0).plus(passed))
}

/// What is told of an instant: a number that the list of events has too, and what it says.
#[derive(Debug, Clone)]
pub(super) struct Flag {
    pub(super) at: RunTime,
    pub(super) number: usize,
    pub(super) text: String,
}
