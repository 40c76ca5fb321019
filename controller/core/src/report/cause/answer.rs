//! A name server that answers, and not what it should.

use nepho_common::{
    plan::{Check, DnsCheck, PlannedPath, Route},
    recording::Outcome,
    symptom::Symptom,
};

use super::{Told, symptoms::Scene};
use crate::report::measured::PathKey;

/// One server has another record than the others, or all of them have another than is expected.
pub(super) fn wrong_answer(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    let asked = dns(scene.path)?;
    if scene.outcome != Outcome::Content && scene.outcome != Outcome::Resolve {
        return None;
    }
    let (to, name, record) = (&scene.path.to, &asked.name, asked.record.word());
    let said = format!(
        "The name server {to} answers wrongly to {record} {name}: {}.",
        symptom.said
    );
    let same = |path: &&PlannedPath| {
        path.to != *to
            && dns(path).is_some_and(|other| (&other.name, other.record) == (name, asked.record))
    };
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for step in &scene.stage.steps {
        for path in step.act.to().iter().filter(same) {
            let key = PathKey::new(&scene.stage.name, &step.name, path);
            let Some(on) = scene.measurements.on(&key) else {
                continue;
            };
            let mut outcomes = on.outcomes.keys();
            if outcomes.all(|outcome| *outcome == Outcome::Success) {
                right.push(path.to.to_string());
            } else {
                wrong.push(path.to.to_string());
            }
        }
    }
    for all in [&mut right, &mut wrong] {
        all.sort();
        all.dedup();
    }
    Some(match (right.first(), wrong.first()) {
        (Some(other), _) => Told {
            cause: format!("{said} {other} answers as expected."),
            remedy: format!(
                "Correct the record of {name} at {to}, or empty its cache: compare its serial number with \
                 that of {other}."
            ),
        },
        (None, Some(other)) => Told {
            cause: format!("{said} {other} does so as well."),
            remedy: format!(
                "Look who changed the record of {name}; if the change is right, correct what the scenario \
                 expects."
            ),
        },
        (None, None) => Told {
            cause: said,
            remedy: format!(
                "Correct the record of {name} at {to}, or what the scenario expects of it."
            ),
        },
    })
}

fn dns(path: &PlannedPath) -> Option<&DnsCheck> {
    match &path.route {
        Route::Ask {
            check: Check::Dns(check),
            ..
        } => Some(check),
        Route::Ask { .. } | Route::NoPath => None,
    }
}
