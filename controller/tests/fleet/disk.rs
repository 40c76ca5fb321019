//! A disk under a spool: what was synced survives a crash, what was not is gone, and for a while
//! there may be no room.

use nepho_agent_core::engine::Input;
use nepho_common::{
    id::Seq,
    journal::Entry,
    time::{Mono, Nanos},
};

use crate::{chance::Chance, check::Sabotage};

/// How long a spool waits before it tries a full disk again.
const RETRY_AFTER: Nanos = Nanos::from_secs(1);

#[derive(Debug)]
pub(crate) struct Disk {
    /// Survives a crash. Never shrinks, so that the checks can look back.
    pub(crate) synced: Vec<Entry>,
    /// In the spool's hands, not on disk; with what the engine hears when it is.
    waiting: Vec<(Entry, Option<Input>)>,
    /// When the disk is done with what waits.
    done: Option<Mono>,
    full_until: Option<Mono>,
    /// Records that a crash took before they were on disk.
    pub(crate) forgotten: u32,
    /// Writes that the disk had no room for.
    pub(crate) refused: u32,
    sabotage: Sabotage,
}

impl Disk {
    pub(crate) const fn new(sabotage: Sabotage) -> Self {
        Self {
            synced: Vec::new(),
            waiting: Vec::new(),
            done: None,
            full_until: None,
            forgotten: 0,
            refused: 0,
            sabotage,
        }
    }

    /// The last record that is on disk.
    pub(crate) fn last(&self) -> Seq {
        Seq(self.synced.len() as u64)
    }

    /// The number of the next record. What a crash took was never sent, so its number is free.
    pub(crate) fn next(&self) -> Seq {
        Seq((self.synced.len() + self.waiting.len()) as u64 + 1)
    }

    /// Up to here records may be sent.
    pub(crate) fn sendable(&self) -> Seq {
        match self.sabotage {
            Sabotage::SendBeforeSync => Seq(self.next().0 - 1),
            Sabotage::None
            | Sabotage::AckBeforeStore
            | Sabotage::StoreTwice
            | Sabotage::Invent
            | Sabotage::LoseSamples
            | Sabotage::DropWhenFull
            | Sabotage::HideSleep => self.last(),
        }
    }

    pub(crate) fn read(&self, seq: Seq) -> &Entry {
        let place = usize::try_from(seq.0 - 1).unwrap();
        let waiting = || &self.waiting[place - self.synced.len()].0;
        self.synced.get(place).unwrap_or_else(waiting)
    }

    pub(crate) fn write(&mut self, entry: Entry, then: Option<Input>) {
        self.waiting.push((entry, then));
    }

    pub(crate) const fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn fill(&mut self, until: Mono) {
        self.full_until = Some(until);
    }

    /// What waits is written and synced, a few milliseconds after it came, all with one sync.
    pub(crate) fn turn(&mut self, now: Mono, chance: &mut Chance) -> Vec<Input> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let done = *self
            .done
            .get_or_insert_with(|| now.plus(Nanos::from_millis(1 + chance.below(30))));
        if now < done {
            return Vec::new();
        }
        if self.full_until.is_some_and(|until| now < until) {
            self.refused += 1;
            if self.sabotage == Sabotage::DropWhenFull {
                return self.settle(true);
            }
            self.done = Some(now.plus(RETRY_AFTER));
            return Vec::new();
        }
        self.settle(false)
    }

    fn settle(&mut self, drop_recordings: bool) -> Vec<Input> {
        self.done = None;
        let mut heard = Vec::new();
        for (mut entry, then) in self.waiting.drain(..) {
            if let (true, nepho_common::journal::Body::Recordings(all)) =
                (drop_recordings, &mut entry.body)
            {
                all.clear();
            }
            self.synced.push(entry);
            heard.extend(then);
        }
        heard
    }

    pub(crate) fn crash(&mut self) {
        self.forgotten += u32::try_from(self.waiting.len()).unwrap();
        self.waiting.clear();
        self.done = None;
    }
}
