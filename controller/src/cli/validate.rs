//! `nepho validate`: every mistake of a scenario and its fleet at once. Needs no controller.

use std::path::{Path, PathBuf};

use clap::Args;
use nepho_controller_core::scenario::Loaded;
use serde_json::json;

use super::{Context, Failure, bundle, out::Format};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  nepho validate first.yaml
  nepho validate first.yaml -o json
  nepho explain N0201                      what one of the codes means";

/// Checks a scenario and the fleet that it names: all mistakes at once, each with line and caret.
///
/// Exit code 3 when there are any. Needs no controller.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The scenario file.
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
}

pub(super) fn perform(context: &mut Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let path = &arguments.scenario;
    let text = context.out.format() == Format::Text;
    match bundle::load(path) {
        Ok((_, loaded)) if text => context.out.data(&describe(path, &loaded))?,
        Ok(_) => {
            let none: [(); 0] = [];
            let document = json!({
                "schema": "nepho.diagnostics/v1", "diagnostics": none, "hidden": 0,
            });
            context.out.json(&document)?;
        }
        Err(Failure::Mistakes(found)) if !text => {
            context.out.json(&found.json())?;
            return Ok(Exit::Invalid);
        }
        Err(failure) => return Err(failure),
    }
    Ok(Exit::Passed)
}

fn describe(path: &Path, loaded: &Loaded) -> String {
    let Loaded { scenario, fleet } = loaded;
    let steps: usize = scenario.stages.iter().map(|stage| stage.steps.len()).sum();
    let expectations: usize = scenario.stages.iter().map(|stage| stage.expect.len()).sum();
    format!(
        "{} is valid: {}, {}, {} over {}, {}, {}",
        path.display(),
        count(scenario.stages.len(), "stage"),
        count(steps, "step"),
        count(expectations, "expectation"),
        count(fleet.environments.len(), "environment"),
        count(fleet.services().len(), "service"),
        count(fleet.instances.len(), "instance"),
    )
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    }
}
