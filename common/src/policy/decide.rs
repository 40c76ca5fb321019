//! Whether an assignment lies within a policy.

use std::collections::BTreeSet;

use super::{BadEndpoint, Endpoint, Policy};
use crate::{
    id::Feature,
    plan::{Act, AssignedStage, Assignment, Check, Probe, Target},
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
    /// Whether an agent with this policy may take the assignment on.
    ///
    /// # Errors
    /// The first rule against it.
    pub fn admits(&self, assignment: &Assignment) -> Result<(), Denied> {
        let mut wanted = assignment.features.iter();
        if let Some(action) = wanted.find(|action| !self.actions.contains(*action)) {
            return Err(Denied::Action(action.clone()));
        }
        for stage in &assignment.stages {
            self.admits_stage(stage)?;
        }
        Ok(())
    }

    fn admits_stage(&self, stage: &AssignedStage) -> Result<(), Denied> {
        let name = || stage.name.to_string();
        let limits = self.limits;
        if stage.lasts > Nanos(limits.stage_seconds.saturating_mul(1_000_000_000)) {
            return Err(Denied::Lasts {
                stage: name(),
                lasts: stage.lasts,
                most: limits.stage_seconds,
            });
        }
        let asked = rate(stage);
        if asked > limits.requests_per_second {
            return Err(Denied::Rate {
                stage: name(),
                asked,
                most: limits.requests_per_second,
            });
        }
        let asked = connections(stage);
        if asked > limits.connections {
            return Err(Denied::Connections {
                stage: name(),
                asked,
                most: limits.connections,
            });
        }
        for target in targets(stage) {
            self.admits_target(target)?;
        }
        Ok(())
    }

    fn admits_target(&self, target: &Target) -> Result<(), Denied> {
        let action = target.check.feature();
        if !self.actions.contains(&action) {
            return Err(Denied::Action(action));
        }
        let endpoint = Endpoint::of(&target.check).map_err(|why| Denied::Endpoint {
            target: target.to.to_string(),
            why,
        })?;
        self.admits_endpoint(&endpoint)?;
        let Check::Http(http) = &target.check else {
            return Ok(());
        };
        for (header, value) in &http.headers {
            let reference = |why| Denied::Reference {
                header: header.clone(),
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
    probes(stage).flat_map(|probe| &probe.to)
}

fn probes(stage: &AssignedStage) -> impl Iterator<Item = &Probe<Target>> {
    stage.steps.iter().map(|step| match &step.act {
        Act::Probe(probe) => probe,
    })
}

/// Requests per second of a stage, rounded up.
fn rate(stage: &AssignedStage) -> u64 {
    let micro = |probe: &Probe<Target>| {
        let one = 1_000_000_000_000_000 / u128::from(probe.every.0.max(1));
        one * probe.to.len() as u128
    };
    let micro: u128 = probes(stage).map(micro).sum();
    u64::try_from(micro.div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Connections that a stage holds when no target answers.
fn connections(stage: &AssignedStage) -> u64 {
    let held = |probe: &Probe<Target>| {
        let each = probe.timeout.0.div_ceil(probe.every.0.max(1)).max(1);
        each.saturating_mul(probe.to.len() as u64)
    };
    probes(stage).map(held).fold(0, u64::saturating_add)
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
    let headers = checks.flat_map(|target| match &target.check {
        Check::Http(http) => http.headers.as_slice(),
        Check::Tcp(_) => &[],
    });
    let parts = headers.flat_map(|(_, value)| parts(value).unwrap_or_default());
    let secret = |part| match part {
        Part::Secret(secret) => Some(secret),
        Part::Text(_) => None,
    };
    parts.filter_map(secret).collect()
}

#[cfg(test)]
mod tests;
