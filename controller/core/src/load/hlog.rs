//! The interval log of HdrHistogram, version 1.3: a histogram for each second, which its analyzers
//! add up, cut and plot. Values are nanoseconds.

use std::{
    io,
    time::{Duration, UNIX_EPOCH},
};

use hdrhistogram::{
    Histogram as Hdr,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};
use nepho_common::{
    histogram::{HIGHEST, Histogram, range_of},
    time::{Nanos, WallMillis},
};

/// Times of the requests that were due in one interval, from the start.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) from: Nanos,
    pub(super) lasts: Nanos,
    /// Nothing for the times that a reader wants who does not know of tags.
    pub(super) tag: Option<&'static str>,
    pub(super) times: &'a Histogram,
}

/// The log of a load that started at this time.
pub(super) fn log<'a>(
    began: WallMillis,
    about: &str,
    lines: impl IntoIterator<Item = Line<'a>>,
) -> io::Result<Vec<u8>> {
    let began = UNIX_EPOCH + Duration::from_millis(u64::try_from(began.0).unwrap_or(0));
    let mut text = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(about)
        .with_start_time(began)
        // Without it some readers take short times for what they are not.
        .with_base_time(began)
        // The column for people is in milliseconds.
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut text, &mut serializer)?;
    for line in lines {
        let tag = line
            .tag
            .map(|tag| Tag::new(tag).expect("our tags are plain words"));
        let (from, lasts) = (
            Duration::from_nanos(line.from.0),
            Duration::from_nanos(line.lasts.0),
        );
        log.write_histogram(&dense(line.times), from, lasts, tag)
            .map_err(io::Error::other)?;
    }
    Ok(text)
}

/// The same counts in the same bins.
fn dense(times: &Histogram) -> Hdr<u64> {
    let mut dense = Hdr::new_with_bounds(1_000, HIGHEST, 3).expect("the bounds of layout 1");
    for (bin, n) in times.bins() {
        let value = range_of(bin).0;
        dense
            .record_n(value, n)
            .expect("every bin lies within the bounds");
    }
    dense
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };

    use super::*;

    #[test]
    fn a_reader_of_the_format_finds_the_same_percentiles() {
        let of = |second: u64| {
            let mut times = Histogram::default();
            (1..=5_000).for_each(|n| times.record(Nanos(second * 1_000_000 + n * n * 37)));
            times
        };
        let (first, second, tagged) = (of(1), of(50), of(3));
        let line = |from: u64, tag, times| Line {
            from: Nanos::from_secs(from),
            lasts: Nanos::from_millis(500 + 500 * from),
            tag,
            times,
        };
        let lines = [
            line(1, None, &first),
            line(1, Some("service"), &tagged),
            line(2, None, &second),
        ];
        let text = log(WallMillis(1_700_000_000_250), "of a test", lines).unwrap();
        let head = String::from_utf8_lossy(&text).into_owned();
        assert!(
            head.starts_with("#[Histogram log format version 1.3]\n#of a test\n"),
            "{head}"
        );

        let entries: Vec<_> = IntervalLogIterator::new(&text)
            .map(Result::unwrap)
            .collect();
        let start = Duration::from_millis(1_700_000_000_250);
        assert_eq!(entries[0], LogEntry::StartTime(start));
        assert_eq!(entries[1], LogEntry::BaseTime(start));
        let expected = [
            (1, None, &first),
            (1, Some("service"), &tagged),
            (2, None, &second),
        ];
        assert_eq!(entries.len(), 2 + expected.len());
        for (entry, (from, tag, times)) in entries[2..].iter().zip(expected) {
            let LogEntry::Interval(interval) = entry else {
                panic!("{entry:?}");
            };
            assert_eq!(interval.start_timestamp(), Duration::from_secs(from));
            assert_eq!(interval.duration(), Duration::from_millis(500 + 500 * from));
            assert_eq!(interval.tag().map(|tag| tag.as_str()), tag);
            // The column for people, in milliseconds.
            let most = times.at_rank(times.count()).unwrap().1;
            let micros = f64::from(u32::try_from(most.0 / 1_000).unwrap());
            assert!((interval.max() * 1_000.0 / micros - 1.0).abs() < 0.002);
            let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
            let read: Hdr<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            assert_eq!(read.len(), times.count());
            for (num, den) in [(1u32, 2u32), (9, 10), (99, 100), (999, 1_000)] {
                let share = f64::from(num) / f64::from(den);
                let ours = times.quantile(num.into(), den.into()).unwrap().0;
                assert_eq!(read.value_at_quantile(share), ours, "{num} of {den}");
            }
        }
    }
}
