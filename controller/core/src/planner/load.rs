//! A load: who sends which part of it to whom, over how many connections.

use std::collections::BTreeSet;

use nepho_common::{
    id::{Digest, InstanceId, Operation, StageName, StepName},
    plan::{Call, Check, HttpCheck, Load, Model, PlannedPath, Rate, Route, Share, Stripe, ToldBy},
    time::Nanos,
};

use super::{Draft, pool};
use crate::{
    fleet::{Fleet, Instance, Kind},
    scenario::{self, Agents, Judge, LoadModel, Request, Via},
};

/// What one thread sends in a second at the most when nobody says how many there are to be; a third
/// of what a slow core does (docs/performance.md).
const LANE_RATE: u64 = 20_000;
/// How long answers take when nothing is expected of them.
const ANSWERED_WITHIN: Nanos = Nanos::from_millis(100);
/// The least connections of a share that nobody chose: a few slow answers must not hold back all.
const CONNECTIONS_MIN: u64 = 8;
/// The most connections of a share that nobody chose.
const CONNECTIONS_MAX: u64 = 5_000;
/// Enough for a median each second, and no load to a target that takes a thousand.
pub(super) const REFERENCE: Rate = Rate::per_second(50);
/// From so many requests per second on a lane's own work may show in what it measures: below, it
/// rests nearly all of the time.
const REFERENCE_FROM: u64 = 1_000;
/// From so many users on their answers wait for each other in a lane.
const REFERENCE_USERS: u32 = 32;

impl Draft<'_> {
    pub(super) fn load(
        &mut self,
        stage: &scenario::Stage,
        step: &StepName,
        load: &scenario::Load,
    ) -> Load<PlannedPath> {
        let place = format!("stage {}, step {step}", stage.name);
        let targets = targets(self.fleet, load).unwrap_or_else(|why| {
            self.problems.push(format!("{place}: {why}"));
            Vec::new()
        });
        let sending = self.asking(&place, &stage.name, step, (&load.from, Agents::All));
        let calls = calls(&load.requests);
        let (mut to, mut pairs) = (Vec::new(), Vec::new());
        for (agent, environment) in &sending {
            for (id, instance) in &targets {
                let address = self.fleet.path(environment, instance);
                if address.is_some() {
                    pairs.push((agent.clone(), (*id).clone()));
                } else {
                    self.notes.push(format!(
                        "{place}: the fleet declares no path from {environment} to {id}; nothing \
                         is sent there from {agent}, and the others send its part"
                    ));
                }
                for (call, request) in calls.iter().zip(&load.requests) {
                    let route = address.map_or(Route::NoPath, |address| Route::Ask {
                        check: check(&format!("{address}{}", request.path.as_str()), request),
                        offset: Nanos(0),
                    });
                    to.push(PlannedPath {
                        agent: agent.clone(),
                        to: (*id).clone(),
                        operation: call.operation.clone(),
                        route,
                    });
                }
            }
        }
        let seed = seed(self.seed, &stage.name, step);
        let expects = stage.expect.iter().filter(|one| one.on == *step);
        let within = answered_within(expects.map(|one| &one.judge));
        let sized = size(load, pairs.len(), within);
        if let Some(short) = &sized.short {
            self.problems.push(format!("{place}: {short}"));
        }
        let of = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
        let shares = pairs
            .into_iter()
            .zip(0..)
            .map(|((agent, to), index)| Share {
                agent,
                to,
                stripe: Stripe::new(index, of).unwrap_or(Stripe::WHOLE),
                connections: sized.connections(index),
                lanes: sized.lanes.min(sized.connections(index)),
                // Over HTTP/2 each of these is a user, on however many connections.
                in_flight_max: match &load.model {
                    LoadModel::Closed { .. } => sized.connections(index).into(),
                    LoadModel::Open { .. } => sized.in_flight_max,
                },
                reference: None,
            });
        let model = match &load.model {
            LoadModel::Open { schedule, .. } => Model::Open {
                schedule: schedule.clone(),
                seed,
            },
            LoadModel::Closed { think, rise, .. } => Model::Closed {
                think: *think,
                rise: *rise,
            },
        };
        let is_filled = calls.iter().any(|call| call.is_template);
        let mut load = Load {
            model,
            timeout: load.timeout,
            warm_up: load.warm_up,
            told_by: self.told_by(&place, stage, step),
            feeds: load.feeds.clone(),
            carried: load.carried,
            // Only what is filled has something left to chance beside its schedule.
            seed: if is_filled { seed } else { 0 },
            shares: shares.collect(),
            calls,
            to,
        };
        compare(&mut load);
        load
    }
}

/// Gives a reference lane to each share that sends enough for one, if any call is fit for it.
fn compare(load: &mut Load<PlannedPath>) {
    if load.reference_call().is_none() {
        return;
    }
    let is_busy = |share: &Share| match &load.model {
        Model::Open { .. } => load.peak(share) >= REFERENCE_FROM,
        Model::Closed { .. } => share.connections >= REFERENCE_USERS,
    };
    let busy: Vec<bool> = load.shares.iter().map(is_busy).collect();
    for (share, is_busy) in load.shares.iter_mut().zip(busy) {
        share.reference = is_busy.then_some(REFERENCE);
    }
}

impl Draft<'_> {
    /// What in an answer names who gave it, if anything that is expected asks for that.
    fn told_by(&mut self, place: &str, stage: &scenario::Stage, step: &StepName) -> Option<ToldBy> {
        let expects = stage.expect.iter().filter(|one| one.on == *step);
        // What is wrong with one is said where it is judged.
        let pools = expects.filter_map(|one| pool::pool(self.fleet, stage, one).ok().flatten());
        let mut told_by: Vec<_> = pools.map(|pool| pool.told_by).collect();
        told_by.dedup();
        if let [first, second, ..] = told_by.as_slice() {
            self.problems.push(format!(
                "{place}: one load can't be told apart by {first} and by {second}; make two steps \
                 of it"
            ));
        }
        told_by.pop()
    }
}

/// Whom it goes to, which is what stands before what was chosen with `via: balancer`; and what is
/// wrong with that.
fn targets<'a>(
    fleet: &'a Fleet,
    load: &scenario::Load,
) -> Result<Vec<(&'a InstanceId, &'a Instance)>, String> {
    let matches = |(id, instance): &(&InstanceId, &Instance)| load.to.matches(id, instance);
    let chosen: Vec<_> = fleet.instances.iter().filter(matches).collect();
    if chosen.is_empty() {
        return Err("`to` selects no instance of the fleet".to_owned());
    }
    let targets = match load.via {
        Via::Instances => chosen,
        Via::Balancer => balancers(fleet, load, &chosen)?,
    };
    let mut silent = targets.iter().filter(|(_, one)| one.kind == Kind::Tcp);
    if let Some((id, _)) = silent.next() {
        return Err(format!(
            "{id}: it does not speak HTTP; select other instances"
        ));
    }
    Ok(targets)
}

fn balancers<'a>(
    fleet: &'a Fleet,
    load: &scenario::Load,
    chosen: &[(&InstanceId, &Instance)],
) -> Result<Vec<(&'a InstanceId, &'a Instance)>, String> {
    let groups = chosen.iter().map(|(_, one)| one.group.as_ref());
    let Some(groups) = groups.collect::<Option<BTreeSet<_>>>() else {
        let what = "`via: balancer` goes to groups, and some of what `to` selects has none";
        return Err(what.to_owned());
    };
    let here = &load.to.environments;
    let mut found = Vec::new();
    for group in groups {
        let stands_before = |(id, one): &(&InstanceId, &Instance)| {
            let is_here = here.is_empty() || here.contains(&id.environment);
            one.balances.as_ref() == Some(group) && is_here
        };
        let before = found.len();
        found.extend(fleet.instances.iter().filter(stands_before));
        if found.len() == before {
            return Err(format!(
                "no service of the fleet balances group {group}; say `balances: {group}` at the \
                 one that does, or `via: instances`"
            ));
        }
    }
    Ok(found)
}

/// The requests by their names; those that would have one get numbers.
fn calls(requests: &[Request]) -> Vec<Call> {
    let mut all: Vec<Call> = Vec::new();
    for request in requests {
        let plain = format!("{} {}", request.method, request.written);
        let names = |call: &Call| call.operation.as_str().to_owned();
        let mut name = operation(&plain, "");
        let mut times = 1;
        while all.iter().any(|call| names(call) == name.as_str()) {
            times += 1;
            name = operation(&plain, &format!(" ({times})"));
        }
        let own = request.own_headers.iter();
        let own = own.map(|(name, value)| (name.as_str().to_owned(), value.clone()));
        let path = if request.is_template {
            request.written.clone()
        } else {
            String::new()
        };
        all.push(Call {
            operation: name,
            weight: request.weight,
            body: request.body.clone(),
            is_template: request.is_template,
            headers: own.collect(),
            path,
            is_json: request.is_template && request.is_json,
            follows: request.follows,
            take: request.take.clone(),
        });
    }
    all
}

fn operation(text: &str, end: &str) -> Operation {
    let cut: String = text.chars().take(110).collect();
    let checked = Operation::try_from(format!("{cut}{end}"));
    checked.expect("a path holds no control characters, and it was cut")
}

fn check(url: &str, request: &Request) -> Check {
    let have = request.headers_have.iter();
    let json = request.json.iter();
    let headers = request.headers.iter();
    Check::Http(HttpCheck {
        url: url.to_owned(),
        method: request.method.as_str().to_owned(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), value.to_string()))
            .collect(),
        status: request.ok.clone(),
        headers_have: have
            .map(|(name, text)| (name.as_str().to_owned(), text.clone()))
            .collect(),
        body_has: request.body_has.clone(),
        json: json
            .map(|(path, text)| (path.to_string(), text.clone()))
            .collect(),
        ..HttpCheck::default()
    })
}

/// Two steps draw different instants, and one step the same ones each time.
fn seed(seed: u64, stage: &StageName, step: &StepName) -> u64 {
    let digest = Digest::of(format!("load {seed} {stage} {step}").as_bytes());
    let (first, _) = digest.bytes().split_at(8);
    first
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// How long answers may take by what is expected of their lowest quantile.
pub(super) fn answered_within<'a>(judges: impl Iterator<Item = &'a Judge>) -> Option<Nanos> {
    let bounds = judges.filter_map(|judge| match judge {
        Judge::Latency { bounds } => Some(bounds),
        Judge::Failures { .. }
        | Judge::SuccessRate { .. }
        | Judge::Certificate { .. }
        | Judge::Resource { .. }
        | Judge::Distribution { .. }
        | Judge::Concurrency { .. }
        | Judge::Throughput { .. }
        | Judge::Same { .. } => None,
    });
    let each = bounds.flatten();
    let each = each.filter_map(|(quantile, bounds)| Some((*quantile, bounds.max?)));
    each.min().map(|(_, max)| max)
}

/// Requests in its busiest second.
pub(super) fn peak(load: &scenario::Load) -> u64 {
    let most = Rate::MAX.0 / 1_000;
    match &load.model {
        LoadModel::Open { schedule, .. } => schedule.peak().0.div_ceil(1_000),
        LoadModel::Closed { .. } => most,
    }
}

/// How a load is carried.
pub(super) struct Sized {
    /// In all.
    pub(super) connections: u64,
    shares: u64,
    lanes: u32,
    in_flight_max: u64,
    /// Why what was chosen can't carry it.
    short: Option<String>,
}

impl Sized {
    /// Of one share; the first ones take what can't be divided.
    fn connections(&self, index: u32) -> u32 {
        let (each, rest) = (
            self.connections / self.shares,
            self.connections % self.shares,
        );
        let mine = each + u64::from(u64::from(index) < rest);
        u32::try_from(mine).unwrap_or(u32::MAX).max(1)
    }
}

/// Sizes a load by Little's law: of so many requests per second, each of which takes so long, their
/// product is under way at a time.
pub(super) fn size(load: &scenario::Load, shares: usize, within: Option<Nanos>) -> Sized {
    let shares = (shares as u64).max(1);
    let in_flight = |most: u64| load.in_flight.unwrap_or(most).div_ceil(shares).max(1);
    let (peak, connections) = match &load.model {
        LoadModel::Closed { users, .. } => {
            let users = u64::from(*users);
            let short = (users < shares).then(|| {
                format!("{users} users are too few for {shares} paths: each has one at least")
            });
            return Sized {
                connections: users,
                shares,
                lanes: load.threads.unwrap_or(1),
                in_flight_max: users,
                short,
            };
        }
        LoadModel::Open {
            schedule,
            connections,
        } => (
            schedule.peak().0.div_ceil(1_000),
            connections.map(u64::from),
        ),
    };
    let by_law = |within: Nanos| {
        let all = u128::from(peak) * u128::from(within.0);
        u64::try_from(all.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
    };
    let short = connections.and_then(|has| {
        if has < shares {
            return Some(format!(
                "{has} connections are too few for {shares} paths: each has one at least"
            ));
        }
        let (within, needed) = within.map(|within| (within, by_law(within)))?;
        (has < needed).then(|| {
            format!(
                "{has} connections can't carry {peak}/s if answers take {within}, as is allowed: \
                 {needed} would be busy all the time (Little's law); say `connections: {}` or \
                 more, or leave it out",
                needed * 2
            )
        })
    });
    let sized = by_law(within.unwrap_or(ANSWERED_WITHIN)).saturating_mul(2);
    let sized = sized.clamp(CONNECTIONS_MIN * shares, CONNECTIONS_MAX * shares);
    let lanes = peak.div_ceil(shares).div_ceil(LANE_RATE);
    let lanes = u32::try_from(lanes).unwrap_or(u32::MAX);
    Sized {
        connections: connections.unwrap_or(sized),
        shares,
        lanes: load.threads.unwrap_or(lanes).clamp(1, 64),
        // What can be under way when nothing is answered until its time is over, twice.
        in_flight_max: in_flight(by_law(load.timeout).saturating_mul(2).saturating_add(1_000)),
        short,
    }
}
