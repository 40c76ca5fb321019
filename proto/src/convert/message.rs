//! The messages of a session.

use nepho_common::{
    control::Hello,
    id::{RunKey, Seq},
    time::{ClockEpoch, Mono},
};

use super::{
    field::{id, name, said, span, text, within_range},
    status::statuses,
};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    session::{Ack, AgentMessage, ControllerMessage, Ping, Pong, Welcome},
    wire::{
        self, agent_message::Message as Agent, command::Order,
        controller_message::Message as Controller,
    },
};

impl TryFrom<wire::AgentMessage> for AgentMessage {
    type Error = BadMessage;

    fn try_from(wire: wire::AgentMessage) -> Result<Self, BadMessage> {
        match wire.message.ok_or(Wrong::Missing).within("message")? {
            Agent::Hello(hello) => {
                let hello = Hello::try_from(hello).within("hello")?;
                Ok(Self::Hello(Box::new(hello)))
            }
            Agent::Pong(pong) => pong.try_into().map(Self::Pong).within("pong"),
            Agent::Status(status) => status.try_into().map(Self::Status).within("status"),
            Agent::Goodbye(bye) => {
                let reason = text("goodbye.reason", bye.reason)?;
                Ok(Self::Goodbye { reason })
            }
        }
    }
}

impl From<AgentMessage> for wire::AgentMessage {
    fn from(message: AgentMessage) -> Self {
        let message = match &message {
            AgentMessage::Hello(hello) => Agent::Hello(hello.as_ref().into()),
            AgentMessage::Pong(pong) => Agent::Pong(pong.into()),
            AgentMessage::Status(status) => Agent::Status(status.into()),
            AgentMessage::Goodbye { reason } => Agent::Goodbye(wire::Goodbye {
                reason: said(reason),
            }),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<wire::ControllerMessage> for ControllerMessage {
    type Error = BadMessage;

    fn try_from(wire: wire::ControllerMessage) -> Result<Self, BadMessage> {
        match wire.message.ok_or(Wrong::Missing).within("message")? {
            Controller::Welcome(welcome) => welcome.try_into().map(Self::Welcome).within("welcome"),
            Controller::Ping(ping) => Ok(Self::Ping(Ping {
                id: ping.id,
                t1: Mono(ping.t1),
            })),
            Controller::Command(command) => {
                let key = command.key.clone();
                let why = match command.try_into().within("command") {
                    Ok(command) => return Ok(Self::Command(command)),
                    Err(why) => why,
                };
                // Without a key there is nobody to answer for.
                match key.map(RunKey::try_from) {
                    Some(Ok(key)) => Ok(Self::Strange { key, why }),
                    Some(Err(_)) | None => Err(why),
                }
            }
            Controller::Goodbye(bye) => {
                let reason = text("goodbye.reason", bye.reason)?;
                Ok(Self::Goodbye { reason })
            }
        }
    }
}

impl From<ControllerMessage> for wire::ControllerMessage {
    fn from(message: ControllerMessage) -> Self {
        let message = match &message {
            ControllerMessage::Welcome(welcome) => Controller::Welcome(wire::Welcome {
                protocol: welcome.protocol,
                heartbeat: welcome.heartbeat.0,
                agent: welcome.agent.to_string(),
            }),
            ControllerMessage::Ping(ping) => Controller::Ping(wire::Ping {
                id: ping.id,
                t1: ping.t1.0,
            }),
            ControllerMessage::Command(command) => Controller::Command(command.into()),
            ControllerMessage::Strange { key, why } => Controller::Command(strange(key, why)),
            ControllerMessage::Goodbye { reason } => Controller::Goodbye(wire::Goodbye {
                reason: said(reason),
            }),
        };
        Self {
            message: Some(message),
        }
    }
}

/// What can't be read can't be written either, but for what is known of it: the name of a step.
fn strange(key: &RunKey, why: &BadMessage) -> wire::Command {
    let order = if let Wrong::Kind(kind) = &why.wrong {
        let step = wire::AssignedStep {
            name: "strange".to_owned(),
            act: None,
            kind: kind.clone(),
        };
        let stage = wire::AssignedStage {
            name: "strange".to_owned(),
            lasts: 1,
            steps: vec![step],
        };
        Some(Order::Prepare(wire::Assignment {
            plan: vec![0; 32],
            environment: "strange".to_owned(),
            features: Vec::new(),
            stages: vec![stage],
        }))
    } else {
        None
    };
    wire::Command {
        key: Some(key.into()),
        order,
    }
}

impl TryFrom<wire::Welcome> for Welcome {
    type Error = BadMessage;

    fn try_from(wire: wire::Welcome) -> Result<Self, BadMessage> {
        within_range("protocol", wire.protocol.into(), 1, u32::MAX.into())?;
        // Without a heartbeat every session would be a lost one.
        within_range("heartbeat", wire.heartbeat.into(), 1, u64::MAX.into())?;
        Ok(Self {
            protocol: wire.protocol,
            heartbeat: span("heartbeat", wire.heartbeat)?,
            agent: name("agent", wire.agent)?,
        })
    }
}

impl TryFrom<wire::Pong> for Pong {
    type Error = BadMessage;

    fn try_from(wire: wire::Pong) -> Result<Self, BadMessage> {
        Ok(Self {
            id: wire.id,
            t1: Mono(wire.t1),
            t2: Mono(wire.t2),
            t3: Mono(wire.t3),
            epoch: ClockEpoch(wire.epoch),
            runs: statuses("runs", wire.runs)?,
            policy: wire
                .policy
                .map(TryInto::try_into)
                .transpose()
                .within("policy")?,
            wall: wire
                .wall
                .map(TryInto::try_into)
                .transpose()
                .within("wall")?,
        })
    }
}

impl From<&Pong> for wire::Pong {
    fn from(pong: &Pong) -> Self {
        Self {
            id: pong.id,
            t1: pong.t1.0,
            t2: pong.t2.0,
            t3: pong.t3.0,
            epoch: pong.epoch.0,
            runs: pong.runs.iter().map(Into::into).collect(),
            policy: pong.policy.as_ref().map(Into::into),
            wall: pong.wall.map(Into::into),
        }
    }
}

impl TryFrom<wire::Ack> for Ack {
    type Error = BadMessage;

    fn try_from(wire: wire::Ack) -> Result<Self, BadMessage> {
        Ok(Self {
            spool: id("spool", &wire.spool)?,
            // Zero: nothing of this spool is committed yet.
            seq: Seq(wire.seq),
        })
    }
}

impl From<Ack> for wire::Ack {
    fn from(ack: Ack) -> Self {
        Self {
            spool: ack.spool.bytes().to_vec(),
            seq: ack.seq.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::arbitrary::session::{ack, agent_message, controller_message};

    /// Out, through bytes, and in again.
    fn through<W, N>(noun: N) -> Result<N, BadMessage>
    where
        W: Message + Default + From<N>,
        N: TryFrom<W, Error = BadMessage>,
    {
        let bytes = W::from(noun).encode_to_vec();
        W::decode(bytes.as_slice()).unwrap().try_into()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_an_agent_says_reads_back(message in agent_message()) {
            prop_assert_eq!(through::<wire::AgentMessage, _>(message.clone()), Ok(message));
        }

        #[test]
        fn what_the_controller_says_reads_back(message in controller_message()) {
            prop_assert_eq!(through::<wire::ControllerMessage, _>(message.clone()), Ok(message));
        }

        #[test]
        fn an_acknowledgement_reads_back(ack in ack()) {
            prop_assert_eq!(through::<wire::Ack, _>(ack), Ok(ack));
        }

        #[test]
        fn arbitrary_bytes_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(wire) = wire::AgentMessage::decode(bytes.as_slice()) {
                AgentMessage::try_from(wire).ok();
            }
            if let Ok(wire) = wire::ControllerMessage::decode(bytes.as_slice()) {
                ControllerMessage::try_from(wire).ok();
            }
        }
    }

    #[test]
    fn a_command_that_cannot_be_read_is_strange_and_says_for_whom() {
        let key = wire::RunKey {
            run: "r".to_owned(),
            attempt: 1,
            fence: 0,
        };
        let read = |command: wire::Command| {
            ControllerMessage::try_from(wire::ControllerMessage {
                message: Some(Controller::Command(command)),
            })
        };
        let order = None;
        let unknown = read(wire::Command {
            key: Some(key.clone()),
            order: order.clone(),
        });
        let Ok(ControllerMessage::Strange { key: whose, why }) = unknown else {
            panic!("{unknown:?}");
        };
        assert_eq!(
            (whose.run.as_str(), why.to_string().as_str()),
            ("r", "command.order: is missing")
        );
        let fault = Wrong::Kind("fault".to_owned());
        let field = String::new();
        let why = BadMessage {
            field,
            wrong: fault,
        };
        let sent = ControllerMessage::Strange { key: whose, why };
        let Ok(ControllerMessage::Strange { why, .. }) =
            ControllerMessage::try_from(wire::ControllerMessage::from(sent))
        else {
            panic!("it can't be read");
        };
        let place = "command.prepare.stages[0].steps[0].act: is a \"fault\"";
        assert!(why.to_string().starts_with(place), "{why}");
        // Without a key there is nobody to answer.
        assert!(read(wire::Command { key: None, order }).is_err());
    }

    #[test]
    fn a_message_of_a_kind_that_is_not_known_is_refused() {
        let agent = AgentMessage::try_from(wire::AgentMessage { message: None });
        assert_eq!(agent.unwrap_err().to_string(), "message: is missing");
        // Field 99 is from a later release; prost skips it, and then there is nothing.
        let later = wire::ControllerMessage::decode([0x9a, 0x06, 0x00].as_slice()).unwrap();
        assert_eq!(
            ControllerMessage::try_from(later).unwrap_err().wrong,
            Wrong::Missing
        );
    }

    #[test]
    fn a_welcome_without_a_heartbeat_is_refused() {
        let welcome = wire::Welcome {
            protocol: 1,
            heartbeat: 0,
            agent: "a".to_owned(),
        };
        assert_eq!(Welcome::try_from(welcome).unwrap_err().field, "heartbeat");
    }
}
