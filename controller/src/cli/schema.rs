//! `nepho schema`: the JSON Schemas, of files for editors and of what is printed for programs.

use clap::{Args, builder::PossibleValuesParser};
use nepho_controller_core::scenario::{FileKind, schema_json};

use super::{Context, Failure, published};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  nepho schema                                  what there is
  nepho schema scenario > scenario.schema.json
  nepho schema report > report.schema.json      what `nepho report -o json` prints
  # then, on the first line of a scenario (`nepho init` writes it):
  # yaml-language-server: $schema=./scenario.schema.json";

/// Prints the JSON Schema (draft-07) of a file format, or of what -o json and -o ndjson print.
///
/// A later release may add keys to what is printed: pass over those that you don't know.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Which: scenario, fleet, or the NAME in "schema": "nepho.NAME/v1"; else lists them.
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(names()), hide_possible_values = true)]
    name: Option<String>,
}

fn file_kind(name: &str) -> Option<FileKind> {
    match name {
        "scenario" => Some(FileKind::Scenario),
        "fleet" => Some(FileKind::Fleet),
        _ => None,
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    let printed = published::all().map(published::Published::name);
    ["fleet", "scenario"].into_iter().chain(printed)
}

pub(super) fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let Some(name) = arguments.name else {
        context.out.data(&names().collect::<Vec<_>>().join("\n"))?;
        return Ok(Exit::Passed);
    };
    let text = match file_kind(&name) {
        Some(kind) => schema_json(kind),
        None => {
            let mut all = published::all().into_iter();
            let found = all.find(|printed| printed.name() == name);
            let found = found.expect("only these names are taken");
            format!("{:#}\n", found.form())
        }
    };
    context.out.data(&text)?;
    Ok(Exit::Passed)
}
