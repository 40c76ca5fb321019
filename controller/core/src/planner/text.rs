//! A plan for a person who is about to nod.

use std::{collections::BTreeMap, fmt::Write as _};

use nepho_common::{
    plan::{
        Act, Arrivals, Carried, Leg, Load, Model, Plan, PlannedPath, PlannedStep, Pool, Ratio,
        Route, Schedule, Share,
    },
    time::Nanos,
};

use super::{BlastRadius, Estimate, Planned, estimate};

/// What `nepho plan` prints.
#[must_use]
pub fn render(planned: &Planned) -> String {
    let Planned { plan, id, .. } = planned;
    let mut out = String::new();
    // Writing to a string can't fail.
    let mut line = |text: String| writeln!(out, "{text}").unwrap_or_default();
    let title = if plan.title == plan.scenario.as_str() {
        String::new()
    } else {
        format!("  {}", plan.title)
    };
    line(format!(
        "Plan {} for {}{title}",
        id.0.short(),
        plan.scenario
    ));
    line(format!(
        "  {} in {}, {}, {}, {} ({}/min)",
        planned.lasts,
        counted(plan.stages.len() as u64, "stage"),
        counted(plan.agents.len() as u64, "agent"),
        counted(plan.instances.len() as u64, "instance"),
        counted(planned.requests, "request"),
        per_minute(planned)
    ));
    for stage in &plan.stages {
        line(String::new());
        let after: Vec<_> = stage.after.iter().map(ToString::to_string).collect();
        let after = if after.is_empty() {
            String::new()
        } else {
            format!("  after {}", after.join(", "))
        };
        line(format!("stage {}  {}{after}", stage.name, stage.lasts));
        stage
            .steps
            .iter()
            .for_each(|step| line(format!("  {}", describe(plan, step))));
        for estimate in planned.estimates.iter().filter(|e| e.stage == stage.name) {
            line(format!("  {}", expects(estimate)));
        }
        for one in &stage.abort_if {
            let judged = estimate::judged(&one.judge);
            line(format!(
                "  aborts unless {} {judged} over the last {}",
                one.on, one.over
            ));
        }
    }
    line(String::new());
    policies(planned).into_iter().for_each(&mut line);
    line(blast(planned));
    if !planned.notes.is_empty() {
        line(String::new());
        planned
            .notes
            .iter()
            .for_each(|note| line(format!("note: {note}")));
    }
    line(String::new());
    line(format!("plan id {id}"));
    out
}

fn blast(planned: &Planned) -> String {
    let BlastRadius {
        agents,
        unknown,
        allowed,
        connections,
        used,
    } = planned.blast;
    let agents = counted(agents, "connected agent");
    let unknown = match unknown {
        0 => String::new(),
        n => format!(", beside {} of unknown policy", counted(n, "agent")),
    };
    format!(
        "blast radius: the policies of {agents} allow {allowed} requests/s over {connections} \
         connections in all{unknown}; this plan makes up to {used}"
    )
}

/// A line for each policy, with the agents that have it.
fn policies(planned: &Planned) -> Vec<String> {
    let mut shared: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (agent, policy) in &planned.policies {
        shared.entry(policy).or_default().push(agent.as_str());
    }
    let line =
        |(policy, agents): (&str, Vec<&str>)| format!("policy {policy}: {}", agents.join(", "));
    shared.into_iter().map(line).collect()
}

fn counted(n: u64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

fn per_minute(planned: &Planned) -> u64 {
    let wide = u128::from(planned.requests) * 60_000_000_000 / u128::from(planned.lasts.0.max(1));
    u64::try_from(wide).unwrap_or(u64::MAX)
}

fn describe(plan: &Plan, step: &PlannedStep) -> String {
    let probe = match &step.act {
        Act::Probe(probe) => probe,
        Act::Load(load) => return describe_load(plan, step, load),
        Act::Watch(watch) => {
            let hosts: Vec<_> = watch.hosts.iter().map(ToString::to_string).collect();
            let host = (!watch.without_host).then(|| "the hosts".to_owned());
            let processes = watch.processes.iter();
            let processes = processes.map(|(name, pick)| format!("process {name} ({pick})"));
            let containers = watch.containers.iter();
            let containers = containers.map(|(name, pick)| format!("container {name} ({pick})"));
            let what: Vec<_> = host
                .into_iter()
                .chain(processes)
                .chain(containers)
                .collect();
            let of = if watch.without_host {
                "on the hosts of"
            } else {
                "of"
            };
            return format!(
                "{:12} watch every {}: {} {of} {}",
                step.name,
                watch.every,
                what.join(", "),
                hosts.join(", ")
            );
        }
    };
    let mut operations: BTreeMap<&str, u64> = BTreeMap::new();
    let mut from: BTreeMap<String, u64> = BTreeMap::new();
    for path in probe.to.iter().filter(|path| path.route != Route::NoPath) {
        *operations.entry(path.operation.as_str()).or_default() += 1;
        let environment = plan
            .agents
            .get(&path.agent)
            .map(|agent| agent.environment.to_string());
        *from.entry(environment.unwrap_or_default()).or_default() += 1;
    }
    let counts = |counted: Vec<(String, u64)>| {
        let each: Vec<_> = counted
            .iter()
            .map(|(what, n)| format!("{what} ×{n}"))
            .collect();
        each.join(", ")
    };
    let operations = counts(
        operations
            .into_iter()
            .map(|(o, n)| (o.to_owned(), n))
            .collect(),
    );
    let from = counts(from.into_iter().collect());
    format!(
        "{:12} probe every {}, time-out {}: {operations}; from {from}",
        step.name, probe.every, probe.timeout
    )
}

/// What is not as always of how a load is carried.
fn describe_carried(carried: Carried) -> String {
    let Carried {
        http2,
        pool,
        requests_per_connection,
        pin,
        spin,
    } = carried;
    let pool = match pool {
        Pool::Shared => None,
        Pool::PerUser => Some(", one for each user".to_owned()),
        Pool::New => Some(", a new one for each request".to_owned()),
    };
    let few = (requests_per_connection > 0)
        .then(|| format!(", each for {}", counted(requests_per_connection, "request")));
    let http2 = http2.then(|| " of HTTP/2".to_owned());
    let pin = pin.then(|| ", each thread on its own core".to_owned());
    let spin = (spin > Nanos(0)).then(|| format!(", spinning for up to {spin}"));
    let all = [http2, pool, few, pin, spin];
    all.into_iter().flatten().collect()
}

/// What is sent beside the load, to compare with.
fn describe_reference(shares: &[Share]) -> String {
    let rates = shares.iter().filter_map(|share| share.reference);
    let (many, most) = (rates.clone().count(), rates.max());
    match most {
        None => String::new(),
        Some(rate) if many == shares.len() => format!(" and {rate} of a reference lane each"),
        Some(rate) => format!(
            " and {rate} of a reference lane on {many} of {}",
            counted(shares.len() as u64, "path")
        ),
    }
}

fn describe_load(plan: &Plan, step: &PlannedStep, load: &Load<PlannedPath>) -> String {
    let mut from: BTreeMap<String, u64> = BTreeMap::new();
    let mut to: BTreeMap<String, u64> = BTreeMap::new();
    let mut connections = 0;
    for share in &load.shares {
        let agent = plan.agents.get(&share.agent);
        let environment = agent.map(|agent| agent.environment.to_string());
        *from.entry(environment.unwrap_or_default()).or_default() += 1;
        *to.entry(share.to.to_string()).or_default() += 1;
        connections += u64::from(share.connections);
    }
    let listed = |all: BTreeMap<String, u64>| {
        let each: Vec<_> = all.into_keys().collect();
        match each.as_slice() {
            [one, two, three, _, ..] => {
                let more = each.len() - 3;
                format!("{one}, {two}, {three} and {more} more")
            }
            few => few.join(", "),
        }
    };
    let when = match &load.model {
        Model::Open { schedule, .. } => described(schedule),
        Model::Closed { think, rise } => {
            let users = match rise {
                None => counted(connections, "user"),
                Some(rise) => {
                    let (from, to, count) = (rise.from(), rise.to(), rise.count());
                    format!("from {from} to {to} users in {count} stairs")
                }
            };
            match think {
                Nanos(0) => users,
                think => format!("{users} who think {think}"),
            }
        }
    };
    let all: u64 = load.calls.iter().map(|call| u64::from(call.weight)).sum();
    let share = |weight: u32| {
        Ratio(u32::try_from(u64::from(weight) * 10_000 / all.max(1) * 100).unwrap_or(0))
    };
    let calls = load.calls.iter().map(|call| match load.calls.len() {
        1 => call.operation.to_string(),
        _ if call.follows => format!("then {}", call.operation),
        _ => format!("{} {}", share(call.weight), call.operation),
    });
    let calls: Vec<_> = calls.collect();
    let carried = describe_carried(load.carried);
    let reference = describe_reference(&load.shares);
    format!(
        "{:12} load {when} over {}{carried}{reference}, time-out {}: {}; from {} to {}",
        step.name,
        counted(connections, "connection"),
        load.timeout,
        calls.join(", "),
        listed(from),
        listed(to)
    )
}

fn described(schedule: &Schedule) -> String {
    match schedule {
        Schedule::List(instants) => counted(instants.len() as u64, "instant"),
        Schedule::Legs { arrivals, legs } => {
            let how = match arrivals {
                Arrivals::Poisson => "Poisson",
                Arrivals::Constant => "constant",
            };
            let leg = |leg: &Leg| {
                if leg.from == leg.to {
                    leg.from.to_string()
                } else {
                    format!("{} to {}", leg.from, leg.to)
                }
            };
            match legs.as_slice() {
                [one] => format!("{} ({how})", leg(one)),
                many => {
                    let each: Vec<_> = many
                        .iter()
                        .map(|one| format!("{} for {}", leg(one), one.lasts))
                        .collect();
                    format!("{} ({how})", each.join(", "))
                }
            }
        }
    }
}

fn expects(estimate: &Estimate) -> String {
    let Estimate {
        on,
        expected,
        findings,
        without_path,
        needed,
        planned,
        ..
    } = estimate;
    let findings = counted(*findings, "finding");
    let mut text = format!("  expect {on}: {expected}: {findings}");
    if *without_path > 0 {
        text += &format!(", {without_path} of them without a path");
    }
    let needs = counted(*needed, "sample");
    text += &format!("; each needs {needs}, the poorest gets {planned}");
    if let Some(remedy) = estimate.remedy() {
        text += &format!(
            "\n    TOO FEW: it can't be decided in {}; {remedy}",
            estimate.within
        );
    }
    text
}
