//! `nepho schema`: the JSON Schemas, for editors.

use clap::{Args, ValueEnum};
use nepho_controller_core::scenario::{FileKind, schema_json};

use super::{Context, Failure};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  nepho schema scenario > scenario.schema.json
  nepho schema fleet > fleet.schema.json
  # then, on the first line of a scenario:
  # yaml-language-server: $schema=./scenario.schema.json";

/// Prints the JSON Schema (draft-07) of a file format, for completion in an editor.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Which format.
    #[arg(value_enum)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A scenario.
    Scenario,
    /// A fleet: cluster-config.yaml.
    Fleet,
}

pub(super) fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let kind = match arguments.kind {
        Kind::Scenario => FileKind::Scenario,
        Kind::Fleet => FileKind::Fleet,
    };
    context.out.data(&schema_json(kind))?;
    Ok(Exit::Passed)
}
