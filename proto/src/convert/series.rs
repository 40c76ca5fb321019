//! Series.

use nepho_common::recording::Series;

use super::field::{attempt, choice, name};
use crate::{bad::BadMessage, wire};

impl TryFrom<wire::Series> for Series {
    type Error = BadMessage;

    fn try_from(wire: wire::Series) -> Result<Self, BadMessage> {
        Ok(Self {
            run: name("run", wire.run)?,
            attempt: attempt("attempt", wire.attempt)?,
            stage: name("stage", wire.stage)?,
            step: name("step", wire.step)?,
            operation: name("operation", wire.operation)?,
            from: name("from_environment", wire.from_environment)?,
            agent: name("agent", wire.agent)?,
            to: name("to", wire.to)?,
            outcome: choice::<wire::Outcome, _>("outcome", wire.outcome)?,
            metric: choice::<wire::Metric, _>("metric", wire.metric)?,
        })
    }
}

impl From<&Series> for wire::Series {
    fn from(series: &Series) -> Self {
        Self {
            run: series.run.to_string(),
            attempt: series.attempt.0,
            stage: series.stage.to_string(),
            step: series.step.to_string(),
            operation: series.operation.to_string(),
            from_environment: series.from.to_string(),
            agent: series.agent.to_string(),
            to: series.to.to_string(),
            outcome: wire::Outcome::from(series.outcome).into(),
            metric: wire::Metric::from(series.metric).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{series, through};

    proptest! {
        #[test]
        fn a_series_reads_back(series in series()) {
            prop_assert_eq!(through::<wire::Series, _>(&series), Ok(series));
        }

        #[test]
        fn a_series_that_lacks_anything_is_refused(series in series(), which in 0usize..10) {
            let mut wire = wire::Series::from(&series);
            let field = match which {
                0 => { wire.run.clear(); "run" }
                1 => { wire.attempt = 0; "attempt" }
                2 => { wire.stage.clear(); "stage" }
                3 => { wire.step.clear(); "step" }
                4 => { wire.operation.clear(); "operation" }
                5 => { wire.from_environment.clear(); "from_environment" }
                6 => { wire.agent.clear(); "agent" }
                7 => { wire.to.clear(); "to" }
                8 => { wire.outcome = 0; "outcome" }
                _ => { wire.metric = 99; "metric" }
            };
            prop_assert_eq!(Series::try_from(wire).unwrap_err().field, field);
        }
    }
}
