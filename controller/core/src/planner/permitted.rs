//! Whether the agents' own policies allow a plan: the same decision that they will make.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::PolicyReport,
    id::AgentId,
    plan::{Assignment, Load, Plan, PlannedPath},
    policy::{
        Denied, Endpoint, HostPattern, Network, Policy, Ports, TargetRule, peak_rate, references,
    },
    secret::{Part, SecretRef, parts},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Inventory, load};
use crate::{
    fleet::{Address, Headers, Host, Kind},
    scenario::{Loaded, ProbeKind, Step},
};

/// What all connected agents together may do at the most, and what this plan does of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlastRadius {
    /// Agents with a policy that we know.
    pub agents: u64,
    /// Agents whose policy we do not know: their limits are not in the sums.
    pub unknown: u64,
    /// Requests per second that their policies allow in all.
    pub allowed: u64,
    /// Connections at a time that they allow in all.
    #[serde(default)]
    pub connections: u64,
    /// Requests in the busiest second of each agent in this plan, in all.
    pub used: u64,
}

/// Rules of one agent that are told in full: a wrong policy is against every target alike.
const DENIALS_SHOWN: usize = 10;

/// What the agents' policies say to a plan.
#[derive(Debug, Default)]
pub(super) struct Permitted {
    pub(super) blast: BlastRadius,
    /// Of those that take part.
    pub(super) policies: BTreeMap<AgentId, String>,
    pub(super) notes: Vec<String>,
}

/// What is permitted, when every agent may do its part.
///
/// # Errors
/// Each agent that will refuse, with the rule.
pub(super) fn judge(plan: &Plan, inventory: &Inventory) -> Result<Permitted, Vec<String>> {
    let mut permitted = Permitted::default();
    let blast = &mut permitted.blast;
    for available in inventory.agents.values() {
        match available.policy.as_ref().map(Known::of) {
            Some(Known::Policy(policy, _)) => {
                let limits = policy.limits;
                blast.agents += 1;
                blast.allowed = blast.allowed.saturating_add(limits.requests_per_second);
                blast.connections = blast.connections.saturating_add(limits.connections);
            }
            // It refuses everything, so it adds nothing.
            Some(Known::Refusing(_)) => blast.agents += 1,
            Some(Known::Newer) | None => blast.unknown += 1,
        }
    }
    let mut against = Vec::new();
    for agent in plan.agents.keys() {
        let assignment = plan.slice(agent).expect("it is one of the plan's agents");
        blast.used = blast.used.saturating_add(peak_rate(&assignment));
        let available = inventory.agents.get(agent);
        let report = available.and_then(|available| available.policy.as_ref());
        against.extend(refusals(agent, report, &assignment));
        permitted.policies.insert(agent.clone(), in_a_word(report));
        permitted.notes.extend(note(agent, report));
    }
    if against.is_empty() {
        Ok(permitted)
    } else {
        Err(against)
    }
}

/// A report as far as this release can read it.
enum Known<'a> {
    Policy(Box<Policy>, &'a [Endpoint]),
    /// Of a newer release.
    Newer,
    Refusing(&'a str),
}

impl<'a> Known<'a> {
    fn of(report: &'a PolicyReport) -> Self {
        match report {
            PolicyReport::InForce {
                canonical, doors, ..
            } => Policy::read(canonical)
                .map_or(Self::Newer, |policy| Self::Policy(Box::new(policy), doors)),
            PolicyReport::Refusing(why) => Self::Refusing(why),
        }
    }
}

/// A policy as a list of agents shows it: the first digits of its digest, for agents with one
/// policy show the same.
#[must_use]
pub fn in_a_word(report: Option<&PolicyReport>) -> String {
    match report {
        Some(PolicyReport::InForce { digest, .. }) => digest.short(),
        Some(PolicyReport::Refusing(_)) => "refuses all work".to_owned(),
        None => "too old to tell its policy".to_owned(),
    }
}

fn note(agent: &AgentId, report: Option<&PolicyReport>) -> Option<String> {
    match report.map(Known::of) {
        Some(Known::Policy(..) | Known::Refusing(_)) => None,
        Some(Known::Newer) => Some(format!(
            "the policy of agent {agent} is of a newer release than this controller, which can't \
             judge it: whether the agent takes its part shows when the run is prepared; upgrade \
             the controller"
        )),
        None => Some(format!(
            "agent {agent} is too old to tell its policy, and has none: it does whatever this \
             controller asks; upgrade it"
        )),
    }
}

/// Everything that is against it; a fleet that is forbidden whole is told in a few sentences.
fn refusals(
    agent: &AgentId,
    report: Option<&PolicyReport>,
    assignment: &Assignment,
) -> Vec<String> {
    match report.map(Known::of) {
        Some(Known::Refusing(why)) => vec![format!("agent {agent} refuses all work: {why}")],
        Some(Known::Policy(policy, doors)) => {
            let denials = policy.denials(assignment, doors);
            let shown = denials.iter().take(DENIALS_SHOWN).map(|rule| {
                format!(
                    "the policy of agent {agent} forbids it: {rule}; {}",
                    remedy(rule)
                )
            });
            let more = denials.len().saturating_sub(DENIALS_SHOWN);
            let more = (more > 0).then(|| {
                format!("the policy of agent {agent} forbids {more} more parts of the plan")
            });
            shown.chain(more).collect()
        }
        // What we can't read the agent judges itself when the run is prepared.
        Some(Known::Newer) => Vec::new(),
        // An agent without a policy would send the reference instead of the secret.
        None => {
            let secrets = references(assignment).into_iter();
            let refusal = |secret| {
                format!(
                    "agent {agent} is too old to tell its policy, so it can't be given secret \
                     {secret}; upgrade it"
                )
            };
            secrets.map(refusal).collect()
        }
    }
}

const fn remedy(rule: &Denied) -> &'static str {
    match rule {
        Denied::BuiltIn { .. } | Denied::Controller(_) => {
            "correct its address in the fleet file, or leave it out of the step's `to`"
        }
        Denied::Action(_)
        | Denied::Process(_)
        | Denied::Container(_)
        | Denied::Target(_)
        | Denied::Endpoint { .. }
        | Denied::Secret { .. }
        | Denied::Reference { .. }
        | Denied::Rate { .. }
        | Denied::Connections { .. }
        | Denied::Threads { .. }
        | Denied::Lasts { .. }
        | Denied::Now { .. } => {
            "whoever owns its host may change its policy.yaml and send the agent SIGHUP"
        }
    }
}

/// The policy of an agent that lives for one run on the operator's own host: the careful one, and
/// beside it exactly what the fleet declares, with the secrets that fleet and scenario refer to.
#[must_use]
pub fn local_policy(loaded: &Loaded) -> Policy {
    let mut policy = Policy::careful();
    let steps = loaded.scenario.stages.iter().flat_map(|stage| &stage.steps);
    let mut kinds = steps.filter_map(|(_, step)| match step {
        Step::Probe(probe) => Some(&probe.kind),
        Step::Watch(_) | Step::Load(_) => None,
    });
    if kinds.any(|kind| matches!(kind, ProbeKind::Event(_))) {
        // The operator wrote it, and it is the operator's host.
        let action = "probe.event".parse().expect("a name");
        policy.actions.insert(action);
    }
    for stage in &loaded.scenario.stages {
        let (mut rate, mut connections) = (0, 0);
        for (name, step) in &stage.steps {
            let Step::Load(load) = step else { continue };
            policy.actions.insert(Load::<PlannedPath>::action());
            let expects = stage.expect.iter().filter(|one| one.on == *name);
            let within = load::answered_within(expects.map(|one| &one.judge));
            // What is spread over several paths is rounded up on each, and each may have a reference
            // lane.
            let paths = loaded.fleet.instances.len();
            let lanes = paths as u64;
            connections += load::size(load, paths, within).connections + 2 * lanes;
            rate += load::peak(load) + lanes * (1 + load::REFERENCE.0 / 1_000);
        }
        let limits = &mut policy.limits;
        let careful = Policy::careful().limits;
        let more = careful.requests_per_second.saturating_add(rate);
        limits.requests_per_second = limits.requests_per_second.max(more);
        limits.connections = limits.connections.max(careful.connections + connections);
    }
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
        match address.host() {
            Host::Ip(ip) => {
                let network = ip.to_string().parse::<Network>();
                let network = network.expect("an address is a network of one");
                exact.insert(TargetRule::network(network, ports));
            }
            Host::Name(name) => {
                if let Ok(host) = HostPattern::try_from(name.clone()) {
                    let mut rule = TargetRule::host(host, ports);
                    // The operator's own host resolves it; wherever it leads is what was meant.
                    let anywhere = ["0.0.0.0/0", "::/0"];
                    rule.addresses = anywhere.map(|all| all.parse().expect("networks")).into();
                    exact.insert(rule);
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
    let kinds = steps.filter_map(|(_, step)| match step {
        Step::Probe(probe) => Some(&probe.kind),
        Step::Watch(_) | Step::Load(_) => None,
    });
    let steps = loaded.scenario.stages.iter().flat_map(|stage| &stage.steps);
    let loads = steps.filter_map(|(_, step)| match step {
        Step::Load(load) => Some(&load.requests),
        Step::Watch(_) | Step::Probe(_) => None,
    });
    let sent = loads.flatten().flat_map(|request| request.headers.values());
    let asked = kinds.flat_map(ProbeKind::values);
    let values = health.flat_map(Headers::values).chain(asked).chain(sent);
    let parts = values.flat_map(|value| parts(&value.to_string()).unwrap_or_default());
    let secret = |part| match part {
        Part::Secret(secret) => Some(secret),
        Part::Text(_) => None,
    };
    parts.filter_map(secret).collect()
}
