//! A load that can have no more requests open at once than it had.

use nepho_common::{
    plan::{PlannedStep, Pool},
    time::Nanos,
};

use crate::report::{
    cause::Cause,
    model::Priority,
    said::{Said, said},
    sample::Sample,
    sending::STREAMS,
};

/// Whether most of the time went by in waiting for a connection, or for a place on one.
pub(super) fn is_crowded(step: &PlannedStep, sample: &Sample<'_>) -> bool {
    let wait = sample.wait.quantile(1, 2).unwrap_or_default();
    // What never succeeded took all the time that it had.
    let took = sample.response.quantile(1, 2);
    let took = took.unwrap_or_else(|| step.act.timeout());
    wait > Nanos(0) && wait.0.saturating_mul(2) >= took.0
}

/// Requests came faster than the connections of the load could carry them.
pub(super) fn crowded(step: &PlannedStep, sample: &Sample<'_>) -> Cause {
    let load = step.act.load();
    let shares = load.map_or(&[][..], |load| &load.shares);
    let connections = shares.iter().map(|share| u64::from(share.connections));
    let connections: u64 = connections.sum();
    let carried = load.map(|load| load.carried).unwrap_or_default();
    let wait = sample.wait.quantile(1, 2).unwrap_or_default();
    // By Little's law: each place has one request at a time, and is free again after so long.
    let carries = |each: u64| {
        let service = sample.service.quantile(1, 2)?;
        let places = u128::from(connections) * u128::from(each);
        let carries = places * 1_000_000_000 / u128::from(service.0.max(1));
        Some((service, carries))
    };
    let told = match carried.pool {
        Pool::New => vec![said!(
            "The step is saturated: the median request waited {wait} for a connection of its own, of \
             {connections} at a time.",
            "该步骤已饱和：请求等待自己的连接（同时最多 {connections} 个）的中位数为 {wait}。"
        )],
        Pool::Shared if carried.http2 => {
            let told = said!(
                "The step is saturated: the median request waited {wait} for a stream on one of \
                 {connections} connections.",
                "该步骤已饱和：请求等待 {connections} 个连接之一上的流的中位数为 {wait}。"
            );
            let carries = carries(STREAMS).map(|(service, carried)| {
                said!(
                    "Answers took {service} once they were sent, so these carry {carried}/s at most, \
                     with {STREAMS} streams on each; fewer, where the target allows fewer streams.",
                    "发出之后应答耗时 {service}，因此在每个连接 {STREAMS} 个流时它们最多承载 \
                     {carried}/s；若目标允许的流更少，则更少。"
                )
            });
            [told].into_iter().chain(carries).collect()
        }
        Pool::Shared | Pool::PerUser => {
            let told = said!(
                "The step is saturated: the median request waited {wait} for one of {connections} connections.",
                "该步骤已饱和：请求等待 {connections} 个连接之一的中位数为 {wait}。"
            );
            let carries = carries(1).map(|(service, carried)| {
                said!(
                    "Answers took {service} once they were sent, so these carry {carried}/s at most.",
                    "发出之后应答耗时 {service}，因此它们最多承载 {carried}/s。"
                )
            });
            [told].into_iter().chain(carries).collect()
        }
    };
    Cause::new(
        Priority::Medium,
        Said::sentences(told),
        said!(
            "Make the answers faster, or give the load more `connections`, or send less.",
            "请加快应答、增加负载的 `connections`，或降低速率。"
        ),
    )
}
