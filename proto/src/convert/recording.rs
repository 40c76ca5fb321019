//! Recordings with their intervals.

use std::sync::Arc;

use nepho_common::{
    recording::{Recording, Series},
    time::Interval,
};

use super::field::{part, run_time};
use crate::{
    bad::{BadMessage, Wrong},
    wire,
};

impl TryFrom<wire::Recording> for Recording {
    type Error = BadMessage;

    fn try_from(wire: wire::Recording) -> Result<Self, BadMessage> {
        Ok(Self {
            series: Arc::new(part::<_, Series>("series", wire.series)?),
            interval: part("interval", wire.interval)?,
            histogram: part("histogram", wire.histogram)?,
        })
    }
}

impl From<&Recording> for wire::Recording {
    fn from(recording: &Recording) -> Self {
        Self {
            series: Some(recording.series.as_ref().into()),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{recording, through};

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
    }
}
