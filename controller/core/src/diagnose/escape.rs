//! What others wrote, made safe for a terminal.

/// The longest piece of foreign text that a message repeats. The caret shows the rest.
const LONGEST: usize = 60;

/// `text` in backticks, without control or direction-changing characters, cut when long.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", shown(text))
}

/// `text` without control or direction-changing characters, cut when long.
pub(crate) fn shown(text: &str) -> String {
    let mut safe = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == LONGEST {
            safe.push('…');
            break;
        }
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Characters that move the cursor, change colours, or reorder what is read.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_the_cursor_gets_through() {
        assert_eq!(
            quoted("a\u{1b}[31mb\n\u{202e}"),
            "`a\\u{1b}[31mb\\n\\u{202e}`"
        );
        assert_eq!(quoted("三环境"), "`三环境`");
        assert_eq!(shown(&"x".repeat(99)).chars().count(), LONGEST + 1);
    }
}
