//! What controller and agents say happened. Each may only say what is its own.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::Host,
    event::{Event, LoadEnd, RunEnd, Shortage, Skip, StageEnd, StartOrder, What},
    id::{AgentId, EnvironmentName, Feature, PlanId, Seq, StageName, StepName},
    time::{Mono, Nanos, RunTime, WallMillis},
};

use self::words::refusal;
pub(super) use self::words::span_text;
use super::{
    clocks::Clocks,
    disturbed::Disturbances,
    doubts::{Code, Doubts},
    model::LostSpan,
    revision::joined,
    said::{Said, said},
    things::Things,
    witnessed::Witnessed,
};

/// How many stretches of lost records a sentence names.
const RANGES_SHOWN: usize = 8;

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) started: Option<Started>,
    pub(super) joined: BTreeMap<AgentId, Joined>,
    pub(super) refused: BTreeMap<AgentId, Said>,
    pub(super) ordered: BTreeMap<StageName, Ordered>,
    pub(super) skipped: BTreeMap<StageName, Skip>,
    pub(super) ended: Option<(RunEnd, WallMillis)>,
    /// What agents say of their stages.
    pub(super) told: BTreeMap<(AgentId, StageName), Told>,
    pub(super) clocks: Clocks,
    pub(super) disturbed: Disturbances,
    pub(super) witnessed: Witnessed,
    pub(super) things: Things,
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
                    let text = said!(
                        "the journal tells of more than one start",
                        "运行日志中的运行开始不止一次"
                    );
                    doubts.add(Code::Contradiction, "", text);
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
                let why = refusal(&why);
                let text =
                    said!("agent {agent} refused: {why}", "探针 {agent} 拒绝执行：{why}"; why);
                doubts.add(Code::Refused, &agent, text);
                self.refused.insert(agent, why);
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
                    || said!("before {at}", "在 {at} 之前"),
                    |jump| {
                        let since = jump.since;
                        said!("between {since} and {at}", "在 {since} 与 {at} 之间")
                    },
                );
                let text = said!(
                    "the clock of {agent} or of the controller was disturbed {when}: their \
                     exchanges contradict each other",
                    "{agent} 或控制器的时钟{when}曾受干扰：它们交换的时间戳互相矛盾";
                    when
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
                let apart = Nanos(apart.unsigned_abs());
                let text = said!(
                    "what the hosts of {agent} and of the controller say of their clocks is off by \
                     at least {apart}: it was not believed. Look at both with chronyc tracking",
                    "{agent} 与控制器的主机对各自时钟的说法至少相差 {apart}，未予采信。\
                     请在两边用 `chronyc tracking` 检查"
                );
                doubts.add(Code::HostClock, agent, text);
            }
            What::ControllerReturned { at, .. } => {
                let text = said!(
                    "the controller was away and back at {at}",
                    "控制器曾中途离开，在 {at} 恢复"
                );
                doubts.add(Code::ControllerAway, "", text);
            }
            // Whose seal is missing is seen from the seals themselves.
            What::StageCollected { .. } => {}
            What::StageSkipped { stage, why } => {
                self.skipped.insert(stage, why);
            }
            What::StopRequested { by, .. } => {
                let text = said!("{by} asked for an end", "{by} 要求结束运行");
                doubts.add(Code::Stopped, "", text);
            }
            What::Aborted {
                stage,
                step,
                at,
                why,
            } => {
                let text = said!(
                    "the run was aborted {at} after its start, because of {stage}/{step} {why}",
                    "运行在开始后 {at} 被中止，原因是 {stage}/{step}：{why}"
                );
                doubts.add(Code::Aborted, format!("{stage}/{step}"), text);
            }
            What::RecordRefused { agent, why } => {
                let text = said!(
                    "a record of {agent} was refused: {why}",
                    "{agent} 的一条记录被拒收：“{why}”"
                );
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
            | What::LoadEnded { .. }
            | What::SymptomSeen { .. }
            | What::FactSeen { .. }
            | What::ThingSeen { .. }
            | What::Gap { .. } => {
                let text = said!(
                    "the controller wrote an event that only agents write",
                    "控制器写了只有探针才能写的事件"
                );
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
                let text = said!(
                    "{author} did not send {count} requests of {stage}/{step} that were due; the \
                     latest was {longest} late",
                    "{author} 有 {count} 个 {stage}/{step} 的请求到时未发出；最迟的晚了 {longest}"
                );
                doubts.add(Code::NotSent, author, text);
                let missed = self.told(author, stage).missed.entry(step).or_default();
                missed.0 = missed.0.saturating_add(count);
                missed.1 = missed.1.max(longest);
            }
            What::EpochOpened { suspended, .. } => {
                let text = said!(
                    "the clock of {author} was disturbed: {suspended} asleep",
                    "{author} 的时钟曾受干扰：休眠了 {suspended}"
                );
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
            What::LoadEnded {
                stage,
                step,
                at,
                why,
            } => {
                let why = match why {
                    LoadEnd::Unheard(silence) => said!(
                        "nothing was heard of the controller for {silence}",
                        "已有 {silence} 没有收到控制器的消息"
                    ),
                    LoadEnd::Unable(why) => said!("it could not go on: {why}", "无法继续：{why}"),
                };
                let text = said!(
                    "{author} ended the load {stage}/{step} {at} into the run, before its time: {why}",
                    "{author} 在运行 {at} 时提前结束了负载 {stage}/{step}：{why}";
                    why
                );
                doubts.add(Code::LoadEnded, format!("{author}/{stage}/{step}"), text);
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
            What::ThingSeen {
                stage,
                step,
                thing,
                at,
                how,
            } => self
                .things
                .saw((stage, step, author.clone(), thing), at, how),
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
            | What::Aborted { .. }
            | What::StopRequested { .. }
            | What::RecordRefused { .. }
            | What::RunEnded { .. }
            | What::Reported { .. } => {
                let text = said!(
                    "{author} wrote an event that only the controller writes",
                    "{author} 写了只有控制器才能写的事件"
                );
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
            let shown = shown.map(|(from, to)| said!("{from} to {to}", "{from} 至 {to}"));
            let shown = Said::list(shown);
            let more = match all.saturating_sub(RANGES_SHOWN) {
                0 => Said::default(),
                more => said!(" and {more} more stretches", "，以及另外 {more} 段"),
            };
            let text = said!(
                "the disk of {author} did not give back its records {shown}{more}: look for \
                 *.quarantine in its spool",
                "{author} 的磁盘没有读回它的记录 {shown}{more}：请查看其缓存区中的 *.quarantine";
                shown, more
            );
            doubts.add(Code::Gap, author, text);
        }
    }

    /// Whose spool was full, and what is left of how finely time was divided.
    pub(super) fn doubt_full(&self, doubts: &mut Doubts) {
        for ((author, stage, why), (waited, longest)) in &self.full {
            let why = match why {
                Shortage::Disk => said!("the disk took nothing", "磁盘无法写入"),
                Shortage::Quota => said!("it was as large as it may be", "已达到大小上限"),
            };
            let long = match waited {
                Nanos(0) => Said::default(),
                waited => said!(" for {waited}", "（持续 {waited}）"),
            };
            let text = said!(
                "the spool of {author} was full{long}, because {why}: no value was lost, but \
                 results of stage {stage} are divided no finer than by {longest} in places",
                "{author} 的缓存区已满{long}，因为{why}：没有丢失任何值，但阶段 {stage} 的结果\
                 有些地方的时间粒度只有 {longest}";
                why, long
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
