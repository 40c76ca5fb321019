//! `nepho stop` and `nepho abort`: ending a run before its time.

use clap::Args;
use nepho_common::{control::StopMode, id::RunId};

use super::{Context, Failure, out::Format};
use crate::{exit::Exit, web::document::Document};

const STOP_EXAMPLES: &str = "\
Examples:
  nepho stop 20261123-081500-0a1b
  nepho status 20261123-081500-0a1b";

/// Asks a run to end: nothing new is sent, answers are waited for, the report is made.
#[derive(Debug, Args)]
#[command(after_help = STOP_EXAMPLES)]
pub(super) struct StopArguments {
    /// The run.
    #[arg(value_name = "RUN")]
    run: RunId,
}

const ABORT_EXAMPLES: &str = "\
Examples:
  nepho abort 20261123-081500-0a1b";

/// Ends a run now: what is open is cut, the report is made from what there is.
#[derive(Debug, Args)]
#[command(after_help = ABORT_EXAMPLES)]
pub(super) struct AbortArguments {
    /// The run.
    #[arg(value_name = "RUN")]
    run: RunId,
}

pub(super) async fn stop(context: &mut Context, arguments: StopArguments) -> Result<Exit, Failure> {
    end(context, &arguments.run, StopMode::Stop).await
}

pub(super) async fn abort(
    context: &mut Context,
    arguments: AbortArguments,
) -> Result<Exit, Failure> {
    end(context, &arguments.run, StopMode::Abort).await
}

async fn end(context: &mut Context, run: &RunId, mode: StopMode) -> Result<Exit, Failure> {
    let stopping = context.client()?.stop(run, mode).await?;
    match context.out.format() {
        Format::Text => {
            let text =
                format!("run {run} was asked to end; `nepho status {run}` shows when it has");
            context.out.say(&text);
        }
        Format::Json | Format::Ndjson => context.out.json(&Document::of(stopping))?,
    }
    Ok(Exit::Passed)
}
