//! The one place that writes to stdout and stderr: data to the one, talk to the other.
//!
//! A reader that went away (`nepho runs | head`) is not an error: what is left is dropped, and the
//! command ends with the code that it would have ended with.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::Failure;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// One JSON document a line: lists and live events are written as they come.
    Ndjson,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where everything that the command line says goes through.
#[derive(Debug)]
pub struct Out {
    format: Format,
    color: Color,
    no_color: bool,
    quiet: bool,
    closed: bool,
}

impl Out {
    /// `no_color` is whether the environment asks for none.
    #[must_use]
    pub const fn new(format: Format, color: Color, no_color: bool, quiet: bool) -> Self {
        Self {
            format,
            color,
            no_color,
            quiet,
            closed: false,
        }
    }

    /// Another one for talk alone, while this one is in use.
    #[must_use]
    pub(super) const fn voice(&self) -> Self {
        Self::new(self.format, self.color, self.no_color, self.quiet)
    }

    /// How data is written.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether talk is wanted at all.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether stdout is a terminal that things can be drawn on again.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Whether nobody reads stdout any more: known before something is written, so that who waits for
    /// news can end at once.
    #[must_use]
    pub fn reader_is_gone(&self) -> bool {
        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let now = Timespec::default();
        // A descriptor that can't be asked is found out by writing.
        let asked = poll(&mut watched, Some(&now)).is_ok();
        self.closed || (asked && watched[0].revents().contains(PollFlags::ERR))
    }

    /// Whether stdout takes colour.
    #[must_use]
    pub fn data_color(&self) -> bool {
        self.colored(io::stdout().is_terminal())
    }

    /// Whether stderr takes colour.
    #[must_use]
    pub fn talk_color(&self) -> bool {
        self.colored(io::stderr().is_terminal())
    }

    fn colored(&self, terminal: bool) -> bool {
        match self.color {
            Color::Auto => terminal && !self.no_color,
            Color::Always => true,
            Color::Never => false,
        }
    }

    /// Writes data to stdout; a line end is added if there is none.
    ///
    /// # Errors
    /// When stdout can't be written to, a closed pipe excepted.
    pub fn data(&mut self, text: &str) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.write_all(end.as_bytes()))
            .and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other.map_err(Failure::Output),
        }
    }

    /// Writes a JSON document to stdout: on one line for `ndjson`, else indented.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = match self.format {
            Format::Ndjson => serde_json::to_string(value),
            Format::Text | Format::Json => serde_json::to_string_pretty(value),
        };
        self.data(&text.expect("our own values have string keys"))
    }

    /// Says something on stderr, unless it is to be quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            talk(text);
        }
    }

    /// Says what went wrong, quiet or not.
    pub fn complain(&self, failure: &Failure) {
        talk(&failure.text(self.talk_color()));
    }
}

/// Nobody can be told that stderr is gone: the exit code speaks then.
fn talk(text: &str) {
    writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n')).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_the_flag_then_no_color_then_the_terminal() {
        for (color, no_color, terminal, expected) in [
            (Color::Auto, false, true, true),
            (Color::Auto, true, true, false),
            (Color::Auto, false, false, false),
            (Color::Always, true, false, true),
            (Color::Never, false, true, false),
        ] {
            let out = Out::new(Format::Text, color, no_color, false);
            assert_eq!(out.colored(terminal), expected, "{color:?} {no_color}");
        }
    }
}
