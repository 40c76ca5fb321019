//! What generators counted, second by second.

use std::{collections::BTreeMap, sync::Arc};

use nepho_common::{
    histogram::{BadHistogram, Histogram},
    load::{Counted, Counts, Own, Ran, Timed, Traced},
    plan::{Load, Target},
    recording::{Gauge, LOAD_GAUGES, Metric, Outcome, Recording, Trace, TraceRun},
    time::{Interval, Nanos},
};

use super::Recorder;

/// How long a recording of a load is.
pub const LOAD_EVERY: Nanos = Nanos::from_secs(1);

/// Of a shorter time the share of a core says nothing: what a thread does at its end fills it.
const OVER_MIN: Nanos = Nanos::from_millis(100);

/// What was counted since it was last flushed.
#[derive(Debug, Default)]
pub(super) struct Loads {
    times: BTreeMap<(Place, Outcome, Metric), Histogram>,
    seconds: BTreeMap<Place, Second>,
}

/// A second of a target of a step; of a share, the target is its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    step: usize,
    target: usize,
    second: u64,
}

#[derive(Debug, Default)]
struct Second {
    counts: Counts,
    /// Of the lane that used most of its core.
    busiest: Own,
    gap: Nanos,
    is_own: bool,
    compared: Compared,
}

/// Service times of the same call, of successes: of the reference lane, and of the others.
#[derive(Debug, Default)]
struct Compared {
    reference: Histogram,
    lanes: Histogram,
}

impl Compared {
    /// Takes what a lane counted of this call.
    fn add(&mut self, call: u16, counted: &Counted) -> Result<(), BadHistogram> {
        let times = if counted.is_reference {
            &mut self.reference
        } else {
            &mut self.lanes
        };
        let is_same = |timed: &&Timed| {
            let of = (timed.call, timed.outcome, timed.metric);
            of == (call, Outcome::Success, Metric::ServiceTime)
        };
        for timed in counted.times.iter().filter(is_same) {
            times.merge(&timed.histogram()?);
        }
        Ok(())
    }
}

impl Loads {
    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty() && self.seconds.is_empty()
    }
}

impl Recorder {
    /// Notes what a lane counted of one share of a load. What is of a step, share or call that the
    /// stage does not have is dropped: only a bug of the body could make it.
    ///
    /// # Errors
    /// What it counted is no histogram, which too only a bug could make.
    pub fn load(
        &mut self,
        step: usize,
        share: usize,
        counted: &Counted,
    ) -> Result<(), BadHistogram> {
        let assigned = self.stage.steps.get(step);
        let Some(load) = assigned.and_then(|step| step.act.load()) else {
            return Ok(());
        };
        let second = counted.second;
        let Some(first) = target(load, share, 0) else {
            return Ok(());
        };
        let place = Place {
            step,
            target: first,
            second,
        };
        let known = self.loads.seconds.entry(place).or_default();
        let is_compared = load.shares[share].reference.is_some();
        if let Some(call) = load.reference_call().filter(|_| is_compared) {
            known.compared.add(call, counted)?;
        }
        if counted.is_reference {
            return Ok(());
        }
        known.counts.add(counted.counts);
        if let Some(own) = counted.own {
            known.heard(own);
        }
        for timed in &counted.times {
            let Some(target) = target(load, share, timed.call) else {
                continue;
            };
            let place = Place {
                step,
                target,
                second,
            };
            let key = (place, timed.outcome, timed.metric);
            let known = self.loads.times.entry(key).or_default();
            known.merge(&timed.histogram()?);
        }
        let mut traces = Vec::new();
        for traced in &counted.traces {
            let target = target(load, share, traced.call);
            traces.extend(target.and_then(|target| self.of_back_end((step, target), traced)));
        }
        self.traces.extend(traces);
        Ok(())
    }

    /// Who answered, as a trace. A name that is no name is nobody's.
    fn of_back_end(&self, (step, target): (usize, usize), traced: &Traced) -> Option<Trace> {
        let assigned = self.stage.steps.get(step)?;
        let target = assigned.act.to().get(target)?;
        let run = |ran: &Ran| TraceRun {
            first: self.began.plus(ran.first),
            last: self.began.plus(ran.last),
            count: ran.count,
            outcome: ran.outcome,
        };
        let by = traced.by.clone();
        Some(Trace {
            stage: self.stage.name.clone(),
            step: assigned.name.clone(),
            operation: target.operation.clone(),
            to: target.to.clone(),
            back_end: by.and_then(|name| name.try_into().ok()),
            runs: traced.runs.iter().map(run).collect(),
            connections: traced.connections,
            truncated: traced.truncated,
        })
    }

    /// Everything that loads counted since the last call, as recordings of a second each. What else
    /// they told of it is among the gauges.
    pub fn flush_loads(&mut self) -> Vec<Recording> {
        let Loads { times, seconds } = std::mem::take(&mut self.loads);
        for (place, second) in seconds {
            self.tell(place, &second);
        }
        let began = self.began;
        let recording = |((place, outcome, metric), histogram): (_, Histogram)| {
            let Place {
                step,
                target,
                second,
            } = place;
            let from = began.plus(Nanos(second.saturating_mul(LOAD_EVERY.0)));
            Some(Recording {
                series: Arc::new(self.of((step, target), (outcome, metric))?),
                interval: Interval {
                    from,
                    to: from.plus(LOAD_EVERY),
                },
                histogram,
            })
        };
        let sealed: Vec<_> = times.into_iter().filter_map(recording).collect();
        self.sum(&sealed);
        sealed
    }

    fn tell(&mut self, place: Place, second: &Second) {
        let Some(step) = self.stage.steps.get(place.step) else {
            return;
        };
        let Some(target) = step.act.to().get(place.target) else {
            return;
        };
        let of = target.to.clone();
        let since = Nanos(place.second.saturating_mul(LOAD_EVERY.0));
        for (name, unit) in LOAD_GAUGES {
            let Some(value) = second.value(name) else {
                continue;
            };
            self.gauges.push(Gauge {
                name: name.to_owned().try_into().expect("these are names"),
                stage: self.stage.name.clone(),
                step: step.name.clone(),
                of: Some(of.clone()),
                thing: None,
                at: self.began.plus(since),
                value,
                unit,
            });
        }
    }
}

impl Second {
    /// Takes what a lane says of itself.
    fn heard(&mut self, own: Own) {
        self.is_own = true;
        self.gap = self.gap.max(own.gap);
        let rank = |own: Own| (own.over >= OVER_MIN, share_of(own));
        if rank(own) >= rank(self.busiest) {
            self.busiest = own;
        }
    }

    /// What there is to say by this gauge. That nothing was shed is not said each second.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a second are far below 2^53"
    )]
    fn value(&self, name: &str) -> Option<f64> {
        let counts = &self.counts;
        let counted = match name {
            "load.offered" => counts.offered,
            "load.sent" => counts.sent,
            "load.shed" => counts.shed,
            "load.unsent" => counts.unsent,
            "load.cut" => counts.cut,
            "load.connected" => counts.connected,
            "load.received" => counts.received,
            "load.written" => counts.written,
            "load.cpu" => {
                let is_told = self.is_own && self.busiest.over >= OVER_MIN;
                return is_told.then(|| share_of(self.busiest));
            }
            "load.gap" => return self.is_own.then_some(self.gap.0 as f64),
            "load.reference" => return median(&self.compared.reference),
            "load.lanes" => return median(&self.compared.lanes),
            _ => 0,
        };
        (counted > 0).then_some(counted as f64)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time far below 2^53 ns")]
fn median(times: &Histogram) -> Option<f64> {
    times.quantile(1, 2).map(|median| median.0 as f64)
}

#[expect(clippy::cast_precision_loss, reason = "a share, and only shown")]
fn share_of(own: Own) -> f64 {
    own.used.0 as f64 / own.over.0.max(1) as f64
}

/// The place of a call of a share among the targets of a load.
fn target(load: &Load<Target>, share: usize, call: u16) -> Option<usize> {
    let share = load.shares.get(share)?;
    let call = load.calls.get(usize::from(call))?;
    let mut all = load.to.iter();
    all.position(|to| to.to == share.to && to.operation == call.operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_of_a_second_is_that_of_its_busiest_lane_and_of_a_remnant_nothing_is_said() {
        let own = |used, over| Own {
            used: Nanos::from_millis(used),
            over: Nanos::from_millis(over),
            gap: Nanos::from_millis(used),
        };
        let told = |all: &[Own]| {
            let mut second = Second::default();
            all.iter().for_each(|one| second.heard(*one));
            (second.value("load.cpu"), second.value("load.gap"))
        };
        assert_eq!(told(&[]), (None, None));
        let lanes = [own(200, 1_000), own(700, 1_000), own(300, 1_000)];
        assert_eq!(told(&lanes), (Some(0.7), Some(7e8)));
        assert_eq!(told(&[own(9, 10)]), (None, Some(9e6)), "a remnant");
        assert_eq!(
            told(&[own(9, 10), own(200, 1_000), own(9, 10)]).0,
            Some(0.2)
        );
    }
}
