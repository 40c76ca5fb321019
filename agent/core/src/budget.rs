//! What this agent refuses, whoever asks. Whole assignments are refused, never clipped.

use std::collections::BTreeSet;

use nepho_common::{
    control::Refusal,
    id::Feature,
    plan::{Act, AssignedStage, Assignment, Check, Load, Target, Watch},
    time::Nanos,
};

/// The most stages of one run. A scenario of a person has a handful.
const STAGES_MAX: usize = 64;
/// The longest stage, 24 h: monitoring is a schedule of short runs.
const LASTS_MAX: Nanos = Nanos::from_secs(24 * 3600);
/// The most targets of one stage: a fleet of 40 services in 3 environments, probed by eight steps.
/// The seal of a stage names every series, and has to fit into one record.
const TARGETS_MAX: usize = 1_000;
/// The shortest interval of a probe. What is faster is load and has its own step.
const EVERY_MIN: Nanos = Nanos::from_millis(10);
/// The shortest interval of a watch: the kernel's own figures of pressure are means over ten seconds.
const WATCH_MIN: Nanos = Nanos::from_millis(500);
/// The longest time-out of a probe.
const TIMEOUT_MAX: Nanos = Nanos::from_secs(60);
/// The most requests per second that all probes of a stage make together. What is more is load.
const RATE_MAX: u64 = 5_000;

/// Whether this agent, which can do `features`, may take the assignment on.
///
/// # Errors
/// The first reason against it.
pub fn admit(assignment: &Assignment, features: &BTreeSet<Feature>) -> Result<(), Refusal> {
    let lacking: BTreeSet<_> = assignment.features.difference(features).cloned().collect();
    if !lacking.is_empty() {
        return Err(Refusal::Unsupported(lacking));
    }
    let invalid = |why: String| Err(Refusal::Invalid(why));
    if assignment.stages.len() > STAGES_MAX {
        return invalid(format!("more than {STAGES_MAX} stages"));
    }
    let names: BTreeSet<_> = assignment.stages.iter().map(|stage| &stage.name).collect();
    if names.len() != assignment.stages.len() {
        return invalid("two stages have one name".to_owned());
    }
    for stage in &assignment.stages {
        if stage.lasts > LASTS_MAX || stage.lasts == Nanos(0) {
            return invalid(format!(
                "stage {} lasts {}; 24 h is the most",
                stage.name, stage.lasts
            ));
        }
        let (mut targets, mut milli_rate) = (0, 0u64);
        for step in &stage.steps {
            let probe = match &step.act {
                Act::Probe(probe) => probe,
                Act::Watch(watch) if watch.every < WATCH_MIN => {
                    return invalid(format!("step {} reads every {}", step.name, watch.every));
                }
                Act::Watch(watch)
                    if watch.processes.len() > Watch::THINGS_MAX
                        || watch.containers.len() > Watch::THINGS_MAX =>
                {
                    return invalid(format!(
                        "step {} watches more than {} processes or containers",
                        step.name,
                        Watch::THINGS_MAX
                    ));
                }
                Act::Watch(watch) => {
                    let lacks = |one: &Feature| !assignment.features.contains(one);
                    if let Some(lacked) = watch.features().iter().find(|one| lacks(one)) {
                        return invalid(format!(
                            "step {} needs {lacked}, which is not listed",
                            step.name
                        ));
                    }
                    continue;
                }
                Act::Load(load) => {
                    admit_load(load, stage)
                        .map_err(|why| Refusal::Invalid(format!("step {} {why}", step.name)))?;
                    continue;
                }
            };
            if probe.every < EVERY_MIN {
                return invalid(format!("step {} asks every {}", step.name, probe.every));
            }
            if probe.timeout > TIMEOUT_MAX || probe.timeout == Nanos(0) {
                return invalid(format!(
                    "step {} waits {} for answers",
                    step.name, probe.timeout
                ));
            }
            if let Some(target) = probe
                .to
                .iter()
                .find(|t| !assignment.features.contains(&t.check.feature()))
            {
                return invalid(format!("{} needs a feature that is not listed", target.to));
            }
            targets += probe.to.len();
            milli_rate += probe.to.len() as u64 * (1_000_000_000_000 / probe.every.0);
        }
        if targets > TARGETS_MAX {
            return invalid(format!("stage {} has {targets} targets", stage.name));
        }
        if milli_rate > RATE_MAX * 1000 {
            let rate = milli_rate / 1000;
            return invalid(format!(
                "stage {} makes {rate} requests/s; that is load",
                stage.name
            ));
        }
    }
    Ok(())
}

/// Whether a load is one that the engine can make.
fn admit_load(load: &Load<Target>, stage: &AssignedStage) -> Result<(), String> {
    if load.timeout > TIMEOUT_MAX || load.timeout == Nanos(0) {
        return Err(format!("waits {} for answers", load.timeout));
    }
    if load.warm_up >= stage.lasts {
        return Err(format!("warms up for {}, all of the stage", load.warm_up));
    }
    if load.calls.is_empty() {
        return Err("sends nothing".to_owned());
    }
    let names: BTreeSet<_> = load.calls.iter().map(|call| &call.operation).collect();
    if names.len() != load.calls.len() {
        return Err("has two requests of one name".to_owned());
    }
    if load.shares.is_empty() {
        return Err("sends to nobody".to_owned());
    }
    let mut whom = BTreeSet::new();
    for share in &load.shares {
        if !whom.insert(&share.to) {
            return Err(format!("has two shares of {}", share.to));
        }
        for call in &load.calls {
            let is_it = |to: &&Target| to.to == share.to && to.operation == call.operation;
            let mut all = load.to.iter().filter(is_it);
            let (Some(target), None) = (all.next(), all.next()) else {
                let what = &call.operation;
                return Err(format!(
                    "does not say once how to send {what} to {}",
                    share.to
                ));
            };
            if !matches!(target.check, Check::Http(_)) {
                return Err(format!("sends other things than HTTP to {}", share.to));
            }
        }
    }
    let has_reference = load.shares.iter().any(|share| share.reference.is_some());
    if has_reference && load.reference_call().is_none() {
        return Err("has a reference lane and no call for it".to_owned());
    }
    if load.to.len() != load.shares.len() * load.calls.len() {
        return Err("names targets that it sends nothing to".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nepho_common::plan::{AssignedStep, Probe, TcpCheck};

    use super::*;

    fn assignment(every: Nanos, targets: usize) -> Assignment {
        let check = Check::Tcp(TcpCheck {
            host: "127.0.0.1".to_owned(),
            port: 1,
            ..TcpCheck::default()
        });
        let target = Target {
            to: "local/a/1".parse().unwrap(),
            operation: "connect".to_owned().try_into().unwrap(),
            check,
            offset: Nanos(0),
        };
        let probe = Probe {
            every,
            timeout: Nanos::from_secs(1),
            to: vec![target; targets],
        };
        Assignment {
            plan: nepho_common::id::PlanId(nepho_common::id::Digest::of(b"")),
            environment: "local".parse().unwrap(),
            features: ["probe.tcp".parse().unwrap()].into(),
            stages: vec![AssignedStage {
                name: "one".parse().unwrap(),
                lasts: Nanos::from_secs(5),
                steps: vec![AssignedStep {
                    name: "p".parse().unwrap(),
                    act: Act::Probe(probe),
                }],
            }],
        }
    }

    #[test]
    fn a_plain_assignment_is_taken_and_excess_is_refused_with_its_figure() {
        let can: BTreeSet<Feature> = ["probe.tcp".parse().unwrap()].into();
        assert_eq!(admit(&assignment(Nanos::from_secs(1), 40), &can), Ok(()));
        let refused = |a: &Assignment| admit(a, &can).unwrap_err().to_string();
        assert!(refused(&assignment(Nanos(1), 1)).contains("asks every 1ns"));
        assert!(refused(&assignment(Nanos::from_millis(10), 51)).contains("5100 requests/s"));
        assert!(refused(&assignment(Nanos::from_secs(60), 1_001)).contains("1001 targets"));
        let lacking = admit(&assignment(Nanos::from_secs(1), 1), &BTreeSet::new());
        assert!(matches!(lacking, Err(Refusal::Unsupported(_))));
        let mut twice = assignment(Nanos::from_secs(1), 1);
        twice.stages.push(twice.stages[0].clone());
        assert!(refused(&twice).contains("one name"));
    }
}
