//! Nobody writes in another's name, and nobody speaks of what only the other can know.

use nepho_common::{
    event::What,
    journal::{Body, Entry},
    recording::Series,
};

use crate::bad::{BadMessage, Within as _, Wrong};

/// Checks that an entry's author may say what it says.
pub(super) fn check(entry: &Entry) -> Result<(), BadMessage> {
    let place = |list: &str, place: usize| format!("{list}[{place}]");
    match &entry.body {
        Body::Events(events) => events.iter().enumerate().try_for_each(|(i, event)| {
            if entry.key.agent.is_controller() == is_controllers(&event.what) {
                return Ok(());
            }
            Err(Wrong::Author).within(&place("events", i))
        }),
        Body::Recordings(all) => all.iter().enumerate().try_for_each(|(i, recording)| {
            let own = own(entry, &recording.series).within("series");
            own.within(&place("recordings", i))
        }),
        Body::Seal(seal) => seal.samples.keys().enumerate().try_for_each(|(i, series)| {
            let own = own(entry, series).within("series");
            own.and_then(|()| {
                same(series.stage.as_str(), seal.stage.as_str()).within("series.stage")
            })
            .within(&place("seal.samples", i))
        }),
        Body::Gauges(_) | Body::Traces(_) | Body::Exhibits(_) => Ok(()),
    }
}

/// An agent speaks of itself, the controller of the run.
const fn is_controllers(what: &What) -> bool {
    match what {
        What::StageStarted { .. }
        | What::StageEnded { .. }
        | What::Missed { .. }
        | What::EpochOpened { .. }
        | What::HostClock(_)
        | What::SpoolFull { .. }
        | What::LoadEnded { .. }
        | What::SymptomSeen { .. }
        | What::FactSeen { .. }
        | What::ThingSeen { .. }
        | What::Gap { .. } => false,
        What::RunStarted { .. }
        | What::ClockDisturbed { .. }
        | What::HostClockRejected { .. }
        | What::AgentJoined { .. }
        | What::AgentRefused { .. }
        | What::StageOrdered { .. }
        | What::AgentLost { .. }
        | What::AgentReturned { .. }
        | What::ControllerReturned { .. }
        | What::StageCollected { .. }
        | What::StageSkipped { .. }
        | What::StopRequested { .. }
        | What::Aborted { .. }
        | What::RecordRefused { .. }
        | What::RunEnded { .. }
        | What::Reported { .. } => true,
    }
}

fn own(entry: &Entry, series: &Series) -> Result<(), BadMessage> {
    same(series.run.as_str(), entry.run.as_str()).within("run")?;
    if series.attempt != entry.attempt {
        let (found, said) = (series.attempt.0.to_string(), entry.attempt.0.to_string());
        return Err(foreign(&found, &said)).within("attempt");
    }
    same(series.agent.as_str(), entry.key.agent.as_str()).within("agent")
}

fn same(found: &str, said: &str) -> Result<(), Wrong> {
    if found == said {
        Ok(())
    } else {
        Err(foreign(found, said))
    }
}

/// What this field says, and what the record says.
pub(super) fn foreign(found: &str, said: &str) -> Wrong {
    Wrong::Foreign {
        found: found.to_owned(),
        said: said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nepho_common::{
        id::{AgentId, Attempt, RunId},
        journal::Seal,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{
        entry,
        event::{of_agent, of_controller, said},
        name, recording, series,
    };

    proptest! {
        #[test]
        fn a_recording_in_the_name_of_another_is_refused(
            entry in entry(), mut recording in recording(), which in 0usize..4, other in name::<AgentId>(),
        ) {
            prop_assume!(other != entry.key.agent && other.as_str() != entry.run.as_str());
            let series = Arc::make_mut(&mut recording.series);
            (series.run, series.attempt) = (entry.run.clone(), entry.attempt);
            series.agent = entry.key.agent.clone();
            let field = match which {
                0 => { series.agent = other; Some("recordings[0].series.agent") }
                1 => {
                    series.run = other.as_str().parse::<RunId>().unwrap();
                    Some("recordings[0].series.run")
                }
                2 => {
                    series.attempt = Attempt(series.attempt.0 ^ 1);
                    Some("recordings[0].series.attempt")
                }
                _ => None,
            };
            let found = check(&Entry { body: Body::Recordings(vec![recording]), ..entry });
            let found = found.err().map(|bad| bad.field);
            prop_assert_eq!(found.as_deref(), field);
        }

        #[test]
        fn a_seal_speaks_of_its_own_stage_and_author_only(entry in entry(), series in series()) {
            let stage = series.stage.clone();
            let samples = [(series, 1)].into();
            let seal = Seal { stage, records: [].into(), samples, from: None };
            let bad = check(&Entry { body: Body::Seal(seal), ..entry }).unwrap_err();
            prop_assert!(matches!(bad.wrong, Wrong::Foreign { .. }), "{bad}");
        }

        #[test]
        fn an_agent_says_nothing_that_only_the_controller_can_know(
            entry in entry(), theirs in said(of_agent().boxed()), ours in said(of_controller().boxed()),
        ) {
            let by_controller = entry.key.agent.is_controller();
            let says = |event| check(&Entry { body: Body::Events(vec![event]), ..entry.clone() });
            prop_assert_eq!(says(theirs).is_ok(), !by_controller);
            prop_assert_eq!(says(ours).is_ok(), by_controller);
        }
    }
}
