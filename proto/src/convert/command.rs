//! What the controller wants of an agent.

use nepho_common::{
    control::{Command, Order},
    time::Mono,
};

use super::field::{choice, mark, name, part, run_time};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    wire::{self, command::Order as Wire},
};

impl TryFrom<wire::Command> for Command {
    type Error = BadMessage;

    fn try_from(wire: wire::Command) -> Result<Self, BadMessage> {
        let order = match wire.order.ok_or(Wrong::Missing).within("order")? {
            Wire::Prepare(assignment) => {
                Order::Prepare(Box::new(assignment.try_into().within("prepare")?))
            }
            Wire::Arm(stage) => Order::Arm(name("arm", stage)?),
            Wire::Start(start) => Order::Start {
                stage: name("start.stage", start.stage)?,
                at_run: run_time("start.at_run", start.at_run)?,
                at: Mono(start.at),
            },
            Wire::Resume(start) => Order::Resume {
                stage: name("resume.stage", start.stage)?,
                at_run: run_time("resume.at_run", start.at_run)?,
                at: Mono(start.at),
            },
            Wire::Stop(mode) => Order::Stop(choice::<wire::StopMode, _>("stop", mode)?),
            Wire::Release(set) => mark("release", set).map(|()| Order::Release)?,
        };
        Ok(Self {
            key: part("key", wire.key)?,
            order,
        })
    }
}

impl From<&Command> for wire::Command {
    fn from(command: &Command) -> Self {
        let order = match &command.order {
            Order::Prepare(assignment) => Wire::Prepare(assignment.as_ref().into()),
            Order::Arm(stage) => Wire::Arm(stage.to_string()),
            Order::Start { stage, at_run, at } => Wire::Start(wire::Start {
                stage: stage.to_string(),
                at_run: at_run.0,
                at: at.0,
            }),
            Order::Resume { stage, at_run, at } => Wire::Resume(wire::Start {
                stage: stage.to_string(),
                at_run: at_run.0,
                at: at.0,
            }),
            Order::Stop(mode) => Wire::Stop(wire::StopMode::from(*mode).into()),
            Order::Release => Wire::Release(true),
        };
        Self {
            key: Some((&command.key).into()),
            order: Some(order),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{session::command, through};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_command_reads_back(command in command()) {
            prop_assert_eq!(through::<wire::Command, _>(&command), Ok(command));
        }

        #[test]
        fn a_command_without_key_or_order_is_refused(command in command(), key in any::<bool>()) {
            let mut wire = wire::Command::from(&command);
            let field = if key { wire.key = None; "key" } else { wire.order = None; "order" };
            let bad = Command::try_from(wire).unwrap_err();
            prop_assert_eq!((bad.field.as_str(), bad.wrong), (field, Wrong::Missing));
        }
    }

    #[test]
    fn a_way_to_stop_that_is_not_known_is_refused_never_taken_for_another() {
        let key = wire::RunKey {
            run: "r".to_owned(),
            attempt: 1,
            fence: 0,
        };
        for mode in [0, 3, -1] {
            let wire = wire::Command {
                key: Some(key.clone()),
                order: Some(Wire::Stop(mode)),
            };
            assert_eq!(
                Command::try_from(wire).unwrap_err().wrong,
                Wrong::Unknown(mode.into())
            );
        }
    }
}
