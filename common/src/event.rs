//! What an agent or the controller says happened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    control::{Host, Refusal, StopMode},
    id::{
        AgentId, EnvironmentName, Feature, Fence, InstanceId, Operation, PlanId, Seq, SpoolId,
        StageName, StepName, ThingName,
    },
    recording::Outcome,
    symptom::Symptom,
    time::{ClockEpoch, ClockOffset, HostClock, Mono, Nanos, RunTime, WallMillis},
};

/// Something that happened, and when on its author's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// On the author's monotonic clock.
    pub at: Mono,
    /// The epoch of that clock.
    pub epoch: ClockEpoch,
    /// For display.
    pub wall: WallMillis,
    /// What.
    pub what: What,
}

/// A target of a step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The stage.
    pub stage: StageName,
    /// The step.
    pub step: StepName,
    /// The target.
    pub to: InstanceId,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Agent: this stage began.
    StageStarted {
        /// The stage.
        stage: StageName,
        /// The instant that was ordered, on the agent's clock.
        planned: Mono,
        /// When the first request went out, or the timer fired if the agent has nothing to send.
        actual: Mono,
    },
    /// Agent: this stage ended and everything of it was sealed.
    StageEnded {
        /// The stage.
        stage: StageName,
        /// When its last request was due or the stop came, in run time.
        at: RunTime,
        /// How it ended.
        how: StageEnd,
    },
    /// Agent: requests that were due were not sent.
    Missed {
        /// The stage.
        stage: StageName,
        /// The step.
        step: StepName,
        /// How many.
        count: u64,
        /// The longest time by which one was late.
        longest: Nanos,
    },
    /// Agent: its clock was disturbed, and a new epoch began.
    EpochOpened {
        /// For how long it was suspended.
        suspended: Nanos,
        /// When its clock was last seen undisturbed: the suspend lies between this instant and the
        /// event's. `None` from a release that does not say.
        awake: Option<Mono>,
    },
    /// Agent: what its kernel says of its wall clock, at the start of a stage.
    HostClock(HostClock),
    /// Controller: exchanges of time stamps with this agent contradicted each other, so one of the
    /// two clocks was disturbed. What was known of its offset is forgotten.
    ClockDisturbed {
        /// With whom.
        agent: AgentId,
        /// When it was noticed, in run time.
        at: RunTime,
        /// What is known of it; `None` from a release that does not say.
        jump: Option<ClockJump>,
    },
    /// Controller: the bounds that this agent's host and its own state of their wall clocks
    /// contradict the exchanges, so one of the two is wrong. They are not believed.
    HostClockRejected {
        /// Whose.
        agent: AgentId,
        /// When it was noticed, in run time.
        at: RunTime,
        /// Where the offset would lie by them.
        claimed: ClockOffset,
        /// Where the exchanges say that it lies.
        measured: ClockOffset,
    },
    /// Agent: its spool could take no more for a while. No value was lost, but recordings of this
    /// stage were merged into longer ones.
    SpoolFull {
        /// The stage.
        stage: StageName,
        /// Why.
        why: Shortage,
        /// For how long nothing could be written.
        waited: Nanos,
        /// How long the longest of them is.
        longest: Nanos,
    },
    /// Agent: a load ended before its stage did, or never began.
    LoadEnded {
        /// The stage.
        stage: StageName,
        /// The step.
        step: StepName,
        /// When nothing more was sent, in run time.
        at: RunTime,
        /// Why.
        why: LoadEnd,
    },
    /// Agent: what was seen of the first request to this target that ended so in this stage.
    SymptomSeen {
        /// Of which target.
        of: Subject,
        /// When the request was due.
        at: RunTime,
        /// How it ended.
        outcome: Outcome,
        /// What was seen.
        symptom: Symptom,
    },
    /// Agent: a target said something of itself, for the first time in this stage or other than
    /// before.
    FactSeen {
        /// Which target.
        of: Subject,
        /// When the request was due.
        at: RunTime,
        /// What it is, for example `version`.
        name: Operation,
        /// What it said.
        value: Operation,
    },
    /// Agent: how a process or a container that it watches is there; when that changes, and at the
    /// first look if it is not simply there.
    ThingSeen {
        /// The stage.
        stage: StageName,
        /// The step.
        step: StepName,
        /// Which.
        thing: ThingName,
        /// When, in run time.
        at: RunTime,
        /// How.
        how: Presence,
    },
    /// Agent: records of its spool are lost, because its disk does not give them back.
    Gap {
        /// The first of them.
        from: Seq,
        /// The last of them.
        to: Seq,
    },
    /// Controller: the run began.
    RunStarted {
        /// What is done; the plan itself is an exhibit with this digest.
        plan: PlanId,
        /// The controller's host.
        host: Host,
    },
    /// Controller: an agent takes part.
    AgentJoined {
        /// Who.
        agent: AgentId,
        /// Where.
        environment: EnvironmentName,
        /// Its host.
        host: Host,
        /// What it can do.
        features: Vec<Feature>,
    },
    /// Controller: an agent refuses.
    AgentRefused {
        /// Who.
        agent: AgentId,
        /// Why.
        why: Refusal,
    },
    /// Controller: the instant of a stage's start was chosen.
    StageOrdered {
        /// The stage.
        stage: StageName,
        /// In run time.
        at_run: RunTime,
        /// On the controller's clock.
        at: Mono,
        /// For each agent that was armed.
        agents: BTreeMap<AgentId, StartOrder>,
    },
    /// Controller: nothing was heard of an agent for too long.
    AgentLost {
        /// Who.
        agent: AgentId,
        /// When it was last heard of, in run time.
        last_heard: RunTime,
        /// When it was given up, in run time.
        at: RunTime,
    },
    /// Controller: an agent that was lost is back.
    AgentReturned {
        /// Who.
        agent: AgentId,
        /// When, in run time.
        at: RunTime,
        /// It is another process than before, and what it did not spool is gone.
        restarted: bool,
    },
    /// Controller: it was away and has taken the run up again.
    ControllerReturned {
        /// When, in run time.
        at: RunTime,
        /// What its commands carry from here on.
        fence: Fence,
    },
    /// Controller: the collection of a stage's results is over.
    StageCollected {
        /// The stage.
        stage: StageName,
        /// Whose seal did not arrive.
        missing: Vec<AgentId>,
    },
    /// Controller: a stage was not begun.
    StageSkipped {
        /// The stage.
        stage: StageName,
        /// Why.
        why: Skip,
    },
    /// Controller: somebody asked for an end.
    StopRequested {
        /// How.
        mode: StopMode,
        /// Who asked.
        by: String,
    },
    /// Controller: what the scenario says must hold did not, so it ends the run.
    Aborted {
        /// The stage.
        stage: StageName,
        /// The step that was looked at.
        step: StepName,
        /// When that was seen, in run time.
        at: RunTime,
        /// What was seen, and what must hold.
        why: String,
    },
    /// Controller: something that an agent sent could not be read, and was left out.
    RecordRefused {
        /// Who sent it.
        agent: AgentId,
        /// What was wrong with it.
        why: String,
    },
    /// Controller: the run is over; nothing but late results comes after.
    RunEnded {
        /// How.
        how: RunEnd,
    },
    /// Controller: it made this revision of the report from these records of the agents. What is
    /// stored later is late, and makes the next revision. Several of one number are one list.
    Reported {
        /// From 1.
        revision: u32,
        /// Every record of an agent that was stored then.
        known: Vec<Known>,
    },
}

/// How something that is watched is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// It is there, after it was not.
    There,
    /// It is not there, and was not before.
    NotThere,
    /// It is not there any more.
    Gone,
    /// Another one is in its place: it was started again.
    Restarted,
    /// Nothing answers at the socket of the container engine.
    NoEngine,
    /// The agent may not look.
    Forbidden,
    /// The container engine answered something that is no answer, or too late.
    NoAnswer,
}

impl Presence {
    /// Every way, in the order of the wire.
    pub const ALL: [Self; 7] = [
        Self::There,
        Self::NotThere,
        Self::Gone,
        Self::Restarted,
        Self::NoEngine,
        Self::Forbidden,
        Self::NoAnswer,
    ];

    /// The rest of a sentence that begins with the thing.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::There => "is there",
            Self::NotThere => "is not there",
            Self::Gone => "is gone",
            Self::Restarted => "was started again",
            Self::NoEngine => "can't be looked at: no container engine answers on that host",
            Self::Forbidden => "can't be looked at: the agent may not ask the container engine",
            Self::NoAnswer => "can't be looked at: the container engine gave no usable answer",
        }
    }
}

/// Records of one spool that a revision of the report was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whose.
    pub agent: AgentId,
    /// Of which spool.
    pub spool: SpoolId,
    /// First and last of each stretch without a hole.
    pub ranges: Vec<(Seq, Seq)>,
}

/// What an agent was told of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartOrder {
    /// The instant on the agent's clock.
    pub at: Mono,
    /// Where the agent's offset lay when the instant was chosen.
    pub offset: ClockOffset,
    /// The shortest round trip among the exchanges behind that offset.
    pub round_trip: Nanos,
    /// What the exchanges alone say, when the hosts' own bounds narrowed the offset.
    pub measured: Option<ClockOffset>,
}

/// How an agent's clock moved against the controller's between two exchanges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockJump {
    /// Until here, in run time, nothing was disturbed.
    pub since: RunTime,
    /// By how much the offset grew, at least and at most. It shrinks when the agent's clock stood
    /// still, and grows when the controller's did.
    pub moved: ClockOffset,
}

/// Why a spool takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shortage {
    /// The disk took nothing.
    Disk,
    /// It was as large as it may be.
    Quota,
}

/// Why a load ended before its stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoadEnd {
    /// Nothing was heard of the controller for so long, so nobody could have stopped it.
    Unheard(Nanos),
    /// It could not begin, or not go on.
    Unable(String),
}

/// How a stage ended on an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageEnd {
    /// Its time was up.
    Completed,
    /// Stopped or aborted by command.
    Stopped(StopMode),
}

/// Why a stage was not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// A stage that it comes after did not pass.
    After(StageName),
    /// The run was stopped before.
    Stopped,
    /// Its agents could not be made ready.
    NotReady(String),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// Every stage was run or skipped for a reason.
    Completed,
    /// Stopped or aborted by command.
    Stopped(StopMode),
    /// It could not go on.
    Failed(String),
}
