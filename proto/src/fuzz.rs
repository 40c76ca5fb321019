//! What must hold for any bytes from a stranger: they are refused, or they mean something that
//! reads back as the same. `scripts/fuzz` makes the bytes; the tests here replay what it kept.

use std::fmt::Debug;

use nepho_common::{
    control::Hello,
    histogram::{Histogram, Sparse},
    journal::{Body, Record},
    recording::Recording,
};
use prost::Message;

use crate::{
    bad::BadMessage,
    journal,
    limits::{AGENT_MESSAGE_MAX, BATCH_MAX, COMMAND_MAX, ENROLMENT_MAX, RESULTS_MAX},
    session::{
        Ack, AgentMessage, ControllerMessage, EnrolReply, EnrolRequest, ReissueRequest,
        RenewRequest,
    },
    wire,
};

/// How many kinds of messages [`message`] knows; the first byte of its input chooses.
pub const KINDS: u8 = 9;

/// Any message of the wire. Says whether it was believed.
///
/// # Panics
/// When what was believed does not read back as the same.
#[must_use]
pub fn message(input: &[u8]) -> bool {
    let Some((kind, bytes)) = input.split_first() else {
        return false;
    };
    match kind % KINDS {
        0 => through(AGENT_MESSAGE_MAX, bytes, |n: &AgentMessage| {
            wire::AgentMessage::from(n.clone())
        }),
        1 => from_controller(bytes),
        2 => through(RESULTS_MAX, bytes, |n: &Ack| wire::Ack::from(*n)),
        3 => through(ENROLMENT_MAX, bytes, |n: &EnrolRequest| {
            wire::EnrolRequest::from(n.clone())
        }),
        4 => through(ENROLMENT_MAX, bytes, |n: &RenewRequest| {
            wire::RenewRequest::from(n.clone())
        }),
        5 => through(ENROLMENT_MAX, bytes, |n: &ReissueRequest| {
            wire::ReissueRequest::from(n.clone())
        }),
        6 => through(ENROLMENT_MAX, bytes, |n: &EnrolReply| {
            wire::EnrolReply::from(n.clone())
        }),
        7 => through(AGENT_MESSAGE_MAX, bytes, |n: &Hello| wire::Hello::from(n)),
        _ => record(bytes),
    }
}

/// A histogram as it comes in a recording. Says whether it was believed.
///
/// # Panics
/// When what was believed does not read back, split, merge or rank as a histogram does.
#[must_use]
pub fn histogram(bytes: &[u8]) -> bool {
    histogram_kept(bytes, |sparse| sparse)
}

/// [`histogram`], with something that keeps the sparse form and gives it back: the fuzzer's
/// negative control is one that does it wrong.
///
/// # Panics
/// As [`histogram`].
#[must_use]
pub fn histogram_kept(bytes: &[u8], keep: impl Fn(Sparse) -> Sparse) -> bool {
    let Some(found) = wire::Histogram::decode(bytes)
        .ok()
        .and_then(|wire| Histogram::try_from(wire).ok())
    else {
        return false;
    };
    let kept = keep(found.to_sparse());
    assert_eq!(Histogram::from_sparse(&kept), Ok(found.clone()));
    let again = wire::Histogram::decode(wire::Histogram::from(&found).encode_to_vec().as_slice());
    assert_eq!(again.map(Histogram::try_from), Ok(Ok(found.clone())));
    let total: u128 = found.bins().map(|(_, n)| u128::from(n)).sum();
    assert_eq!(total, u128::from(found.count()));
    if let Some((lower, upper)) = found.split() {
        let mut merged = upper.clone();
        merged.merge(&lower);
        assert_eq!(merged, found);
        for half in [lower, upper] {
            assert_eq!(Histogram::from_sparse(&half.to_sparse()), Ok(half));
        }
    }
    let ranks: Vec<_> = [(0, 1), (1, 100), (1, 2), (99, 100), (999, 1000), (1, 1)]
        .into_iter()
        .filter_map(|(num, den)| found.quantile(num, den))
        .collect();
    assert!(ranks.is_sorted());
    assert!(ranks.last().copied() <= found.max());
    assert!(ranks.iter().all(|rank| Some(*rank) >= found.min()));
    true
}

/// A whole record and what its payload holds.
fn record(bytes: &[u8]) -> bool {
    let Ok(record) = journal::from_bytes(bytes) else {
        return false;
    };
    assert_eq!(
        journal::from_bytes(&journal::to_bytes(&record)),
        Ok(record.clone())
    );
    let Ok(entry) = journal::decode(&record) else {
        return false;
    };
    let again = Record {
        payload: journal::payload(&entry.run, entry.attempt, &entry.body),
        ..record
    };
    assert_eq!(journal::decode(&again), Ok(entry.clone()));
    if let Body::Recordings(all) = &entry.body {
        let groups = journal::fit(all.clone());
        assert_eq!(samples(&groups.concat()), samples(all));
        for group in groups {
            let payload = journal::payload(&entry.run, entry.attempt, &Body::Recordings(group));
            assert!(payload.len() <= BATCH_MAX);
        }
    }
    true
}

fn samples(all: &[Recording]) -> u128 {
    all.iter()
        .map(|one| u128::from(one.histogram.count()))
        .sum()
}

/// What can't be read is not said again as it was, but for whom it is.
fn from_controller(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| {
        let wire = wire::ControllerMessage::decode(bytes).ok()?;
        ControllerMessage::try_from(wire).ok()
    };
    let small = Some(bytes).filter(|bytes| bytes.len() <= COMMAND_MAX);
    let Some(strange @ ControllerMessage::Strange { .. }) = small.and_then(read) else {
        return through(COMMAND_MAX, bytes, |n: &ControllerMessage| {
            wire::ControllerMessage::from(n.clone())
        });
    };
    let whose = |message: &ControllerMessage| match message {
        ControllerMessage::Strange { key, .. } => Some(key.clone()),
        ControllerMessage::Welcome(_)
        | ControllerMessage::Ping(_)
        | ControllerMessage::Command(_)
        | ControllerMessage::Goodbye { .. } => None,
    };
    let said = wire::ControllerMessage::from(strange.clone()).encode_to_vec();
    assert_eq!(read(&said).as_ref().and_then(whose), whose(&strange));
    true
}

fn through<W, N>(max: usize, bytes: &[u8], out: impl Fn(&N) -> W) -> bool
where
    W: Message + Default,
    N: TryFrom<W, Error = BadMessage> + PartialEq + Debug,
{
    // The stream refuses what is longer before it is decoded.
    if bytes.len() > max {
        return false;
    }
    let Some(noun) = W::decode(bytes)
        .ok()
        .and_then(|wire| N::try_from(wire).ok())
    else {
        return false;
    };
    let said = out(&noun).encode_to_vec();
    let again = W::decode(said.as_slice()).map(N::try_from);
    assert_eq!(again.as_ref(), Ok(&Ok(noun)));
    // There is one way to say it.
    let twice = again
        .ok()
        .and_then(Result::ok)
        .map(|noun| out(&noun).encode_to_vec());
    assert_eq!(twice, Some(said));
    true
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use proptest::{
        strategy::{Strategy, ValueTree as _},
        test_runner::TestRunner,
    };

    use super::*;
    use crate::arbitrary::{self, session};

    /// The committed corpus and the seeds; those are written down when that is asked for.
    fn replay(target: &str, seeds: &[Vec<u8>], check: impl Fn(&[u8]) -> bool) {
        if let Some(dir) = std::env::var_os("NEPHO_FUZZ_SEEDS") {
            let dir = PathBuf::from(dir).join(target);
            fs::create_dir_all(&dir).unwrap();
            for (n, seed) in seeds.iter().enumerate() {
                fs::write(dir.join(format!("seed-{n:03}")), seed).unwrap();
            }
        }
        assert!(
            seeds.iter().all(|seed| check(seed)),
            "a seed is not believed"
        );
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/fuzz/corpus");
        let mut believed = 0;
        let mut refused = 0;
        for entry in fs::read_dir(PathBuf::from(corpus).join(target)).unwrap() {
            match check(&fs::read(entry.unwrap().path()).unwrap()) {
                true => believed += 1,
                false => refused += 1,
            }
        }
        assert!(believed > 10 && refused > 10, "{believed} {refused}");
    }

    fn drawn<N: Debug>(strategy: &impl Strategy<Value = N>, n: usize) -> Vec<N> {
        let mut runner = TestRunner::deterministic();
        (0..n)
            .map(|_| strategy.new_tree(&mut runner).unwrap().current())
            .collect()
    }

    fn said<W: Message, N: Debug>(
        kind: u8,
        strategy: &impl Strategy<Value = N>,
        out: impl Fn(N) -> W,
    ) -> Vec<Vec<u8>> {
        let with_kind = |noun| [vec![kind], out(noun).encode_to_vec()].concat();
        let all = drawn(strategy, 40).into_iter().map(with_kind);
        // Small ones: what is long hides what is in it.
        all.filter(|seed| seed.len() < 4096).take(12).collect()
    }

    #[test]
    fn every_message_that_the_fuzzer_kept_is_refused_or_reads_back() {
        let seeds = [
            said(0, &session::agent_message(), wire::AgentMessage::from),
            said(
                1,
                &session::controller_message(),
                wire::ControllerMessage::from,
            ),
            said(2, &session::ack(), wire::Ack::from),
            said(3, &session::enrol_request(), wire::EnrolRequest::from),
            said(4, &session::renew_request(), wire::RenewRequest::from),
            said(5, &session::reissue_request(), wire::ReissueRequest::from),
            said(6, &session::enrol_reply(), wire::EnrolReply::from),
            said(7, &session::hello(), |hello| wire::Hello::from(&hello)),
            said(8, &arbitrary::entry(), |entry| {
                wire::Record::from(arbitrary::record_of(&entry))
            }),
        ];
        replay("message", &seeds.concat(), message);
    }

    #[test]
    fn every_histogram_that_the_fuzzer_kept_is_refused_or_reads_back() {
        let seeds: Vec<_> = drawn(&arbitrary::histogram(), 40)
            .iter()
            .map(|histogram| wire::Histogram::from(histogram).encode_to_vec())
            .collect();
        replay("histogram", &seeds, histogram);
    }
}
