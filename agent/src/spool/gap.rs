//! What is said in the place of records that are lost, under their own numbers: the controller's
//! store acknowledges only what it has without a gap.

use nepho_common::{
    event::{Event, What},
    id::{Attempt, RunId, Seq},
    journal::{Body, FORMAT, Record, RecordKey, RecordKind},
    time::{ClockEpoch, Mono, WallMillis},
};
use nepho_proto::journal;

/// How far to look for a neighbour whose run is known.
pub(super) const NEIGHBOURS: usize = 1000;

/// Records that can't be read, one after the other.
#[derive(Debug)]
pub(super) struct Hole {
    pub(super) from: Seq,
    pub(super) to: Seq,
    /// Whose run their neighbour is of.
    pub(super) run: RunId,
    pub(super) attempt: Attempt,
}

impl Hole {
    pub(super) fn holds(&self, seq: Seq) -> bool {
        (self.from..=self.to).contains(&seq)
    }

    /// Each says that it is lost itself, no more: so it is the same whenever it is sent again. Nobody
    /// knows when it came about.
    pub(super) fn record(&self, key: RecordKey) -> Record {
        let event = Event {
            at: Mono(0),
            epoch: ClockEpoch(0),
            wall: WallMillis(0),
            what: What::Gap {
                from: key.seq,
                to: key.seq,
            },
        };
        Record {
            format: FORMAT,
            kind: RecordKind::Events,
            version: journal::version(RecordKind::Events),
            payload: journal::payload(&self.run, self.attempt, &Body::Events(vec![event])),
            run: self.run.clone(),
            key,
        }
    }
}
