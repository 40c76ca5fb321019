//! What the run knows of one agent.

use std::collections::BTreeMap;

use nepho_common::{
    control::Phase,
    event::StartOrder,
    id::{Seq, SpoolId, StageName},
    time::Mono,
};

use super::{LOST_AFTER, wish::Wish};
use crate::clock::Reading;

#[derive(Debug)]
pub(super) struct Member {
    /// Where it said that it stands; `None` until it said anything.
    pub(super) phase: Option<Phase>,
    pub(super) last_heard: Mono,
    /// Not called lost before: it may not know yet that the controller is back.
    grace: Mono,
    pub(super) lost: bool,
    /// Since when it is lost, or was when it was lost last.
    pub(super) lost_since: Option<Mono>,
    /// From the burst after arming; the offset and the shortest round trip.
    pub(super) clock: Option<Reading>,
    /// It can go on with a stage after a restart.
    pub(super) resumes: bool,
    /// It was restarted in the present stage and is to go on with it.
    pub(super) again: bool,
    /// What the process that is here found in its spool: it arrives without being asked for.
    pub(super) owes: Option<(SpoolId, Seq)>,
    /// Its start of the present stage.
    pub(super) start: Option<StartOrder>,
    /// Up to where the store has its spools.
    pub(super) durable: BTreeMap<SpoolId, Seq>,
    /// What was last sent and when.
    pub(super) asked: Option<(Wish, Mono)>,
}

impl Member {
    pub(super) const fn new(now: Mono, resumes: bool) -> Self {
        Self {
            phase: None,
            last_heard: now,
            grace: now,
            resumes,
            again: false,
            owes: None,
            lost: false,
            lost_since: None,
            clock: None,
            start: None,
            durable: BTreeMap::new(),
            asked: None,
        }
    }

    /// One of a run that is taken up.
    pub(super) fn returning(now: Mono, grace: Mono) -> Self {
        Self {
            grace,
            ..Self::new(now, false)
        }
    }

    /// After this it is lost, unless it is heard of.
    pub(super) fn lost_at(&self) -> Mono {
        self.last_heard.plus(LOST_AFTER).max(self.grace)
    }

    /// It says where it stands. In a stage that is `running`, what it sealed is not taken back by a
    /// later process that knows nothing of it.
    pub(super) fn note(&mut self, phase: Phase, running: bool) {
        if !running || phase != Phase::Unknown || !self.is_sealed() {
            self.phase = Some(phase);
        }
    }

    pub(super) fn is_sealed(&self) -> bool {
        matches!(self.phase, Some(Phase::Sealed { .. }))
    }

    /// Something that an earlier process had on disk is on its way.
    fn is_owing(&self) -> bool {
        self.owes.is_some_and(|(spool, seq)| {
            let durable = self.durable.get(&spool).copied().unwrap_or_default();
            durable < seq
        })
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.phase, Some(Phase::Refused(_)))
    }

    /// It can still do something in this run.
    pub(super) fn is_active(&self) -> bool {
        !self.lost && !self.is_refused()
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.phase, Some(Phase::Unknown))
    }

    pub(super) fn is_prepared(&self) -> bool {
        !matches!(self.phase, None | Some(Phase::Unknown | Phase::Refused(_)))
    }

    pub(super) fn is_armed(&self, stage: &StageName) -> bool {
        matches!(&self.phase, Some(Phase::Armed(armed)) if armed == stage)
    }

    /// A stop would change something.
    pub(super) fn is_stoppable(&self) -> bool {
        match &self.phase {
            None | Some(Phase::Unknown | Phase::Refused(_) | Phase::Stopped) => false,
            Some(Phase::Sealed { .. }) => false,
            Some(
                Phase::Prepared
                | Phase::Armed(_)
                | Phase::Scheduled(_)
                | Phase::Running(_)
                | Phase::Draining(_),
            ) => true,
        }
    }

    /// Everything of this stage is in the store.
    pub(super) fn is_collected(&self, wanted: &StageName) -> bool {
        match &self.phase {
            Some(Phase::Sealed { stage, spool, seal }) if stage == wanted => self
                .durable
                .get(spool)
                .is_some_and(|durable| durable >= seal),
            _ => false,
        }
    }

    /// Nothing more of this stage will come from it: it is collected, or gone.
    /// `over` when the stage's time is up: what was not resumed until then is not resumed any more.
    pub(super) fn is_done(&self, stage: &StageName, over: bool) -> bool {
        let gone = match &self.phase {
            Some(Phase::Stopped) => true,
            Some(Phase::Unknown) => !self.again || over,
            Some(Phase::Prepared | Phase::Armed(_)) => self.again && over,
            None
            | Some(
                Phase::Refused(_)
                | Phase::Scheduled(_)
                | Phase::Running(_)
                | Phase::Draining(_)
                | Phase::Sealed { .. },
            ) => false,
        };
        self.is_collected(stage) || (gone && !self.is_owing()) || !self.is_active()
    }

    /// For people: what it is doing.
    pub(super) fn describe(&self) -> String {
        if self.lost {
            return "is lost".to_owned();
        }
        match &self.phase {
            None => "has not answered".to_owned(),
            Some(Phase::Unknown) => "does not know the run (it was restarted)".to_owned(),
            Some(Phase::Refused(why)) => format!("refuses: {why}"),
            Some(Phase::Prepared) => "is prepared".to_owned(),
            Some(Phase::Armed(_)) => "is armed".to_owned(),
            Some(Phase::Scheduled(_)) => "waits for the start".to_owned(),
            Some(Phase::Running(_)) => "is at work".to_owned(),
            Some(Phase::Draining(_)) => "waits for the last answers".to_owned(),
            Some(Phase::Sealed { .. }) => "is sending its results".to_owned(),
            Some(Phase::Stopped) => "has stopped".to_owned(),
        }
    }
}
