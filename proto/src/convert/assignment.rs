//! One agent's slice of a plan.

use std::collections::BTreeMap;

use nepho_common::{
    id::{PlanId, ThingName},
    plan::{
        Act, AssignedStage, AssignedStep, Assignment, ContainerPick, PickText, Probe, ProcessPick,
        Target, Watch,
    },
};

use super::field::{at_most, id, list, name, said, set, span, within_range};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::{FEATURES_MAX, SPAN_MAX, STAGES_MAX, STEPS_MAX, TARGETS_MAX, THINGS_MAX},
    wire,
};

impl TryFrom<wire::Assignment> for Assignment {
    type Error = BadMessage;

    fn try_from(wire: wire::Assignment) -> Result<Self, BadMessage> {
        Ok(Self {
            plan: PlanId(id("plan", &wire.plan)?),
            environment: name("environment", wire.environment)?,
            features: set("features", wire.features, FEATURES_MAX)?,
            stages: list("stages", wire.stages, STAGES_MAX)?,
        })
    }
}

impl From<&Assignment> for wire::Assignment {
    fn from(assignment: &Assignment) -> Self {
        Self {
            plan: assignment.plan.0.bytes().to_vec(),
            environment: assignment.environment.to_string(),
            features: assignment
                .features
                .iter()
                .map(ToString::to_string)
                .collect(),
            stages: assignment.stages.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::AssignedStage> for AssignedStage {
    type Error = BadMessage;

    fn try_from(wire: wire::AssignedStage) -> Result<Self, BadMessage> {
        Ok(Self {
            name: name("name", wire.name)?,
            lasts: span("lasts", wire.lasts)?,
            steps: list("steps", wire.steps, STEPS_MAX)?,
        })
    }
}

impl From<&AssignedStage> for wire::AssignedStage {
    fn from(stage: &AssignedStage) -> Self {
        Self {
            name: stage.name.to_string(),
            lasts: stage.lasts.0,
            steps: stage.steps.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::AssignedStep> for AssignedStep {
    type Error = BadMessage;

    fn try_from(wire: wire::AssignedStep) -> Result<Self, BadMessage> {
        let unknown = || match wire.kind.as_str() {
            "" => Wrong::Missing,
            kind => Wrong::Kind(said(kind)),
        };
        let act = match wire.act.ok_or_else(unknown).within("act")? {
            wire::assigned_step::Act::Probe(probe) => Act::Probe(probe.try_into().within("probe")?),
            wire::assigned_step::Act::Watch(watch) => Act::Watch(watch.try_into().within("watch")?),
            wire::assigned_step::Act::Load(load) => Act::Load(load.try_into().within("load")?),
        };
        Ok(Self {
            name: name("name", wire.name)?,
            act,
        })
    }
}

impl From<&AssignedStep> for wire::AssignedStep {
    fn from(step: &AssignedStep) -> Self {
        let (kind, act) = match &step.act {
            Act::Probe(probe) => ("probe", wire::assigned_step::Act::Probe(probe.into())),
            Act::Watch(watch) => ("watch", wire::assigned_step::Act::Watch(watch.into())),
            Act::Load(load) => ("load", wire::assigned_step::Act::Load(load.into())),
        };
        Self {
            name: step.name.to_string(),
            act: Some(act),
            kind: kind.to_owned(),
        }
    }
}

impl TryFrom<wire::Watch> for Watch {
    type Error = BadMessage;

    fn try_from(wire: wire::Watch) -> Result<Self, BadMessage> {
        within_range("every", wire.every.into(), 1, SPAN_MAX.into())?;
        at_most("things", wire.things.len(), THINGS_MAX)?;
        let (mut processes, mut containers) = (BTreeMap::new(), BTreeMap::new());
        for (place, one) in wire.things.into_iter().enumerate() {
            thing(one, &mut processes, &mut containers).within(&format!("things[{place}]"))?;
        }
        Ok(Self {
            every: span("every", wire.every)?,
            hosts: set("hosts", wire.hosts, 1)?,
            without_host: wire.without_host,
            processes,
            containers,
        })
    }
}

/// A process or a container, in its place.
fn thing(
    wire: wire::WatchedThing,
    processes: &mut BTreeMap<ThingName, ProcessPick>,
    containers: &mut BTreeMap<ThingName, ContainerPick>,
) -> Result<(), BadMessage> {
    use wire::watched_thing::Pick;

    let name: ThingName = name("name", wire.name)?;
    if processes.contains_key(&name) || containers.contains_key(&name) {
        return Err(Wrong::Twice).within("name");
    }
    let process = |pick: ProcessPick| pick.checked().within("pick");
    let container = |pick: ContainerPick| pick.checked().within("pick");
    let text = |text: String| PickText::try_from(text).within("pick");
    match wire.pick.ok_or(Wrong::Missing).within("pick")? {
        Pick::ProcessName(of) => {
            processes.insert(name, process(ProcessPick::Name(text(of)?))?);
        }
        Pick::PidFile(path) => {
            processes.insert(name, process(ProcessPick::PidFile(text(path)?))?);
        }
        Pick::Unit(unit) => {
            processes.insert(name, process(ProcessPick::Unit(text(unit)?))?);
        }
        Pick::ContainerName(of) => {
            containers.insert(name, container(ContainerPick::Name(text(of)?))?);
        }
        Pick::ContainerLabel(label) => {
            containers.insert(name, container(ContainerPick::Label(text(label)?))?);
        }
    }
    Ok(())
}

fn things(watch: &Watch) -> impl Iterator<Item = wire::WatchedThing> {
    use wire::watched_thing::Pick;

    let thing = |name: &ThingName, pick| wire::WatchedThing {
        name: name.to_string(),
        pick: Some(pick),
    };
    let processes = watch.processes.iter().map(move |(name, pick)| {
        let pick = match pick {
            ProcessPick::Name(of) => Pick::ProcessName(of.to_string()),
            ProcessPick::PidFile(path) => Pick::PidFile(path.to_string()),
            ProcessPick::Unit(unit) => Pick::Unit(unit.to_string()),
        };
        thing(name, pick)
    });
    let containers = watch.containers.iter().map(move |(name, pick)| {
        let pick = match pick {
            ContainerPick::Name(of) => Pick::ContainerName(of.to_string()),
            ContainerPick::Label(label) => Pick::ContainerLabel(label.to_string()),
        };
        thing(name, pick)
    });
    processes.chain(containers)
}

impl From<&Watch> for wire::Watch {
    fn from(watch: &Watch) -> Self {
        Self {
            every: watch.every.0,
            hosts: watch.hosts.iter().map(ToString::to_string).collect(),
            without_host: watch.without_host,
            things: things(watch).collect(),
        }
    }
}

impl TryFrom<wire::Probe> for Probe<Target> {
    type Error = BadMessage;

    fn try_from(wire: wire::Probe) -> Result<Self, BadMessage> {
        // Never is not a pace, and no pause at all would be a flood.
        within_range("every", wire.every.into(), 1, SPAN_MAX.into())?;
        Ok(Self {
            every: span("every", wire.every)?,
            timeout: span("timeout", wire.timeout)?,
            to: list("to", wire.to, TARGETS_MAX)?,
        })
    }
}

impl From<&Probe<Target>> for wire::Probe {
    fn from(probe: &Probe<Target>) -> Self {
        Self {
            every: probe.every.0,
            timeout: probe.timeout.0,
            to: probe.to.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::Target> for Target {
    type Error = BadMessage;

    fn try_from(wire: wire::Target) -> Result<Self, BadMessage> {
        let unknown = || match wire.kind.as_str() {
            "" => Wrong::Missing,
            kind => Wrong::Kind(said(kind)),
        };
        Ok(Self {
            to: name("to", wire.to)?,
            operation: name("operation", wire.operation)?,
            check: wire.check.ok_or_else(unknown).within("check")?.try_into()?,
            offset: span("offset", wire.offset)?,
        })
    }
}

impl From<&Target> for wire::Target {
    fn from(target: &Target) -> Self {
        Self {
            to: target.to.to_string(),
            operation: target.operation.to_string(),
            offset: target.offset.0,
            check: Some((&target.check).into()),
            kind: target.check.feature().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{session::assignment, through};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_assignment_reads_back(assignment in assignment()) {
            prop_assert_eq!(through::<wire::Assignment, _>(&assignment), Ok(assignment));
        }
    }

    fn probe(every: u64, targets: usize) -> wire::Probe {
        wire::Probe {
            every,
            timeout: 1,
            to: vec![wire::Target::default(); targets],
        }
    }

    #[test]
    fn a_probe_without_pause_is_refused() {
        assert_eq!(Probe::try_from(probe(0, 0)).unwrap_err().field, "every");
        assert!(Probe::try_from(probe(1, 0)).is_ok());
    }

    #[test]
    fn a_step_that_asks_too_many_is_refused_before_any_is_read() {
        let bad = Probe::try_from(probe(1, TARGETS_MAX + 1)).unwrap_err();
        assert_eq!(
            bad.wrong,
            Wrong::TooMany {
                found: TARGETS_MAX + 1,
                max: TARGETS_MAX
            }
        );
    }

    #[test]
    fn a_check_that_this_release_does_not_know_is_refused_by_its_name() {
        let refused = |kind: &str| {
            let target = wire::Target {
                to: "local/a/1".to_owned(),
                operation: "ask".to_owned(),
                kind: kind.to_owned(),
                ..wire::Target::default()
            };
            Target::try_from(target).unwrap_err().to_string()
        };
        assert_eq!(refused(""), "check: is missing");
        assert!(refused("probe.ftp").starts_with("check: is a \"probe.ftp\""));
    }

    #[test]
    fn an_act_that_this_release_does_not_know_is_refused() {
        let step = wire::AssignedStep {
            name: "s".to_owned(),
            act: None,
            kind: String::new(),
        };
        let refused = |step: &wire::AssignedStep| {
            AssignedStep::try_from(step.clone())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(refused(&step), "act: is missing");
        let kind = "fault\n".to_owned();
        let refused = refused(&wire::AssignedStep { kind, ..step });
        assert!(
            refused.starts_with("act: is a \"fault") && !refused.contains('\n'),
            "{refused}"
        );
    }
}
