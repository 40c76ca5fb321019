//! What controller and agents say happened. Each may only say what is its own.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::Host,
    event::{Event, RunEnd, Shortage, Skip, StageEnd, StartOrder, What},
    id::{AgentId, EnvironmentName, Feature, PlanId, Seq, StageName, StepName},
    time::{Mono, Nanos, RunTime, WallMillis},
};

use super::{
    clocks::Clocks,
    disturbed::Disturbances,
    doubts::{Code, Doubts},
    model::LostSpan,
    revision::joined,
    witnessed::Witnessed,
};

/// How many stretches of lost records a sentence names.
const RANGES_SHOWN: usize = 8;

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) started: Option<Started>,
    pub(super) joined: BTreeMap<AgentId, Joined>,
    pub(super) refused: BTreeMap<AgentId, String>,
    pub(super) ordered: BTreeMap<StageName, Ordered>,
    pub(super) skipped: BTreeMap<StageName, Skip>,
    pub(super) ended: Option<(RunEnd, WallMillis)>,
    /// What agents say of their stages.
    pub(super) told: BTreeMap<(AgentId, StageName), Told>,
    pub(super) clocks: Clocks,
    pub(super) disturbed: Disturbances,
    pub(super) witnessed: Witnessed,
    lost: BTreeMap<AgentId, BTreeSet<(RunTime, RunTime)>>,
    returned: BTreeMap<AgentId, BTreeSet<(RunTime, bool)>>,
    /// The records that each agent lost.
    gaps: BTreeMap<AgentId, BTreeSet<(Seq, Seq)>>,
    /// Whose spool was full in which stage, the longest time for which it took nothing, and how long
    /// the longest recording is that was made of others.
    full: BTreeMap<(AgentId, StageName, Shortage), (Nanos, Nanos)>,
}

#[derive(Debug)]
pub(super) struct Started {
    pub(super) plan: PlanId,
    pub(super) host: Host,
    pub(super) wall: WallMillis,
}

#[derive(Debug)]
pub(super) struct Joined {
    pub(super) environment: EnvironmentName,
    pub(super) host: Host,
    pub(super) features: Vec<Feature>,
}

#[derive(Debug)]
pub(super) struct Ordered {
    /// On the controller's clock: when the start was chosen, and the start.
    pub(super) said: Mono,
    pub(super) at: Mono,
    pub(super) at_run: RunTime,
    pub(super) agents: BTreeMap<AgentId, StartOrder>,
}

/// What one agent says of one stage.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The instant that was ordered, and the one that was kept.
    pub(super) started: Option<(Mono, Mono)>,
    pub(super) ended: Option<(RunTime, StageEnd)>,
    /// How many requests of each step were not sent, and how late the latest was.
    pub(super) missed: BTreeMap<StepName, (u64, Nanos)>,
}

impl Story {
    /// Takes up one event of `author`. Called in the order of record keys.
    pub(super) fn tell(&mut self, author: &AgentId, event: Event, doubts: &mut Doubts) {
        self.clocks.note(author, &event);
        self.disturbed.note(author, &event);
        if author.is_controller() {
            self.controller_says(event, doubts);
        } else {
            self.agent_says(author, event, doubts);
        }
    }

    fn controller_says(&mut self, event: Event, doubts: &mut Doubts) {
        match event.what {
            What::RunStarted { plan, host } => {
                if self.started.is_some() {
                    doubts.add(
                        Code::Contradiction,
                        "",
                        "the journal tells of more than one start",
                    );
                    return;
                }
                let wall = event.wall;
                self.started = Some(Started { plan, host, wall });
            }
            What::AgentJoined {
                agent,
                environment,
                host,
                features,
            } => {
                let joined = Joined {
                    environment,
                    host,
                    features,
                };
                self.joined.insert(agent, joined);
            }
            What::AgentRefused { agent, why } => {
                let text = format!("agent {agent} refused: {why}");
                doubts.add(Code::Refused, &agent, text);
                self.refused.insert(agent, why.to_string());
            }
            What::StageOrdered {
                stage,
                at_run,
                at,
                agents,
            } => {
                let ordered = Ordered {
                    said: event.at,
                    at,
                    at_run,
                    agents,
                };
                self.ordered.insert(stage, ordered);
            }
            What::AgentLost {
                agent,
                last_heard,
                at,
            } => {
                self.lost.entry(agent).or_default().insert((last_heard, at));
            }
            What::AgentReturned {
                agent,
                at,
                restarted,
            } => {
                self.returned
                    .entry(agent)
                    .or_default()
                    .insert((at, restarted));
            }
            What::ClockDisturbed { agent, at, jump } => {
                let when = jump.map_or_else(
                    || format!("before {at}"),
                    |jump| format!("between {} and {at}", jump.since),
                );
                let text = format!(
                    "the clock of {agent} or of the controller was disturbed {when}: their \
                     exchanges contradict each other"
                );
                doubts.add(Code::Clock, agent, text);
            }
            What::HostClockRejected {
                agent,
                claimed,
                measured,
                ..
            } => {
                let apart = claimed.lo.saturating_sub(measured.hi);
                let apart = apart.max(measured.lo.saturating_sub(claimed.hi));
                let text = format!(
                    "what the hosts of {agent} and of the controller say of their clocks is off by \
                     at least {}: it was not believed. Look at both with chronyc tracking",
                    Nanos(apart.unsigned_abs())
                );
                doubts.add(Code::HostClock, agent, text);
            }
            What::ControllerReturned { at, .. } => {
                let text = format!("the controller was away and back at {at}");
                doubts.add(Code::ControllerAway, "", text);
            }
            // Whose seal is missing is seen from the seals themselves.
            What::StageCollected { .. } => {}
            What::StageSkipped { stage, why } => {
                self.skipped.insert(stage, why);
            }
            What::StopRequested { by, .. } => {
                doubts.add(Code::Stopped, "", format!("{by} asked for an end"));
            }
            What::RecordRefused { agent, why } => {
                let text = format!("a record of {agent} was refused: {why}");
                doubts.add(Code::Unreadable, agent, text);
            }
            What::RunEnded { how } => self.ended = Some((how, event.wall)),
            // Which records it was made from is asked of them all together.
            What::Reported { .. } => {}
            What::StageStarted { .. }
            | What::StageEnded { .. }
            | What::Missed { .. }
            | What::EpochOpened { .. }
            | What::HostClock(_)
            | What::SpoolFull { .. }
            | What::SymptomSeen { .. }
            | What::FactSeen { .. }
            | What::Gap { .. } => {
                let text = "the controller wrote an event that only agents write";
                doubts.add(Code::NotItsOwn, AgentId::CONTROLLER, text);
            }
        }
    }

    fn agent_says(&mut self, author: &AgentId, event: Event, doubts: &mut Doubts) {
        match event.what {
            What::StageStarted {
                stage,
                planned,
                actual,
            } => self.told(author, stage).started = Some((planned, actual)),
            What::StageEnded { stage, at, how } => self.told(author, stage).ended = Some((at, how)),
            What::Missed {
                stage,
                step,
                count,
                longest,
            } => {
                let text = format!(
                    "{author} did not send {count} requests of {stage}/{step} that were due; the \
                     latest was {longest} late"
                );
                doubts.add(Code::NotSent, author, text);
                let missed = self.told(author, stage).missed.entry(step).or_default();
                missed.0 = missed.0.saturating_add(count);
                missed.1 = missed.1.max(longest);
            }
            What::EpochOpened { suspended, .. } => {
                let text = format!("the clock of {author} was disturbed: {suspended} asleep");
                doubts.add(Code::Suspended, author, text);
            }
            // With the stamps of all events.
            What::HostClock(_) => {}
            What::SpoolFull {
                stage,
                why,
                waited,
                longest,
            } => {
                let full = self.full.entry((author.clone(), stage, why)).or_default();
                full.0 = waited.max(full.0);
                full.1 = longest.max(full.1);
            }
            What::SymptomSeen {
                of,
                at,
                outcome,
                symptom,
            } => self.witnessed.symptom(author, of, (at, outcome), symptom),
            What::FactSeen {
                of,
                at,
                name,
                value,
            } => self.witnessed.fact(author, of, at, (name, value)),
            What::Gap { from, to } => {
                self.gaps
                    .entry(author.clone())
                    .or_default()
                    .insert((from, to));
            }
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
            | What::RecordRefused { .. }
            | What::RunEnded { .. }
            | What::Reported { .. } => {
                let text = format!("{author} wrote an event that only the controller writes");
                doubts.add(Code::NotItsOwn, author, text);
            }
        }
    }

    /// Which records who lost, after everything was told: one sentence for each agent.
    pub(super) fn doubt_gaps(&self, doubts: &mut Doubts) {
        for (author, gaps) in &self.gaps {
            let ranges = joined(gaps.iter().copied().collect());
            let all = ranges.len();
            let shown = ranges.into_iter().take(RANGES_SHOWN);
            let shown: Vec<_> = shown.map(|(from, to)| format!("{from} to {to}")).collect();
            let more = match all.saturating_sub(RANGES_SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more stretches"),
            };
            let text = format!(
                "the disk of {author} did not give back its records {}{more}: look for \
                 *.quarantine in its spool",
                shown.join(", ")
            );
            doubts.add(Code::Gap, author, text);
        }
    }

    /// Whose spool was full, and what is left of how finely time was divided.
    pub(super) fn doubt_full(&self, doubts: &mut Doubts) {
        for ((author, stage, why), (waited, longest)) in &self.full {
            let why = match why {
                Shortage::Disk => "the disk took nothing",
                Shortage::Quota => "it was as large as it may be",
            };
            let long = match waited {
                Nanos(0) => String::new(),
                waited => format!(" for {waited}"),
            };
            let text = format!(
                "the spool of {author} was full{long}, because {why}: no value was lost, but \
                 results of stage {stage} are divided no finer than by {longest} in places"
            );
            doubts.add(Code::Coarse, format!("{author}/{stage}"), text);
        }
    }

    fn told(&mut self, author: &AgentId, stage: StageName) -> &mut Told {
        self.told.entry((author.clone(), stage)).or_default()
    }

    /// When nothing was heard of `agent`, in order.
    pub(super) fn lost(&self, agent: &AgentId) -> Vec<LostSpan> {
        let returned = self.returned.get(agent);
        let span = |&(from_ns, given_up_ns): &(RunTime, RunTime)| {
            let back = returned.and_then(|times| times.range((given_up_ns, false)..).next());
            LostSpan {
                from_ns,
                given_up_ns,
                to_ns: back.map(|back| back.0),
                restarted: back.is_some_and(|back| back.1),
            }
        };
        let spans = self.lost.get(agent).into_iter().flatten().map(span);
        spans.collect()
    }

    /// Everybody of whom the controller speaks.
    pub(super) fn named(&self) -> BTreeSet<AgentId> {
        let joined = self.joined.keys().chain(self.refused.keys());
        joined.chain(self.lost.keys()).cloned().collect()
    }
}

/// A lost span, for people.
pub(super) fn span_text(span: &LostSpan) -> String {
    match span.to_ns {
        Some(to) => format!(
            "lost from {} to {} ({}){}",
            span.from_ns,
            to,
            to.since(span.from_ns),
            if span.restarted {
                ", and it was restarted"
            } else {
                ""
            }
        ),
        None => format!("lost from {} on and never heard of again", span.from_ns),
    }
}
