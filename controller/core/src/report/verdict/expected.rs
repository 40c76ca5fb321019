//! What is expected, for people.

use nepho_common::plan::{Judge, Ratio};

use super::certificate::long;
use crate::report::model::Expected;

/// What a judge asks for.
pub(crate) fn expected(judge: &Judge) -> Expected {
    match judge {
        Judge::Failures { max, confidence } => Expected {
            text: match max {
                0 => format!("no failure{}", with(*confidence)),
                1 => format!("at most 1 failure{}", with(*confidence)),
                max => format!("at most {max} failures{}", with(*confidence)),
            },
            max_failures: Some(*max),
            confidence_ppm: confidence.map(|confidence| confidence.0),
            ..Expected::default()
        },
        Judge::SuccessRate { min, confidence } => Expected {
            text: format!("at least {min} succeed{}", with(*confidence)),
            min_success_ppm: Some(min.0),
            confidence_ppm: confidence.map(|confidence| confidence.0),
            ..Expected::default()
        },
        Judge::Latency { quantile, max, min } => {
            let bounds = [
                min.map(|min| format!("at least {min}")),
                max.map(|max| format!("at most {max}")),
            ];
            let bounds: Vec<_> = bounds.into_iter().flatten().collect();
            Expected {
                text: format!("{} {}", quantile.word(), bounds.join(" and ")),
                quantile: Some(*quantile),
                max_ns: *max,
                min_ns: *min,
                ..Expected::default()
            }
        }
        Judge::Resource { name, max, min } => {
            let bounds = [
                min.map(|min| format!("at least {min}")),
                max.map(|max| format!("at most {max}")),
            ];
            let bounds: Vec<_> = bounds.into_iter().flatten().collect();
            Expected {
                text: format!("{name} {}", bounds.join(" and ")),
                most: *max,
                least: *min,
                ..Expected::default()
            }
        }
        Judge::Same { fact } => Expected {
            text: format!("all say the same {fact}"),
            same: Some(fact.to_string()),
            ..Expected::default()
        },
        Judge::Certificate { min } => Expected {
            text: format!("certificates are valid for at least {} more", long(*min)),
            min_left_ns: Some(*min),
            ..Expected::default()
        },
    }
}

fn with(confidence: Option<Ratio>) -> String {
    confidence.map_or_else(String::new, |confidence| {
        format!(", with {confidence} confidence")
    })
}
