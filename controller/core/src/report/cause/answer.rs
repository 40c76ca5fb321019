//! A name server that answers, and not what it should.

use nepho_common::{
    plan::{Check, DnsCheck, PlannedPath, Route},
    recording::Outcome,
    symptom::Symptom,
};

use super::{Told, symptoms::Scene, told};
use crate::report::{
    measured::PathKey,
    said::{Said, said},
};

/// One server has another record than the others, or all of them have another than is expected.
pub(super) fn wrong_answer(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    let asked = dns(scene.path)?;
    if scene.outcome != Outcome::Content && scene.outcome != Outcome::Resolve {
        return None;
    }
    let (to, name, record) = (&scene.path.to, &asked.name, asked.record.word());
    let words = &symptom.said;
    let wrongly = said!(
        "The name server {to} answers wrongly to {record} {name}: {words}.",
        "域名服务器 {to} 对 {record} {name} 的应答有误：“{words}”。"
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
    let (also, remedy) = match (right.first(), wrong.first()) {
        (Some(other), _) => (
            said!("{other} answers as expected.", "{other} 的应答符合期望。"),
            said!(
                "Correct the record of {name} at {to}, or empty its cache: compare its serial number with \
                 that of {other}.",
                "请更正 {to} 上 {name} 的记录，或清空它的缓存：与 {other} 比较序列号。"
            ),
        ),
        (None, Some(other)) => (
            said!("{other} does so as well.", "{other} 的应答也是如此。"),
            said!(
                "Look who changed the record of {name}; if the change is right, correct what the scenario \
                 expects.",
                "请查明谁更改了 {name} 的记录；如果更改正确，请修改场景中的期望。"
            ),
        ),
        (None, None) => (
            Said::default(),
            said!(
                "Correct the record of {name} at {to}, or what the scenario expects of it.",
                "请更正 {to} 上 {name} 的记录，或修改场景中的期望。"
            ),
        ),
    };
    Some(told(Said::sentences([wrongly, also]), remedy))
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
