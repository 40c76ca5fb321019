//! Which records of the spool are to be sent next, and which may be deleted.
//!
//! Sending is at least once: after a new connection everything that is not acknowledged goes out
//! again, and the store counts it once.

use std::collections::VecDeque;

use nepho_common::id::Seq;

/// How many records may be on their way without an acknowledgement. At the 250 ms round trip of the
/// farthest pair of regions, a thousand small records a second: many times what one agent makes.
pub const WINDOW: u64 = 256;

/// How many bytes of records may be on their way: with batches of 256 KiB sixteen of them, which
/// fills 100 Mbit/s at a round trip of 250 ms. It is also what a controller that does not answer
/// can make this side hold. Passed by one record at most, which may be larger by itself.
pub const WINDOW_BYTES: u64 = 4 << 20;

/// The send window over one spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    written: Seq,
    sent: Seq,
    acked: Seq,
    /// Sizes of what was sent and not acknowledged, of at most [`WINDOW`] records.
    on_way: VecDeque<(Seq, u64)>,
    bytes: u64,
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
            on_way: VecDeque::new(),
            bytes: 0,
        }
    }

    /// A record has reached the disk.
    pub fn wrote(&mut self, seq: Seq) {
        self.written = self.written.max(seq);
    }

    /// A new connection: what was on its way on the old one may be lost.
    pub fn reconnected(&mut self) {
        self.sent = self.acked;
        self.on_way.clear();
        self.bytes = 0;
    }

    /// The next record to send, which then counts as sent. `None`: wait for an acknowledgement or
    /// for something to be written.
    pub fn next_to_send(&mut self) -> Option<Seq> {
        let next = self.sent.next();
        let is_full = next.0 > self.acked.0 + WINDOW || self.bytes >= WINDOW_BYTES;
        if next > self.written || is_full {
            return None;
        }
        self.sent = next;
        Some(next)
    }

    /// The record that [`Self::next_to_send`] named last goes out, and is this large.
    pub fn goes_out(&mut self, bytes: u64) {
        self.on_way.push_back((self.sent, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
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
        while let Some((_, bytes)) = self.on_way.pop_front_if(|(sent, _)| *sent <= seq) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        true
    }

    /// Everything up to here has been committed by the store.
    #[must_use]
    pub const fn acked(&self) -> Seq {
        self.acked
    }

    /// How many records are on disk and not acknowledged: none when the disk forgot what was.
    #[must_use]
    pub const fn owed(&self) -> u64 {
        self.written.0.saturating_sub(self.acked.0)
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
    fn the_window_bounds_the_bytes_on_their_way_and_a_reconnect_frees_them() {
        let large = WINDOW_BYTES / 4 + 1;
        let mut outbox = Outbox::new(Seq(0), Seq(10_000));
        let fill = |outbox: &mut Outbox| {
            let mut sent = 0;
            while outbox.next_to_send().is_some() {
                outbox.goes_out(large);
                sent += 1;
            }
            sent
        };
        assert_eq!(fill(&mut outbox), 4);
        assert!(outbox.acknowledged(Seq(3)));
        assert_eq!(fill(&mut outbox), 3);
        outbox.reconnected();
        assert_eq!((fill(&mut outbox), outbox.owed()), (4, 9_997));
    }

    #[test]
    fn an_acknowledgement_of_the_future_or_the_past_is_no_news() {
        let mut outbox = Outbox::new(Seq(2), Seq(3));
        assert!(!outbox.acknowledged(Seq(9)));
        assert!(!outbox.acknowledged(Seq(1)));
        assert_eq!(outbox.acked(), Seq(2));
    }
}
