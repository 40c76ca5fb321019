//! Where the time goes of a path that is too slow: on the way, or in the service. Told by who else is
//! slow, and by what a request was made of.

use std::collections::BTreeSet;

use nepho_common::{
    id::{AgentId, EnvironmentName},
    plan::{Plan, PlannedPath, PlannedStage, Route},
    time::Nanos,
};

use super::{
    super::{
        measured::{Measurements, PathKey},
        said::{Said, said},
    },
    Told, told,
};

/// One path as it was seen: who asked from where, and the medians.
#[derive(Debug)]
struct View<'a> {
    from: &'a EnvironmentName,
    path: &'a PlannedPath,
    p50: Nanos,
    connect: Option<Nanos>,
    first_byte: Option<Nanos>,
}

/// Everything that was asked the same in this stage.
pub(super) struct Views<'a>(Vec<View<'a>>);

impl<'a> Views<'a> {
    /// Of all steps of the stage: distance is often judged in a step of its own.
    pub(super) fn of(
        plan: &'a Plan,
        measurements: &Measurements,
        stage: &'a PlannedStage,
        like: &PlannedPath,
    ) -> Self {
        let mut all = Vec::new();
        let mut seen: BTreeSet<(&AgentId, &_)> = BTreeSet::new();
        for step in &stage.steps {
            for path in step.act.to() {
                let is_like = path.operation == like.operation && path.route != Route::NoPath;
                let agent = plan.agents.get(&path.agent);
                let key = PathKey::new(&stage.name, &step.name, path);
                let (Some(agent), Some(on)) = (agent, measurements.on(&key)) else {
                    continue;
                };
                let Some(p50) = on.response.quantile(1, 2).filter(|_| is_like) else {
                    continue;
                };
                // Where connections are kept, most requests open none: these say nothing of those.
                let connect = Some(&on.connect);
                let connect = connect.filter(|all| all.count() >= on.response.count() / 2);
                if seen.insert((&path.agent, &path.to)) {
                    all.push(View {
                        from: &agent.environment,
                        path,
                        p50,
                        connect: connect.and_then(|all| all.quantile(1, 2)),
                        first_byte: on.first_byte.quantile(1, 2),
                    });
                }
            }
        }
        Self(all)
    }

    /// What lies behind the slowness of `path`, if that can be told.
    pub(super) fn cause(&self, path: &PlannedPath) -> Option<Told> {
        let mine = |view: &&View<'_>| view.path.agent == path.agent && view.path.to == path.to;
        let slow = self.0.iter().find(mine)?;
        // Asked from the same place, at the same place.
        let mates = self.of_all(|view| {
            view.path.agent == path.agent
                && view.path.to.environment == path.to.environment
                && view.path.to != path.to
        });
        match median(&mates) {
            Some(usual) if stands_out(slow.p50, usual) => Some(self.alone(slow, usual, &mates)),
            Some(usual) => self.together(slow, usual, &mates),
            None => by_parts(slow),
        }
    }

    fn of_all(&self, wanted: impl Fn(&View<'_>) -> bool) -> Vec<&View<'a>> {
        self.0.iter().filter(|view| wanted(view)).collect()
    }

    /// It is slow and its neighbours are not: it, or the way to it alone.
    fn alone(&self, slow: &View<'_>, usual: Nanos, mates: &[&View<'_>]) -> Told {
        let (to, from, there) = (&slow.path.to, slow.from, &slow.path.to.environment);
        let neighbours = match mates.len() {
            1 => said!(
                "the other service of {there} takes {usual} from {from}",
                "从 {from} 访问 {there} 的另一个服务只需 {usual}"
            ),
            n => said!(
                "the {n} other services of {there} take {usual} from {from} in the median",
                "从 {from} 访问 {there} 的另外 {n} 个服务，中位数为 {usual}"
            ),
        };
        let elsewhere = self.of_all(|view| view.path.to == *to && view.from != from);
        let quickest = elsewhere.iter().min_by_key(|view| view.p50);
        let quickest = quickest.map(|view| (view.from, view.p50));
        let way = |quick: &(_, Nanos)| stands_out(slow.p50, plus(quick.1, usual));
        if let Some((quick, takes)) = quickest.filter(way) {
            return told(
                said!(
                    "The way from {from} to {to} is slow, not the service: {neighbours}, and from \
                     {quick} {to} itself takes {takes}.",
                    "慢的是从 {from} 到 {to} 的路径，而不是服务：{neighbours}；而从 {quick} 访问 \
                     {to} 本身只需 {takes}。";
                    neighbours
                ),
                said!(
                    "Look at what lies between {from} and {to} alone: a proxy, a firewall that looks into \
                     its packets, or a route of its own.",
                    "请检查只位于 {from} 与 {to} 之间的环节：代理服务器、深度检测数据包的防火墙，\
                     或单独的路由。"
                ),
            );
        }
        let takes = slow.p50;
        let itself = said!(
            "{to} itself is slow: it takes {takes}, while {neighbours}.",
            "{to} 自身慢：需要 {takes}，而{neighbours}。";
            neighbours
        );
        let as_well = quickest.map(|(quick, takes)| {
            said!(
                "From {quick} it takes {takes} as well.",
                "从 {quick} 访问也需要 {takes}。"
            )
        });
        let text = [Some(itself), as_well, parts(slow)];
        told(Said::sentences(text.into_iter().flatten()), look_at(slow))
    }

    /// It is as slow as its neighbours: the way to all of them, or what they share.
    fn together(&self, slow: &View<'_>, usual: Nanos, mates: &[&View<'_>]) -> Option<Told> {
        let (from, there) = (slow.from, &slow.path.to.environment);
        let at_home = self.of_all(|view| view.from == there && view.path.to.environment == *there);
        let Some(home) = median(&at_home).filter(|_| from != there) else {
            return by_parts(slow);
        };
        let all = mates.len() + 1;
        Some(if stands_out(slow.p50, home) {
            let way = said!(
                "The way between {from} and {there} is slow, not the services: all {all} that were \
                 asked take {usual} from {from}, and {home} from within {there}.",
                "慢的是 {from} 与 {there} 之间的路径，而不是服务：从 {from} 访问被测的全部 {all} 个\
                 服务需要 {usual}，从 {there} 内部只需 {home}。"
            );
            // A link is the same link from both ends, and so is what to do about it.
            let (one, other) = (from.min(there), from.max(there));
            told(
                way,
                said!(
                    "Compare the round trip between {one} and {other} with what it should be, and look \
                     at the link: its load, its route, and what shapes or inspects it.",
                    "请比较 {one} 与 {other} 之间的往返时间与应有的值，并检查链路：负载、路由，\
                     以及限速或检测流量的设备。"
                ),
            )
        } else {
            told(
                said!(
                    "All {all} services of {there} that were asked are slow: {usual} from {from}, and \
                     {home} from within {there}.",
                    "被测的 {there} 的全部 {all} 个服务都慢：从 {from} 访问需要 {usual}，从 {there} 内部\
                     需要 {home}。"
                ),
                said!(
                    "Look at what they share in {there}: their hosts, a proxy before them, a database.",
                    "请检查它们在 {there} 共用的东西：主机、前面的代理服务器、数据库。"
                ),
            )
        })
    }
}

/// With nobody to compare with, only the request itself can tell.
fn by_parts(slow: &View<'_>) -> Option<Told> {
    let (connect, first_byte) = (slow.connect?, slow.first_byte?);
    let (to, from) = (&slow.path.to, slow.from);
    // A connection takes one round trip, and the service does not see it.
    if connect.0.saturating_mul(3) >= slow.p50.0 {
        let takes = slow.p50;
        return Some(told(
            said!(
                "The way from {from} to {to} is slow: opening a connection alone takes {connect} of \
                 {takes}.",
                "从 {from} 到 {to} 的路径慢：在 {takes} 中，仅建立连接就用了 {connect}。"
            ),
            said!(
                "Compare the round trip between {from} and {to} with what it should be.",
                "请比较 {from} 与 {to} 之间的往返时间与应有的值。"
            ),
        ));
    }
    (connect.0.saturating_mul(10) <= first_byte.0).then(|| {
        let itself = said!("{to} itself is slow.", "{to} 自身慢。");
        let text = [Some(itself), parts(slow)];
        told(Said::sentences(text.into_iter().flatten()), look_at(slow))
    })
}

/// What the request was made of, where that is known.
fn parts(slow: &View<'_>) -> Option<Said> {
    let (connect, first_byte) = (slow.connect?, slow.first_byte?);
    Some(said!(
        "A connection opens in {connect}; the first byte of the answer takes {first_byte}.",
        "建立连接需要 {connect}；应答的第一个字节需要 {first_byte}。"
    ))
}

fn look_at(slow: &View<'_>) -> Said {
    let to = &slow.path.to;
    said!(
        "Look at {to}: its log, its load, and what it waits for, such as a database or a lock.",
        "请检查 {to}：它的日志、负载，以及它在等待什么，例如数据库或锁。"
    )
}

/// More than half of it is not explained by what is usual.
fn stands_out(slow: Nanos, usual: Nanos) -> bool {
    slow.0 >= usual.0.saturating_mul(2)
}

const fn plus(a: Nanos, b: Nanos) -> Nanos {
    Nanos(a.0.saturating_add(b.0))
}

/// The lower one of two in the middle.
fn median(views: &[&View<'_>]) -> Option<Nanos> {
    let mut all: Vec<_> = views.iter().map(|view| view.p50).collect();
    all.sort_unstable();
    all.get(all.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        plan::{Judge, Quantile},
        recording::Outcome,
    };

    use super::*;
    use crate::report::{
        fixture::{Ask, ended, find, journal, of, plan},
        model::Finding,
        render::Lang,
    };

    /// What is said of tencent from here, when answers take so many milliseconds.
    fn said(from: &str, takes: impl Fn(&Ask<'_>) -> u64) -> Finding {
        let mut plan = plan();
        let judged = plan.stages[1].expectations.last_mut().unwrap();
        judged.judge = Judge::Latency {
            quantile: Quantile::Max,
            max: Some(Nanos::from_millis(50)),
            min: None,
        };
        let report = of(journal(&plan, |ask| ended(Outcome::Success, takes(ask))));
        find(&report, &format!("hybrid/reach/latency.max/{from}/tencent")).clone()
    }

    fn starts(found: &Finding, with: &str) {
        let cause = found.cause.as_deref().unwrap_or_default();
        assert!(cause.starts_with(with), "{cause}");
    }

    fn to_tencent(ask: &Ask<'_>) -> bool {
        ask.to.environment.as_str() == "tencent"
    }

    fn is_from(ask: &Ask<'_>, environment: &str) -> bool {
        ask.from == environment
    }

    #[test]
    fn a_slow_way_is_told_from_slow_services() {
        let way = said("local", |ask| {
            if to_tencent(ask) && is_from(ask, "local") {
                80
            } else {
                15
            }
        });
        starts(
            &way,
            "The way between local and tencent is slow, not the services: all 2 that were asked take",
        );
        assert!(
            way.remedy
                .unwrap()
                .contains("round trip between local and tencent")
        );
        let services = said("local", |ask| if to_tencent(ask) { 80 } else { 15 });
        starts(
            &services,
            "All 2 services of tencent that were asked are slow",
        );
    }

    #[test]
    fn a_slow_service_is_told_from_a_slow_way_to_it_alone() {
        let crm = |ask: &Ask<'_>| ask.to.to_string() == "tencent/crm/1";
        let service = said("local", |ask| if crm(ask) { 80 } else { 15 });
        starts(&service, "tencent/crm/1 itself is slow: it takes");
        assert!(service.cause.unwrap().contains("as well"));
        assert!(service.remedy.unwrap().contains("its log, its load"));
        let way = said("local", |ask| {
            if crm(ask) && is_from(ask, "local") {
                80
            } else {
                15
            }
        });
        starts(
            &way,
            "The way from local to tencent/crm/1 is slow, not the service",
        );
    }

    #[test]
    fn what_nothing_tells_is_left_open() {
        // From within, where neighbours are as slow, and nobody says what a request was made of.
        let open = said("tencent", |ask| if to_tencent(ask) { 80 } else { 15 });
        starts(&open, "It is slower than expected.");
        assert!(
            open.remedy
                .unwrap()
                .starts_with("Compare with the distance")
        );
    }

    #[test]
    fn without_neighbours_the_parts_of_a_request_tell() {
        let plan = plan();
        let path = &plan.stages[1].steps[0].act.to()[0];
        let from = "local".parse().unwrap();
        let told = |connect, first_byte| {
            by_parts(&View {
                from: &from,
                path,
                p50: Nanos::from_millis(90),
                connect: Some(Nanos::from_millis(connect)),
                first_byte: Some(Nanos::from_millis(first_byte)),
            })
            .map(|told| told.cause.into_text(Lang::En))
        };
        assert!(told(40, 45).unwrap().starts_with("The way from local to"));
        assert!(told(1, 85).unwrap().contains("itself is slow"));
        assert_eq!(told(20, 60), None);
    }
}
