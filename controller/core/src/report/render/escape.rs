//! Foreign text made harmless.

/// The longest piece of foreign text that is shown; JSON holds all of it.
const LONGEST: usize = 400;

/// Characters that move the cursor, change colours, hide, or reorder what is read.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// For a terminal: one line, nothing that steers it.
pub(super) fn plain(text: &str) -> String {
    shown(text, |c, out| out.push(c))
}

/// For Markdown and for tables in it: no markup, no HTML, no line of its own.
pub(super) fn markdown(text: &str) -> String {
    shown(text, |c, out| match c {
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '&' => out.push_str("&amp;"),
        '\\' | '`' | '|' | '*' | '_' | '[' | ']' | '~' | '#' | '!' => {
            out.push('\\');
            out.push(c);
        }
        _ => out.push(c),
    })
}

/// For HTML and XML, as text and inside a quoted attribute: no markup, nothing that reorders.
pub(super) fn html(text: &str) -> String {
    shown(text, put_entity)
}

/// The same for a text that is shown whole, line by line, such as a file.
pub(super) fn html_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || c == '\t' {
            out.push(c);
        } else if is_invisible(c) {
            c.escape_unicode().for_each(|c| out.push(c));
        } else {
            put_entity(c, &mut out);
        }
    }
    out
}

fn put_entity(c: char, out: &mut String) {
    match c {
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '&' => out.push_str("&amp;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        // Neither XML 1.0 nor HTML has these two, and a parser may refuse the whole file.
        '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
        _ => out.push(c),
    }
}

fn shown(text: &str, put: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if at == LONGEST {
            out.push('…');
            break;
        }
        if is_invisible(c) {
            c.escape_unicode().for_each(|c| put(c, &mut out));
        } else {
            put(c, &mut out);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(
            plain("a\u{1b}[31m\r\n\u{202e}b"),
            r"a\u{1b}[31m\u{d}\u{a}\u{202e}b"
        );
        assert_eq!(plain("三环境"), "三环境");
        assert_eq!(plain(&"x".repeat(9_999)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn html_stays_text_in_elements_and_attributes() {
        assert_eq!(
            html("<script>a('\"')</script>&\u{202e}\u{1b}\u{ffff}"),
            "&lt;script&gt;a(&#39;&quot;&#39;)&lt;/script&gt;&amp;\\u{202e}\\u{1b}\u{fffd}"
        );
    }

    #[test]
    fn a_file_keeps_its_lines_and_nothing_else() {
        assert_eq!(html_lines("a:\n\t<b>\r"), "a:\n\t&lt;b&gt;\\u{d}");
    }

    #[test]
    fn markdown_stays_text() {
        assert_eq!(
            markdown("<img onerror=x>|[x](javascript:1)`*_"),
            r"&lt;img onerror=x&gt;\|\[x\](javascript:1)\`\*\_"
        );
        assert_eq!(markdown("a\n# b"), r"a\\u{a}\# b");
    }
}
