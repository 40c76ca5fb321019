//! One diagnostic as text with a caret.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{Diagnostic, escape::shown};

/// How wide the widest line may be. A constant: the output must not depend on the terminal.
const WIDTH: usize = 120;

/// `diagnostic`, which was found in `text`.
pub(crate) fn render(diagnostic: &Diagnostic, text: &str, color: bool) -> String {
    let (number, line, span) = line_of(text, &diagnostic.span);
    let code = diagnostic.code.as_str();
    let mut annotation = AnnotationKind::Primary.span(span);
    if !diagnostic.label.is_empty() {
        annotation = annotation.label(diagnostic.label.as_str());
    }
    let snippet = Snippet::source(line)
        .line_start(number)
        .path(shown(&diagnostic.file))
        .annotation(annotation);
    let mut group = Level::ERROR
        .primary_title(diagnostic.message.as_str())
        .id(code)
        .element(snippet);
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.term_width(WIDTH).render(&[group])
}

/// The line that `span` starts on, its number from 1, and the part of `span` within that line.
/// Only this line is shown: a mistake about a long map is a mistake about its first line.
fn line_of<'a>(text: &'a str, span: &Range<usize>) -> (usize, &'a str, Range<usize>) {
    let before = text.get(..span.start).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text
        .get(start..)
        .unwrap_or("")
        .split('\n')
        .next()
        .unwrap_or("")
        .trim_end();
    let from = (span.start.min(text.len()) - start).min(line.len());
    let to = span.end.saturating_sub(start).clamp(from, line.len());
    (number, line, from..to)
}
