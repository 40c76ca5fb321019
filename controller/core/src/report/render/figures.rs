//! What was expected and what was seen, in words. The report has them in English; other languages
//! are made from the figures beside them.

use nepho_common::{plan::Ratio, recording::Outcome};

use super::{
    super::model::{Finding, Uncertainty},
    catalogue::Say,
    lang::Lang,
};

/// What the scenario asked for.
pub(super) fn expected(lang: Lang, finding: &Finding) -> String {
    let expected = &finding.expected;
    let english = || expected.text.clone();
    match lang {
        Lang::En => english(),
        Lang::ZhCn => {
            let confidence = expected.confidence_ppm.map(|ppm| Ratio(ppm).to_string());
            let confidence = confidence.map_or_else(String::new, |confidence| {
                lang.say(&Say::WithConfidence(&confidence))
            });
            if let Some(max) = expected.max_failures {
                return lang.say(&Say::AtMostFailures(max)) + &confidence;
            }
            if let Some(min) = expected.min_success_ppm {
                let least = Ratio(min).to_string();
                return lang.say(&Say::AtLeastSucceed(&least)) + &confidence;
            }
            let Some(quantile) = expected.quantile else {
                return english();
            };
            let bounds = [
                expected.min_ns.map(Say::AtLeast),
                expected.max_ns.map(Say::AtMost),
            ];
            let bounds: Vec<_> = bounds.iter().flatten().map(|one| lang.say(one)).collect();
            let quantile = lang.say(&Say::Quantile(quantile));
            format!("{quantile} {}", bounds.join(&lang.say(&Say::And)))
        }
    }
}

/// What was seen.
pub(super) fn observed(lang: Lang, finding: &Finding) -> String {
    match lang {
        Lang::En => finding.observed.text.clone(),
        Lang::ZhCn => seen(lang, finding).unwrap_or_else(|| finding.observed.text.clone()),
    }
}

/// `None` when the figures don't say it.
fn seen(lang: Lang, finding: &Finding) -> Option<String> {
    let (expected, observed) = (&finding.expected, &finding.observed);
    if observed.outcomes.is_empty() {
        return (finding.samples.observed == 0).then(|| lang.say(&Say::NothingMeasured));
    }
    let of = |outcome: Outcome| observed.outcomes.get(outcome.word()).copied();
    let succeeded = of(Outcome::Success).unwrap_or_default();
    let failed = Outcome::ALL
        .into_iter()
        .filter(|outcome| !matches!(outcome, Outcome::Success | Outcome::OurSide));
    let failed = failed.filter_map(of).fold(0, u64::saturating_add);
    let n = succeeded.saturating_add(failed);
    let how = how(lang, finding);
    if expected.max_failures.is_some() {
        return Some(lang.say(&Say::FailedOf(failed, n)) + &how);
    }
    if expected.min_success_ppm.is_some() {
        let share = Ratio(observed.success_ppm? / 100 * 100).to_string();
        return Some(lang.say(&Say::SucceededOf(&share, n)) + &how);
    }
    let quantile = expected.quantile?;
    let Some(found) = observed.latency_ns else {
        return Some(if succeeded > 0 {
            let from = quantile.samples_to_show();
            lang.say(&Say::NotShown(quantile, succeeded, from))
        } else {
            lang.say(&Say::NoSuccess) + &how
        });
    };
    let mut said = vec![lang.say(&Say::Latency(quantile, found, succeeded))];
    if failed > 0 {
        let counted = observed.latency_with_failures_ns;
        said.push(lang.say(&Say::IfInfinite(counted, failed)));
    }
    Some(lang.clauses(&said))
}

/// How requests ended that did not succeed, the most frequent first.
fn how(lang: Lang, finding: &Finding) -> String {
    let count = |outcome: Outcome| {
        let n = finding.observed.outcomes.get(outcome.word()).copied()?;
        (outcome != Outcome::Success && n > 0).then_some((std::cmp::Reverse(n), outcome))
    };
    let mut bad: Vec<_> = Outcome::ALL.into_iter().filter_map(count).collect();
    bad.sort_unstable();
    let words: Vec<_> = bad
        .into_iter()
        .map(|(n, outcome)| format!("{} {}", lang.say(&Say::Outcome(outcome)), n.0))
        .collect();
    if words.is_empty() {
        return String::new();
    }
    lang.aside(&lang.list(&words))
}

/// How sure the figure is.
pub(super) fn uncertainty(lang: Lang, finding: &Finding) -> Option<String> {
    let known = finding.uncertainty.as_ref()?;
    Some(match lang {
        Lang::En => known.text.clone(),
        Lang::ZhCn => interval(lang, finding, known).unwrap_or_else(|| known.text.clone()),
    })
}

fn interval(lang: Lang, finding: &Finding, known: &Uncertainty) -> Option<String> {
    match known.method.as_str() {
        "wilson" | "clopper-pearson" => {
            // Two decimals for people, rounded outwards.
            let low = Ratio(known.low_ppm? / 100 * 100).to_string();
            let high = Ratio(known.high_ppm?.div_ceil(100) * 100).to_string();
            let confidence = finding.expected.confidence_ppm;
            let confidence = confidence.map(|ppm| Ratio(ppm).to_string());
            Some(
                lang.say(&match (&confidence, finding.expected.max_failures) {
                    (None, Some(_)) => Say::IntervalFailures(&low, &high),
                    (None, None) => Say::IntervalSuccesses(&low, &high),
                    (Some(confidence), Some(_)) => Say::BoundsFailures(&low, &high, confidence),
                    (Some(confidence), None) => Say::BoundsSuccesses(&low, &high, confidence),
                }),
            )
        }
        "block-bootstrap" => Some(lang.say(&Say::IntervalByBlocks(known.low_ns?, known.high_ns?))),
        "order-statistic" => {
            Some(lang.say(&Say::IntervalIndependent(known.low_ns?, known.high_ns?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{plan::Quantile, time::Nanos};

    use super::{
        super::super::{
            fixture::{eventful, find, of},
            model::{Expected, Observed},
        },
        *,
    };

    fn finding() -> Finding {
        find(&of(eventful()), "hybrid/reach/success-rate").clone()
    }

    #[test]
    fn other_languages_say_what_the_report_says_in_english() {
        let mut one = finding();
        let zh = |one: &Finding| {
            let lang = Lang::ZhCn;
            let sure = uncertainty(lang, one).unwrap_or_default();
            format!("{} | {} | {sure}", expected(lang, one), observed(lang, one))
        };
        assert_eq!(
            zh(&one),
            "成功率不低于 90% | 132 次中成功 92.42%（连接被拒 10） | 成功率的 95% 区间：86.61% 至 95.84%"
        );
        one.expected.confidence_ppm = Some(950_000);
        assert!(zh(&one).starts_with("成功率不低于 90%（置信度 95%） | "));
        assert!(zh(&one).contains("置信度各为 95%"));
        one.expected = Expected {
            quantile: Some(Quantile::P99),
            max_ns: Some(Nanos::from_millis(50)),
            ..Expected::default()
        };
        one.uncertainty = None;
        // Successes there were, but too few for that percentile: not the same as none.
        assert_eq!(
            zh(&one),
            "p99 不超过 50ms | 成功 122 次；p99 需 1000 次以上才给出 | "
        );
        one.observed.latency_ns = Some(Nanos::from_millis(31));
        assert_eq!(
            zh(&one),
            "p99 不超过 50ms | p99 为 31ms（122 次成功）；若把 10 次失败计为无穷大，则为 无穷大 | "
        );
    }

    #[test]
    fn a_figure_that_is_not_known_here_stays_english() {
        let mut one = finding();
        one.expected = Expected {
            text: "something new".to_owned(),
            ..Expected::default()
        };
        one.observed = Observed {
            text: "seen so".to_owned(),
            outcomes: one.observed.outcomes,
            ..Observed::default()
        };
        assert_eq!(expected(Lang::ZhCn, &one), "something new");
        assert_eq!(observed(Lang::ZhCn, &one), "seen so");
    }
}
