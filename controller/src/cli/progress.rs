//! How a run is shown while it is under way: two lines that are redrawn on a terminal; elsewhere
//! one line per change and one every ten seconds.

use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use nepho_common::time::Nanos;
use tokio::time::Instant;

use super::Out;
use crate::view::RunView;

/// Elsewhere than on a terminal, a run that has nothing to say says so this often.
const REMIND_EVERY: Duration = Duration::from_secs(10);

/// Shows one run.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
    spoke: Instant,
    said: Vec<String>,
}

impl Progress {
    pub(super) fn new(out: &Out) -> Self {
        let redrawn = !out.is_quiet() && stderr().is_terminal();
        let bar = redrawn.then(|| {
            let color = if out.talk_color() { ".cyan" } else { "" };
            let template = format!("{{prefix}} [{{bar:24{color}}}] {{wide_msg}}");
            let style = ProgressStyle::with_template(&template)
                .expect("the template is a constant")
                .progress_chars("=> ");
            ProgressBar::new(1).with_style(style)
        });
        let now = Instant::now();
        Self {
            bar,
            began: now,
            spoke: now,
            said: Vec::new(),
        }
    }

    pub(super) fn show(&mut self, out: &Out, view: &RunView) {
        for line in news(&self.said, &view.said) {
            self.say(out, line);
        }
        self.said.clone_from(&view.said);
        let Some(progress) = &view.progress else {
            return;
        };
        if let Some(bar) = &self.bar {
            bar.set_length(progress.lasts.0);
            bar.set_position(progress.elapsed.0.min(progress.lasts.0));
            bar.set_prefix(elapsed(self.began));
            bar.set_message(describe(view));
        } else if self.spoke.elapsed() >= REMIND_EVERY {
            self.say(out, &describe(view));
        }
    }

    /// Says a line of its own, above what is redrawn.
    pub(super) fn say(&mut self, out: &Out, text: &str) {
        self.spoke = Instant::now();
        let line = format!("{} {text}", elapsed(self.began));
        match &self.bar {
            Some(bar) => bar.println(line),
            None => out.say(&line),
        }
    }

    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn elapsed(since: Instant) -> String {
    let secs = since.elapsed().as_secs();
    format!("{:02}:{:02}", secs / 60, secs % 60)
}

/// The lines of `now` that were not in `before`, when both are the last lines of one story.
pub(super) fn news<'a>(before: &[String], now: &'a [String]) -> &'a [String] {
    let most = before.len().min(now.len());
    let known = (0..=most)
        .rev()
        .find(|known| before.ends_with(now.get(..*known).unwrap_or_default()))
        .unwrap_or(0);
    now.get(known..).unwrap_or_default()
}

/// Where the run stands, on one line.
pub(super) fn describe(view: &RunView) -> String {
    let mut parts = Vec::new();
    if let Some(progress) = &view.progress {
        match &progress.stage {
            Some(stage) => {
                parts.push(format!(
                    "{stage} ({} of {})",
                    progress.number, progress.stages
                ));
                parts.push(progress.state.clone());
                let seconds = |time: Nanos| time.0 / 1_000_000_000;
                let (elapsed, lasts) = (seconds(progress.elapsed), seconds(progress.lasts));
                parts.push(format!("{elapsed} of {lasts} s"));
            }
            None => parts.push(progress.state.clone()),
        }
    }
    // Agents send what they measured every ten seconds: until then nobody knows of any request.
    let tally = view.tally.as_ref().filter(|tally| tally.requests > 0);
    if let Some(tally) = tally {
        parts.push(format!("{} requests", tally.requests));
        parts.push(format!("{} failed", tally.failures));
    }
    if let Some(progress) = view
        .progress
        .as_ref()
        .filter(|progress| !progress.waiting.is_empty())
    {
        parts.push(format!("waiting: {}", progress.waiting.join(", ")));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        id::{Digest, PlanId},
        time::WallMillis,
    };
    use nepho_controller_core::run;

    use super::*;
    use crate::view::Tally;

    fn lines(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn only_what_was_not_said_yet_is_news() {
        for (before, now, expected) in [
            ("", "abc", "abc"),
            ("abc", "abcd", "d"),
            ("abc", "abc", ""),
            ("abcd", "cdef", "ef"),
            ("ab", "xy", "xy"),
            ("aa", "aaa", "a"),
        ] {
            assert_eq!(
                news(&lines(before), &lines(now)),
                lines(expected),
                "{before} {now}"
            );
        }
    }

    #[test]
    fn a_run_fits_on_a_line() {
        let view = RunView {
            schema: RunView::SCHEMA.to_owned(),
            run: "r".parse().unwrap(),
            plan: PlanId(Digest::of(b"")),
            scenario: "s".parse().unwrap(),
            title: "S".to_owned(),
            created: WallMillis(0),
            progress: Some(run::Progress {
                state: "running".to_owned(),
                stage: Some("hybrid".parse().unwrap()),
                number: 3,
                stages: 3,
                elapsed: Nanos::from_millis(12_300),
                lasts: Nanos::from_secs(32),
                since: Nanos::from_secs(60),
                waits_for: "the stage's time to be up".to_owned(),
                within: Some(Nanos::from_secs(80)),
                waiting: vec!["tencent-1 lost".to_owned()],
            }),
            tally: Some(Tally {
                requests: 4711,
                failures: 2,
            }),
            stages: Vec::new(),
            said: Vec::new(),
            verdict: None,
            revision: None,
            exit_code: None,
        };
        assert_eq!(
            describe(&view),
            "hybrid (3 of 3)  running  12 of 32 s  4711 requests  2 failed  waiting: tencent-1 lost"
        );
    }
}
