//! `nepho runs`: what was run.

use clap::Args;

use super::{Context, Failure, out::Format, table::table};
use crate::{exit::Exit, view::RunView, web::document::Document};

const EXAMPLES: &str = "\
Examples:
  nepho runs
  nepho runs -o ndjson | head -1";

/// Lists every run that the controller knows, newest first.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {}

pub(super) async fn perform(
    context: &mut Context,
    Arguments {}: &Arguments,
) -> Result<Exit, Failure> {
    let runs = context.client()?.runs().await?;
    match context.out.format() {
        Format::Json => context.out.json(&Document::of(runs))?,
        Format::Ndjson => {
            for run in &runs.runs {
                context.out.json(run)?;
            }
        }
        Format::Text => {
            context.out.data(&list(&runs.runs))?;
            if runs.runs.is_empty() {
                context.out.say("no run yet; next: nepho run SCENARIO");
            }
        }
    }
    Ok(Exit::Passed)
}

pub(super) fn list(runs: &[RunView]) -> String {
    let header = [
        "RUN", "BEGAN", "SCENARIO", "STATE", "STAGE", "REQUESTS", "FAILED", "TITLE",
    ];
    let rows: Vec<_> = runs.iter().map(row).collect();
    table(&header, &rows)
}

fn row(run: &RunView) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let progress = run.progress.as_ref();
    let state = match (run.verdict, progress) {
        (Some(verdict), _) => match run.revision.filter(|number| *number > 1) {
            Some(number) => format!("{} (revision {number})", verdict.word()),
            None => verdict.word().to_owned(),
        },
        (None, Some(progress)) => progress.state.clone(),
        (None, None) => "unknown".to_owned(),
    };
    let stage = progress.and_then(|progress| {
        let stage = progress.stage.as_ref()?;
        Some(format!("{stage} {}/{}", progress.number, progress.stages))
    });
    vec![
        run.run.to_string(),
        run.created.to_string(),
        run.scenario.to_string(),
        state,
        or_dash(stage),
        or_dash(run.tally.map(|tally| tally.requests.to_string())),
        or_dash(run.tally.map(|tally| tally.failures.to_string())),
        or_dash(Some(run.title.clone()).filter(|title| *title != run.scenario.as_str())),
    ]
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        id::{Digest, PlanId},
        time::{Nanos, WallMillis},
    };
    use nepho_controller_core::{report::Verdict, run::Progress};

    use super::*;
    use crate::view::Tally;

    #[test]
    fn runs_are_listed() {
        let past = RunView {
            schema: RunView::SCHEMA.to_owned(),
            run: "20261122-081500-0a1b".parse().unwrap(),
            plan: PlanId(Digest::of(b"")),
            scenario: "first".parse().unwrap(),
            title: "first".to_owned(),
            created: WallMillis(1_795_335_300_000),
            progress: None,
            tally: None,
            stages: Vec::new(),
            said: Vec::new(),
            revision: Some(2),
            verdict: Some(Verdict::Fail),
            exit_code: Some(10),
        };
        let live = RunView {
            run: "20261122-081700-ffff".parse().unwrap(),
            scenario: "three-environments".parse().unwrap(),
            title: "三环境集群测试".to_owned(),
            progress: Some(Progress {
                state: "running".to_owned(),
                stage: Some("cloud".parse().unwrap()),
                number: 2,
                stages: 3,
                elapsed: Nanos(0),
                lasts: Nanos(0),
                since: Nanos(0),
                waits_for: "the stage's time to be up".to_owned(),
                within: None,
                waiting: Vec::new(),
            }),
            tally: Some(Tally {
                requests: 1200,
                failures: 0,
            }),
            verdict: None,
            exit_code: None,
            ..past.clone()
        };
        insta::assert_snapshot!(list(&[live, past]));
    }
}
