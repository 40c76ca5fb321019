//! `nepho status --watch` and `--wait`: a run, or all of them, until there is nothing more to see.
//! Redrawn on a terminal; elsewhere one line for each change.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nepho_common::id::RunId;
use tokio::time::sleep;

use super::{
    Context, Failure, Out,
    out::Format,
    progress::{describe, news},
    runs, status,
};
use crate::{
    view::RunView,
    web::{
        Client,
        document::{Document, Runs},
        follow::Follow,
    },
};

/// How often all runs are asked for: what changes faster, nobody can read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A part of the terminal that is drawn again and again.
struct Drawn(ProgressBar);

impl Drawn {
    /// `None` where nothing can be redrawn.
    fn new(context: &Context) -> Option<Self> {
        if context.out.format() != Format::Text || !context.out.is_terminal() {
            return None;
        }
        let style = ProgressStyle::with_template("{msg}").expect("the template is a constant");
        let target = ProgressDrawTarget::stdout();
        Some(Self(
            ProgressBar::with_draw_target(None, target).with_style(style),
        ))
    }

    fn draw(&self, text: &str) {
        self.0.set_message(text.trim_end().to_owned());
        self.0.tick();
    }

    fn end(self) {
        self.0.finish_and_clear();
    }
}

/// While the controller can't be reached, this is said so often.
const SAY_LOST_EVERY: Duration = Duration::from_secs(5);

/// The next view of a run. A silence of the controller is told, and disturbs nothing.
pub(super) async fn next(out: &Out, events: &mut Follow) -> Result<Option<RunView>, Failure> {
    loop {
        tokio::select! {
            view = events.next() => return Ok(view?),
            () = sleep(SAY_LOST_EVERY) => {
                if let Some(lost) = events.lost_for() {
                    let secs = lost.as_secs();
                    out.say(&format!("no answer for {secs} s, trying again; this stops no run"));
                }
            }
        }
    }
}

/// Shows one run until it is over, if `watched`; then as it ended. The last view.
pub(super) async fn one(
    context: &mut Context,
    client: &Client,
    run: &RunId,
    watched: bool,
) -> Result<RunView, Failure> {
    let mut events = Follow::new(client.clone(), run.clone());
    let drawn = Drawn::new(context).filter(|_| watched);
    let mut changes = Changes::default();
    let mut last = None;
    while let Some(view) = next(&context.out, &mut events).await? {
        if watched {
            match (&drawn, context.out.format()) {
                (Some(drawn), _) => drawn.draw(&status::describe(&view)),
                (None, Format::Text) => {
                    for line in changes.lines(&view) {
                        context.out.data(&line)?;
                    }
                }
                (None, Format::Ndjson) => context.out.json(&view)?,
                (None, Format::Json) => {}
            }
        }
        let gone = context.out.reader_is_gone();
        last = Some(view);
        // Who only waits wants the exit code, whether somebody reads or not.
        if gone && watched {
            break;
        }
    }
    if let Some(drawn) = drawn {
        drawn.end();
    }
    let Some(view) = last else {
        return Ok(client.run(run).await?);
    };
    if !(watched && context.out.format() == Format::Ndjson) {
        status::show(context, &view)?;
    }
    Ok(view)
}

/// Shows the runs that are under way, until a signal or until nobody reads.
pub(super) async fn all(context: &mut Context, client: &Client) -> Result<(), Failure> {
    let drawn = Drawn::new(context);
    let mut known: BTreeMap<RunId, String> = BTreeMap::new();
    loop {
        let mut runs = client.runs().await?.runs;
        let is_shown = |run: &RunView| !run.is_over() || known.contains_key(&run.run);
        runs.retain(is_shown);
        match (&drawn, context.out.format()) {
            (Some(drawn), _) => {
                runs.retain(|run| !run.is_over());
                let none = "no run is under way";
                let text = if runs.is_empty() {
                    none.to_owned()
                } else {
                    runs::list(&runs)
                };
                drawn.draw(&text);
            }
            (None, Format::Json) => {
                runs.retain(|run| !run.is_over());
                return context.out.json(&Document::of(Runs { runs }));
            }
            (None, format @ (Format::Text | Format::Ndjson)) => {
                for run in runs {
                    let state = state(&run);
                    if known.get(&run.run) == Some(&state) {
                        continue;
                    }
                    match format {
                        Format::Ndjson => context.out.json(&run)?,
                        Format::Text | Format::Json => {
                            context.out.data(&format!("{}  {state}", run.run))?
                        }
                    }
                    known.insert(run.run, state);
                }
            }
        }
        if context.out.reader_is_gone() {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What of a run is worth a line when it changes: not how many requests there are by now.
fn state(view: &RunView) -> String {
    match (&view.verdict, &view.progress) {
        (Some(verdict), _) => format!("over: {}", verdict.word()),
        (None, Some(progress)) => match &progress.stage {
            Some(stage) => {
                let (number, all) = (progress.number, progress.stages);
                format!("{stage} ({number} of {all}): {}", progress.state)
            }
            None => progress.state.clone(),
        },
        (None, None) => "unknown".to_owned(),
    }
}

/// What was said of a run already.
#[derive(Debug, Default)]
struct Changes {
    said: Vec<String>,
    state: String,
}

impl Changes {
    fn lines(&mut self, view: &RunView) -> Vec<String> {
        let mut lines: Vec<_> = news(&self.said, &view.said).to_vec();
        self.said.clone_from(&view.said);
        let now = state(view);
        if now != self.state && !view.is_over() {
            lines.push(describe(view));
        }
        self.state = now;
        lines
    }
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

    fn view(state: &str, requests: u64, said: &[&str]) -> RunView {
        RunView {
            schema: RunView::SCHEMA.to_owned(),
            run: "r".parse().unwrap(),
            plan: PlanId(Digest::of(b"")),
            scenario: "s".parse().unwrap(),
            title: "s".to_owned(),
            created: WallMillis(0),
            progress: Some(Progress {
                state: state.to_owned(),
                stage: Some("one".parse().unwrap()),
                number: 1,
                stages: 1,
                elapsed: Nanos(0),
                lasts: Nanos::from_secs(20),
                since: Nanos(0),
                waits_for: "its time to be up".to_owned(),
                within: None,
                waiting: Vec::new(),
            }),
            tally: Some(Tally {
                requests,
                failures: 0,
            }),
            stages: Vec::new(),
            said: said.iter().map(ToString::to_string).collect(),
            revision: None,
            verdict: None,
            exit_code: None,
        }
    }

    #[test]
    fn a_line_for_each_change_and_none_for_what_only_counts_on() {
        let mut changes = Changes::default();
        let mut told = Vec::new();
        for view in [
            view("arming", 0, &[]),
            view("running", 0, &["stage one starts"]),
            view("running", 7, &["stage one starts"]),
            view("running", 9, &["stage one starts", "agent a-1 is lost"]),
            RunView {
                verdict: Some(Verdict::Pass),
                ..view("running", 9, &["stage one starts", "agent a-1 is lost"])
            },
        ] {
            told.extend(changes.lines(&view));
        }
        assert_eq!(
            told,
            [
                "one (1 of 1)  arming  0 of 20 s",
                "stage one starts",
                "one (1 of 1)  running  0 of 20 s",
                "agent a-1 is lost",
            ]
        );
    }
}
