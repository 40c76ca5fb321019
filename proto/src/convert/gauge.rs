//! Gauges.

use nepho_common::{
    id::{InstanceId, ThingName},
    recording::Gauge,
};

use super::field::{choice, name, run_time};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    wire,
};

impl TryFrom<wire::Gauge> for Gauge {
    type Error = BadMessage;

    fn try_from(wire: wire::Gauge) -> Result<Self, BadMessage> {
        if !wire.value.is_finite() {
            return Err(Wrong::NotFinite).within("value");
        }
        let of = (!wire.of.is_empty()).then_some(wire.of);
        let thing = (!wire.thing.is_empty()).then_some(wire.thing);
        Ok(Self {
            name: name("name", wire.name)?,
            stage: name("stage", wire.stage)?,
            step: name("step", wire.step)?,
            of: of.map(|of| name("of", of)).transpose()?,
            thing: thing.map(|thing| name("thing", thing)).transpose()?,
            at: run_time("at", wire.at)?,
            value: wire.value,
            unit: choice::<wire::Unit, _>("unit", wire.unit)?,
        })
    }
}

impl From<&Gauge> for wire::Gauge {
    fn from(gauge: &Gauge) -> Self {
        Self {
            name: gauge.name.to_string(),
            stage: gauge.stage.to_string(),
            step: gauge.step.to_string(),
            of: gauge
                .of
                .as_ref()
                .map(InstanceId::to_string)
                .unwrap_or_default(),
            thing: gauge
                .thing
                .as_ref()
                .map(ThingName::to_string)
                .unwrap_or_default(),
            at: gauge.at.0,
            value: gauge.value,
            unit: wire::Unit::from(gauge.unit).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{gauge, through};

    proptest! {
        #[test]
        fn a_gauge_reads_back(gauge in gauge()) {
            prop_assert_eq!(through::<wire::Gauge, _>(&gauge), Ok(gauge));
        }

        #[test]
        fn a_value_that_is_no_number_is_refused(gauge in gauge(), which in 0usize..3) {
            let value = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][which];
            let wire = wire::Gauge { value, ..wire::Gauge::from(&gauge) };
            prop_assert_eq!(Gauge::try_from(wire).unwrap_err().wrong, Wrong::NotFinite);
        }
    }
}
