//! `nepho status`: where runs stand.

use clap::Args;
use nepho_common::id::RunId;
use nepho_controller_core::run::Progress;

use super::{Context, Failure, out::Format, runs, watch};
use crate::{
    exit::Exit,
    view::RunView,
    web::document::{Document, Runs},
};

const EXAMPLES: &str = "\
Examples:
  nepho status
  nepho status 20261123-081500-0a1b
  nepho status 20261123-081500-0a1b --watch
  nepho status 20261123-081500-0a1b --wait && echo passed";

/// Shows the runs that are under way, or one run in full.
///
/// The exit code says nothing of the run, but with --wait it is the verdict's.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The run; else those that are under way.
    #[arg(value_name = "RUN")]
    run: Option<RunId>,
    /// Go on until the run is over: drawn anew on a terminal, else one line for each change.
    #[arg(long)]
    watch: bool,
    /// Come back when the run is over, with the exit code of its verdict.
    #[arg(long, requires = "run")]
    wait: bool,
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let client = context.client()?;
    let Arguments { run, watch, wait } = arguments;
    let Some(run) = run else {
        if watch {
            watch::all(context, &client).await?;
            return Ok(Exit::Passed);
        }
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
                    context
                        .out
                        .say("no run is under way; `nepho runs` lists those that are over");
                }
            }
        }
        return Ok(Exit::Passed);
    };
    if !watch && !wait {
        show(context, &client.run(&run).await?)?;
        return Ok(Exit::Passed);
    }
    let view = watch::one(context, &client, &run, watch).await?;
    Ok(match view.exit_code {
        Some(code) if wait => Exit::of_code(code).unwrap_or(Exit::Internal),
        Some(_) | None => Exit::Passed,
    })
}

/// Prints one view of a run.
pub(super) fn show(context: &mut Context, view: &RunView) -> Result<(), Failure> {
    match context.out.format() {
        Format::Json | Format::Ndjson => context.out.json(view),
        Format::Text => context.out.data(&describe(view)),
    }
}

/// One run in full, for people.
pub(super) fn describe(view: &RunView) -> String {
    let mut text = runs::list(std::slice::from_ref(view));
    text.push_str(&format!("plan {}\n", view.plan));
    for stage in &view.stages {
        text.push_str(&format!(
            "stage {}: {}\n",
            stage.stage,
            stage.verdict.word()
        ));
    }
    if let Some(Progress {
        state,
        waits_for,
        within: Some(within),
        ..
    }) = &view.progress
    {
        text.push_str(&format!(
            "{state}, until {waits_for}; at most {within} more\n"
        ));
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

#[cfg(test)]
mod tests {
    use nepho_common::{
        id::{Digest, PlanId},
        time::{Nanos, WallMillis},
    };
    use nepho_controller_core::report::Verdict;

    use super::*;
    use crate::view::StageView;

    #[test]
    fn a_run_is_shown_with_its_stages_and_what_it_said() {
        let stage = |stage: &str, verdict| StageView {
            stage: stage.parse().unwrap(),
            verdict,
        };
        let view = RunView {
            schema: RunView::SCHEMA.to_owned(),
            run: "20261122-081500-0a1b".parse().unwrap(),
            plan: PlanId(Digest::of(b"")),
            scenario: "three".parse().unwrap(),
            title: "三环境集群测试".to_owned(),
            created: WallMillis(1_795_335_300_000),
            progress: None,
            tally: None,
            stages: vec![
                stage("local", Verdict::Fail),
                stage("cloud", Verdict::NotRun),
            ],
            said: vec!["stage cloud is not run: local did not pass".to_owned()],
            revision: Some(1),
            verdict: Some(Verdict::Fail),
            exit_code: Some(10),
        };
        insta::assert_snapshot!(describe(&view));

        let under_way = RunView {
            progress: Some(Progress {
                state: "arming".to_owned(),
                stage: None,
                number: 1,
                stages: 2,
                elapsed: Nanos(0),
                lasts: Nanos(0),
                since: Nanos(0),
                waits_for: "every agent to be ready to start".to_owned(),
                within: Some(Nanos::from_secs(12)),
                waiting: vec!["tencent-1 prepared".to_owned()],
            }),
            ..view
        };
        let text = describe(&under_way);
        let line = "arming, until every agent to be ready to start; at most 12s more\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("waiting: tencent-1 prepared\n"), "{text}");
    }
}
