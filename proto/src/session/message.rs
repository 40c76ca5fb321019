//! What is said in a session.

use nepho_common::{
    control::{Command, Hello, PolicyReport, Status},
    id::{AgentId, RunKey, Seq, SpoolId},
    time::{ClockEpoch, HostWall, Mono, Nanos},
};

use crate::bad::BadMessage;

/// From an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentMessage {
    /// Once, first. Boxed: it carries a policy, and the others are small and many.
    Hello(Box<Hello>),
    /// Answers a ping.
    Pong(Pong),
    /// Where it stands in one run.
    Status(Status),
    /// It leaves, and why.
    Goodbye {
        /// For people.
        reason: String,
    },
}

/// From the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControllerMessage {
    /// Answers the hello.
    Welcome(Welcome),
    /// Heartbeat and clock exchange.
    Ping(Ping),
    /// What it wants.
    Command(Command),
    /// What it wants in words that this release can't read: of a newer release, or nonsense. It is
    /// answered with a refusal, for silence would leave the run waiting.
    Strange {
        /// Which run, which try, by which right.
        key: RunKey,
        /// What was wrong with it.
        why: BadMessage,
    },
    /// It ends the session, and why.
    Goodbye {
        /// For people.
        reason: String,
    },
}

/// The session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both will speak.
    pub protocol: u32,
    /// How often the controller pings; silence of three times this is a lost session.
    pub heartbeat: Nanos,
    /// The name that the agent's certificate gave it.
    pub agent: AgentId,
}

/// Heartbeat and clock exchange in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// Comes back in the pong.
    pub id: u64,
    /// The controller's clock at sending.
    pub t1: Mono,
}

/// The answer to a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// The ping's.
    pub id: u64,
    /// The ping's.
    pub t1: Mono,
    /// The agent's clock at receiving.
    pub t2: Mono,
    /// The agent's clock at answering.
    pub t3: Mono,
    /// The epoch of the agent's clock.
    pub epoch: ClockEpoch,
    /// Every run that the agent knows, so that a lost status does no harm.
    pub runs: Vec<Status>,
    /// When it is another one than this session was told of before.
    pub policy: Option<PolicyReport>,
    /// What its host says of its wall clock; `None` where it says nothing, or from a release that
    /// does not ask it.
    pub wall: Option<HostWall>,
}

/// Everything of this spool up to `seq` has been committed by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The spool.
    pub spool: SpoolId,
    /// The highest number; 0 when nothing is committed.
    pub seq: Seq,
}
