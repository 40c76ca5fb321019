//! Whether the figures of a load are the target's or the generator's own.

use nepho_common::{
    histogram::Histogram,
    load::{Model, Order, Pool, Throttled, Withheld},
    plan::Ratio,
    recording::Metric,
    time::Nanos,
};
use serde::Serialize;

use super::Tally;

/// Whether figures are the target's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[derive(schemars::JsonSchema)]
pub enum Verdict {
    /// They are.
    Valid,
    /// The generator may have had a part in them.
    Suspect,
    /// They are not: too much of what was due was not sent.
    Invalid,
}

/// A lag of less than this is nobody's concern.
const LAG_MIN: Nanos = Nanos::from_millis(1);
/// A thread that did not run for longer than this spoiled whatever was due meanwhile.
const GAP_MAX: Nanos = Nanos::from_millis(100);
/// Above this share of a core the thread itself may be what is measured, in millionths.
const CORE_MAX: u64 = 900_000;
/// From this share of a host's processor time on somebody else had a part in the figures: one tick of
/// the kernel in a second of one processor.
const STOLEN_MAX: u32 = 10_000;

pub(super) fn doubts(
    tally: &Tally,
    order: &Order,
    response: &Histogram,
    lag: &Histogram,
) -> (Verdict, Vec<String>) {
    let mut verdict = Verdict::Valid;
    let mut said = Vec::new();
    let mut doubt = |how: Verdict, text: String| {
        verdict = verdict.max(how);
        said.push(text);
    };
    let counts = tally.counts;
    let sent = counts.sent.saturating_add(counts.cut);
    if counts.offered == 0 {
        doubt(Verdict::Invalid, "nothing was due".to_owned());
    } else if sent < counts.offered {
        let share = u128::from(sent) * 1_000_000 / u128::from(counts.offered);
        let how = if share < 990_000 {
            Verdict::Invalid
        } else {
            Verdict::Suspect
        };
        let (shed, unsent) = (counts.shed, counts.unsent);
        doubt(
            how,
            format!(
                "of {} requests that were due {sent} were sent; {shed} were shed because {} were \
                 open, and {unsent} were over before they had a connection",
                counts.offered, order.in_flight_max
            ),
        );
    }
    let p99 = |times: &Histogram| times.quantile(99, 100).unwrap_or_default();
    let most = LAG_MIN.max(Nanos(p99(response).0 / 10));
    if p99(lag) > most {
        doubt(
            Verdict::Suspect,
            format!(
                "the generator turned to requests late: p99 {}, more than {most}; the response \
                 times contain that, the service times do not",
                p99(lag)
            ),
        );
    }
    if tally.own.gap > GAP_MAX {
        let (gap, second) = (tally.own.gap, tally.own.gap_second);
        doubt(
            Verdict::Suspect,
            format!(
                "the generator did not run for {gap} in second {}",
                second + 1
            ),
        );
    }
    if tally.own.core_ppm > CORE_MAX {
        let percent = tally.own.core_ppm / 10_000;
        doubt(
            Verdict::Suspect,
            format!(
                "a thread of the generator used {percent}% of a core: it may be what is measured; \
                 give it more with --threads"
            ),
        );
    }
    withheld(tally.withheld, &mut doubt);
    waits(tally, order, &mut doubt);
    (verdict, said)
}

/// What the host did not get, or did not give: it is late whatever the generator does.
pub(super) fn withheld(withheld: Withheld, doubt: &mut impl FnMut(Verdict, String)) {
    let stolen = withheld.stolen_ppm.unwrap_or_default();
    if stolen >= STOLEN_MAX {
        let stolen = Ratio(stolen / 1_000 * 1_000);
        doubt(
            Verdict::Suspect,
            format!(
                "the hypervisor gave {stolen} of this host's processor time to others: measure from \
                 a host that has its processors for itself"
            ),
        );
    }
    let held = withheld.throttled.unwrap_or_default();
    if held.lasted.0 > 0 {
        let Throttled { times, lasted } = held;
        doubt(
            Verdict::Suspect,
            format!(
                "the generator's control group was held back {times} times, {lasted} in all: give it \
                 more processor time (CPUQuota=, --cpus, limits.cpu)"
            ),
        );
    }
}

/// Waiting for a connection is the choice of whoever said how many there are. By Little's law that
/// many are busy as arrive while one is served.
fn waits(tally: &Tally, order: &Order, doubt: &mut impl FnMut(Verdict, String)) {
    let Model::Open { schedule, .. } = &order.model else {
        return;
    };
    if order.carried.pool == Pool::New {
        // Each waited for its own, as it was asked to.
        return;
    }
    let wait = tally.of_all(Metric::PoolWait).quantile(99, 100);
    let service = tally.of(Metric::ServiceTime).quantile(99, 100);
    let (Some(wait), Some(service)) = (wait, service) else {
        return;
    };
    if wait <= LAG_MIN.max(Nanos(service.0 / 10)) {
        return;
    }
    let busy = u128::from(schedule.peak().0) * u128::from(service.0) / 1_000_000_000_000;
    doubt(
        Verdict::Suspect,
        format!(
            "requests waited for one of the {} connections: p99 {wait}; at {} and a service time \
             of {service} about {} are busy at a time",
            order.connections,
            schedule.peak(),
            busy.max(1)
        ),
    );
}
