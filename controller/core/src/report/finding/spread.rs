//! Findings of how a balancer spreads what it is sent.

use std::collections::BTreeMap;

use nepho_common::{
    event::Subject,
    id::Operation,
    plan::{DecidesOn, Member, PlannedStep, Ratio},
    time::Nanos,
};

use super::{Place, distrusted};
use crate::report::{
    cause::Cause,
    model::{Finding, GivenShare, Observed, Priority, Uncertainty, Verdict},
    said::{Said, said},
    sample::Sample,
    stats::distribution::{
        Backend, Distribution, Found, Given, dispersion::Evenness, distribution,
    },
    tuple::Tuple,
};

/// How many are named; the rest is counted.
const NAMED: usize = 5;

/// What an expectation says of the pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread<'a> {
    pub(super) over: &'a Operation,
    pub(super) decides_on: DecidesOn,
    pub(super) members: &'a [Member],
    pub(super) tolerance: Ratio,
    pub(super) confidence: Ratio,
}

/// Who answered, as they called themselves.
#[derive(Debug, Default)]
struct Heard {
    back_ends: Vec<Backend>,
    /// Failures of each, in the same order.
    failures: Vec<u64>,
    /// Answers that named nobody.
    nameless: u64,
}

impl Place<'_> {
    pub(super) fn judge_spread(
        &self,
        spread: Spread<'_>,
        step: &PlannedStep,
        tuple: &Tuple<'_>,
        sample: &Sample<'_>,
    ) -> Finding {
        let heard = self.heard(spread, step, sample);
        let Spread {
            decides_on,
            tolerance,
            confidence,
            ..
        } = spread;
        let found = distribution(&heard.back_ends, decides_on, tolerance, confidence);
        let spoiled = self.spoiled(sample);
        let (verdict, cause) = if found.decisions == 0 {
            (Verdict::Inconclusive, Some(nobody(spread, &heard)))
        } else if let Some((lag, gap)) = sample.shaped() {
            (Verdict::Inconclusive, Some(shaped(lag, gap)))
        } else if found.verdict == Verdict::Pass && heard.nameless > 0 {
            (Verdict::Inconclusive, Some(nobody(spread, &heard)))
        } else if found.verdict == Verdict::Pass && !spoiled.is_empty() {
            (Verdict::Inconclusive, Some(distrusted(spoiled)))
        } else {
            let cause = match found.verdict {
                Verdict::Fail => Some(uneven(spread, &found)),
                Verdict::Inconclusive => Some(unsure(&found)),
                Verdict::Pass | Verdict::NotRun | Verdict::Error => None,
            };
            (found.verdict, cause)
        };
        let mut finding = self.unmeasured(tuple, verdict, None);
        self.put(&mut finding, cause);
        let lang = self.folded.lang;
        finding.observed = Observed {
            text: text(spread, &found, &heard).into_text(lang),
            shares: shares(&found, &heard),
            ..Observed::default()
        };
        finding.uncertainty = (found.decisions > 0).then(|| {
            let text = said!(
                "intervals hold with {confidence} together",
                "各区间合计置信度 {confidence}"
            );
            Uncertainty {
                method: "wilson".to_owned(),
                text: text.into_text(lang),
                ..Uncertainty::default()
            }
        });
        finding.samples = sample.samples();
        finding.agents = sample.agents();
        finding.evidence = sample.evidence();
        finding
    }

    fn heard(&self, spread: Spread<'_>, step: &PlannedStep, sample: &Sample<'_>) -> Heard {
        let during = self.expectation.during.span(self.stage.lasts);
        let began = self.folded.story.ordered.get(&self.stage.name);
        let span = began.map(|one| (one.at_run.plus(during.0), one.at_run.plus(during.1)));
        let mut all: BTreeMap<Option<&Operation>, [u64; 3]> = BTreeMap::new();
        for path in &sample.paths {
            let of = Subject {
                stage: self.stage.name.clone(),
                step: step.name.clone(),
                to: path.path.to.clone(),
            };
            let witnessed = &self.folded.story.witnessed;
            let answered = witnessed.answered(&path.path.agent, &of, &path.path.operation);
            for one in answered {
                if span.is_some_and(|(from, to)| one.at < from || one.at >= to) {
                    continue;
                }
                let sums = all.entry(one.by.as_ref()).or_default();
                let more = [one.requests, one.failures, one.connections];
                for (sum, more) in sums.iter_mut().zip(more) {
                    *sum = sum.saturating_add(more);
                }
            }
        }
        let mut heard = Heard::default();
        let nameless = all.remove(&None).unwrap_or_default();
        // A failure need not name anybody; whoever answered well should.
        heard.nameless = nameless[0].saturating_sub(nameless[1]);
        for member in spread.members {
            let mut sums = [0; 3];
            for told in &member.told {
                let mine = all.remove(&Some(told)).unwrap_or_default();
                for (sum, more) in sums.iter_mut().zip(mine) {
                    *sum = u64::saturating_add(*sum, more);
                }
            }
            heard.add(member.name.as_str(), Some(member.weight), sums);
        }
        for (name, sums) in all {
            heard.add(name.map_or("", Operation::as_str), None, sums);
        }
        heard
    }
}

impl Heard {
    fn add(
        &mut self,
        name: &str,
        weight: Option<u32>,
        [requests, failures, connections]: [u64; 3],
    ) {
        self.back_ends.push(Backend {
            name: name.to_owned(),
            weight,
            requests,
            connections,
        });
        self.failures.push(failures);
    }
}

fn percent(ppm: u32) -> Ratio {
    // Hundredths of a percent are as fine as anybody reads.
    Ratio((ppm + 50) / 100 * 100)
}

fn shares(found: &Distribution, heard: &Heard) -> Vec<GivenShare> {
    let pairs = found.shares.iter().zip(&heard.failures);
    let share = |(given, failures): (&Given, &u64)| GivenShare {
        name: given.name.clone(),
        decisions: given.decisions,
        failures: *failures,
        expected_ppm: given.expected_ppm,
        observed_ppm: given.observed_ppm,
        low_ppm: given.interval_ppm.map(|(low, _)| low),
        high_ppm: given.interval_ppm.map(|(_, high)| high),
    };
    pairs.map(share).collect()
}

fn text(spread: Spread<'_>, found: &Distribution, heard: &Heard) -> Said {
    let n = found.decisions;
    if n == 0 {
        return said!("nobody said who answered", "没有应答说明由谁给出");
    }
    let of = match spread.decides_on {
        DecidesOn::Request => said!("{n} requests", "{n} 个请求"),
        DecidesOn::Connection => said!("{n} connections", "{n} 个连接"),
    };
    let pairs = found.shares.iter().zip(&heard.failures);
    let named = pairs.clone().take(NAMED).map(|(given, failures)| {
        let name = &given.name;
        let share = percent(given.observed_ppm.unwrap_or_default());
        match failures {
            0 => said!("{name} {share}", "{name} {share}"),
            n => said!(
                "{name} {share}, {n} of them failed",
                "{name} {share}（其中失败 {n} 次）"
            ),
        }
    });
    let more = pairs.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| said!("{more} more", "另外 {more} 个"));
    let even = found.dispersion.map(|one| match one.evenness {
        Evenness::RoundRobin => said!(
            "more even than chance: it takes turns",
            "比随机更均匀：轮流分配"
        ),
        Evenness::Random => said!("as even as chance makes it", "均匀程度与随机分配相当"),
        Evenness::Uneven => said!("less even than chance makes it", "比随机分配更不均匀"),
    });
    let distance = found.distance_ppm.map(|ppm| {
        let distance = percent(ppm);
        said!(
            "{distance} of all would have to go elsewhere",
            "有 {distance} 应改由其他成员承担"
        )
    });
    let each = Said::clauses(named.chain(more).chain(distance).chain(even));
    said!("of {of}: {each}", "{of}中：{each}"; of, each)
}

fn nobody(spread: Spread<'_>, heard: &Heard) -> Cause {
    let (n, over) = (heard.nameless, spread.over);
    Cause::new(
        Priority::Medium,
        said!(
            "{n} answers did not say which {over} gave them.",
            "有 {n} 个应答没有说明由哪个 {over} 给出。"
        ),
        said!(
            "Look whether it answers at all, and whether `told-by` of the group in the fleet file is \
             what its answers have.",
            "请检查它是否有应答，以及服务清单中该组的 `told-by` 是否与应答相符。"
        ),
    )
}

pub(super) fn shaped(lag: Nanos, gap: Nanos) -> Cause {
    Cause::new(
        Priority::Low,
        said!(
            "The generator did not keep up: requests were sent up to {lag} late at the 99th \
             percentile, its longest gap was {gap}.",
            "负载发生器没有跟上：发送延迟的 99 百分位为 {lag}，最长停顿 {gap}。"
        ),
        said!(
            "Give the agent's host more room, or send less, then run it again.",
            "请为探针所在主机增加资源或降低速率，然后重新运行。"
        ),
    )
}

fn unsure(found: &Distribution) -> Cause {
    let remedy = match found.enough {
        Some(enough) => said!(
            "About {enough} decisions in all would decide it: send more, or for longer.",
            "共约 {enough} 次决策才能判定：请提高速率或延长时间。"
        ),
        None => said!(
            "It lies at the edge of the tolerance: no number of requests decides that; choose \
             another tolerance.",
            "它处在容差边缘，再多请求也无法判定，请调整容差。"
        ),
    };
    let n = found.decisions;
    Cause::new(
        Priority::Low,
        said!(
            "{n} decisions show neither that it is spread as configured nor that it is not.",
            "{n} 次决策既不能证明分布符合配置，也不能证明不符合。"
        ),
        remedy,
    )
}

fn uneven(spread: Spread<'_>, found: &Distribution) -> Cause {
    let bad = found.shares.iter().filter(|share| share.found.accuses());
    let all = bad.clone().count();
    let each = bad.clone().take(NAMED).map(|share| {
        let (name, due) = (&share.name, percent(share.expected_ppm));
        let got = percent(share.observed_ppm.unwrap_or_default());
        match share.found {
            Found::Starved => said!(
                "{name} got nothing of its {due}",
                "{name} 应得 {due}，实得 0"
            ),
            Found::Unknown => said!(
                "{name}, which the fleet file does not know, got {got}",
                "服务清单中没有的 {name} 得到 {got}"
            ),
            Found::Drained => said!(
                "{name} got {got}, though its weight is 0",
                "{name} 的权重为 0，却得到 {got}"
            ),
            Found::TooMuch | Found::TooLittle | Found::AsConfigured | Found::Unsure => {
                said!(
                    "{name} got {got} in place of {due}",
                    "{name} 应得 {due}，实得 {got}"
                )
            }
        }
    });
    let more = all.saturating_sub(NAMED);
    let more = (more > 0).then(|| said!("and {more} more", "另外 {more} 个"));
    let each = Said::clauses(each.chain(more));
    let starved = bad.clone().find(|share| share.found == Found::Starved);
    let remedy = match (starved, spread.decides_on) {
        (Some(share), _) => {
            let name = &share.name;
            said!(
                "Look whether {name} is up, and whether the balancer knows it and finds it healthy.",
                "请检查 {name} 是否在运行，以及均衡器是否知道它并认为它健康。"
            )
        }
        (None, DecidesOn::Request) => said!(
            "Compare the weights that the balancer runs with to those of the fleet file.",
            "请对比均衡器实际使用的权重与服务清单中的权重。"
        ),
        (None, DecidesOn::Connection) => said!(
            "Compare the weights that the balancer runs with to those of the fleet file, and look \
             whether it decides on connections, as the fleet file says.",
            "请对比均衡器实际使用的权重与服务清单中的权重，并确认它是否按连接决策。"
        ),
    };
    Cause::new(
        Priority::High,
        said!("It is not spread as configured: {each}.", "分布与配置不符：{each}。"; each),
        remedy,
    )
}
