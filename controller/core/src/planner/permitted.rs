//! Whether the agents' own policies allow a plan: the same decision that they will make.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::PolicyReport,
    id::AgentId,
    plan::{Assignment, Plan},
    policy::{HostPattern, Network, Policy, Ports, TargetRule, peak_rate, references},
    secret::{Part, SecretRef, parts},
};
use serde::{Deserialize, Serialize};

use super::Inventory;
use crate::{
    fleet::{Address, Headers, Host, Kind},
    scenario::{Loaded, ProbeKind, Step},
};

/// What all connected agents together may do at the most, and what this plan does of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlastRadius {
    /// Agents with a policy that we know.
    pub agents: u64,
    /// Agents whose policy we do not know: their limits are not in the sum.
    pub unknown: u64,
    /// Requests per second that their policies allow in all.
    pub allowed: u64,
    /// Requests per second of each agent's fastest stage in this plan, in all.
    pub used: u64,
}

/// The blast radius, when every agent may do its part.
///
/// # Errors
/// Each agent that will refuse, with the rule.
pub(super) fn judge(plan: &Plan, inventory: &Inventory) -> Result<BlastRadius, Vec<String>> {
    let mut blast = BlastRadius::default();
    for available in inventory.agents.values() {
        match policy(available.policy.as_ref()) {
            Some(policy) => {
                blast.agents += 1;
                let allowed = policy.limits.requests_per_second;
                blast.allowed = blast.allowed.saturating_add(allowed);
            }
            None => blast.unknown += 1,
        }
    }
    let mut refusals = Vec::new();
    for agent in plan.agents.keys() {
        let assignment = plan.slice(agent).expect("it is one of the plan's agents");
        blast.used = blast.used.saturating_add(peak_rate(&assignment));
        let available = inventory.agents.get(agent);
        let report = available.and_then(|available| available.policy.as_ref());
        refusals.extend(refusal(agent, report, &assignment));
    }
    if refusals.is_empty() {
        Ok(blast)
    } else {
        Err(refusals)
    }
}

fn policy(report: Option<&PolicyReport>) -> Option<Policy> {
    match report? {
        PolicyReport::InForce { canonical, .. } => Policy::read(canonical),
        PolicyReport::Refusing(_) => None,
    }
}

fn refusal(
    agent: &AgentId,
    report: Option<&PolicyReport>,
    assignment: &Assignment,
) -> Option<String> {
    if let Some(PolicyReport::Refusing(why)) = report {
        return Some(format!("agent {agent} refuses all work: {why}"));
    }
    if let Some(policy) = policy(report) {
        let rule = policy.admits(assignment).err()?;
        return Some(format!(
            "the policy of agent {agent} forbids it: {rule}; its policy.yaml would have to allow \
             that, and the agent be started again"
        ));
    }
    // What we can't read the agent judges itself when the run is prepared. A secret is another
    // thing: an agent without a policy would send the reference instead.
    let secret = references(assignment).into_iter().next()?;
    report.is_none().then(|| {
        format!("agent {agent} says nothing of a policy, so it can't be given secret {secret}; upgrade it")
    })
}

/// The policy of an agent that lives for one run on the operator's own host: the careful one, and
/// beside it exactly what the fleet declares, with the secrets that fleet and scenario refer to.
#[must_use]
pub fn local_policy(loaded: &Loaded) -> Policy {
    let mut policy = Policy::careful();
    let addresses: BTreeSet<&Address> = loaded
        .fleet
        .instances
        .values()
        .flat_map(|instance| {
            let all = &instance.addresses;
            let one = all.inside.iter().chain(&all.default);
            one.chain(all.from.values())
        })
        .collect();
    let mut exact = BTreeSet::new();
    for address in addresses {
        let ports = Ports::Only(vec![(address.port(), address.port())]);
        let rule = |network, host| TargetRule {
            network,
            host,
            ports: ports.clone(),
        };
        match address.host() {
            Host::Ip(ip) => {
                let network = ip.to_string().parse::<Network>();
                let network = network.expect("an address is a network of one");
                exact.insert(rule(Some(network), None));
            }
            Host::Name(name) => {
                // The operator's own host resolves it; wherever it leads is what was meant.
                let anywhere = ["0.0.0.0/0", "::/0"].map(|all| all.parse().expect("networks"));
                let open = anywhere.map(|network| rule(Some(network), None));
                policy.targets.extend(open);
                if let Ok(host) = HostPattern::try_from(name.clone()) {
                    exact.insert(rule(None, Some(host)));
                }
            }
        }
    }
    let to: Vec<_> = exact.iter().cloned().collect();
    policy.targets.extend(exact);
    let mut seen = BTreeSet::new();
    policy.targets.retain(|rule| seen.insert(rule.clone()));
    let secrets = secrets(loaded).into_iter();
    policy.secrets = secrets
        .map(|secret| (secret, to.clone()))
        .collect::<BTreeMap<_, _>>();
    policy
}

fn secrets(loaded: &Loaded) -> BTreeSet<SecretRef> {
    let health = loaded
        .fleet
        .instances
        .values()
        .filter_map(|one| match &one.kind {
            Kind::Http { headers, .. } => Some(headers),
            Kind::Tcp => None,
        });
    let steps = loaded.scenario.stages.iter().flat_map(|stage| &stage.steps);
    let asked = steps.filter_map(|(_, Step::Probe(probe))| match &probe.kind {
        ProbeKind::Http(http) => Some(&http.headers),
        ProbeKind::Health | ProbeKind::Tcp => None,
    });
    let values = health.chain(asked).flat_map(Headers::values);
    let parts = values.flat_map(|value| parts(&value.to_string()).unwrap_or_default());
    let secret = |part| match part {
        Part::Secret(secret) => Some(secret),
        Part::Text(_) => None,
    };
    parts.filter_map(secret).collect()
}
