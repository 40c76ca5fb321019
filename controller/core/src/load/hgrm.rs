//! The percentile table that HdrHistogram's plotter reads, as its Java original prints it and wrk2
//! with it: five steps in each half of the way that is left to 100 %.

use std::fmt::{self, Write as _};

use nepho_common::histogram::{BINS, Histogram, range_of};

/// Steps in each half of what is left (G. Tene, HdrHistogram: its own default).
const TICKS: u32 = 5;
/// Of an HDR histogram with our bounds: what its footer says.
const SUB_BUCKETS: u32 = 2_048;

/// The table, in milliseconds.
pub(super) fn table(times: &Histogram) -> String {
    let mut text = String::new();
    write(&mut text, times).expect("a text takes whatever is written");
    text
}

fn write(text: &mut String, times: &Histogram) -> fmt::Result {
    writeln!(
        text,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let all = times.count();
    let most = times.max().map_or(0, |max| max.0);
    // The next percentile that is looked for, and how many values lie at or below its row.
    let (mut percentile, mut below) = (0.0, 0u64);
    for (bin, n) in times.bins() {
        below = below.saturating_add(n);
        let value = range_of(bin).1.min(most);
        while 100.0 * float(below) / float(all) >= percentile {
            row(text, value, percentile, below)?;
            if below >= all {
                break;
            }
            percentile += 100.0 / f64::from(ticks(percentile));
        }
    }
    if all > 0 {
        writeln!(text, "{:>12.3} {:>2.12} {all:>10}", millis(most), 1.0)?;
    }
    let (mean, deviation) = moments(times);
    writeln!(
        text,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    )?;
    writeln!(
        text,
        "#[Max     = {:>12.3}, Total count    = {all:>12}]",
        millis(most)
    )?;
    let buckets = BINS / (SUB_BUCKETS / 2) - 1;
    writeln!(
        text,
        "#[Buckets = {buckets:>12}, SubBuckets     = {SUB_BUCKETS:>12}]"
    )
}

fn row(text: &mut String, value: u64, percentile: f64, below: u64) -> fmt::Result {
    let share = percentile / 100.0;
    let rest = 1.0 / (1.0 - share);
    writeln!(
        text,
        "{:>12.3} {share:>2.12} {below:>10} {rest:>14.2}",
        millis(value)
    )
}

/// Into how many steps the whole would be cut where this percentile is: twice as many in each half.
fn ticks(percentile: f64) -> u32 {
    let mut ticks = 2 * TICKS;
    let mut left = 50.0;
    // Beyond 2^27 values a step is less than one of them.
    while 100.0 - percentile <= left && ticks < TICKS << 28 {
        ticks *= 2;
        left /= 2.0;
    }
    ticks
}

/// Mean and standard deviation in milliseconds: the mean is exact, what varies around it is known to
/// one part in a thousand.
fn moments(times: &Histogram) -> (f64, f64) {
    if times.count() == 0 {
        return (0.0, 0.0);
    }
    #[expect(clippy::cast_precision_loss, reason = "three decimals are printed")]
    let mean = times.sum() as f64 / 1e6 / float(times.count());
    let most = times.max().map_or(0, |max| max.0);
    let off = times.bins().map(|(bin, n)| {
        let (low, high) = range_of(bin);
        let off = millis(u64::midpoint(low, high.min(most).max(low))) - mean;
        off * off * float(n)
    });
    (mean, (off.sum::<f64>() / float(times.count())).sqrt())
}

fn millis(nanos: u64) -> f64 {
    float(nanos) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "few decimals are printed")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use nepho_common::time::Nanos;

    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut times = Histogram::default();
        values
            .into_iter()
            .for_each(|value| times.record(Nanos(value)));
        times
    }

    /// Value, percentile, count and the last column, as any reader takes the rows.
    fn rows(text: &str) -> Vec<(f64, f64, u64, Option<f64>)> {
        let lines = text.lines().skip(2).filter(|line| !line.starts_with('#'));
        let row = |line: &str| {
            let mut columns = line.split_whitespace();
            let mut next = || columns.next();
            let number = |text: Option<&str>| text.unwrap().parse::<f64>().unwrap();
            let (value, percentile) = (number(next()), number(next()));
            let count = next().unwrap().parse().unwrap();
            (
                value,
                percentile,
                count,
                next().map(|last| last.parse().unwrap()),
            )
        };
        lines.map(row).collect()
    }

    #[test]
    fn the_table_of_ten_thousand_values_is_the_one_of_the_original() {
        // 0.1 ms to 1 s in steps of 0.1 ms. Percentiles and counts are those that the Java program
        // prints of 100, 200, ..., 1,000,000; the values lie in bins of our width.
        let text = table(&of((1..=10_000).map(|n| n * 100_000)));
        let found = rows(&text);
        for (nth, percentile, count, rest) in [
            (0, 0.0, 1, 1.0),
            (1, 0.1, 1_000, 1.11),
            (2, 0.2, 2_000, 1.25),
            (4, 0.4, 4_000, 1.67),
            (5, 0.5, 5_000, 2.0),
            (6, 0.55, 5_500, 2.22),
        ] {
            let (_, at, below, last) = found[nth];
            assert!((at - percentile).abs() < 1e-9, "row {nth}: {at}");
            // A bin may hold a few more than are asked for.
            assert!((count..count + 10).contains(&below), "row {nth}: {below}");
            assert_eq!(last, Some(rest));
        }
        assert_eq!(found.last(), Some(&(1_000.0, 1.0, 10_000, None)));
        assert!(
            text.ends_with(
                "#[Mean    =      500.050, StdDeviation   =      288.675]\n\
             #[Max     =     1000.000, Total count    =        10000]\n\
             #[Buckets =           23, SubBuckets     =         2048]\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn each_row_holds_the_value_of_its_percentile() {
        let times = of((1..=3_000).map(|n| n * n * 977));
        let mut last = 0;
        for (value, percentile, below, _) in rows(&table(&times)) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rank"
            )]
            let rank = ((percentile * 3_000.0 - 1e-6).ceil() as u64).max(1);
            let (_, high) = times.at_rank(rank).unwrap();
            assert!(
                (value - millis(high.0)).abs() < 0.000_6,
                "{percentile}: {value} and {high}"
            );
            assert!(below >= rank && below >= last, "{percentile}");
            last = below;
        }
        assert_eq!(last, 3_000);
    }

    #[test]
    fn one_value_is_every_percentile_and_none_is_an_empty_table() {
        insta::assert_snapshot!("one", table(&of([1_500_000])));
        insta::assert_snapshot!("none", table(&Histogram::default()));
    }
}
