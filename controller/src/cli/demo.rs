//! `nepho demo`: the whole of it on this machine, in two minutes.

use std::path::{Path, PathBuf};

use clap::Args;
use nepho_controller_core::report::Report;
use tokio::time::Instant;

use super::{
    Context, Execution, Failure, Signals,
    artifacts::{self, Folder},
    bundle, execute,
    summary::SummaryArgument,
};
use crate::{
    demo::{
        Play, Theatre,
        faults::{Fault, strangers},
        files::names,
    },
    driver::RunOptions,
    exit::Exit,
    web::document::RunRequest,
};

const EXAMPLES: &str = "\
Examples:
  nepho demo
  nepho demo --broken
  nepho demo --out ./my-demo && less ./my-demo/report.md";

/// Measures forty services in three environments, all on this machine, in two minutes.
///
/// Starts the services as processes on free ports, a proxy for each distance, a controller and
/// three agents; runs the stages local, cloud and hybrid; ends all of it. No root, no Docker, no
/// cloud. With --broken it plants faults first, and says at its end where the report tells of each;
/// it exits with 10, as every run does that finds failures.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where fleet, scenario, ports and report are written.
    #[arg(long, value_name = "DIR", default_value = "nepho-demo")]
    out: PathBuf,
    /// Plants faults of different kinds, for the report to find, name and explain.
    #[arg(long)]
    broken: bool,
    /// Draws whatever the scenario leaves to chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    summary: SummaryArgument,
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let began = Instant::now();
    let Arguments {
        out,
        broken,
        seed,
        summary,
    } = arguments;
    let play = if broken { Play::Broken } else { Play::Well };
    let mut signals = Signals::listen()?;
    let folder = Folder::open(Some(out.clone()))?;
    context
        .out
        .say("starting forty services, three distances, a controller and three agents");
    let siblings = context.siblings();
    let theatre = {
        let say = |text: &str| context.out.say(text);
        Box::pin(signals.unless(Theatre::start(&siblings, play, say))).await?
    };
    let ended = Box::pin(perform_in(
        context,
        &mut signals,
        (&theatre, play),
        (&out, folder),
        (seed, summary),
    ))
    .await;
    Box::pin(theatre.end()).await;
    let took = began.elapsed().as_secs_f64();
    context.out.say(&format!(
        "the demo took {took:.1} s; everything that it started has ended"
    ));
    ended
}

/// The same way as every `nepho run`: files are read from where the user finds them.
async fn perform_in(
    context: &mut Context,
    signals: &mut Signals,
    (theatre, play): (&Theatre, Play),
    (out, folder): (&Path, Folder),
    (seed, summary): (u64, SummaryArgument),
) -> Result<Exit, Failure> {
    let files = &theatre.files;
    let paths = names(play).map(|name| out.join(name));
    for (path, text) in paths
        .iter()
        .zip([&files.fleet, &files.scenario, &files.ports])
    {
        artifacts::write_text(path, text)?;
    }
    let [fleet, scenario, ports] = &paths;
    context.out.say(&format!(
        "fleet {}, scenario {}\nwhich port stands for which: {}",
        fleet.display(),
        scenario.display(),
        ports.display()
    ));
    let (bundle, _) = bundle::load(scenario)?;
    let options = RunOptions {
        seed,
        keep_going: play == Play::Broken,
        ..RunOptions::default()
    };
    let client = theatre.private.client();
    let execution = Execution {
        client: &client,
        request: &RunRequest { bundle, options },
        folder,
        summary,
    };
    let exit = execute(context, signals, execution).await?;
    let told = match (play, exit) {
        // Somebody stopped it: it is not known what would have been found.
        (_, Exit::Interrupted | Exit::Terminated) | (Play::Well, _) => true,
        (Play::Broken, _) => told(context, play.faults(), &out.join("report.json"))?,
    };
    Ok(if told { exit } else { Exit::Internal })
}

/// Says of each planted fault where the report tells of it. False when it does not tell of one.
fn told(context: &Context, faults: &[Fault], path: &Path) -> Result<bool, Failure> {
    let unread = |source| Failure::Read {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read(path).map_err(unread)?;
    let report: Report = serde_json::from_slice(&text).map_err(|error| unread(error.into()))?;
    let mut missed = 0;
    context
        .out
        .say("what was planted, and what the report says of it:");
    for fault in faults {
        context.out.say(&match fault.told(&report) {
            Some(cause) => format!("  found      {}\n             {cause}", fault.what),
            None => {
                missed += 1;
                let (finding, says) = fault.expected();
                format!(
                    "  NOT FOUND  {}\n             finding {finding} does not say \"{says}\"",
                    fault.what
                )
            }
        });
    }
    let strangers: Vec<_> = strangers(faults, &report).collect();
    context.out.say(&if strangers.is_empty() {
        "no service failed in which nothing was planted".to_owned()
    } else {
        let all = strangers.join("\n  ");
        format!("services failed in which nothing was planted:\n  {all}")
    });
    let (all, found) = (faults.len(), faults.len() - missed);
    context.out.say(&format!(
        "{found} of {all} planted faults were found and explained"
    ));
    Ok(missed == 0)
}
