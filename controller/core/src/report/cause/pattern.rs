//! When requests failed, one after the other: all the time, once, again and again, or scattered.

use nepho_common::{
    id::InstanceId,
    recording::{Outcome, TraceRun},
    time::{Nanos, RunTime},
};

use super::{Told, told};
use crate::report::said::{Said, said};

/// A service that goes down and comes back makes fewer and longer runs of equal outcomes than chance
/// does. Chance makes so few once in a hundred times: the quantile of the normal distribution at 1 %
/// (Wald and Wolfowitz, "On a test whether two samples are from the same population", 1940).
const FEWER_THAN_CHANCE: f64 = -2.326;

/// Requests in a row that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Down {
    /// When the first of them was due.
    pub(super) from: RunTime,
    /// When the last of them was due.
    pub(super) to: RunTime,
    count: u64,
}

impl Down {
    /// As long as it may have been, with requests so far apart.
    fn lasted(&self, every: Nanos) -> Nanos {
        Nanos(self.to.since(self.from).0.saturating_add(every.0))
    }
}

/// How failures lie in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Down, and back: once.
    Once(Down),
    /// Down and back again and again, for so long each time.
    Flaps {
        times: usize,
        first: RunTime,
        shortest: Nanos,
        longest: Nanos,
    },
    /// Here one and there one, with no more in a row than chance would have.
    Scattered { longest: u64 },
}

impl Pattern {
    /// What it means that failures of this lie so in time.
    pub(super) fn told(&self, to: &InstanceId) -> Told {
        match self {
            Self::Once(down) => {
                let (from, back) = (into_run(down.from), into_run(down.to));
                told(
                    said!(
                        "{to} was down once, from {from} to {back}, and came back.",
                        "{to} 中断过一次，从 {from} 到 {back}，之后恢复。"
                    ),
                    said!(
                        "Read the log of {to} of that time: what took it away, and for how long.",
                        "请查看 {to} 在这段时间的日志：是什么使它中断，中断了多久。"
                    ),
                )
            }
            Self::Flaps {
                times,
                first,
                shortest,
                longest,
            } => {
                let lasted = if shortest == longest {
                    Said::as_is(longest)
                } else {
                    said!("{shortest} to {longest}", "{shortest} 至 {longest}")
                };
                let first = into_run(*first);
                told(
                    said!(
                        "{to} flaps: it went down {times} times, first at {first}, for {lasted} each, \
                         and came back in between.",
                        "{to} 时好时坏：中断了 {times} 次，首次在 {first}，每次 {lasted}，其间恢复。";
                        lasted
                    ),
                    said!(
                        "Read the log of {to}, and of whoever starts it and watches its health: a crash \
                         loop, memory that runs out, or a health check that is too strict.",
                        "请查看 {to} 的日志，以及启动它、检查它健康状况的程序的日志：是反复崩溃、\
                         内存耗尽，还是健康检查过严。"
                    ),
                )
            }
            Self::Scattered { longest } => told(
                said!(
                    "Failures of {to} are scattered, never more than {longest} in a row: single requests \
                     fail, not {to} for a time.",
                    "{to} 的失败是零散的，连续失败不超过 {longest} 次：失败的是个别请求，\
                     而不是 {to} 中断了一段时间。"
                ),
                said!(
                    "Look whether {to} is several behind one address, of which one is broken, or whether \
                     it runs out of something under load, such as connections.",
                    "请检查 {to} 的地址后面是否有多个实例而其中一个有故障，\
                     或者它在负载下是否耗尽了某种资源，例如连接。"
                ),
            ),
        }
    }
}

fn into_run(at: RunTime) -> Nanos {
    at.since(RunTime(0))
}

/// What the runs of a path say, of which so many requests failed and succeeded. `None` when there is
/// no pattern in it: all failed, or too little is told.
pub(super) fn pattern(
    runs: impl Iterator<Item = TraceRun>,
    every: Nanos,
    (failed, succeeded): (u64, u64),
) -> Option<Pattern> {
    if succeeded == 0 {
        return None;
    }
    let downs = downs(runs, every);
    let told: u64 = downs.iter().map(|down| down.count).sum();
    // What is not told of may lie anywhere.
    if told != failed {
        return None;
    }
    match &downs[..] {
        [] => None,
        [only] => (only.count > 1).then_some(Pattern::Once(*only)),
        [first, ..] => {
            let lasted = || downs.iter().map(|down| down.lasted(every));
            let longest = downs.iter().map(|down| down.count).max()?;
            Some(if fewer_than_chance(downs.len(), failed, succeeded) {
                Pattern::Flaps {
                    times: downs.len(),
                    first: first.from,
                    shortest: lasted().min()?,
                    longest: lasted().max()?,
                }
            } else {
                Pattern::Scattered { longest }
            })
        }
    }
}

/// The failures in a row. Where nothing is told between two of them although a request was due, that
/// request succeeded.
fn downs(runs: impl Iterator<Item = TraceRun>, every: Nanos) -> Vec<Down> {
    let mut all: Vec<Down> = Vec::new();
    let mut was_up = true;
    for run in runs {
        if run.outcome == Outcome::Success {
            was_up = true;
            continue;
        }
        let count = u64::from(run.count);
        let next = |down: &&mut Down| run.first.since(down.to).0 < every.0.saturating_mul(2);
        match all.last_mut().filter(next).filter(|_| !was_up) {
            Some(down) => {
                down.to = down.to.max(run.last);
                down.count += count;
            }
            None => all.push(Down {
                from: run.first,
                to: run.last,
                count,
            }),
        }
        was_up = false;
    }
    all
}

/// The runs test. There are as many times up as down, and at the most one more: that one is counted,
/// which makes it harder to be fewer.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of requests of a stage are far below 2^53"
)]
fn fewer_than_chance(downs: usize, failed: u64, succeeded: u64) -> bool {
    let (runs, failed, succeeded) = ((2 * downs + 1) as f64, failed as f64, succeeded as f64);
    let all = failed + succeeded;
    let product = 2.0 * failed * succeeded;
    let expected = product / all + 1.0;
    let variance = product * (product - all) / (all * all * (all - 1.0));
    variance > 0.0 && (runs + 0.5 - expected) / variance.sqrt() < FEWER_THAN_CHANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Nanos = Nanos(1_000);

    /// `.` succeeded, `x` failed; traces are told only of parts of ten in which one failed.
    fn told(text: &str) -> Vec<TraceRun> {
        let mut runs: Vec<TraceRun> = Vec::new();
        let all: Vec<_> = (0i64..).zip(text.bytes()).collect();
        for part in all.chunks(10) {
            if part.iter().all(|(_, one)| *one == b'.') {
                continue;
            }
            let mut of_part: Vec<TraceRun> = Vec::new();
            for (n, one) in part {
                let at = RunTime(n * 1_000);
                let outcome = if *one == b'.' {
                    Outcome::Success
                } else {
                    Outcome::Status
                };
                match of_part.last_mut().filter(|run| run.outcome == outcome) {
                    Some(run) => (run.last, run.count) = (at, run.count + 1),
                    None => of_part.push(TraceRun {
                        first: at,
                        last: at,
                        count: 1,
                        outcome,
                    }),
                }
            }
            runs.extend(of_part);
        }
        runs
    }

    fn found(text: &str) -> Option<Pattern> {
        let failed = text.bytes().filter(|one| *one == b'x').count() as u64;
        let succeeded = text.len() as u64 - failed;
        pattern(told(text).into_iter(), EVERY, (failed, succeeded))
    }

    #[test]
    fn down_and_back_again_and_again_is_told_from_chance() {
        let flaps = found("....xxxx....xxxx....xxxx....xxxx");
        let times = Pattern::Flaps {
            times: 4,
            first: RunTime(4_000),
            shortest: Nanos(4_000),
            longest: Nanos(4_000),
        };
        assert_eq!(flaps, Some(times));
        // The same share of failures, one after the other as dice fall (a balancer with one bad
        // back end of two).
        let scattered = found("x..xx.x..x.xxx..x.x..xx.x.x..x.x");
        assert_eq!(scattered, Some(Pattern::Scattered { longest: 3 }));
        // And strictly one after the other, which chance would not do either.
        let turns = found("x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.");
        assert_eq!(turns, Some(Pattern::Scattered { longest: 1 }));
    }

    #[test]
    fn one_stretch_of_failures_is_an_outage_and_all_of_them_are_no_pattern() {
        let once = Down {
            from: RunTime(12_000),
            to: RunTime(14_000),
            count: 3,
        };
        assert_eq!(
            found("............xxx................."),
            Some(Pattern::Once(once))
        );
        assert_eq!(
            found("............x..................."),
            None,
            "one failure is one"
        );
        assert_eq!(found("xxxxxxxxxxxxxxxx"), None);
        assert_eq!(found("................"), None);
    }

    #[test]
    fn a_stretch_is_whole_across_two_traces_and_broken_by_what_was_not_told() {
        // Ten to a trace: the stretch lies in two of them.
        let across = found("........xxxx....................");
        assert!(matches!(across, Some(Pattern::Once(_))), "{across:?}");
        // Between two failing tens lies one without a failure.
        let twice = found("......xxxx..........xxxx........");
        assert!(
            matches!(twice, Some(Pattern::Flaps { times: 2, .. })),
            "{twice:?}"
        );
    }

    #[test]
    fn what_is_not_told_makes_no_pattern() {
        let some = told("....xxxx....xxxx....xxxx....xxxx");
        assert_eq!(pattern(some.into_iter().take(4), EVERY, (16, 16)), None);
    }
}
