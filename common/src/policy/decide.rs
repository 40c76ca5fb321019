//! Whether an assignment lies within a policy.

use std::collections::BTreeSet;

use super::{BadEndpoint, Endpoint, Policy};
use crate::{
    id::Feature,
    plan::{Act, AssignedStage, Assignment, Load, Probe, Share, Target},
    secret::{BadReference, Part, SecretRef, parts},
    time::Nanos,
};

/// The rule of a policy that something is beyond.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Not listed.
    #[error("action {0} is not in `actions`")]
    Action(Feature),
    /// Forbidden to every agent.
    #[error("{target} is forbidden whatever a policy says: {rule}")]
    BuiltIn {
        /// Who.
        target: String,
        /// Why.
        rule: &'static str,
    },
    /// A door of our own controller.
    #[error("{0} is this agent's own controller, which is forbidden whatever a policy says")]
    Controller(String),
    /// Not listed.
    #[error("{0} is not in `targets`")]
    Target(String),
    /// Nobody can say who is meant.
    #[error("{target}: {why}")]
    Endpoint {
        /// The instance.
        target: String,
        /// Why.
        why: BadEndpoint,
    },
    /// Not listed, or not for this target.
    #[error("secret {secret} may not go to {target} by `secrets`")]
    Secret {
        /// Its name.
        secret: SecretRef,
        /// To whom it was to be sent.
        target: String,
    },
    /// A `${` that is no reference.
    #[error("header {header:?} for {target}: {why}")]
    Reference {
        /// The header.
        header: String,
        /// The instance.
        target: String,
        /// Why.
        why: BadReference,
    },
    /// Not listed.
    #[error("process ({0}) is not in `watch.processes`")]
    Process(String),
    /// Not listed.
    #[error("container ({0}) is not in `watch.containers`")]
    Container(String),
    /// Too fast.
    #[error("stage {stage} makes {asked} requests/s, `limits.requests-per-second` is {most}")]
    Rate {
        /// Where.
        stage: String,
        /// How fast.
        asked: u64,
        /// The limit.
        most: u64,
    },
    /// Too many.
    #[error("stage {stage} may hold {asked} connections, `limits.connections` is {most}")]
    Connections {
        /// Where.
        stage: String,
        /// How many.
        asked: u64,
        /// The limit.
        most: u64,
    },
    /// Too many.
    #[error("stage {stage} sends load by {asked} threads, `limits.load-threads` is {most}")]
    Threads {
        /// Where.
        stage: String,
        /// How many.
        asked: u64,
        /// The limit.
        most: u64,
    },
    /// Too long.
    #[error("stage {stage} lasts {lasts}, `limits.stage-seconds` is {most}")]
    Lasts {
        /// Where.
        stage: String,
        /// How long.
        lasts: Nanos,
        /// The limit, in seconds.
        most: u64,
    },
    /// At this moment.
    #[error("right now {what}, `{limit}` is {most}")]
    Now {
        /// What is too much.
        what: &'static str,
        /// The limit's name.
        limit: &'static str,
        /// The limit.
        most: u64,
    },
}

impl Policy {
    /// Whether an agent with this policy may take the assignment on. `doors` are those of its own
    /// controller.
    ///
    /// # Errors
    /// The first rule against it.
    pub fn admits(&self, assignment: &Assignment, doors: &[Endpoint]) -> Result<(), Denied> {
        self.against(assignment, doors).next().map_or(Ok(()), Err)
    }

    /// Every rule against it, each once, in the order of the assignment.
    #[must_use]
    pub fn denials(&self, assignment: &Assignment, doors: &[Endpoint]) -> Vec<Denied> {
        let mut told = BTreeSet::new();
        let all = self.against(assignment, doors);
        all.filter(|denied| told.insert(denied.to_string()))
            .collect()
    }

    fn against<'a>(
        &'a self,
        assignment: &'a Assignment,
        doors: &'a [Endpoint],
    ) -> impl Iterator<Item = Denied> + 'a {
        let actions = assignment.features.iter();
        let actions = actions.filter_map(|action| self.admits_action(action).err());
        let stages = assignment.stages.iter();
        actions.chain(stages.flat_map(|stage| self.against_stage(stage, doors)))
    }

    /// Whether this may be done at all. What is added to an action behind a second dot, as in
    /// `probe.http.more`, lies within it.
    ///
    /// # Errors
    /// [`Denied::Action`].
    pub fn admits_action(&self, action: &Feature) -> Result<(), Denied> {
        let within = |listed: &Feature| {
            let rest = action.as_str().strip_prefix(listed.as_str());
            let is_part = |rest: &str| rest.starts_with('.') && listed.as_str().contains('.');
            rest.is_some_and(|rest| rest.is_empty() || is_part(rest))
        };
        if self.actions.iter().any(within) {
            Ok(())
        } else {
            Err(Denied::Action(action.clone()))
        }
    }

    fn against_stage<'a>(
        &'a self,
        stage: &'a AssignedStage,
        doors: &'a [Endpoint],
    ) -> impl Iterator<Item = Denied> + 'a {
        let name = || stage.name.to_string();
        let limits = self.limits;
        let (rate, connections) = (rate(stage), connections(stage));
        let longest = Nanos(limits.stage_seconds.saturating_mul(1_000_000_000));
        let lasts = (stage.lasts > longest).then(|| Denied::Lasts {
            stage: name(),
            lasts: stage.lasts,
            most: limits.stage_seconds,
        });
        let rate = (rate > limits.requests_per_second).then(|| Denied::Rate {
            stage: name(),
            asked: rate,
            most: limits.requests_per_second,
        });
        let connections = (connections > limits.connections).then(|| Denied::Connections {
            stage: name(),
            asked: connections,
            most: limits.connections,
        });
        let asked = threads(stage);
        let threads = limits.load_threads.filter(|most| asked > *most);
        let threads = threads.map(|most| Denied::Threads {
            stage: name(),
            asked,
            most,
        });
        let own = lasts
            .into_iter()
            .chain(rate)
            .chain(connections)
            .chain(threads);
        let watches = stage.steps.iter().filter_map(|step| match &step.act {
            Act::Watch(watch) => Some(watch),
            Act::Probe(_) | Act::Load(_) => None,
        });
        own.chain(watches.flat_map(|watch| self.against_watch(watch)))
            .chain(
                stage
                    .steps
                    .iter()
                    .flat_map(|step| self.against_targets(&step.act, doors)),
            )
    }

    fn against_targets<'a>(
        &'a self,
        act: &'a Act<Target>,
        doors: &'a [Endpoint],
    ) -> impl Iterator<Item = Denied> + 'a {
        act.to().iter().filter_map(move |target| {
            let action = match act {
                Act::Probe(_) | Act::Watch(_) => target.check.feature(),
                Act::Load(_) => Load::<Target>::action(),
            };
            let admitted = self.admits_action(&action);
            admitted
                .and_then(|()| self.admits_target(target, doors))
                .err()
        })
    }

    fn admits_target(&self, target: &Target, doors: &[Endpoint]) -> Result<(), Denied> {
        let endpoint = Endpoint::of(&target.check).map_err(|why| Denied::Endpoint {
            target: target.to.to_string(),
            why,
        })?;
        if doors.iter().any(|door| door.is_same_door(&endpoint)) {
            return Err(Denied::Controller(endpoint.to_string()));
        }
        self.admits_endpoint(&endpoint)?;
        for (header, value) in target.check.references() {
            let reference = |why| Denied::Reference {
                header: header.to_owned(),
                target: target.to.to_string(),
                why,
            };
            if header.contains("${") {
                return Err(reference(BadReference));
            }
            for part in parts(value).map_err(reference)? {
                if let Part::Secret(secret) = part {
                    self.admits_secret(&secret, &endpoint)?;
                }
            }
        }
        Ok(())
    }

    /// Whether this secret may be sent there.
    ///
    /// # Errors
    /// [`Denied::Secret`].
    pub fn admits_secret(&self, secret: &SecretRef, to: &Endpoint) -> Result<(), Denied> {
        let rules = self.secrets.get(secret);
        if rules.is_some_and(|rules| rules.iter().any(|rule| rule.names(to))) {
            Ok(())
        } else {
            Err(Denied::Secret {
                secret: secret.clone(),
                target: to.to_string(),
            })
        }
    }
}

fn targets(stage: &AssignedStage) -> impl Iterator<Item = &Target> {
    stage.steps.iter().flat_map(|step| step.act.to())
}

fn loads(stage: &AssignedStage) -> impl Iterator<Item = &Load<Target>> {
    stage.steps.iter().filter_map(|step| step.act.load())
}

fn probes(stage: &AssignedStage) -> impl Iterator<Item = &Probe<Target>> {
    stage.steps.iter().filter_map(|step| step.act.probe())
}

/// The most requests of a stage in any one second: a mean would hide a burst. Steps are added up
/// as if the worst seconds of all of them came together. How chance gathers requests is not
/// counted: what a policy bounds of a load is the rate that was asked for.
fn rate(stage: &AssignedStage) -> u64 {
    let loads = loads(stage).flat_map(|load| load.shares.iter().map(|share| load.peak(share)));
    let probes = probes(stage).map(busiest);
    probes.chain(loads).fold(0, u64::saturating_add)
}

/// The most requests of a probe in any one second. A target is asked at its offset and then every
/// so often; the busiest second begins with one of the requests.
fn busiest(probe: &Probe<Target>) -> u64 {
    let every = probe.every.0.max(1);
    let (whole, rest) = (SECOND.0 / every, SECOND.0 % every);
    let requests = |to: &Target| usize::try_from(to.check.requests()).unwrap_or(usize::MAX);
    let each = probe.to.iter();
    let each = each.flat_map(|to| std::iter::repeat_n(to.offset.0 % every, requests(to)));
    let mut at: Vec<u64> = each.collect();
    at.sort_unstable();
    let targets = at.len();
    // How many instants of one turn lie in a piece of it that is `rest` long.
    let mut most = 0;
    let mut end = 0;
    for (begin, first) in at.iter().enumerate() {
        end = end.max(begin);
        while end < begin + targets {
            let turns = if end < targets { 0 } else { every };
            let place = at.get(end % targets).copied().unwrap_or(0);
            if place + turns - first >= rest {
                break;
            }
            end += 1;
        }
        most = most.max(end - begin);
    }
    (targets as u64)
        .saturating_mul(whole)
        .saturating_add(most as u64)
}

const SECOND: Nanos = Nanos::from_secs(1);

/// Connections that a stage may hold when no target answers. One more of each target than fit into
/// the time-out: a request that is sent late is still open when it should have ended.
fn connections(stage: &AssignedStage) -> u64 {
    let held = |probe: &Probe<Target>| {
        let each = probe.timeout.0.div_ceil(probe.every.0.max(1)) + 1;
        let held = probe.to.iter().map(|to| to.check.connections());
        each.saturating_mul(held.fold(0, u64::saturating_add))
    };
    let shares = loads(stage).flat_map(|load| &load.shares);
    let loads = shares.map(Share::connections);
    let probes = probes(stage).map(held);
    probes.chain(loads).fold(0, u64::saturating_add)
}

/// Threads that send its loads.
fn threads(stage: &AssignedStage) -> u64 {
    let shares = loads(stage).flat_map(|load| &load.shares);
    shares.fold(0, |sum, share| sum.saturating_add(share.threads()))
}

/// Requests per second of the fastest stage.
#[must_use]
pub fn peak_rate(assignment: &Assignment) -> u64 {
    assignment.stages.iter().map(rate).max().unwrap_or(0)
}

/// The secrets that an assignment refers to.
#[must_use]
pub fn references(assignment: &Assignment) -> BTreeSet<SecretRef> {
    let checks = assignment.stages.iter().flat_map(targets);
    let values = checks.flat_map(|target| target.check.references());
    let parts = values.flat_map(|(_, value)| parts(value).unwrap_or_default());
    let secret = |part| match part {
        Part::Secret(secret) => Some(secret),
        Part::Text(_) => None,
    };
    parts.filter_map(secret).collect()
}

#[cfg(test)]
mod tests;
