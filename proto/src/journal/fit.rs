//! Recordings in portions that one payload may hold.

use std::sync::Arc;

use nepho_common::recording::Recording;
use prost::Message as _;

use crate::{
    limits::{BATCH_MAX, ENTRIES_MAX, HISTOGRAM_MAX},
    wire,
};

/// What one recording costs in a payload beside its own bytes: its field number and its length.
const FRAME: usize = 5;

/// The recordings in their order, in groups that each make one payload of at most [`BATCH_MAX`].
///
/// A histogram above [`HISTOGRAM_MAX`] is split in two, again and again: merging what comes out
/// gives what went in.
#[must_use]
pub fn fit(recordings: Vec<Recording>) -> Vec<Vec<Recording>> {
    let mut groups: Vec<Vec<Recording>> = Vec::new();
    let mut room = 0;
    for recording in recordings.into_iter().flat_map(narrow) {
        let size = wire::Recording::from(&recording).encoded_len() + FRAME;
        match groups.last_mut() {
            Some(group) if size <= room && group.len() < ENTRIES_MAX => {
                room -= size;
                group.push(recording);
            }
            Some(_) | None => {
                // The frame of the payload itself: run and attempt.
                room = BATCH_MAX.saturating_sub(size + 128);
                groups.push(vec![recording]);
            }
        }
    }
    groups
}

fn narrow(recording: Recording) -> Vec<Recording> {
    let too_wide = wire::Histogram::from(&recording.histogram).encoded_len() > HISTOGRAM_MAX;
    let halves = too_wide.then(|| recording.histogram.split()).flatten();
    match halves {
        Some((lower, upper)) => {
            let half = |histogram| Recording {
                histogram,
                series: Arc::clone(&recording.series),
                interval: recording.interval,
            };
            let mut narrowed = narrow(half(lower));
            narrowed.extend(narrow(half(upper)));
            narrowed
        }
        None => vec![recording],
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        histogram::{BINS, Histogram, range_of},
        id::Attempt,
        journal::Body,
        time::Nanos,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::recording;

    /// A histogram with something in every `step`-th bin, and so many that its counts are long.
    fn wide(step: usize) -> Histogram {
        let mut histogram = Histogram::default();
        (0..BINS)
            .step_by(step)
            .for_each(|bin| histogram.record(Nanos(range_of(bin).0)));
        // Doubling 40 times makes each count six bytes long.
        for _ in 0..40 {
            let same = histogram.clone();
            histogram.merge(&same);
        }
        histogram
    }

    fn merged(groups: &[Vec<Recording>]) -> Histogram {
        let mut sum = Histogram::default();
        groups
            .iter()
            .flatten()
            .for_each(|recording| sum.merge(&recording.histogram));
        sum
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn what_comes_out_merges_to_what_went_in_and_every_payload_reads_back(
            recording in recording(), step in 1usize..6, copies in 1usize..4,
        ) {
            let wide = Recording { histogram: wide(step), ..recording.clone() };
            let input = [vec![wide; copies], vec![recording.clone(); 20]].concat();
            let groups = fit(input.clone());
            prop_assert_eq!(merged(&groups), merged(&[input]));
            let (run, attempt) = (&recording.series.run, Attempt(1));
            for group in groups {
                prop_assert!(!group.is_empty());
                let small = |one: &Recording| {
                    wire::Histogram::from(&one.histogram).encoded_len() <= HISTOGRAM_MAX
                };
                prop_assert!(group.iter().all(small));
                let payload = crate::journal::payload(run, attempt, &Body::Recordings(group));
                prop_assert!(payload.len() <= BATCH_MAX, "{}", payload.len());
            }
        }
    }

    #[test]
    fn the_widest_histogram_of_all_is_split() {
        let whole = wide(1);
        assert!(wire::Histogram::from(&whole).encoded_len() > HISTOGRAM_MAX);
    }

    #[test]
    fn nothing_makes_no_payload() {
        assert_eq!(fit(Vec::new()), Vec::<Vec<Recording>>::new());
    }
}
