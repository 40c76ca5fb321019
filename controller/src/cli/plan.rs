//! `nepho plan`: what a run would do. Starts nothing.

use std::path::PathBuf;

use clap::Args;
use nepho_common::{control::PolicyReport, plan::Act};
use nepho_controller_core::{
    planner::{self, Available, Choices, Inventory, Planned},
    scenario::{Bundle, Loaded},
};

use super::{Context, Failure, bundle, out::Format};
use crate::{
    driver::RunOptions,
    exit::Exit,
    local::{calibrated, private},
    web::document::RunRequest,
};

const EXAMPLES: &str = "\
Examples:
  nepho plan three-environments.yaml
  nepho plan first.yaml --local
  nepho plan first.yaml -o json | jq -r .id";

/// Shows what a run would do, by whom and to whom, and whether that can decide what is expected.
///
/// Reads the controller's inventory and starts nothing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The scenario file.
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// Draws whatever the scenario leaves to chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Plan as for `run --keep-going`: it is another plan.
    #[arg(long)]
    keep_going: bool,
    /// Exit with 20 when load or faults would run.
    #[arg(long)]
    detailed_exitcode: bool,
    /// Plan as `run --local` would, without asking a controller.
    #[arg(long)]
    local: bool,
}

pub(super) async fn perform(context: &mut Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let (bundle, loaded) = bundle::load(&arguments.scenario)?;
    let choices = Choices {
        seed: arguments.seed,
        keep_going: arguments.keep_going,
    };
    let planned = if arguments.local {
        plan_local(&bundle, &loaded, choices)?
    } else {
        let options = RunOptions {
            seed: choices.seed,
            keep_going: choices.keep_going,
            ..RunOptions::default()
        };
        context
            .client()?
            .plan(&RunRequest { bundle, options })
            .await?
    };
    match context.out.format() {
        Format::Text => context.out.data(&planner::render(&planned))?,
        Format::Json | Format::Ndjson => context.out.json(&planned)?,
    }
    if arguments.detailed_exitcode && disturbs(&planned) {
        return Ok(Exit::WouldDisturb);
    }
    Ok(Exit::Passed)
}

/// With the agents that `run --local` would start, which can do whatever this release can.
fn plan_local(bundle: &Bundle, loaded: &Loaded, choices: Choices) -> Result<Planned, Failure> {
    let policy = planner::local_policy(loaded);
    let features = policy.actions.clone();
    let policy = PolicyReport::of(&policy, Vec::new());
    let calibrated = calibrated::read(&calibrated::dir());
    let agents = loaded.fleet.environments.keys().map(|environment| {
        let available = Available {
            environment: environment.clone(),
            features: features.clone(),
            policy: Some(policy.clone()),
            host: "this host".to_owned(),
            calibrated,
        };
        (private::name(environment), available)
    });
    let inventory = Inventory {
        agents: agents.collect(),
    };
    planner::plan(loaded, bundle.digests(), &inventory, choices)
        .map_err(|impossible| Failure::Refused(impossible.0))
}

/// Whether anything but measuring is planned.
fn disturbs(planned: &Planned) -> bool {
    let mut steps = planned.plan.stages.iter().flat_map(|stage| &stage.steps);
    steps.any(|step| match &step.act {
        Act::Probe(_) | Act::Watch(_) => false,
        Act::Load(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use nepho_controller_core::scenario::{self, Source};

    use super::*;

    fn first() -> (Bundle, Loaded) {
        let text = |name: &str, text: &str| Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let scenario = include_str!("../../../deploy/scenarios/first.yaml");
        let fleet = include_str!("../../../deploy/scenarios/cluster-config.yaml");
        let bundle = Bundle {
            scenario: text("first.yaml", scenario),
            files: [(
                "cluster-config.yaml".to_owned(),
                text("cluster-config.yaml", fleet),
            )]
            .into(),
        };
        let loaded = scenario::load(&bundle).unwrap_or_else(|found| panic!("{found}"));
        (bundle, loaded)
    }

    #[test]
    fn the_plan_of_the_first_scenario() {
        let (bundle, loaded) = first();
        let planned = plan_local(
            &bundle,
            &loaded,
            Choices {
                seed: 1,
                keep_going: false,
            },
        )
        .unwrap();
        let ids = planned.id.to_string();
        let text = planner::render(&planned)
            .replace(&ids, "ID")
            .replace(&planned.id.0.short(), "ID");
        insta::assert_snapshot!(text);
        assert!(!disturbs(&planned));
        assert!(planned.estimates.iter().all(planner::Estimate::is_enough));
    }
}
