//! Why a finding is not a pass, and what to do about it.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    id::{AgentId, InstanceId},
    plan::{Judge, PlannedStep, Rise, Window},
    time::Nanos,
};

use super::{
    Place,
    crowded::{crowded, is_crowded},
    spread::shaped,
};
use crate::{
    report::{
        cause::{Cause, Failures, slow, slowest},
        loads::Compared,
        measured::Measurements,
        missing::{self, Gap},
        model::Priority,
        said::{Said, said},
        sample::Sample,
        tuple::from,
        verdict::{self, Ground, Judged, ends_before},
    },
    scenario::LASTS,
};

impl Place<'_> {
    pub(super) fn nothing_planned(&self, sample: &Sample<'_>) -> Cause {
        let Some(first) = sample.no_path.first() else {
            return Cause::new(
                Priority::Low,
                said!(
                    "The plan holds no request for it.",
                    "计划中没有与此有关的请求。"
                ),
                said!("Let the stage last longer.", "请延长该阶段。"),
            );
        };
        let here = sample.no_path.iter();
        let here: BTreeSet<_> = here.map(|path| from(self.plan, &path.agent)).collect();
        let (here, to) = (Said::list(here.iter().map(Said::as_is)), &first.to);
        Cause::new(
            Priority::Low,
            said!(
                "No path from {here}: the fleet declares no address of {to} for it.",
                "从 {here} 没有路径：服务清单没有为它声明 {to} 的地址。";
                here
            ),
            said!(
                "Declare an address for {here} in the fleet file, if there is one.",
                "如果有可用的地址，请在服务清单中为 {here} 声明。";
                here
            ),
        )
    }

    /// What takes away the right to a pass: somebody's records can't be believed.
    pub(super) fn spoiled(&self, sample: &Sample<'_>) -> Said {
        let mut why = self.spoiled_by(sample.agents().iter());
        if let Some(path) = sample.surplus().next() {
            let (agent, to) = (&path.path.agent, &path.path.to);
            why.push(said!(
                "{agent} reported more requests to {to} than were planned.",
                "{agent} 上报的发往 {to} 的请求多于计划。"
            ));
        }
        Said::sentences(why)
    }

    /// Whose clock stood still while the stage ran: what it saw from then on is nothing to judge by.
    pub(super) fn disturbed(&self, sample: &Sample<'_>) -> Option<Cause> {
        let story = &self.folded.story;
        let of = |agent: &AgentId| {
            let spoilt = story.disturbed.spoilt(story, self.stage, agent)?;
            Some((agent.to_string(), spoilt.why))
        };
        let found: Vec<_> = sample.agents().iter().filter_map(of).collect();
        let (first, _) = found.first()?;
        let remedy = said!(
            "Keep the host of {first} from sleeping or being paused while it measures, then run it \
             again.",
            "请避免 {first} 所在主机在测量期间休眠或被暂停，然后重新运行。"
        );
        let why = found
            .iter()
            .map(|(agent, why)| said!("{agent}: {why}.", "{agent}：{why}。"; why));
        let text = said!(
            "What was measured can't be judged by.",
            "测得的数据不能作为判定依据。"
        );
        let text = Said::sentences([text].into_iter().chain(why));
        Some(Cause::new(Priority::Medium, text, remedy))
    }

    pub(super) fn cause(
        &self,
        measurements: &Measurements,
        step: &PlannedStep,
        sample: &Sample<'_>,
        judged: &Judged,
    ) -> Option<Cause> {
        let folded = self.folded;
        let medium = Priority::Medium;
        Some(match judged.ground {
            Ground::Met => return None,
            Ground::Slow | Ground::Failures | Ground::NothingSucceeded
                if is_crowded(step, sample) =>
            {
                crowded(step, sample)
            }
            Ground::Failures | Ground::NothingSucceeded => {
                let mut cause = Failures {
                    plan: self.plan,
                    measurements,
                    witnessed: &folded.story.witnessed,
                    stage: self.stage,
                    step,
                }
                .cause(sample);
                if judged.ground == Ground::NothingSucceeded {
                    let nothing = said!("No request succeeded.", "没有请求成功。");
                    cause.cause = Said::sentences([nothing, cause.cause]);
                }
                cause
            }
            Ground::Crowded { .. } => crowded(step, sample),
            Ground::Stalled { longest } => Cause::new(
                medium,
                said!(
                    "It stands still for a while: answers took up to {longest}, and requests that were \
                     due meanwhile waited for a connection. Once sent, the answers came in time.",
                    "它曾停顿一段时间：应答最长耗时 {longest}，其间到期的请求等待连接；发出之后应答是及时的。"
                ),
                said!(
                    "Look what it did then: collecting garbage, waiting for a lock or a disk, or having no \
                     processor time.",
                    "请检查它当时在做什么：垃圾回收、等待锁或磁盘，或没有得到处理器时间。"
                ),
            ),
            Ground::Slow => {
                let slowest = slowest(self.plan, measurements, self.stage, step, sample);
                let text = said!("It is slower than expected. {slowest}.", "比期望慢。{slowest}。"; slowest);
                match slow(self.plan, measurements, self.stage, step, sample) {
                    Some(told) => {
                        Cause::new(medium, Said::sentences([told.cause, text]), told.remedy)
                    }
                    None => Cause::new(medium, text, look_at_the_matrix()),
                }
            }
            Ground::Fast => {
                let slowest = slowest(self.plan, measurements, self.stage, step, sample);
                let text = said!("It is faster than expected. {slowest}.", "比期望快。{slowest}。"; slowest);
                Cause::new(medium, text, look_at_the_matrix())
            }
            Ground::Missing => {
                let whose = missing::whose(sample);
                Cause::new(
                    medium,
                    missing::sentence(folded, self.stage, &step.name, sample),
                    said!(
                        "Find out what became of {whose}, then run it again.",
                        "请查明 {whose} 出了什么问题，然后重新运行。";
                        whose
                    ),
                )
            }
            Ground::TooFew { had, needed } => {
                let figure = figure(&self.expectation.judge);
                Cause::new(
                    medium,
                    said!(
                        "{had} successes say too little: {figure} is judged from {needed} on.",
                        "成功 {had} 次太少：{figure} 需要 {needed} 次以上才能判定。"
                    ),
                    longer(self.expectation.during, step, sample, needed),
                )
            }
            Ground::Unsure { enough } => {
                let (seen, _) = &judged.observed;
                Cause::new(
                    medium,
                    said!(
                        "{seen}: that shows neither that it is as expected nor that it is not.",
                        "{seen}：既不能证明符合期望，也不能证明不符合。";
                        seen
                    ),
                    match enough {
                        Some(enough) => longer(self.expectation.during, step, sample, enough),
                        None => said!(
                            "It lies too close to the bound: move the bound, or judge what was \
                             observed, without `confidence`.",
                            "它离界限太近：请调整界限，或去掉 `confidence`，直接按实测值判定。"
                        ),
                    },
                )
            }
            Ground::Ending => ending(&self.expectation.judge, sample),
            Ground::NoCertificate => unseen(sample),
            Ground::LateSender { lag } => Cause::new(
                medium,
                said!(
                    "The measuring side was late: p99 of its send lag is {lag}. From the actual \
                     sending on, the answers came in time.",
                    "测量端发送迟了：发送延迟的 p99 为 {lag}。从实际发出算起，应答是及时的。"
                ),
                more_room(),
            ),
            Ground::Overdue { requests, lag } => Cause::new(
                medium,
                said!(
                    "The measuring side was late: p99 of its send lag is {lag}. {requests} requests \
                     timed out that it may have turned to too late, which says nothing of the target.",
                    "测量端发送迟了：发送延迟的 p99 为 {lag}。有 {requests} 个超时的请求可能是它处理得太迟，\
                     不能说明目标的情况。"
                ),
                more_room(),
            ),
            Ground::Unsent { requests, offered } => Cause::new(
                medium,
                said!(
                    "{requests} of {offered} requests that were due were not sent: the others met \
                     another load than was planned.",
                    "到期的 {offered} 个请求中有 {requests} 个没有发出：其余请求面对的负载与计划不同。"
                ),
                said!(
                    "Give the load more `connections` or a longer `timeout`, or send less, or give the \
                     agent's host more room; then run it again.",
                    "请增加负载的 `connections`、延长 `timeout`、降低速率，或为探针所在主机增加资源，然后重新运行。"
                ),
            ),
            Ground::Loaded(Compared { lanes, reference }) => Cause::new(
                medium,
                said!(
                    "The generator may add to what it measures: its loaded lanes saw {lanes} at the \
                     median, its reference lane {reference} on the same target. Without that \
                     difference it may be otherwise. A target that queues for each connection shows \
                     the same.",
                    "压测端可能增大了测量值：其负载通道的中位数为 {lanes}，而参考通道对同一目标为 {reference}。\
                     去掉这一差值，结论可能不同。按连接排队的目标也会如此。"
                ),
                said!(
                    "Give the load more `threads` and the agent's host more room, or send it from more \
                     agents; then run it again.",
                    "请增加负载的 `threads` 并为探针所在主机增加资源，或由更多探针发送，然后重新运行。"
                ),
            ),
            Ground::Silent => {
                let each = sample.silent.iter().map(|agent| {
                    let none = Gap::default();
                    let why = missing::reasons(folded, self.stage, Some(&step.name), agent, none);
                    said!("{agent} ({why})", "{agent}（{why}）"; why)
                });
                let who = Said::both(each);
                let whose = Said::both(sample.silent.iter().map(Said::as_is));
                Cause::new(
                    medium,
                    said!(
                        "Nothing was told of a part of what was sent by {who}.",
                        "{who}有一部分发送情况没有上报。";
                        who
                    ),
                    said!(
                        "Find out what became of {whose}, then run it again.",
                        "请查明 {whose} 出了什么问题，然后重新运行。";
                        whose
                    ),
                )
            }
            Ground::Shaped { lag, gap } => shaped(lag, gap),
            Ground::Few if sample.failures() > 0 => Failures {
                plan: self.plan,
                measurements,
                witnessed: &folded.story.witnessed,
                stage: self.stage,
                step,
            }
            .cause(sample),
            Ground::Few => Cause::new(
                medium,
                said!(
                    "Whatever was asked succeeded: no more was asked than that.",
                    "发出的请求全部成功：发出的请求本身就不够多。"
                ),
                said!(
                    "Send more, or let more users ask; where users wait for slow answers, look what makes \
                     those slow.",
                    "请提高速率或增加用户；若用户在等待缓慢的应答，请检查应答为何缓慢。"
                ),
            ),
            Ground::Many => Cause::new(
                medium,
                said!(
                    "More requests get through than may: nothing holds them back.",
                    "通过的请求多于允许的数量：没有受到限制。"
                ),
                said!(
                    "Look at the limit of rates that should hold them back, and whom it counts together.",
                    "请检查应当起作用的限流规则，以及它按什么合并计数。"
                ),
            ),
            Ground::Busy { core, gap } => {
                let percent = core / 10;
                Cause::new(
                    medium,
                    said!(
                        "The generator had no time left: a thread used {percent}% of its core, and its \
                         longest gap was {gap}. That it was too slow says nothing of the target.",
                        "负载发生器已无余力：有线程占用了所在核的 {percent}%，最长停顿 {gap}。结果偏慢不能说明目标的情况。"
                    ),
                    said!(
                        "Give the load more `threads` or more agents, or the agent's host more room; then \
                         run it again.",
                        "请增加负载的 `threads` 或探针，或为探针所在主机增加资源，然后重新运行。"
                    ),
                )
            }
            Ground::LagHidesMin { lag } => Cause::new(
                medium,
                said!(
                    "The measuring side was late: p99 of its send lag is {lag}, which makes \
                     answers look slower than they are.",
                    "测量端发送迟了：发送延迟的 p99 为 {lag}，这使应答看起来比实际慢。"
                ),
                more_room(),
            ),
        })
    }
}

/// Where to look when nothing tells the way from the service.
fn look_at_the_matrix() -> Said {
    said!(
        "Compare with the distance between the environments in the matrix: if only one service is \
         out of line look there, if all are, look at the network.",
        "请与矩阵中各环境之间的距离比较：如果只有一个服务异常，就检查该服务；\
         如果全部异常，就检查网络。"
    )
}

fn more_room() -> Said {
    said!(
        "Give the agent's host more room, then run it again.",
        "请为探针所在主机增加资源，然后重新运行。"
    )
}

/// What has to be enough of.
const fn figure(judge: &Judge) -> &'static str {
    match judge {
        Judge::Latency { quantile, .. } => quantile.word(),
        Judge::Failures { .. }
        | Judge::SuccessRate { .. }
        | Judge::Certificate { .. }
        | Judge::Resource { .. }
        | Judge::Distribution { .. }
        | Judge::Concurrency { .. }
        | Judge::Throughput { .. }
        | Judge::Same { .. } => judge.kind(),
    }
}

/// Whose certificates end too soon, the first to end before the others.
fn ending(judge: &Judge, sample: &Sample<'_>) -> Cause {
    let min = match judge {
        Judge::Certificate { min } => *min,
        Judge::Failures { .. }
        | Judge::SuccessRate { .. }
        | Judge::Latency { .. }
        | Judge::Resource { .. }
        | Judge::Distribution { .. }
        | Judge::Concurrency { .. }
        | Judge::Throughput { .. }
        | Judge::Same { .. } => Nanos(0),
    };
    let mut soon: BTreeMap<&InstanceId, i64> = BTreeMap::new();
    for path in &sample.paths {
        if let Some(left) = path.certificate.filter(|left| ends_before(*left, min)) {
            let least = soon.entry(&path.path.to).or_insert(left);
            *least = left.min(*least);
        }
    }
    let mut soon: Vec<_> = soon.into_iter().collect();
    soon.sort_by_key(|(to, left)| (*left, *to));
    let ended = soon.first().is_some_and(|(_, left)| *left < 0);
    let more = soon.len().saturating_sub(NAMED);
    let told = soon.iter().take(NAMED);
    let told = told.map(|(to, left)| {
        let ending = verdict::ending(*left);
        said!("that of {to} {ending}", "{to} 的{ending}"; ending)
    });
    let more = (more > 0).then(|| said!("and {more} more end too soon", "另有 {more} 个到期过早"));
    let told = Said::phrases(told.chain(more));
    Cause::new(
        if ended {
            Priority::High
        } else {
            Priority::Medium
        },
        said!("Certificates end: {told}.", "证书到期：{told}。"; told),
        said!(
            "Renew them, and look why that was not done in time.",
            "请更新证书，并查明为何没有及时更新。"
        ),
    )
}

/// Of whom no certificate was seen.
fn unseen(sample: &Sample<'_>) -> Cause {
    let mut paths = sample
        .paths
        .iter()
        .filter(|path| path.shows_certificate() && path.certificate.is_none());
    let Some(first) = paths.next() else {
        return Cause::new(
            Priority::Medium,
            said!(
                "Nothing that is asked here shows a certificate.",
                "这里请求的对象都不出示证书。"
            ),
            said!(
                "Judge certificates of a step that asks over HTTPS.",
                "请在使用 HTTPS 的步骤上判定证书。"
            ),
        );
    };
    let (agent, to) = (&first.path.agent, &first.path.to);
    Cause::new(
        Priority::Medium,
        match paths.count() {
            0 => said!(
                "{agent} saw no certificate of {to}.",
                "{agent} 没有看到 {to} 的证书。"
            ),
            more => said!(
                "{agent} saw no certificate of {to}, nor on {more} more paths.",
                "{agent} 没有看到 {to} 的证书，另有 {more} 条路径也没有。"
            ),
        },
        said!(
            "Look whether it answers at all; what fails before the handshake shows none.",
            "请检查它是否有应答；在握手之前就失败的请求看不到证书。"
        ),
    )
}

/// How many are named; the rest is counted.
const NAMED: usize = 5;

/// How long a load would take for so many samples, with what is left out before, as it went in so long.
fn sent_in(during: Window, part: Nanos, sample: &Sample<'_>, needed: u64) -> Nanos {
    let planned: u64 = sample.paths.iter().map(|path| path.planned).sum();
    let lasts = u128::from(part.0) * u128::from(needed) / u128::from(planned.max(1));
    let warm_up = match during {
        Window::Warm(warm_up) => warm_up,
        Window::Stair { .. } => Rise::CLIMB,
        Window::Stage | Window::Baseline | Window::Before(_) | Window::After(_) => Nanos(0),
    };
    let seconds = (lasts + u128::from(warm_up.0)).div_ceil(1_000_000_000);
    Nanos::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX / 1_000_000_000))
}

/// What would give so many samples.
fn longer(during: Window, step: &PlannedStep, sample: &Sample<'_>, needed: u64) -> Said {
    let lasts = match &sample.sending {
        Some(sending) => sent_in(during, sending.lasts, sample, needed),
        None => {
            let every = step.act.probe().map_or(Nanos(0), |probe| probe.every);
            let rounds = needed.div_ceil((sample.paths.len() as u64).max(1));
            Nanos(rounds.saturating_mul(every.0))
        }
    };
    if lasts > LASTS.1 {
        return said!(
            "It would take {lasts}, longer than a stage may last: ask more often, more targets or \
             from more agents, or expect less.",
            "这需要 {lasts}，超过了阶段的最长时限：请提高频率、增加目标或探针，或放宽期望。"
        );
    }
    if matches!(during, Window::Before(_) | Window::After(_)) {
        return said!(
            "Let `over` be {lasts} at least, or ask more often.",
            "请把 `over` 设为 {lasts} 以上，或提高请求频率。"
        );
    }
    if matches!(during, Window::Stair { .. }) {
        return said!(
            "Let each stair last {lasts} at least.",
            "请让每级持续 {lasts} 以上。"
        );
    }
    said!(
        "Let the stage last {lasts} at least, or ask more often.",
        "请让该阶段持续 {lasts} 以上，或提高请求频率。"
    )
}
