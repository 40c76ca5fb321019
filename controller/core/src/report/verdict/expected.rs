//! What is expected, for people.

use std::fmt::Display;

use nepho_common::plan::{Judge, LatencyMax, Ratio};

use super::certificate::long;
use crate::report::{
    model::Expected,
    said::{Said, said},
};

/// What a judge asks for, in words and in figures.
pub(crate) fn expected(judge: &Judge) -> (Said, Expected) {
    match judge {
        Judge::Failures { max, confidence } => {
            let with = with(*confidence);
            let text = match max {
                0 => said!("no failure{with}", "不允许失败{with}"; with),
                1 => said!("at most 1 failure{with}", "最多失败 1 次{with}"; with),
                max => said!("at most {max} failures{with}", "最多失败 {max} 次{with}"; with),
            };
            let figures = Expected {
                max_failures: Some(*max),
                confidence_ppm: confidence.map(|confidence| confidence.0),
                ..Expected::default()
            };
            (text, figures)
        }
        Judge::SuccessRate { min, confidence } => {
            let with = with(*confidence);
            let figures = Expected {
                min_success_ppm: Some(min.0),
                confidence_ppm: confidence.map(|confidence| confidence.0),
                ..Expected::default()
            };
            (
                said!("at least {min} succeed{with}", "成功率不低于 {min}{with}"; with),
                figures,
            )
        }
        Judge::Latency { quantile, max, min } => {
            let figures = Expected {
                quantile: Some(*quantile),
                max_ns: *max,
                min_ns: *min,
                ..Expected::default()
            };
            (bounds(quantile.word(), *min, *max), figures)
        }
        Judge::Resource { name, max, min } => {
            let figures = Expected {
                most: *max,
                least: *min,
                ..Expected::default()
            };
            (bounds(name, *min, *max), figures)
        }
        Judge::Distribution {
            over,
            tolerance,
            confidence,
            ..
        } => {
            let figures = Expected {
                over: Some(over.to_string()),
                tolerance_ppm: Some(tolerance.0),
                confidence_ppm: Some(confidence.0),
                ..Expected::default()
            };
            (
                said!(
                    "each {over} gets its share, give or take {tolerance}",
                    "每个 {over} 得到应有的份额，容差 {tolerance}"
                ),
                figures,
            )
        }
        Judge::Same { fact } => {
            let figures = Expected {
                same: Some(fact.to_string()),
                ..Expected::default()
            };
            (
                said!("all say the same {fact}", "全部报告相同的 {fact}"),
                figures,
            )
        }
        Judge::Throughput { max, min } => {
            let figures = Expected {
                max_rate: *max,
                min_rate: *min,
                ..Expected::default()
            };
            let text = match (min, max) {
                (Some(min), Some(max)) => said!(
                    "throughput at least {min} and at most {max}",
                    "吞吐量不低于 {min} 且不超过 {max}"
                ),
                (Some(min), None) => said!("throughput at least {min}", "吞吐量不低于 {min}"),
                (None, Some(max)) => said!("throughput at most {max}", "吞吐量不超过 {max}"),
                (None, None) => said!("any throughput", "任意吞吐量"),
            };
            (text, figures)
        }
        Judge::Concurrency {
            min,
            latency,
            success_rate,
        } => {
            let latency_within = latency.map(|LatencyMax { quantile, max }| {
                let word = quantile.word();
                said!("{word} at most {max}", "{word} 不超过 {max}")
            });
            let share =
                success_rate.map(|min| said!("at least {min} successes", "成功率不低于 {min}"));
            let within = Said::both(latency_within.into_iter().chain(share));
            let figures = Expected {
                min_users: Some(*min),
                quantile: latency.map(|latency| latency.quantile),
                max_ns: latency.map(|latency| latency.max),
                min_success_ppm: success_rate.map(|min| min.0),
                ..Expected::default()
            };
            (
                said!(
                    "at least {min} users carried with {within}",
                    "至少承载 {min} 个用户，且{within}";
                    within
                ),
                figures,
            )
        }
        Judge::Certificate { min } => {
            let long = long(*min);
            let text = said!(
                "certificates are valid for at least {long} more",
                "证书的剩余有效期不少于 {long}";
                long
            );
            let figures = Expected {
                min_left_ns: Some(*min),
                ..Expected::default()
            };
            (text, figures)
        }
    }
}

/// `p99 at least 1ms and at most 2ms`.
fn bounds(of: impl Display, min: Option<impl Display>, max: Option<impl Display>) -> Said {
    match (min, max) {
        (Some(min), Some(max)) => said!(
            "{of} at least {min} and at most {max}",
            "{of} 不低于 {min} 且不超过 {max}"
        ),
        (Some(min), None) => said!("{of} at least {min}", "{of} 不低于 {min}"),
        (None, Some(max)) => said!("{of} at most {max}", "{of} 不超过 {max}"),
        (None, None) => said!("{of} ", "{of}"),
    }
}

fn with(confidence: Option<Ratio>) -> Said {
    confidence.map_or_else(Said::default, |confidence| {
        said!(", with {confidence} confidence", "（置信度 {confidence}）")
    })
}
