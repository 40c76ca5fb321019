//! What is shown of a load while it is under way.

use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use nepho_common::time::Nanos;
use nepho_controller_core::load::Tally;

use crate::cli::Out;

/// A bar on a terminal, else a line now and then.
pub(super) struct Live {
    bar: Option<ProgressBar>,
    spoke: Instant,
}

/// Elsewhere than on a terminal.
const SAY_EVERY: Duration = Duration::from_secs(10);

impl Live {
    pub(super) fn new(out: &Out, lasts: Nanos) -> Self {
        let redrawn = !out.is_quiet() && stderr().is_terminal();
        let bar = redrawn.then(|| {
            let style = ProgressStyle::with_template("[{bar:24}] {wide_msg}")
                .expect("the template is a constant")
                .progress_chars("=> ");
            let bar = ProgressBar::new((lasts.0 / 1_000_000_000).max(1)).with_style(style);
            bar.set_message("opening connections");
            bar
        });
        Self {
            bar,
            spoke: Instant::now(),
        }
    }

    pub(super) fn say(&mut self, out: &Out, text: &str) {
        self.spoke = Instant::now();
        match &self.bar {
            Some(bar) => bar.println(text),
            None => out.say(text),
        }
    }

    pub(super) fn show(&mut self, out: &Out, tally: &Tally) {
        let line = tally.line();
        if let Some(bar) = &self.bar {
            bar.set_position(tally.whole_seconds());
            bar.set_message(line);
        } else if self.spoke.elapsed() >= SAY_EVERY {
            self.say(out, &line);
        }
    }

    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
