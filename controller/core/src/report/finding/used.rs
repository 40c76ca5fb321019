//! Findings of what hosts use.

use nepho_common::{
    id::AgentId,
    plan::{PlannedStep, Watch},
};

use super::{Place, distrusted};
use crate::report::{
    cause::Cause,
    coverage::Proof,
    model::{Finding, Observed, Priority, Verdict},
    readings::{Limits, Used},
    said::{Said, said},
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
            self.put(&mut finding, Some(distrusted(Said::sentences(spoiled))));
        } else {
            self.put(&mut finding, why(limits, &used));
        }
        if let (Some(least), Some(most)) = (used.least, used.most) {
            let (name, n) = (limits.name, used.samples.observed);
            let readings = counted(n, said!("reading", "个读数"));
            let hosts = counted(agents.len() as u64, said!("host", "台主机"));
            let text = said!(
                "{name} from {least} to {most} in {readings} of {hosts}",
                "{hosts}的 {readings}中，{name} 为 {least} 至 {most}";
                readings, hosts
            );
            finding.observed = Observed {
                text: text.into_text(self.folded.lang),
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
    pub(super) fn spoiled_by<'b>(&self, agents: impl Iterator<Item = &'b AgentId>) -> Vec<Said> {
        let mut why = Vec::new();
        for agent in agents {
            if self.folded.contested.contains(agent) {
                why.push(said!(
                    "One record of {agent} exists with two contents.",
                    "{agent} 的一条记录有两种内容。"
                ));
            }
            match self.folded.proofs.of(agent, &self.stage.name) {
                Proof::Differs(how) => {
                    why.push(said!(
                        "What is stored of {agent} is not what it sealed: {how}.",
                        "存储的 {agent} 的数据与其封存清单不符：{how}。";
                        how
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
            said!(
                "{name} of the host of {agent} was {amount}, {at} into the run.",
                "运行到 {at} 时，{agent} 所在主机的 {name} 为 {amount}。"
            ),
            said!(
                "Look what else runs on that host, and give it more room or less to do.",
                "请查看该主机上还运行着什么，增加资源或减少负载。"
            ),
        ));
    }
    let (first, told) = used.short.first()?;
    let times = counted(*told, said!("time", "次"));
    let seldom = said!(
        "The host of {first} told {name} {times}, too seldom to judge by",
        "{first} 所在主机只报告了 {times} {name}，不足以判定";
        times
    );
    let others = used.short.len() as u64 - 1;
    let text = if others == 0 {
        said!("{seldom}.", "{seldom}。"; seldom)
    } else {
        let others = counted(others, said!("other", "台主机"));
        said!("{seldom}, and so did {others}.", "{seldom}；另有 {others}也是如此。"; seldom, others)
    };
    Some(Cause::new(
        Priority::Medium,
        text,
        said!(
            "Look whether that agent was there all the time and whether its kernel tells this at \
             all; else let the stage last longer.",
            "请检查该探针是否一直在线、其内核是否提供这项读数；否则请延长该阶段。"
        ),
    ))
}

/// With its number; in English with the `s` of several.
fn counted(n: u64, what: Said) -> Said {
    if n == 1 {
        said!("1 {what}", "1 {what}"; what)
    } else {
        said!("{n} {what}s", "{n} {what}"; what)
    }
}
