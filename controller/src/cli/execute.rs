//! A run from its start to its files: asked for, followed, stopped if somebody wants that, and
//! what it found printed and written.

use std::time::Duration;

use nepho_common::{control::StopMode, id::RunId};
use nepho_controller_core::report::render::{json, terminal::Colour};
use tokio::time::sleep;

use super::{
    Context, Failure, Signals,
    artifacts::{self, Folder},
    found::Found,
    out::Format,
    progress::Progress,
    summary::SummaryArgument,
};
use crate::{
    exit::Exit,
    web::{Client, document::RunRequest, follow::Follow},
};

/// A run to be executed.
#[derive(Debug)]
pub(crate) struct Execution<'a> {
    /// Who executes it.
    pub(crate) client: &'a Client,
    /// What.
    pub(crate) request: &'a RunRequest,
    /// Where its files go; made before anything runs.
    pub(crate) folder: Folder,
    /// How much is printed at its end.
    pub(crate) summary: SummaryArgument,
}

/// Executes a run. The exit code is the report's, unless a signal ended it.
pub(crate) async fn execute(
    context: &mut Context,
    signals: &mut Signals,
    execution: Execution<'_>,
) -> Result<Exit, Failure> {
    let Execution {
        client,
        request,
        folder,
        summary,
    } = execution;
    let run = signals.unless(client.start(request)).await?;
    context
        .out
        .say(&format!("run {run} of {}", request.bundle.scenario.name));
    let ended_by = follow(context, signals, client, &run).await?;
    let found = Found::of_run(client, &run, None, context.lang).await?;
    let folder = folder.of_run(&run)?;
    artifacts::write(client, &run, &found, &folder).await?;
    print(context, &found, summary)?;
    for file in artifacts::REPORTS {
        let path = folder.join(file);
        context
            .out
            .say(&format!("report         {}", path.display()));
    }
    context
        .out
        .say(&format!("run directory  {}", folder.display()));
    Ok(ended_by.unwrap_or_else(|| Exit::of_report(found.data())))
}

/// Prints what a run found, in the form that was asked for.
pub(super) fn print(
    context: &mut Context,
    found: &Found,
    summary: SummaryArgument,
) -> Result<(), Failure> {
    match context.out.format() {
        Format::Text => {
            let colour = if context.out.data_color() {
                Colour::Ansi
            } else {
                Colour::None
            };
            match summary.render(found.told(), found.lang(), colour) {
                Some(text) => context.out.data(&text),
                None => Ok(()),
            }
        }
        Format::Json => context.out.data(&json::render(found.data())),
        Format::Ndjson => context.out.json(found.data()),
    }
}

/// While the controller can't be reached, this is said so often.
const SAY_LOST_EVERY: Duration = Duration::from_secs(5);

/// Follows a run to its end. The first signal asks it to stop, the second aborts it, the third
/// leaves it alone; the exit code of the first one.
async fn follow(
    context: &mut Context,
    signals: &mut Signals,
    client: &Client,
    run: &RunId,
) -> Result<Option<Exit>, Failure> {
    let mut events = Follow::new(client.clone(), run.clone());
    let mut progress = Progress::new(&context.out);
    let mut asked: Vec<Exit> = Vec::new();
    loop {
        tokio::select! {
            view = events.next() => match view? {
                None => break,
                Some(view) => {
                    if context.out.format() == Format::Ndjson {
                        context.out.json(&view)?;
                    }
                    progress.show(&context.out, &view);
                }
            },
            () = sleep(SAY_LOST_EVERY) => {
                if let Some(lost) = events.lost_for() {
                    let secs = lost.as_secs();
                    let words =
                        format!("no answer for {secs} s, trying again; this stops no run");
                    progress.say(&context.out, &words);
                }
            }
            exit = signals.next() => {
                asked.push(exit);
                let (mode, words) = match asked.len() {
                    1 => (StopMode::Stop, "stopping: answers are waited for; once more aborts"),
                    2 => (StopMode::Abort, "aborting: what is open is cut"),
                    _ => {
                        progress.say(&context.out, "left alone: `nepho status` shows the run");
                        break;
                    }
                };
                progress.say(&context.out, words);
                if let Err(error) = client.stop(run, mode).await {
                    // It may have ended in between; the next event says so.
                    progress.say(&context.out, &Failure::from(error).text(false));
                }
            }
        }
    }
    progress.end();
    Ok(asked.first().copied())
}
