//! Who wants colour: `--color`, then the environment, then the terminal.
//!
//! clap decides for itself unless it is told: it would colour its help off a terminal when
//! `CLICOLOR_FORCE` says so, and would not look at our `--color`.

use std::io::{self, IsTerminal as _};

use clap::ColorChoice;

/// How clap writes its help and its mistakes.
pub(super) fn of_clap() -> ColorChoice {
    let words: Vec<_> = std::env::args().collect();
    match asked_color(&words) {
        Some(choice) => choice,
        None if is_unwanted() || !io::stdout().is_terminal() || !io::stderr().is_terminal() => {
            ColorChoice::Never
        }
        None => ColorChoice::Always,
    }
}

/// Whether the environment wants no colour: <https://no-color.org>, or a terminal that has none.
pub(super) fn is_unwanted() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// What `--color` says, before clap has read it.
fn asked_color(words: &[String]) -> Option<ColorChoice> {
    let mut words = words
        .iter()
        .map(String::as_str)
        .take_while(|word| *word != "--");
    let mut asked = None;
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--color") {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => continue,
        };
        asked = match value {
            Some("always") => Some(ColorChoice::Always),
            Some("never") => Some(ColorChoice::Never),
            Some(_) | None => asked,
        };
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_of_the_help_is_what_is_typed() {
        for (words, expected) in [
            (vec!["nepho"], None),
            (
                vec!["nepho", "--color", "never", "runs"],
                Some(ColorChoice::Never),
            ),
            (
                vec!["nepho", "runs", "--color=always"],
                Some(ColorChoice::Always),
            ),
            (
                vec!["nepho", "--color=never", "--color=always"],
                Some(ColorChoice::Always),
            ),
            (vec!["nepho", "--color=auto"], None),
            (vec!["nepho", "--", "--color=never"], None),
            (vec!["nepho", "--color"], None),
        ] {
            let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
            assert_eq!(asked_color(&words), expected, "{words:?}");
        }
    }
}
