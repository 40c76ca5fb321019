//! What generators said of themselves: how much was due, what became of it beside answers, and
//! whether they kept up.

use std::collections::BTreeMap;

use nepho_common::{
    id::{AgentId, InstanceId, StageName, StepName},
    journal::RecordKey,
    plan::{Arrivals, Load, Model, Plan, PlannedPath, PlannedStage, Schedule, Share},
    recording::{Gauge, LOAD_GAUGES},
    time::{Nanos, RunTime},
};

use super::{
    doubts::{Code, Doubts},
    said::said,
};

/// A generator that is held up for longer than this has shaped what it measured.
pub(super) const GAP_MAX: Nanos = Nanos::from_millis(100);

/// What is told is of a second.
const SECOND: Nanos = Nanos::from_secs(1);

/// Seconds of shares. One of which nothing is known is not in it.
#[derive(Debug, Default)]
pub(super) struct Loads(BTreeMap<Key, BTreeMap<Nanos, Second>>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    stage: StageName,
    step: StepName,
    agent: AgentId,
    to: InstanceId,
}

/// What a share counted in a second, or in several.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Second {
    pub(super) offered: u64,
    pub(super) sent: u64,
    pub(super) shed: u64,
    pub(super) unsent: u64,
    pub(super) cut: u64,
    pub(super) received: u64,
    pub(super) written: u64,
    pub(super) connected: u64,
    /// Of one core, of the busiest thread.
    pub(super) cpu: f64,
    pub(super) gap: Nanos,
    /// The median service time of the reference lane, and of the others. Of several seconds, none.
    pub(super) reference: Option<Nanos>,
    pub(super) lanes: Option<Nanos>,
}

/// What the lanes of a share saw, beside what a lane that sends little saw of the same target: medians
/// of the service time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) lanes: Nanos,
    pub(super) reference: Nanos,
}

impl Compared {
    /// A median of fewer seconds says little.
    const SECONDS_MIN: usize = 5;
    /// Lanes may see this much more than the reference lane before anything is made of it: it shares
    /// the host with them, and has a connection of its own.
    const MORE_MAX: Nanos = Nanos(200_000);

    /// Medians over those seconds of which both are known.
    fn of<'a>(seconds: impl Iterator<Item = &'a Second>) -> Option<Self> {
        let both = seconds.filter_map(|second| second.lanes.zip(second.reference));
        let (mut lanes, mut reference): (Vec<_>, Vec<_>) = both.unzip();
        if lanes.len() < Self::SECONDS_MIN {
            return None;
        }
        lanes.sort_unstable();
        reference.sort_unstable();
        let middle = (lanes.len() - 1) / 2;
        Some(Self {
            lanes: lanes[middle],
            reference: reference[middle],
        })
    }

    /// By how much lanes were slower.
    pub(super) const fn more(&self) -> Nanos {
        Nanos(self.lanes.0.saturating_sub(self.reference.0))
    }

    /// The same, if it is beyond what says nothing.
    pub(super) fn added(&self) -> Option<Nanos> {
        let most = self.reference.0 / 4 + Self::MORE_MAX.0;
        Some(self.more()).filter(|more| more.0 > most)
    }
}

impl Loads {
    /// Takes what the plan asks for and doubts the rest. `began` says when a stage did.
    pub(super) fn gather(
        plan: &Plan,
        began: impl Fn(&StageName) -> Option<RunTime>,
        records: &[(RecordKey, Vec<Gauge>)],
        doubts: &mut Doubts,
    ) -> Self {
        let mut all: BTreeMap<Key, BTreeMap<Nanos, Second>> = BTreeMap::new();
        for (key, gauges) in records {
            for gauge in gauges {
                let stage = plan.stages.iter().find(|one| one.name == gauge.stage);
                let step = stage.and_then(|stage| {
                    let mut steps = stage.steps.iter();
                    steps.find(|step| step.name == gauge.step)
                });
                let Some(load) = step.and_then(|step| step.act.load()) else {
                    // Gauges of other steps are theirs.
                    continue;
                };
                let name = gauge.name.as_str();
                let known = LOAD_GAUGES.iter().find(|(known, _)| *known == name);
                let of = gauge.of.as_ref();
                let share = of.and_then(|to| load.share(&key.agent, to));
                let fits = known.is_none_or(|(_, unit)| *unit == gauge.unit);
                let (Some(share), true) = (share, fits) else {
                    let (agent, stage, step) = (&key.agent, &gauge.stage, &gauge.step);
                    let text = said!(
                        "{agent} told of {name} in {stage}/{step}, which the plan does not ask of it",
                        "{agent} 在 {stage}/{step} 中上报了 {name}，计划没有要求它上报"
                    );
                    doubts.add(Code::NotPlanned, agent, text);
                    continue;
                };
                let Some(into) = began(&gauge.stage).and_then(|began| into(began, gauge.at)) else {
                    continue;
                };
                let key = Key {
                    stage: gauge.stage.clone(),
                    step: gauge.step.clone(),
                    agent: key.agent.clone(),
                    to: share.to.clone(),
                };
                let seconds = all.entry(key).or_default();
                seconds
                    .entry(into)
                    .or_default()
                    .add_gauge(name, gauge.value);
            }
        }
        Self(all)
    }

    /// What a share counted in a part of its stage; `None` when nothing is known of it.
    pub(super) fn sum(
        &self,
        (stage, step): (&StageName, &StepName),
        share: &Share,
        span: (Nanos, Nanos),
    ) -> Option<Second> {
        let mut sum = Second::default();
        let seconds = self.seconds((stage, step), share, span)?;
        seconds.for_each(|second| sum.add(second));
        Some(sum)
    }

    /// What lanes of a share saw and its reference lane did, in a part of its stage.
    pub(super) fn compared(
        &self,
        of: (&StageName, &StepName),
        share: &Share,
        span: (Nanos, Nanos),
    ) -> Option<Compared> {
        Compared::of(self.seconds(of, share, span)?)
    }

    /// In how many seconds of a part of its stage a thread of a share stood still for longer than this.
    pub(super) fn stalls(
        &self,
        of: (&StageName, &StepName),
        share: &Share,
        span: (Nanos, Nanos),
        longer: Nanos,
    ) -> u64 {
        let seconds = self.seconds(of, share, span);
        let stalls = seconds.map(|seconds| seconds.filter(|second| second.gap > longer).count());
        stalls.unwrap_or_default() as u64
    }

    fn seconds(
        &self,
        (stage, step): (&StageName, &StepName),
        share: &Share,
        (from, to): (Nanos, Nanos),
    ) -> Option<impl Iterator<Item = &Second>> {
        let key = Key {
            stage: stage.clone(),
            step: step.clone(),
            agent: share.agent.clone(),
            to: share.to.clone(),
        };
        let inside = self.0.get(&key)?.range(from..to.max(from));
        Some(inside.map(|(_, second)| second))
    }
}

impl Loads {
    /// Whether something is known of each second of a part of its stage, in which a share was to send.
    /// Of the very first second a lane tells only what it counted, which may be nothing.
    pub(super) fn is_whole(
        &self,
        (stage, step): (&StageName, &StepName),
        share: &Share,
        (from, to): (Nanos, Nanos),
    ) -> bool {
        let key = Key {
            stage: stage.clone(),
            step: step.clone(),
            agent: share.agent.clone(),
            to: share.to.clone(),
        };
        let [first, end] = [from.0.div_ceil(SECOND.0).max(1), to.0 / SECOND.0];
        let (from, to) = (Nanos(first * SECOND.0), Nanos(end * SECOND.0));
        let told = self.0.get(&key).map_or(0, |seconds| {
            seconds.range(from..to.max(from)).count() as u64
        });
        told >= end.saturating_sub(first)
    }

    /// What an agent counted in a whole stage, in one of its steps or in all.
    pub(super) fn of(
        &self,
        stage: &PlannedStage,
        step: Option<&StepName>,
        agent: &AgentId,
    ) -> Second {
        let is_meant = |key: &&Key| {
            let is_step = step.is_none_or(|step| key.step == *step);
            key.stage == stage.name && key.agent == *agent && is_step
        };
        let all = self.0.iter().filter(|(key, _)| is_meant(key));
        let mut sum = Second::default();
        for second in all.flat_map(|(_, seconds)| seconds.values()) {
            sum.add(second);
        }
        sum
    }
}

fn into(began: RunTime, at: RunTime) -> Option<Nanos> {
    let into = i128::from(at.0) - i128::from(began.0);
    u64::try_from(into).ok().map(Nanos)
}

impl Second {
    /// Pieces of one second are told as they come.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float that is no count saturates, and negative ones are none"
    )]
    fn add_gauge(&mut self, name: &str, value: f64) {
        let count = value as u64;
        let sum = match name {
            "load.offered" => &mut self.offered,
            "load.sent" => &mut self.sent,
            "load.shed" => &mut self.shed,
            "load.unsent" => &mut self.unsent,
            "load.cut" => &mut self.cut,
            "load.connected" => &mut self.connected,
            "load.received" => &mut self.received,
            "load.written" => &mut self.written,
            "load.cpu" => {
                self.cpu = self.cpu.max(value);
                return;
            }
            "load.gap" => {
                self.gap = self.gap.max(Nanos(count));
                return;
            }
            // What comes later of a second is a remnant.
            "load.reference" => {
                self.reference.get_or_insert(Nanos(count));
                return;
            }
            "load.lanes" => {
                self.lanes.get_or_insert(Nanos(count));
                return;
            }
            // A later agent may tell more.
            _ => return,
        };
        *sum = sum.saturating_add(count);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.offered, other.offered),
            (&mut self.sent, other.sent),
            (&mut self.shed, other.shed),
            (&mut self.unsent, other.unsent),
            (&mut self.cut, other.cut),
            (&mut self.connected, other.connected),
            (&mut self.received, other.received),
            (&mut self.written, other.written),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.cpu = self.cpu.max(other.cpu);
        self.gap = self.gap.max(other.gap);
    }
}

/// How many requests a share was to make in a part of its stage: as many as it says were due, if
/// that can be what the schedule makes of it; else as many as the schedule says.
///
/// Chance may decide how many are due. What lies farther from the mean than five standard deviations
/// of a Poisson distribution happens once in a million runs, and is no chance.
pub(super) fn planned(
    load: &Load<PlannedPath>,
    share: &Share,
    span: (Nanos, Nanos),
    offered: Option<u64>,
) -> u64 {
    // What follows in a flow is due when answers say so.
    let (following, each): (Vec<_>, Vec<_>) = load.calls.iter().partition(|call| call.follows);
    let each = each.into_iter();
    let each = each.map(|call| load.expected(share, &call.operation, span));
    let Some(expected) = each.sum::<Option<u64>>() else {
        // Users ask once at least; and what they did not ask was not due.
        return offered.unwrap_or_else(|| share.connections.into());
    };
    let Some(offered) = offered else {
        return expected;
    };
    let chance = by_chance(&load.model, expected);
    let is_enough = !following.is_empty() && offered > expected;
    if is_enough || offered.abs_diff(expected) <= chance {
        offered
    } else {
        expected
    }
}

/// By how much a count may differ from what is expected.
fn by_chance(model: &Model, expected: u64) -> u64 {
    /// Rounding of each call's part, and of the edges of the part.
    const ROUNDED: u64 = 50;
    match model {
        Model::Open {
            schedule:
                Schedule::Legs {
                    arrivals: Arrivals::Poisson,
                    ..
                },
            ..
        } => expected.isqrt().saturating_mul(5).saturating_add(ROUNDED),
        Model::Open { .. } => ROUNDED,
        Model::Closed { .. } => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        id::{Seq, SpoolId},
        plan::{Act, Call, Carried, LostAgent, PlannedStep, Stripe},
        recording::Unit,
    };

    use super::*;
    use crate::report::render::Lang;

    fn load(arrivals: Arrivals) -> Load<PlannedPath> {
        let rate = "100/s".parse().unwrap();
        let schedule = Schedule::constant(arrivals, rate, Nanos::from_secs(10)).unwrap();
        let call = |name: &str, weight| Call::plain(name.to_owned().try_into().unwrap(), weight);
        Load {
            model: Model::Open { schedule, seed: 1 },
            timeout: Nanos::from_secs(1),
            warm_up: Nanos(0),
            feeds: Vec::new(),
            carried: Carried::default(),
            seed: 0,
            calls: vec![call("GET /a", 9), call("GET /b", 1)],
            told_by: None,
            shares: vec![Share {
                agent: "a-1".parse().unwrap(),
                to: "a/web/1".parse().unwrap(),
                stripe: Stripe::new(0, 2).unwrap(),
                connections: 4,
                lanes: 1,
                in_flight_max: 9,
                reference: None,
            }],
            to: Vec::new(),
        }
    }

    #[test]
    fn as_many_were_due_as_the_agent_says_if_the_schedule_can_have_made_it() {
        let span = (Nanos(0), Nanos::from_secs(10));
        let even = load(Arrivals::Constant);
        let of = |load: &Load<_>, offered| planned(load, &load.shares[0], span, offered);
        assert_eq!(of(&even, None), 500, "a stripe of two");
        assert_eq!(of(&even, Some(500)), 500);
        assert_eq!(of(&even, Some(400)), 500, "a hundred are missing");
        assert_eq!(of(&even, Some(700)), 500, "and these are too many");
        let chance = load(Arrivals::Poisson);
        assert_eq!(of(&chance, Some(430)), 430, "chance may do that");
        assert_eq!(of(&chance, Some(250)), 500, "and not that");
        let closed = Load {
            model: Model::Closed {
                think: Nanos(0),
                rise: None,
            },
            ..load(Arrivals::Poisson)
        };
        assert_eq!(of(&closed, Some(12_345)), 12_345);
        assert_eq!(of(&closed, None), 4, "each user would have asked once");
    }

    fn plan() -> Plan {
        Plan {
            schema: Plan::SCHEMA.to_owned(),
            scenario: "s".parse().unwrap(),
            title: String::new(),
            seed: 1,
            keep_going: false,
            lost_agent: LostAgent::default(),
            files: BTreeMap::new(),
            agents: BTreeMap::new(),
            instances: BTreeMap::new(),
            stages: vec![PlannedStage {
                name: "one".parse().unwrap(),
                after: Vec::new(),
                lasts: Nanos::from_secs(10),
                steps: vec![PlannedStep {
                    name: "browse".parse().unwrap(),
                    act: Act::Load(load(Arrivals::Constant)),
                }],
                expectations: Vec::new(),
                abort_if: Vec::new(),
            }],
        }
    }

    fn gauge(name: &str, unit: Unit, second: i64, value: f64) -> Gauge {
        Gauge {
            name: name.to_owned().try_into().unwrap(),
            stage: "one".parse().unwrap(),
            step: "browse".parse().unwrap(),
            of: Some("a/web/1".parse().unwrap()),
            thing: None,
            at: RunTime(5_000_000_000 + second * 1_000_000_000),
            value,
            unit,
        }
    }

    #[test]
    fn pieces_of_a_second_are_added_up_and_what_was_not_asked_for_is_doubted() {
        let key = |agent: &str, seq| RecordKey {
            agent: agent.parse().unwrap(),
            spool: SpoolId::new([1; 16]),
            seq: Seq(seq),
        };
        let count = |second, value| gauge("load.offered", Unit::Count, second, value);
        let mine = vec![
            count(0, 40.0),
            count(1, 50.0),
            gauge("load.gap", Unit::Nanoseconds, 1, 7.0),
            gauge("load.later", Unit::Count, 1, 7.0),
            count(-1, 9.0),
            count(2, -5.0),
        ];
        let strange = vec![gauge("load.offered", Unit::Bytes, 0, 9.0)];
        let foreign = vec![count(0, 1_000.0)];
        let records = [
            (key("a-1", 1), mine),
            (key("a-1", 2), vec![count(1, 3.0)]),
            (key("a-1", 3), strange),
            (key("b-1", 1), foreign),
        ];
        let mut doubts = Doubts::default();
        let plan = plan();
        let began = |_: &StageName| Some(RunTime(5_000_000_000));
        let loads = Loads::gather(&plan, began, &records, &mut doubts);
        let stage = &plan.stages[0];
        let share = &stage.steps[0].act.load().unwrap().shares[0];
        let of = |from, to| {
            let span = (Nanos::from_secs(from), Nanos::from_secs(to));
            let sum = loads.sum((&stage.name, &stage.steps[0].name), share, span);
            sum.map(|sum| (sum.offered, sum.gap))
        };
        assert_eq!(of(0, 10), Some((93, Nanos(7))));
        assert_eq!(of(1, 2), Some((53, Nanos(7))));
        assert_eq!(
            of(2, 1),
            Some((0, Nanos(0))),
            "a part that is none holds nothing"
        );
        let told: Vec<_> = doubts
            .list(Lang::En)
            .into_iter()
            .map(|one| one.about)
            .collect();
        assert_eq!(told, ["a-1", "b-1"]);
    }
}
