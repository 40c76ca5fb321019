//! Enumerations, word for word.

use nepho_common::{
    control::StopMode,
    event::{Presence, Shortage},
    journal::RecordKind,
    plan::DnsRecord,
    recording::{Metric, Outcome, Unit},
};

use crate::{bad::Wrong, wire};

/// Both ways at once, so that neither can forget a word: both matches are exhaustive.
macro_rules! words {
    ($type:ident: $($word:ident),+ $(,)?) => {
        impl TryFrom<wire::$type> for $type {
            type Error = Wrong;

            fn try_from(wire: wire::$type) -> Result<Self, Wrong> {
                match wire {
                    wire::$type::Unspecified => Err(Wrong::Unknown(0)),
                    $(wire::$type::$word => Ok(Self::$word),)+
                }
            }
        }

        impl From<$type> for wire::$type {
            fn from(word: $type) -> Self {
                match word {
                    $($type::$word => Self::$word,)+
                }
            }
        }
    };
}

words!(Outcome: Success, Status, Content, Refused, Reset, Timeout, Unreachable, Resolve, Tls,
    Protocol, OurSide);
words!(Metric: ResponseTime, ServiceTime, SendLag, PoolWait, Resolve, Connect, Handshake, FirstByte,
    Send);
words!(Unit: Count, Bytes, Nanoseconds, Ratio, PerSecond, BytesPerSecond);
words!(RecordKind: Events, Recordings, Gauges, Traces, Exhibits, Seal);
words!(DnsRecord: A, Aaaa, Cname, Mx, Txt, Ns, Srv, Ptr);
words!(StopMode: Stop, Abort);
words!(Shortage: Disk, Quota);
words!(Presence: There, NotThere, Gone, Restarted, NoEngine, Forbidden, NoAnswer);

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    /// The wire's numbers count from 1 in the order of `ALL`, and nothing else is a word.
    fn holds<W, N>(all: &[N])
    where
        W: TryFrom<i32> + Into<i32> + From<N>,
        N: TryFrom<W, Error = Wrong> + PartialEq + Copy + Debug,
    {
        for (word, number) in all.iter().zip(1..) {
            assert_eq!(Into::<i32>::into(W::from(*word)), number, "{word:?}");
            let read = W::try_from(number)
                .ok()
                .and_then(|wire| N::try_from(wire).ok());
            assert_eq!(read, Some(*word));
        }
        let beyond = i32::try_from(all.len()).unwrap() + 1;
        for number in [0, -1, beyond, i32::MAX] {
            let read = W::try_from(number)
                .ok()
                .and_then(|wire| N::try_from(wire).ok());
            assert_eq!(read, None, "{number}");
        }
    }

    #[test]
    fn every_word_has_its_number_and_no_number_but_these_is_a_word() {
        holds::<wire::Outcome, _>(&Outcome::ALL);
        holds::<wire::Metric, _>(&Metric::ALL);
        holds::<wire::Unit, _>(&Unit::ALL);
        holds::<wire::RecordKind, _>(&RecordKind::ALL);
        holds::<wire::StopMode, _>(&[StopMode::Stop, StopMode::Abort]);
        holds::<wire::Presence, _>(&Presence::ALL);
        holds::<wire::Shortage, _>(&[Shortage::Disk, Shortage::Quota]);
    }
}
