//! What is said of users that are carried, and why no more are.

use nepho_common::plan::{Judge, LatencyMax, PlannedStep, Ratio};

use super::{super::Place, Climb, Stair, broken, carried, knee::knee};
use crate::report::{
    cause::Cause,
    model::{Priority, Verdict},
    render::shown,
    said::{Said, said},
    verdict::Ground,
};

/// Throughput that differs by less, in thousandths, is the same.
const SAME: u64 = 30;

/// `carries 40 of 50 users: at 50, the p95 was 412ms, above 300ms; the knee is near 20 users (…)`.
pub(super) fn observed(climb: Climb, stairs: &[Stair<'_>]) -> Said {
    let knee = knee(stairs).map(|knee| match knee {
        None => said!("no knee was reached", "未达到拐点"),
        Some(stair) => {
            let (users, rate) = (stair.users, shown(stair.rate));
            let median = stair.median().unwrap_or_default();
            said!(
                "the knee is near {users} users ({rate} at {median})",
                "拐点约在 {users} 个用户（{rate}，中位数 {median}）"
            )
        }
    });
    Said::clauses([carries(climb, stairs)].into_iter().chain(knee))
}

fn carries(climb: Climb, stairs: &[Stair<'_>]) -> Said {
    let most = stairs.last().map_or(0, |stair| stair.users);
    let Some(next) = broken(stairs) else {
        return said!(
            "carries {most} users, the most that there were",
            "承载了 {most} 个用户，即最大用户数"
        );
    };
    let users = next.users;
    let held = carried(stairs).map(|stair| stair.users);
    match (held, next.verdict()) {
        (Some(held), Verdict::Fail) => {
            let how = how(climb, next);
            said!(
                "carries {held} of {most} users: at {users}, {how}",
                "承载 {most} 个用户中的 {held} 个：用户数为 {users} 时{how}";
                how
            )
        }
        (None, Verdict::Fail) => {
            let how = how(climb, next);
            said!(
                "does not carry {users} users, the fewest that there were: {how}",
                "未能承载最少的 {users} 个用户：{how}";
                how
            )
        }
        (Some(held), _) if next.judged.ground.is_of_generator() => said!(
            "carries at least {held} users; beyond that the generator, not the target, was the limit",
            "至少承载 {held} 个用户；超过之后受限的是负载发生器而不是目标"
        ),
        (Some(held), _) => said!(
            "carries at least {held} users; at {users} it could not be judged",
            "至少承载 {held} 个用户；用户数为 {users} 时无法判定"
        ),
        (None, _) => said!(
            "{users} users, the fewest that there were, could not be judged",
            "最少的 {users} 个用户无法判定"
        ),
    }
}

/// By what a stair broke: `the p95 was 412ms, above 300ms`.
fn how(climb: Climb, stair: &Stair<'_>) -> Said {
    match stair.expectation.judge {
        Judge::SuccessRate { min, .. } => {
            let (_, seen) = &stair.judged.observed;
            // Hundredths of a percent, rounded down.
            let share = Ratio(seen.success_ppm.unwrap_or_default() / 100 * 100);
            said!(
                "{share} of requests succeeded, below {min}",
                "成功率为 {share}，低于 {min}"
            )
        }
        Judge::Latency { .. }
        | Judge::Failures { .. }
        | Judge::Certificate { .. }
        | Judge::Resource { .. }
        | Judge::Distribution { .. }
        | Judge::Same { .. }
        | Judge::Throughput { .. }
        | Judge::Concurrency { .. } => match (climb.latency, stair.quantile(climb)) {
            (Some(LatencyMax { quantile, max }), Some(at)) => {
                let word = quantile.word();
                said!(
                    "the {word} was {at}, above {max}",
                    "{word} 为 {at}，超过 {max}"
                )
            }
            (Some(_) | None, _) => said!("no request succeeded", "没有请求成功"),
        },
    }
}

impl Place<'_> {
    /// Why the first stair that failed did.
    pub(super) fn broke(
        &self,
        climb: Climb,
        step: &PlannedStep,
        stairs: &[Stair<'_>],
    ) -> Option<Cause> {
        let fails = |stair: &Stair<'_>| stair.verdict() == Verdict::Fail;
        let nth = stairs.iter().position(fails)?;
        let stair = stairs.get(nth)?;
        let (users, how) = (stair.users, how(climb, stair));
        let told = said!("At {users} users, {how}.", "用户数为 {users} 时，{how}。"; how);
        let before = nth.checked_sub(1).and_then(|nth| stairs.get(nth));
        let grew = before.map(|before| growth(before, stair));
        let room = match grew {
            Some((true, _)) => said!(
                "It can do more still: look which of its requests are slow by themselves, or expect \
                 fewer users.",
                "它仍有余力：请检查哪些请求本身就慢，或降低期望的用户数。"
            ),
            Some((false, _)) | None => said!(
                "Look what all requests wait for: processors, workers, a pool of connections, a lock; \
                 or expect fewer users.",
                "请检查所有请求在等待什么：处理器、工作线程、连接池或锁；或降低期望的用户数。"
            ),
        };
        let told = [Some(told), grew.map(|(_, text)| text)]
            .into_iter()
            .flatten();
        let told = Said::sentences(told);
        match stair.judged.ground {
            Ground::Failures | Ground::NothingSucceeded => {
                let cause = self.cause_at(step, stair)?;
                let text = Said::sentences([told, cause.cause]);
                Some(Cause::new(cause.priority, text, cause.remedy))
            }
            Ground::Met
            | Ground::Slow
            | Ground::Stalled { .. }
            | Ground::Fast
            | Ground::Missing
            | Ground::TooFew { .. }
            | Ground::Unsure { .. }
            | Ground::Ending
            | Ground::NoCertificate
            | Ground::LateSender { .. }
            | Ground::Overdue { .. }
            | Ground::Unsent { .. }
            | Ground::Crowded { .. }
            | Ground::LagHidesMin { .. }
            | Ground::Loaded(_)
            | Ground::Busy { .. }
            | Ground::Few
            | Ground::Many
            | Ground::Shaped { .. }
            | Ground::Silent => Some(Cause::new(Priority::Medium, told, room)),
        }
    }

    /// Why nobody knows.
    pub(super) fn undecided(
        &self,
        climb: Climb,
        step: &PlannedStep,
        stairs: &[Stair<'_>],
    ) -> Option<Cause> {
        let is_open = |stair: &&Stair<'_>| stair.verdict() == Verdict::Inconclusive;
        if let Some(stair) = broken(stairs).filter(is_open) {
            let Cause {
                cause,
                remedy,
                priority,
            } = self.cause_at(step, stair)?;
            let users = stair.users;
            let text = said!("At {users} users: {cause}", "用户数为 {users} 时：{cause}"; cause);
            return Some(Cause::new(priority, text, remedy));
        }
        let min = climb.min;
        Some(Cause::new(
            Priority::Low,
            said!(
                "No stair has {min} users, and those that there are leave it open.",
                "没有恰好 {min} 个用户的一级，已有的各级不能决定结果。"
            ),
            said!(
                "Let a stair have {min} users: choose `from`, `to` and `count` of the load so.",
                "请调整负载的 `from`、`to` 和 `count`，使其中一级有 {min} 个用户。"
            ),
        ))
    }

    /// What the rule says that judged the stair.
    fn cause_at(&self, step: &PlannedStep, stair: &Stair<'_>) -> Option<Cause> {
        let at = Place {
            expectation: &stair.expectation,
            ..*self
        };
        at.cause(stair.measurements, step, &stair.sample, &stair.judged)
    }
}

/// Whether throughput still grew with the users that came with a stair.
fn growth(before: &Stair<'_>, stair: &Stair<'_>) -> (bool, Said) {
    let (old, new) = (before.rate.0, stair.rate.0);
    let grew = u128::from(new) * 1_000 > u128::from(old) * u128::from(1_000 + SAME);
    let (old, new) = (shown(before.rate), shown(stair.rate));
    let text = if grew {
        said!(
            "Throughput still grew, from {old} to {new}.",
            "吞吐量仍在增长，从 {old} 升至 {new}。"
        )
    } else {
        said!(
            "Throughput grew no more: {old} before, {new} now.",
            "吞吐量不再增长：之前 {old}，现在 {new}。"
        )
    };
    (grew, text)
}
