//! How users were carried, stair by stair: a table below a finding that is told in full.

use nepho_common::{
    plan::{Quantile, Rate},
    time::Nanos,
};

use super::{
    super::model::{Finding, StairFigures},
    catalogue::Say,
    lang::Lang,
    words,
};

/// The heads of the table; nothing for what has no stairs.
pub(super) fn heads(finding: &Finding) -> Vec<Say<'static>> {
    if finding.observed.stairs.is_empty() {
        return Vec::new();
    }
    let quantile = beside_median(finding).map(|quantile| Say::QuantileHead(quantile.word()));
    [Say::UsersHead, Say::PerSecondHead, Say::QuantileHead("p50")]
        .into_iter()
        .chain(quantile)
        .chain([Say::FailuresHead, Say::SamplesHead, Say::VerdictHead])
        .collect()
}

/// The quantile that is judged, where it is another one than is always told.
fn beside_median(finding: &Finding) -> Option<Quantile> {
    let quantile = finding.expected.quantile;
    quantile.filter(|quantile| *quantile != Quantile::P50)
}

/// The rows below them.
pub(super) fn rows(lang: Lang, finding: &Finding) -> Vec<Vec<String>> {
    let time = |time: Option<Nanos>| time.map_or_else(|| "–".to_owned(), |time| time.to_string());
    let row = |stair: &StairFigures| {
        // What it is per is in the head.
        let rate = shown(stair.rate).to_string();
        let rate = rate.trim_end_matches("/s").to_owned();
        let mut row = vec![stair.users.to_string(), rate, time(stair.p50_ns)];
        row.extend(beside_median(finding).map(|_| time(stair.quantile_ns)));
        let verdict = lang.say(&Say::Verdict(stair.verdict));
        row.extend([
            stair.failures.to_string(),
            stair.samples.to_string(),
            format!("{} {verdict}", words::mark(stair.verdict)),
        ]);
        row
    };
    finding.observed.stairs.iter().map(row).collect()
}

/// A rate with as many digits as anybody reads: whole ones from 10/s on.
pub(in crate::report) fn shown(Rate(rate): Rate) -> Rate {
    let step = if rate >= 10_000 { 1_000 } else { 100 };
    Rate((rate + step / 2) / step * step)
}
