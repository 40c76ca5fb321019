//! Where an agent stands in a run.

use nepho_common::{
    control::{Phase, Status},
    id::{Fence, RunKey},
};

use super::field::{at_most, attempt, id, list, mark, name, part, seq};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::RUNS_MAX,
    wire::{self, status::Phase as Wire},
};

impl TryFrom<wire::RunKey> for RunKey {
    type Error = BadMessage;

    fn try_from(wire: wire::RunKey) -> Result<Self, BadMessage> {
        Ok(Self {
            run: name("run", wire.run)?,
            attempt: attempt("attempt", wire.attempt)?,
            fence: Fence(wire.fence),
        })
    }
}

impl From<&RunKey> for wire::RunKey {
    fn from(key: &RunKey) -> Self {
        Self {
            run: key.run.to_string(),
            attempt: key.attempt.0,
            fence: key.fence.0,
        }
    }
}

/// A list of statuses. Those in a phase that this release does not know are passed over, because
/// they may not cost the whole message: without its pong an agent would be taken for lost.
pub(super) fn statuses(
    field: &str,
    mut wires: Vec<wire::Status>,
) -> Result<Vec<Status>, BadMessage> {
    at_most(field, wires.len(), RUNS_MAX)?;
    wires.retain(|status| status.phase.is_some());
    list(field, wires, RUNS_MAX)
}

impl TryFrom<wire::Status> for Status {
    type Error = BadMessage;

    fn try_from(wire: wire::Status) -> Result<Self, BadMessage> {
        let phase = match wire.phase.ok_or(Wrong::Missing).within("phase")? {
            Wire::Unknown(set) => mark("unknown", set).map(|()| Phase::Unknown)?,
            Wire::Refused(why) => Phase::Refused(why.try_into().within("refused")?),
            Wire::Prepared(set) => mark("prepared", set).map(|()| Phase::Prepared)?,
            Wire::Armed(stage) => Phase::Armed(name("armed", stage)?),
            Wire::Scheduled(stage) => Phase::Scheduled(name("scheduled", stage)?),
            Wire::Running(stage) => Phase::Running(name("running", stage)?),
            Wire::Draining(stage) => Phase::Draining(name("draining", stage)?),
            Wire::Sealed(sealed) => Phase::Sealed {
                stage: name("sealed.stage", sealed.stage)?,
                spool: id("sealed.spool", &sealed.spool)?,
                seal: seq("sealed.seal", sealed.seal)?,
            },
            Wire::Stopped(set) => mark("stopped", set).map(|()| Phase::Stopped)?,
        };
        Ok(Self {
            key: part("key", wire.key)?,
            phase,
        })
    }
}

impl From<&Status> for wire::Status {
    fn from(status: &Status) -> Self {
        let phase = match &status.phase {
            Phase::Unknown => Wire::Unknown(true),
            Phase::Refused(why) => Wire::Refused(why.into()),
            Phase::Prepared => Wire::Prepared(true),
            Phase::Armed(stage) => Wire::Armed(stage.to_string()),
            Phase::Scheduled(stage) => Wire::Scheduled(stage.to_string()),
            Phase::Running(stage) => Wire::Running(stage.to_string()),
            Phase::Draining(stage) => Wire::Draining(stage.to_string()),
            Phase::Sealed { stage, spool, seal } => Wire::Sealed(wire::Sealed {
                stage: stage.to_string(),
                spool: spool.bytes().to_vec(),
                seal: seal.0,
            }),
            Phase::Stopped => Wire::Stopped(true),
        };
        Self {
            key: Some((&status.key).into()),
            phase: Some(phase),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{session::status, through};

    proptest! {
        #[test]
        fn a_status_reads_back(status in status()) {
            prop_assert_eq!(through::<wire::Status, _>(&status), Ok(status));
        }

        #[test]
        fn a_status_without_key_or_phase_is_refused(status in status(), key in any::<bool>()) {
            let mut wire = wire::Status::from(&status);
            let field = if key { wire.key = None; "key" } else { wire.phase = None; "phase" };
            let bad = Status::try_from(wire).unwrap_err();
            prop_assert_eq!((bad.field.as_str(), bad.wrong), (field, Wrong::Missing));
        }
    }
}
