//! `nepho logs`: what happened in a run, in words.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args;
use nepho_common::id::{AgentId, RunId};
use nepho_controller_core::log::{Line, lines};
use tokio::time::{Duration, Instant};

use super::{Context, Failure, out::Format, watch};
use crate::{
    exit::Exit,
    export, scribe,
    web::{
        Client,
        document::{Document, Log},
        follow::Follow,
    },
};

const EXAMPLES: &str = "\
Examples:
  nepho logs 20261123-081500-0a1b
  nepho logs 20261123-081500-0a1b -f              until the run is over
  nepho logs 20261123-081500-0a1b -o ndjson | jq -r 'select(.kind == \"agent-lost\").text'
  nepho logs --from ./nepho-runs/20261123-081500-0a1b     without a controller";

/// Tells what happened in a run, in order, from its journal.
///
/// All lines stand on the controller's clock. What an agent says comes when it has sent it, so with
/// -f it may be printed after later lines of others.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The run.
    #[arg(
        value_name = "RUN",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    run: Option<RunId>,
    /// Go on with what happens, until the run is over.
    #[arg(short, long, conflicts_with = "from")]
    follow: bool,
    /// Read this run directory instead of asking a controller.
    #[arg(long, value_name = "RUN_DIR")]
    from: Option<PathBuf>,
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { run, follow, from } = arguments;
    let mut told = Told::default();
    match (run, from) {
        (Some(run), None) if follow => {
            let client = context.client()?;
            keep_telling(context, &client, &run, &mut told).await?;
        }
        (Some(run), None) => {
            let log = context.client()?.log(&run).await?;
            told.tell(context, log)?;
        }
        (_, Some(folder)) => told.tell(context, of_folder(&folder).await?)?,
        (None, None) => return Err(Failure::Usage("name a run, or a run directory".to_owned())),
    }
    Ok(Exit::Passed)
}

async fn of_folder(folder: &Path) -> Result<Log, Failure> {
    let folder = folder.to_owned();
    let read = tokio::task::spawn_blocking(move || export::read_run_dir(&folder));
    let (manifest, records) = read.await.expect("reading does not panic")?;
    let (entries, _) = scribe::read(records);
    Ok(Log {
        run: manifest.run,
        over: true,
        lines: lines(&entries),
    })
}

/// The journal is asked no more often than this, however fast a run changes.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The event stream says when there may be news; the journal says what they are.
async fn keep_telling(
    context: &mut Context,
    client: &Client,
    run: &RunId,
    told: &mut Told,
) -> Result<(), Failure> {
    let mut events = Follow::new(client.clone(), run.clone());
    let mut asked: Option<Instant> = None;
    // One document can only be written when there is nothing to come.
    let at_once = context.out.format() != Format::Json;
    while let Some(view) = watch::next(&context.out, &mut events).await? {
        let due = at_once && asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if due || view.is_over() {
            asked = Some(Instant::now());
            let log = match client.log(run).await {
                Ok(log) => log,
                // The next event comes when there is a controller again.
                Err(error) if error.may_pass() && !view.is_over() => continue,
                Err(error) => return Err(error.into()),
            };
            told.tell(context, log)?;
        }
        if context.out.reader_is_gone() {
            return Ok(());
        }
    }
    Ok(())
}

/// What was printed already.
#[derive(Debug, Default)]
struct Told {
    ids: BTreeSet<String>,
    /// Of the widest name so far.
    width: usize,
}

impl Told {
    fn tell(&mut self, context: &mut Context, log: Log) -> Result<(), Failure> {
        if context.out.format() == Format::Json {
            return context.out.json(&Document::of(log));
        }
        let fresh: Vec<_> = log
            .lines
            .into_iter()
            .filter(|line| self.ids.insert(line.id.clone()))
            .collect();
        let widths = fresh.iter().map(|line| line.by.as_str().len());
        self.width = widths.max().unwrap_or(0).max(self.width);
        for line in fresh {
            match context.out.format() {
                Format::Text => context.out.data(&self.text(&line))?,
                Format::Json | Format::Ndjson => context.out.json(&Document::of(line))?,
            }
        }
        Ok(())
    }

    fn text(&self, line: &Line) -> String {
        let Line { at, by, text, .. } = line;
        let by: &AgentId = by;
        format!("{at}  {:<width$}  {text}", by.as_str(), width = self.width)
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::time::WallMillis;

    use super::*;

    #[test]
    fn names_are_aligned_and_the_text_is_whole() {
        let told = Told {
            ids: BTreeSet::new(),
            width: 10,
        };
        let line = Line {
            at: WallMillis(1_795_393_620_000),
            by: "local-1".parse().unwrap(),
            kind: "stage-ended".to_owned(),
            text: "stage one ended at 2s: its time was up".to_owned(),
            id: "local-1/07/1.0".to_owned(),
        };
        insta::assert_snapshot!(told.text(&line), @"2026-11-23T00:27:00Z  local-1     stage one ended at 2s: its time was up");
    }
}
