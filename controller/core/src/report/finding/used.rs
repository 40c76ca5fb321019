//! Findings of what hosts use, and things on them.

use std::collections::BTreeSet;

use nepho_common::{
    id::AgentId,
    plan::{PlannedStep, Watch},
    recording::Scope,
};

use super::{Place, distrusted};
use crate::report::{
    cause::Cause,
    coverage::Proof,
    model::{Finding, Observed, Priority, Verdict},
    readings::{Limits, Used},
    render::Lang,
    said::{Said, said},
    tuple::{Tuple, Watched, watched},
};

impl Place<'_> {
    /// A finding for each group of what is watched. `why` is there when the stage was not begun.
    pub(super) fn judge_hosts(
        &self,
        step: &PlannedStep,
        watch: &Watch,
        limits: Limits<'_>,
        not_begun: Option<&Cause>,
    ) -> Vec<Finding> {
        let groups = watched(self.plan, watch, self.expectation);
        let finding = |(values, of): (_, Vec<Watched<'_>>)| {
            let tuple = Tuple {
                values,
                paths: Vec::new(),
            };
            if let Some(cause) = not_begun {
                return self.unmeasured(&tuple, Verdict::NotRun, Some(cause.clone()));
            }
            let planned = watch.readings(self.stage.lasts);
            let at = (&self.stage.name, &step.name);
            let used = self.folded.readings.judge(at, &of, limits, planned);
            self.of_watched(&tuple, &of, limits, used)
        };
        groups.into_iter().map(finding).collect()
    }

    fn of_watched(
        &self,
        tuple: &Tuple<'_>,
        of: &[Watched<'_>],
        limits: Limits<'_>,
        used: Used<'_>,
    ) -> Finding {
        let mut finding = self.unmeasured(tuple, used.verdict, None);
        let agents: BTreeSet<&AgentId> = of.iter().map(|one| one.agent).collect();
        let spoiled = self.spoiled_by(agents.iter().copied());
        if used.verdict == Verdict::Pass && !spoiled.is_empty() {
            finding.verdict = Verdict::Inconclusive;
            self.put(&mut finding, Some(distrusted(Said::sentences(spoiled))));
        } else {
            self.put(&mut finding, self.why_used(limits, &used));
        }
        if let (Some(least), Some(most)) = (used.least, used.most) {
            let (name, n) = (limits.name, used.samples.observed);
            let what = match Scope::of(name) {
                Some(Scope::Process) => said!("process", "个进程"),
                Some(Scope::Container) => said!("container", "个容器"),
                Some(Scope::Host) | None => said!("host", "台主机"),
            };
            let readings = counted(n, said!("reading", "个读数"));
            let of = counted(of.len() as u64, what);
            let text = said!(
                "{name} from {least} to {most} in {readings} of {of}",
                "{of}的 {readings}中，{name} 为 {least} 至 {most}";
                readings, of
            );
            finding.observed = Observed {
                text: text.into_text(self.folded.lang),
                least: Some(least),
                most: Some(most),
                ..Observed::default()
            };
        }
        finding.samples = used.samples;
        finding.agents = agents.into_iter().cloned().collect();
        finding.evidence = used.evidence;
        finding
    }

    fn why_used(&self, limits: Limits<'_>, used: &Used<'_>) -> Option<Cause> {
        let name = limits.name;
        let happened = |watched: Watched<'_>| {
            let (stage, step) = (&self.stage.name, &self.expectation.on);
            let things = &self.folded.story.things;
            let words = things.words(stage, step, watched.agent, watched.thing?)?;
            Some(said!("It {words}.", "期间它{words}。"; words))
        };
        if let Some((watched, at, amount)) = used.worst {
            let remedy = match watched.thing {
                Some(_) => said!(
                    "Look what it does then, and give it more room or less to do.",
                    "请查看它当时在做什么，增加资源或减少负载。"
                ),
                None => said!(
                    "Look what else runs on that host, and give it more room or less to do.",
                    "请查看该主机上还运行着什么，增加资源或减少负载。"
                ),
            };
            let of = place(watched);
            let text = said!(
                "{name} of {of} was {amount}, {at} into the run.",
                "运行到 {at} 时，{of}的 {name} 为 {amount}。";
                of
            );
            let hog = match watched.thing {
                None if name == "host.cpu" && limits.max.is_some() => self.hog(watched, at, amount),
                None | Some(_) => None,
            };
            let (hog, remedy) = hog.unwrap_or((Said::default(), remedy));
            let happened = happened(watched).unwrap_or_default();
            let text = Said::sentences([text, hog, happened]);
            return Some(Cause::new(Priority::Medium, text, remedy));
        }
        let (first, told) = used.short.first()?;
        let (agent, times) = (first.agent, counted(*told, said!("time", "次")));
        let (seldom, remedy) = match first.thing {
            Some(thing) => (
                said!(
                    "{agent} told {name} of {thing} {times}, too seldom to judge by",
                    "{agent} 只报告了 {times} {thing} 的 {name}，不足以判定";
                    times
                ),
                said!(
                    "Look whether it was there all the time, and whether that agent may see this \
                     of it; else let the stage last longer.",
                    "请检查它是否一直存在、该探针是否有权读取这项读数；否则请延长该阶段。"
                ),
            ),
            None => (
                said!(
                    "The host of {agent} told {name} {times}, too seldom to judge by",
                    "{agent} 所在主机只报告了 {times} {name}，不足以判定";
                    times
                ),
                said!(
                    "Look whether that agent was there all the time and whether its kernel tells \
                     this at all; else let the stage last longer.",
                    "请检查该探针是否一直在线、其内核是否提供这项读数；否则请延长该阶段。"
                ),
            ),
        };
        let others = used.short.len() as u64 - 1;
        let text = if others == 0 {
            said!("{seldom}.", "{seldom}。"; seldom)
        } else {
            let what = match first.thing {
                Some(_) => said!("other", "个对象"),
                None => said!("other", "台主机"),
            };
            let others = counted(others, what);
            said!("{seldom}, and so did {others}.", "{seldom}；另有 {others}也是如此。"; seldom, others)
        };
        let text = Said::sentences([text, happened(*first).unwrap_or_default()]);
        Some(Cause::new(Priority::Medium, text, remedy))
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

/// In a sentence.
fn place(watched: Watched<'_>) -> Said {
    let agent = watched.agent;
    match watched.thing {
        Some(thing) => said!(
            "{thing} on the host of {agent}",
            "{agent} 所在主机上 {thing} "
        ),
        None => said!("the host of {agent}", "{agent} 所在主机"),
    }
}

/// With its number; in English with the `s` of several.
fn counted(n: u64, what: Said) -> Said {
    if n == 1 {
        return said!("1 {what}", "1 {what}"; what);
    }
    let plural = if what.of(Lang::En).ends_with('s') {
        "es"
    } else {
        "s"
    };
    said!("{n} {what}{plural}", "{n} {what}"; what)
}
