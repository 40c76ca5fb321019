//! What the run knows of one agent.

use std::collections::BTreeMap;

use nepho_common::{
    control::Phase,
    event::StartOrder,
    id::{Seq, SpoolId, StageName},
    time::{ClockOffset, Mono, Nanos},
};

use super::wish::Wish;

#[derive(Debug)]
pub(super) struct Member {
    /// Where it said that it stands; `None` until it said anything.
    pub(super) phase: Option<Phase>,
    pub(super) last_heard: Mono,
    pub(super) lost: bool,
    /// From the burst after arming; the offset and the shortest round trip.
    pub(super) clock: Option<(ClockOffset, Nanos)>,
    /// Its start of the present stage.
    pub(super) start: Option<StartOrder>,
    /// Up to where the store has its spools.
    pub(super) durable: BTreeMap<SpoolId, Seq>,
    /// What was last sent and when.
    pub(super) asked: Option<(Wish, Mono)>,
}

impl Member {
    pub(super) const fn new(now: Mono) -> Self {
        Self {
            phase: None,
            last_heard: now,
            lost: false,
            clock: None,
            start: None,
            durable: BTreeMap::new(),
            asked: None,
        }
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
    pub(super) fn is_done(&self, stage: &StageName) -> bool {
        let gone = matches!(self.phase, Some(Phase::Unknown | Phase::Stopped));
        self.is_collected(stage) || gone || !self.is_active()
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
