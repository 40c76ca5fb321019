//! `nepho demo`: the whole of it on this machine, in two minutes.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::time::Instant;

use super::{
    Context, Execution, Failure, Signals,
    artifacts::{self, Folder},
    bundle, execute,
    summary::SummaryArgument,
};
use crate::{
    demo::{Theatre, files::NAMES},
    driver::RunOptions,
    exit::Exit,
    web::document::RunRequest,
};

const EXAMPLES: &str = "\
Examples:
  nepho demo
  nepho demo --out ./my-demo && less ./my-demo/report.md";

/// Measures forty services in three environments, all on this machine, in two minutes.
///
/// Starts the services as processes on free ports, a proxy for each distance, a controller and
/// three agents; runs the stages local, cloud and hybrid; ends all of it. No root, no Docker, no
/// cloud.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where fleet, scenario, ports and report are written.
    #[arg(long, value_name = "DIR", default_value = "nepho-demo")]
    out: PathBuf,
    /// Draws whatever the scenario leaves to chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    summary: SummaryArgument,
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let began = Instant::now();
    let Arguments { out, seed, summary } = arguments;
    let mut signals = Signals::listen()?;
    let folder = Folder::open(Some(out.clone()))?;
    context
        .out
        .say("starting forty services, three distances, a controller and three agents");
    let siblings = context.siblings();
    let theatre = {
        let say = |text: &str| context.out.say(text);
        Box::pin(signals.unless(Theatre::start(&siblings, say))).await?
    };
    let ended = Box::pin(play(
        context,
        &mut signals,
        &theatre,
        &out,
        folder,
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
async fn play(
    context: &mut Context,
    signals: &mut Signals,
    theatre: &Theatre,
    out: &Path,
    folder: Folder,
    (seed, summary): (u64, SummaryArgument),
) -> Result<Exit, Failure> {
    let files = &theatre.files;
    let paths = NAMES.map(|name| out.join(name));
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
        ..RunOptions::default()
    };
    let client = theatre.private.client();
    let execution = Execution {
        client: &client,
        request: &RunRequest { bundle, options },
        folder,
        summary,
    };
    execute(context, signals, execution).await
}
