//! `nepho status`: where runs stand.

use clap::Args;
use nepho_common::id::RunId;

use super::{Context, Failure, out::Format, runs};
use crate::{
    exit::Exit,
    view::RunView,
    web::document::{Document, Runs},
};

const EXAMPLES: &str = "\
Examples:
  nepho status
  nepho status 20261123-081500-0a1b";

/// Shows the runs that are under way, or one run in full.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The run; else those that are under way.
    #[arg(value_name = "RUN")]
    run: Option<RunId>,
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let client = context.client()?;
    let Some(run) = arguments.run else {
        let mut all = client.runs().await?.runs;
        all.retain(|run| !run.is_over());
        match context.out.format() {
            Format::Json => context.out.json(&Document::of(Runs { runs: all }))?,
            Format::Ndjson => {
                for run in &all {
                    context.out.json(run)?;
                }
            }
            Format::Text => {
                context.out.data(&runs::list(&all))?;
                if all.is_empty() {
                    context.out.say("no run is under way; `nepho runs` lists those that are over");
                }
            }
        }
        return Ok(Exit::Passed);
    };
    let view = client.run(&run).await?;
    match context.out.format() {
        Format::Json | Format::Ndjson => context.out.json(&view)?,
        Format::Text => context.out.data(&describe(&view))?,
    }
    Ok(Exit::Passed)
}

fn describe(view: &RunView) -> String {
    let mut text = runs::list(std::slice::from_ref(view));
    text.push_str(&format!("plan {}\n", view.plan));
    for stage in &view.stages {
        text.push_str(&format!("stage {}: {}\n", stage.stage, stage.verdict.word()));
    }
    for waiting in view.progress.iter().flat_map(|progress| &progress.waiting) {
        text.push_str(&format!("waiting: {waiting}\n"));
    }
    for line in &view.said {
        text.push_str(&format!("  {line}\n"));
    }
    if view.is_over() {
        text.push_str(&format!("its report: nepho report {}\n", view.run));
    }
    text
}
