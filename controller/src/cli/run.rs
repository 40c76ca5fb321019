//! `nepho run`: executes a scenario and prints what it found.

use std::path::PathBuf;

use clap::Args;
use nepho_common::id::{Digest, PlanId};
use nepho_controller_core::planner;

use super::{
    Context, Execution, Failure, Signals, artifacts::Folder, bundle, execute, out::Format,
    summary::SummaryArgument,
};
use crate::{
    driver::RunOptions,
    exit::Exit,
    local::private::Private,
    web::{
        Client,
        document::{Document, RunRequest, RunStarted},
    },
};

const EXAMPLES: &str = "\
Examples:
  nepho run first.yaml --local                    from this machine, without a controller
  nepho run three-environments.yaml               with the agents of the controller
  nepho run three-environments.yaml --detach      then: nepho status
  nepho plan first.yaml && nepho run first.yaml --plan-id ID     exactly what was looked at";

/// Executes a scenario, shows it live and prints the summary.
///
/// Ctrl-C asks the run to stop and waits for its report, twice aborts it. A lost connection never
/// stops a run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The scenario file.
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// With a private controller, and one agent for each environment on this machine.
    #[arg(long, conflicts_with = "detach")]
    local: bool,
    /// Where report and run directory are written; else ./nepho-runs/RUN.
    #[arg(long, value_name = "DIR", conflicts_with = "detach")]
    out: Option<PathBuf>,
    /// Draws whatever the scenario leaves to chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Start later stages although an earlier one failed, and mark them so.
    #[arg(long)]
    keep_going: bool,
    /// Run even what can't be decided with so few samples.
    #[arg(long)]
    anyway: bool,
    /// Refuse to run anything but this plan.
    #[arg(long, value_name = "ID", value_parser = plan_id)]
    plan_id: Option<PlanId>,
    /// Come back once the run has begun.
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    summary: SummaryArgument,
}

fn plan_id(text: &str) -> Result<PlanId, String> {
    let digest: Result<Digest, _> = text.parse();
    digest.map(PlanId).map_err(|why| why.to_string())
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let (bundle, loaded) = bundle::load(&arguments.scenario)?;
    let request = RunRequest {
        bundle,
        options: RunOptions {
            seed: arguments.seed,
            keep_going: arguments.keep_going,
            expect_plan: arguments.plan_id,
            anyway: arguments.anyway,
            requested_by: String::new(),
        },
    };
    let mut signals = Signals::listen()?;
    if arguments.detach {
        return detach(context, &context.client()?, &request).await;
    }
    if !arguments.local {
        let client = context.client()?;
        let folder = Folder::open(arguments.out)?;
        let execution = Execution {
            client: &client,
            request: &request,
            folder,
            summary: arguments.summary,
        };
        return Box::pin(execute(context, &mut signals, execution)).await;
    }
    let folder = Folder::open(arguments.out)?;
    let environments = loaded.fleet.environments.keys();
    context
        .out
        .say("starting a private controller and its agents");
    let mut private = Box::pin(signals.unless(Private::start(&context.siblings()))).await?;
    private.allow(&planner::local_policy(&loaded));
    let places = private.beside(environments);
    let ended = match Box::pin(signals.unless(private.populate(&places))).await {
        Ok(()) => {
            let client = private.client();
            let execution = Execution {
                client: &client,
                request: &request,
                folder,
                summary: arguments.summary,
            };
            Box::pin(execute(context, &mut signals, execution)).await
        }
        Err(failure) => Err(failure),
    };
    Box::pin(private.end()).await;
    ended
}

async fn detach(
    context: &mut Context,
    client: &Client,
    request: &RunRequest,
) -> Result<Exit, Failure> {
    let run = client.start(request).await?;
    context.out.say(&format!("next: nepho status {run}"));
    match context.out.format() {
        Format::Text => context.out.data(run.as_str())?,
        Format::Json | Format::Ndjson => context.out.json(&Document::of(RunStarted { run }))?,
    }
    Ok(Exit::Passed)
}
