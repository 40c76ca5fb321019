//! `nepho export`: a run directory.

use std::path::PathBuf;

use clap::Args;
use nepho_common::id::RunId;

use super::{Context, Failure, artifacts, out::Format};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  nepho export 20261123-081500-0a1b --out ./archive
  nepho report --from ./archive --format md";

/// Writes a run's journal as a run directory, which outlives the controller.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The run.
    #[arg(value_name = "RUN")]
    run: RunId,
    /// Where to write manifest.json and journal.ndjson.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { run, out } = arguments;
    let client = context.client()?;
    artifacts::make(&out)?;
    let manifest = artifacts::export(&client, &run, &out).await?;
    match context.out.format() {
        Format::Text => {}
        Format::Json | Format::Ndjson => context.out.json(&manifest)?,
    }
    context
        .out
        .say(&format!("run directory  {}", out.display()));
    Ok(Exit::Passed)
}
