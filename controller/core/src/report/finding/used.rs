//! Findings of what hosts use.

use nepho_common::{
    id::AgentId,
    plan::{PlannedStep, Watch},
};

use super::{Place, put};
use crate::report::{
    cause::Cause,
    coverage::Proof,
    model::{Finding, Observed, Priority, Verdict},
    readings::{Limits, Used},
    tuple::{Tuple, hosts},
};

impl Place<'_> {
    /// A finding for each group of hosts. `why` is there when the stage was not begun.
    pub(super) fn judge_hosts(
        &self,
        step: &PlannedStep,
        watch: &Watch,
        limits: Limits<'_>,
        not_begun: Option<&Cause>,
    ) -> Vec<Finding> {
        let groups = hosts(self.plan, watch, &self.expectation.by);
        let finding = |(values, agents): (_, Vec<&AgentId>)| {
            let tuple = Tuple {
                values,
                paths: Vec::new(),
            };
            if let Some(cause) = not_begun {
                return self.unmeasured(&tuple, Verdict::NotRun, Some(cause.clone()));
            }
            let planned = watch.readings(self.stage.lasts);
            let at = (&self.stage.name, &step.name);
            let used = self.folded.readings.judge(at, &agents, limits, planned);
            self.of_hosts(&tuple, &agents, limits, used)
        };
        groups.into_iter().map(finding).collect()
    }

    fn of_hosts(
        &self,
        tuple: &Tuple<'_>,
        agents: &[&AgentId],
        limits: Limits<'_>,
        used: Used<'_>,
    ) -> Finding {
        let mut finding = self.unmeasured(tuple, used.verdict, None);
        let spoiled = self.spoiled_by(agents.iter().copied());
        if used.verdict == Verdict::Pass && !spoiled.is_empty() {
            finding.verdict = Verdict::Inconclusive;
            let remedy = "Look at the journal of that agent, then run it again.";
            put(
                &mut finding,
                Some(Cause::new(Priority::Medium, spoiled.join(" "), remedy)),
            );
        } else {
            put(&mut finding, why(limits, &used));
        }
        if let (Some(least), Some(most)) = (used.least, used.most) {
            let (name, n) = (limits.name, used.samples.observed);
            let (readings, hosts) = (counted(n, "reading"), counted(agents.len() as u64, "host"));
            finding.observed = Observed {
                text: format!("{name} from {least} to {most} in {readings} of {hosts}"),
                least: Some(least),
                most: Some(most),
                ..Observed::default()
            };
        }
        finding.samples = used.samples;
        finding.agents = agents.iter().map(|&agent| agent.clone()).collect();
        finding.evidence = used.evidence;
        finding
    }

    /// Of whom records can't be believed.
    pub(super) fn spoiled_by<'b>(&self, agents: impl Iterator<Item = &'b AgentId>) -> Vec<String> {
        let mut why = Vec::new();
        for agent in agents {
            if self.folded.contested.contains(agent) {
                why.push(format!("One record of {agent} exists with two contents."));
            }
            match self.folded.proofs.of(agent, &self.stage.name) {
                Proof::Differs(how) => {
                    why.push(format!(
                        "What is stored of {agent} is not what it sealed: {how}."
                    ));
                }
                Proof::Complete | Proof::NoSeal => {}
            }
        }
        why
    }
}

fn why(limits: Limits<'_>, used: &Used<'_>) -> Option<Cause> {
    let name = limits.name;
    if let Some((agent, at, amount)) = used.worst {
        return Some(Cause::new(
            Priority::Medium,
            format!("{name} of the host of {agent} was {amount}, {at} into the run."),
            "Look what else runs on that host, and give it more room or less to do.",
        ));
    }
    let (first, told) = used.short.first()?;
    let more = match used.short.len() - 1 {
        0 => String::new(),
        more => format!(", and so did {}", counted(more as u64, "other")),
    };
    Some(Cause::new(
        Priority::Medium,
        format!(
            "The host of {first} told {name} {}, too seldom to judge by{more}.",
            counted(*told, "time")
        ),
        "Look whether that agent was there all the time and whether its kernel tells this at all; \
         else let the stage last longer.",
    ))
}

fn counted(n: u64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}
