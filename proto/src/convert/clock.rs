//! Clocks: what a host says of its own, and how far two are apart.

use nepho_common::time::{ClockOffset, HostClock, HostWall};

use super::field::{part, span};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    wire,
};

impl TryFrom<wire::HostClock> for HostClock {
    type Error = BadMessage;

    fn try_from(wire: wire::HostClock) -> Result<Self, BadMessage> {
        Ok(Self {
            synchronised: wire.synchronised,
            max_error: span("max_error", wire.max_error)?,
            estimated_error: span("estimated_error", wire.estimated_error)?,
        })
    }
}

impl From<HostClock> for wire::HostClock {
    fn from(clock: HostClock) -> Self {
        Self {
            synchronised: clock.synchronised,
            max_error: clock.max_error.0,
            estimated_error: clock.estimated_error.0,
        }
    }
}

impl TryFrom<wire::HostWall> for HostWall {
    type Error = BadMessage;

    fn try_from(wire: wire::HostWall) -> Result<Self, BadMessage> {
        Ok(Self {
            clock: part("clock", wire.clock)?,
            ahead: wire.ahead,
        })
    }
}

impl From<HostWall> for wire::HostWall {
    fn from(wall: HostWall) -> Self {
        Self {
            clock: Some(wall.clock.into()),
            ahead: wall.ahead,
        }
    }
}

impl TryFrom<wire::ClockRange> for ClockOffset {
    type Error = BadMessage;

    fn try_from(wire: wire::ClockRange) -> Result<Self, BadMessage> {
        let wire::ClockRange { lo, hi } = wire;
        if lo > hi {
            return Err(Wrong::Backwards).within("hi");
        }
        Ok(Self { lo, hi })
    }
}

impl From<ClockOffset> for wire::ClockRange {
    fn from(offset: ClockOffset) -> Self {
        let ClockOffset { lo, hi } = offset;
        Self { lo, hi }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_ends_before_it_begins_and_a_wall_without_a_clock_are_refused() {
        let backwards = ClockOffset::try_from(wire::ClockRange { lo: 1, hi: 0 });
        assert_eq!(backwards.unwrap_err().wrong, Wrong::Backwards);
        let bare = wire::HostWall {
            clock: None,
            ahead: 1,
        };
        assert_eq!(HostWall::try_from(bare).unwrap_err().wrong, Wrong::Missing);
    }
}
