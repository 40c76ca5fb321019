//! What results say of a run under way, before anybody folds them.

use std::collections::BTreeMap;

use nepho_common::{
    histogram::Histogram,
    id::{RunId, StageName, StepName},
    journal::{Body, Record, RecordKind},
    recording::{Metric, Outcome, Recording},
    time::Interval,
};
use nepho_controller_core::run::Glance;
use nepho_proto::journal::decode;

use crate::view::Tally;

/// What committed results say of a run under way.
#[derive(Debug, Default)]
pub struct News {
    /// For the live view.
    pub tally: Tally,
    /// For what must hold while it runs.
    pub glances: Vec<Glance>,
}

/// Takes what a record says of the run that it is of.
pub(crate) fn tell(record: &Record, news: &mut BTreeMap<RunId, News>) {
    if record.kind != RecordKind::Recordings {
        return;
    }
    let Ok(entry) = decode(record) else { return };
    let Body::Recordings(recordings) = entry.body else {
        return;
    };
    let news = news.entry(entry.run).or_default();
    let mut glances: BTreeMap<(StageName, StepName, Interval), Glance> = BTreeMap::new();
    for Recording {
        series,
        interval,
        histogram,
    } in recordings
    {
        if series.metric != Metric::ResponseTime {
            continue;
        }
        let count = histogram.count();
        news.tally.requests += count;
        let key = (series.stage.clone(), series.step.clone(), interval);
        let glance = glances.entry(key).or_insert_with(|| Glance {
            agent: entry.key.agent.clone(),
            stage: series.stage.clone(),
            step: series.step.clone(),
            span: interval,
            successes: Histogram::default(),
            failures: 0,
        });
        match series.outcome {
            Outcome::Success => glance.successes.merge(&histogram),
            // It says nothing of the target.
            Outcome::OurSide => news.tally.failures += count,
            _ => {
                news.tally.failures += count;
                glance.failures += count;
            }
        }
    }
    news.glances.extend(glances.into_values());
}
