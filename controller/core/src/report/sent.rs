//! What loads sent and what came of it, whatever is expected of them.

use nepho_common::{
    histogram::Histogram,
    id::{AgentId, StageName, StepName},
    plan::{PlannedStage, PlannedStep, Quantile},
    time::Nanos,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{fold::Folded, sample::Sample};

/// A load of a stage, over all who sent it and all to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadReport {
    /// The stage.
    pub stage: StageName,
    /// The step.
    pub step: StepName,
    /// Who sent.
    pub agents: Vec<AgentId>,
    /// How long it was sent: the stage, as it was planned.
    pub planned_ns: Nanos,
    /// Requests that were due.
    pub offered: u64,
    /// Requests that went out.
    pub sent: u64,
    /// Requests that were answered as they should be.
    pub succeeded: u64,
    /// Requests that were not.
    pub failed: u64,
    /// Requests that were due and not begun, because too many waited or were open.
    pub shed: u64,
    /// Requests whose time was over before they could be sent.
    pub unsent: u64,
    /// Requests that were open when everything ended at once.
    pub cut: u64,
    /// Connections that were opened.
    pub connected: u64,
    /// Bytes of answers.
    pub received: u64,
    /// Bytes of requests.
    pub written: u64,
    /// From the instant at which a request was due to the end of its answer, of successes.
    pub response_ns: Spread,
    /// The same of all requests that were due, of which one that failed took longer than any: absent
    /// where a quantile falls among those.
    pub with_failures_ns: Spread,
    /// From the sending to the end of the answer, of successes.
    pub service_ns: Spread,
    /// From the instant at which a request was due to its sending, by the generator's own doing.
    pub send_lag_ns: Spread,
    /// Waiting for a connection.
    pub pool_wait_ns: Spread,
    /// The most of a core that a thread of a generator used, in parts per million.
    pub busiest_core_ppm: u32,
    /// For so long before each request its thread may have waited without sleeping: then a busy core
    /// says nothing. Absent when it slept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spin_ns: Option<Nanos>,
    /// The longest time for which a thread of a generator stood still.
    pub longest_gap_ns: Nanos,
    /// The median service time that the reference lane saw, over all seconds: of the share whose other
    /// lanes saw most more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_ns: Option<Nanos>,
    /// The same that its other lanes saw of the same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes_ns: Option<Nanos>,
}

/// Some quantiles; absent when nothing was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// The median.
    pub p50: Option<Nanos>,
    /// Nine of ten.
    pub p90: Option<Nanos>,
    /// 99 of 100.
    pub p99: Option<Nanos>,
    /// 999 of 1,000.
    #[serde(rename = "p99.9")]
    pub p999: Option<Nanos>,
    /// The largest.
    pub max: Option<Nanos>,
}

impl Spread {
    fn of(histogram: &Histogram) -> Self {
        Self::among(histogram, histogram.count())
    }

    /// Of so many values, of which those that the histogram lacks are larger than any.
    fn among(histogram: &Histogram, all: u64) -> Self {
        let count = histogram.count();
        let of = |quantile: Quantile| {
            let (num, den) = quantile.fraction();
            let rank = (u128::from(all) * u128::from(num)).div_ceil(u128::from(den));
            let rank = u64::try_from(rank).ok().filter(|rank| *rank <= count)?;
            // The same rank, as a share of what there is.
            histogram.quantile(rank, count)
        };
        Self {
            p50: of(Quantile::P50),
            p90: of(Quantile::P90),
            p99: of(Quantile::P99),
            p999: of(Quantile::P999),
            max: of(Quantile::Max),
        }
    }
}

/// Every load that was begun, in the order of the plan.
pub(super) fn loads(folded: &Folded) -> Vec<LoadReport> {
    let stages = folded.plan.iter().flat_map(|plan| &plan.stages);
    let steps = stages.flat_map(|stage| stage.steps.iter().map(move |step| (stage, step)));
    steps
        .filter_map(|(stage, step)| load(folded, stage, step))
        .collect()
}

fn load(folded: &Folded, stage: &PlannedStage, step: &PlannedStep) -> Option<LoadReport> {
    let spin = step.act.load()?.carried.spin;
    let sample = Sample::of(&folded.measurements, stage, step, step.act.to());
    let told = &sample.generator;
    let (succeeded, failed) = (sample.successes(), sample.failures());
    if told.offered == 0 && succeeded == 0 && failed == 0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a core, above nought"
    )]
    let busiest_core_ppm = (told.cpu * 1e6) as u32;
    Some(LoadReport {
        stage: stage.name.clone(),
        step: step.name.clone(),
        agents: sample.agents(),
        planned_ns: stage.lasts,
        offered: told.offered,
        sent: told.sent,
        succeeded,
        failed,
        shed: told.shed,
        unsent: told.unsent,
        cut: told.cut,
        connected: told.connected,
        received: told.received,
        written: told.written,
        response_ns: Spread::of(&sample.response),
        with_failures_ns: Spread::among(&sample.response, told.offered.max(succeeded + failed)),
        service_ns: Spread::of(&sample.service),
        send_lag_ns: Spread::of(&sample.lag),
        pool_wait_ns: Spread::of(&sample.wait),
        busiest_core_ppm,
        spin_ns: Some(spin).filter(|spin| *spin > Nanos(0)),
        longest_gap_ns: told.gap,
        reference_ns: sample.compared.map(|one| one.reference),
        lanes_ns: sample.compared.map(|one| one.lanes),
    })
}

impl LoadReport {
    /// Answers as they should be, per second.
    #[must_use]
    pub fn per_second(&self) -> u64 {
        let wide =
            u128::from(self.succeeded) * 1_000_000_000 / u128::from(self.planned_ns.0.max(1));
        u64::try_from(wide).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        plan::{Act, Judge},
        recording::Outcome,
        time::Nanos,
    };

    use crate::report::{
        Report,
        fixture::{
            load::{LASTS, RATE, Told, Went, journal, plan},
            of,
        },
        render::{Lang, markdown},
    };

    fn report(went: Vec<Went>) -> Report {
        let failures = Judge::Failures {
            max: u64::MAX,
            confidence: None,
        };
        let told = Told {
            went,
            ..Told::of(Went::well(0))
        };
        of(journal(&plan(&[failures]), |_| told.clone()))
    }

    #[test]
    fn a_generator_that_does_not_sleep_is_told_as_such() {
        let page = |spin| {
            let failures = Judge::Failures {
                max: u64::MAX,
                confidence: None,
            };
            let mut plan = plan(&[failures]);
            for step in &mut plan.stages[0].steps {
                if let Act::Load(load) = &mut step.act {
                    load.carried.spin = spin;
                }
            }
            let report = of(journal(&plan, |_| Told::of(Went::well(RATE))));
            markdown::render(&report, Lang::En)
        };
        assert!(page(Nanos(100_000)).contains("spinning for up to 100µs"));
        assert!(!page(Nanos(0)).contains("spinning"), "the control");
    }

    #[test]
    fn a_load_is_told_whatever_is_expected_of_it() {
        let [load] = &report(vec![Went::well(RATE)]).loads[..] else {
            panic!("one load");
        };
        assert_eq!((load.offered, load.sent), (RATE * LASTS, RATE * LASTS));
        assert_eq!((load.succeeded, load.failed), (RATE * LASTS, 0));
        assert_eq!(load.per_second(), RATE);
        assert_eq!(load.with_failures_ns, load.response_ns);
        assert!(load.response_ns.p50 >= load.service_ns.p50);
        let page = markdown::render(&report(vec![Went::well(RATE)]), Lang::En);
        assert!(page.contains("## Loads"), "{page}");
        assert!(page.contains("2000 of 2000"), "{page}");
    }

    #[test]
    fn a_request_that_failed_took_longer_than_any() {
        // Three of a hundred in each second.
        let failed = Went::well(3).ending(Outcome::Reset);
        let report = report(vec![Went::well(RATE - 3), failed]);
        let load = &report.loads[0];
        assert_eq!(load.failed, 3 * LASTS);
        assert!(load.response_ns.p99.is_some() && load.response_ns.max.is_some());
        assert_eq!(load.with_failures_ns.p50, load.response_ns.p50);
        assert_eq!(load.with_failures_ns.p99, None);
        let page = markdown::render(&report, Lang::En);
        assert!(page.contains("never"), "{page}");
    }
}
