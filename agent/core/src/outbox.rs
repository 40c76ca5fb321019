//! Which records of the spool are to be sent next, and which may be deleted.
//!
//! Sending is at least once: after a new connection everything that is not acknowledged goes out
//! again, and the store counts it once.

use nepho_common::id::Seq;

/// How many records may be on their way without an acknowledgement: 256 of at most 256 KiB.
pub const WINDOW: u64 = 256;

/// The send window over one spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outbox {
    written: Seq,
    sent: Seq,
    acked: Seq,
}

impl Outbox {
    /// An outbox over a spool in which everything up to `acked` was acknowledged and everything up
    /// to `written` is on disk.
    #[must_use]
    pub const fn new(acked: Seq, written: Seq) -> Self {
        Self {
            written,
            sent: acked,
            acked,
        }
    }

    /// A record has reached the disk.
    pub fn wrote(&mut self, seq: Seq) {
        self.written = self.written.max(seq);
    }

    /// A new connection: what was on its way on the old one may be lost.
    pub const fn reconnected(&mut self) {
        self.sent = self.acked;
    }

    /// The next record to send, which then counts as sent. `None`: wait for an acknowledgement or
    /// for something to be written.
    pub fn next_to_send(&mut self) -> Option<Seq> {
        let next = self.sent.next();
        if next > self.written || next.0 > self.acked.0 + WINDOW {
            return None;
        }
        self.sent = next;
        Some(next)
    }

    /// The store has committed everything up to `seq`. Returns whether that is news.
    ///
    /// An acknowledgement beyond what was written is not believed: it would delete what is yet to
    /// come.
    pub fn acknowledged(&mut self, seq: Seq) -> bool {
        if seq <= self.acked || seq > self.written {
            return false;
        }
        self.acked = seq;
        self.sent = self.sent.max(seq);
        true
    }

    /// Everything up to here has been committed by the store.
    #[must_use]
    pub const fn acked(&self) -> Seq {
        self.acked
    }

    /// How many records are on disk and not acknowledged.
    #[must_use]
    pub const fn owed(&self) -> u64 {
        self.written.0 - self.acked.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_on_its_way_goes_out_again_after_a_reconnect() {
        let mut outbox = Outbox::new(Seq(0), Seq(3));
        let mut sent = Vec::new();
        while let Some(seq) = outbox.next_to_send() {
            sent.push(seq.0);
        }
        assert_eq!(sent, [1, 2, 3]);
        assert!(outbox.acknowledged(Seq(1)));
        outbox.reconnected();
        assert_eq!((outbox.next_to_send(), outbox.owed()), (Some(Seq(2)), 2));
    }

    #[test]
    fn the_window_bounds_what_is_on_its_way() {
        let mut outbox = Outbox::new(Seq(0), Seq(10_000));
        while outbox.next_to_send().is_some() {}
        assert!(outbox.acknowledged(Seq(1)));
        assert_eq!(outbox.next_to_send(), Some(Seq(WINDOW + 1)));
        assert_eq!(outbox.next_to_send(), None);
    }

    #[test]
    fn an_acknowledgement_of_the_future_or_the_past_is_no_news() {
        let mut outbox = Outbox::new(Seq(2), Seq(3));
        assert!(!outbox.acknowledged(Seq(9)));
        assert!(!outbox.acknowledged(Seq(1)));
        assert_eq!(outbox.acked(), Seq(2));
    }
}
