//! Events: their envelope here, what happened inwards in [`mod@read`] and outwards in [`mod@write`].

mod read;
mod symptom;
mod write;

use nepho_common::{
    event::Event,
    time::{ClockEpoch, Mono, WallMillis},
};

use super::field::{span, within_range};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    wire,
};

impl TryFrom<wire::Event> for Event {
    type Error = BadMessage;

    fn try_from(wire: wire::Event) -> Result<Self, BadMessage> {
        // A host may be up for longer than a run lasts, but not for ten years; and the wall is
        // printed with four digits for the year, so it lies between 1970 and 9999.
        span("mono", wire.mono)?;
        within_range("wall_ms", wire.wall_ms.into(), 0, 253_402_300_799_999)?;
        let what = wire.what.ok_or(Wrong::Missing).within("what")?;
        Ok(Self {
            at: Mono(wire.mono),
            epoch: ClockEpoch(wire.epoch),
            wall: WallMillis(wire.wall_ms),
            what: what.try_into()?,
        })
    }
}

impl From<&Event> for wire::Event {
    fn from(event: &Event) -> Self {
        Self {
            mono: event.at.0,
            epoch: event.epoch.0,
            wall_ms: event.wall.0,
            what: Some((&event.what).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{event::event, through};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn an_event_reads_back(event in event()) {
            prop_assert_eq!(through::<wire::Event, _>(&event), Ok(event));
        }

        #[test]
        fn an_event_that_says_nothing_is_refused(event in event()) {
            let wire = wire::Event { what: None, ..wire::Event::from(&event) };
            prop_assert_eq!(Event::try_from(wire).unwrap_err().to_string(), "what: is missing");
        }
    }

    fn with(what: wire::event::What) -> Result<Event, BadMessage> {
        wire::Event {
            what: Some(what),
            ..Default::default()
        }
        .try_into()
    }

    #[test]
    fn durations_that_would_overflow_where_they_are_printed_are_refused() {
        let opened = wire::EpochOpened {
            suspended: u64::MAX,
            awake: None,
        };
        let bad = with(wire::event::What::EpochOpened(opened)).unwrap_err();
        assert_eq!(bad.field, "epoch_opened.suspended");
    }

    #[test]
    fn an_agent_that_is_ordered_twice_is_refused() {
        let order = wire::StartOrder {
            agent: "a".to_owned(),
            ..Default::default()
        };
        let ordered = wire::StageOrdered {
            stage: "s".to_owned(),
            agents: vec![order; 2],
            ..Default::default()
        };
        let bad = with(wire::event::What::StageOrdered(ordered)).unwrap_err();
        assert_eq!(
            bad.to_string(),
            "stage_ordered.agents[1]: names the same twice"
        );
    }

    #[test]
    fn an_end_of_a_kind_that_is_not_known_is_refused() {
        let ended = wire::StageEnded {
            stage: "s".to_owned(),
            at: 0,
            stopped: 7,
        };
        let bad = with(wire::event::What::StageEnded(ended)).unwrap_err();
        assert_eq!(bad.wrong, Wrong::Unknown(7));
    }
}
