//! Recordings with their intervals and histograms.

use nepho_common::{
    histogram::{Histogram, Sparse},
    recording::Recording,
    time::Interval,
};
use prost::Message as _;

use super::field::{at_most, part, run_time};
use crate::{
    bad::{BadMessage, Wrong},
    limits::HISTOGRAM_MAX,
    wire,
};

impl TryFrom<wire::Recording> for Recording {
    type Error = BadMessage;

    fn try_from(wire: wire::Recording) -> Result<Self, BadMessage> {
        Ok(Self {
            series: part("series", wire.series)?,
            interval: part("interval", wire.interval)?,
            histogram: part("histogram", wire.histogram)?,
        })
    }
}

impl From<&Recording> for wire::Recording {
    fn from(recording: &Recording) -> Self {
        Self {
            series: Some((&recording.series).into()),
            interval: Some((&recording.interval).into()),
            histogram: Some((&recording.histogram).into()),
        }
    }
}

impl TryFrom<wire::Interval> for Interval {
    type Error = BadMessage;

    fn try_from(wire: wire::Interval) -> Result<Self, BadMessage> {
        let (from, to) = (run_time("from", wire.from)?, run_time("to", wire.to)?);
        if from > to {
            return Err(Wrong::Backwards.into());
        }
        Ok(Self { from, to })
    }
}

impl From<&Interval> for wire::Interval {
    fn from(interval: &Interval) -> Self {
        Self {
            from: interval.from.0,
            to: interval.to.0,
        }
    }
}

impl TryFrom<wire::Histogram> for Histogram {
    type Error = BadMessage;

    fn try_from(wire: wire::Histogram) -> Result<Self, BadMessage> {
        at_most("", wire.encoded_len(), HISTOGRAM_MAX)?;
        let sparse = Sparse {
            layout: wire.layout,
            count: wire.count,
            overflow: wire.overflow,
            min: wire.min,
            max: wire.max,
            sum: u128::from(wire.sum_high) << 64 | u128::from(wire.sum),
            gap: wire.gap,
            n: wire.n,
        };
        Ok(Self::from_sparse(&sparse)?)
    }
}

impl From<&Histogram> for wire::Histogram {
    fn from(histogram: &Histogram) -> Self {
        let sparse = histogram.to_sparse();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the two halves of 128 bits"
        )]
        let (sum, sum_high) = (sparse.sum as u64, (sparse.sum >> 64) as u64);
        Self {
            layout: sparse.layout,
            count: sparse.count,
            overflow: sparse.overflow,
            min: sparse.min,
            max: sparse.max,
            sum,
            sum_high,
            gap: sparse.gap,
            n: sparse.n,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{histogram, recording, through};

    proptest! {
        #[test]
        fn a_recording_reads_back(recording in recording()) {
            prop_assert_eq!(through::<wire::Recording, _>(&recording), Ok(recording));
        }

        #[test]
        fn a_part_that_is_missing_is_named(recording in recording(), which in 0usize..3) {
            let mut wire = wire::Recording::from(&recording);
            let field = match which {
                0 => { wire.series = None; "series" }
                1 => { wire.interval = None; "interval" }
                _ => { wire.histogram = None; "histogram" }
            };
            let bad = Recording::try_from(wire).unwrap_err();
            prop_assert_eq!((bad.field.as_str(), bad.wrong), (field, Wrong::Missing));
        }

        #[test]
        fn an_interval_that_ends_before_it_begins_is_refused(
            from in -1000i64..1000, length in 1i64..1000,
        ) {
            let wire = wire::Interval { from, to: from - length };
            prop_assert_eq!(Interval::try_from(wire).unwrap_err().wrong, Wrong::Backwards);
        }

        #[test]
        fn a_histogram_with_one_number_changed_is_refused(histogram in histogram(), which in 0usize..5) {
            prop_assume!(histogram.count() > 0);
            let mut wire = wire::Histogram::from(&histogram);
            match which {
                0 => wire.layout += 1,
                1 => wire.count += 1,
                2 => wire.gap.push(1),
                3 => wire.n[0] += 1,
                _ => wire.sum_high = u64::MAX,
            }
            prop_assert!(matches!(Histogram::try_from(wire).unwrap_err().wrong, Wrong::Histogram(_)));
        }
    }

    #[test]
    fn a_histogram_above_its_cap_is_refused_before_it_is_looked_into() {
        let wire = wire::Histogram {
            n: vec![1; HISTOGRAM_MAX + 1],
            ..Default::default()
        };
        let wrong = Histogram::try_from(wire).unwrap_err().wrong;
        assert!(
            matches!(
                wrong,
                Wrong::TooMany {
                    max: HISTOGRAM_MAX,
                    ..
                }
            ),
            "{wrong}"
        );
    }
}
