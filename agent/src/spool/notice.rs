//! What a spool that was full says of it when it has room again: results are divided less finely than
//! they were to be.

use std::collections::BTreeMap;

use nepho_common::{
    event::{Event, Shortage, What},
    id::{Attempt, RunId, StageName},
    journal::{Body, RecordKind},
    time::{ClockEpoch, Mono, Nanos, WallMillis},
};
use nepho_proto::journal;

use super::{Draft, merge::Merged};

/// What is to be said, by stage: of many merges the longest recording.
#[derive(Debug, Default)]
pub(super) struct Notices(BTreeMap<(RunId, Attempt, StageName, Shortage), Nanos>);

impl Notices {
    pub(super) fn note(&mut self, why: Shortage, merged: Vec<Merged>) {
        for one in merged {
            let key = (one.run, one.attempt, one.stage, why);
            let longest = self.0.entry(key).or_default();
            *longest = one.longest.max(*longest);
        }
    }

    /// What is to be written, when nothing could be for `waited`.
    pub(super) fn drafts(&self, waited: Nanos) -> Vec<Draft> {
        let draft = |(key, longest): (&(RunId, Attempt, StageName, Shortage), &Nanos)| {
            let (run, attempt, stage, why) = key;
            // The spool has no clock of the run: stamps would say something that nobody knows.
            let event = Event {
                at: Mono(0),
                epoch: ClockEpoch(0),
                wall: WallMillis(0),
                what: What::SpoolFull {
                    stage: stage.clone(),
                    why: *why,
                    waited,
                    longest: *longest,
                },
            };
            Draft {
                kind: RecordKind::Events,
                version: journal::version(RecordKind::Events),
                run: run.clone(),
                payload: journal::payload(run, *attempt, &Body::Events(vec![event])),
            }
        };
        self.0.iter().map(draft).collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
