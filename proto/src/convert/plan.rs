//! Plans as a whole: canonical JSON under its digest.

use nepho_common::{id::PlanId, plan::Plan, recording::EXHIBIT_MAX};

use super::field::{at_most, id, said};
use crate::{
    bad::{BadMessage, Wrong},
    wire,
};

impl TryFrom<wire::Plan> for Plan {
    type Error = BadMessage;

    fn try_from(wire: wire::Plan) -> Result<Self, BadMessage> {
        // A plan is kept as an exhibit, so it can't be larger than one.
        at_most("canonical_json", wire.canonical_json.len(), EXHIBIT_MAX)?;
        let id = PlanId(id("id", &wire.id)?);
        Ok(Self::read(&wire.canonical_json, id)
            .map_err(|bad| Wrong::Plan(said(&bad.to_string())))?)
    }
}

impl From<&Plan> for wire::Plan {
    fn from(plan: &Plan) -> Self {
        Self {
            id: plan.id().0.bytes().to_vec(),
            canonical_json: plan.canonical(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            schema: Plan::SCHEMA.to_owned(),
            scenario: "s".parse().unwrap(),
            title: "题".to_owned(),
            seed: 1,
            keep_going: false,
            lost_agent: nepho_common::plan::LostAgent::default(),
            files: [].into(),
            agents: [].into(),
            instances: [].into(),
            stages: Vec::new(),
        }
    }

    #[test]
    fn a_plan_reads_back_under_its_own_id_only() {
        let plan = plan();
        let wire = wire::Plan::from(&plan);
        assert_eq!(Plan::try_from(wire.clone()), Ok(plan));
        let mut other = wire;
        other.canonical_json.push(b' ');
        assert!(matches!(
            Plan::try_from(other).unwrap_err().wrong,
            Wrong::Plan(_)
        ));
    }
}
