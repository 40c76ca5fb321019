//! `${VAR:-x}` of Compose. Its environment and `.env` are not read: only the default counts.

use crate::diagnose::quoted;

/// Nobody nests defaults deeper by hand.
const DEEPEST: usize = 4;

/// `text` with each variable replaced by its default.
///
/// # Errors
/// Why that can't be done: a variable without a default, or nothing that Compose would take.
pub(super) fn expand(text: &str) -> Result<String, String> {
    expand_at(text, 0)
}

fn expand_at(text: &str, depth: usize) -> Result<String, String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        whole.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            whole.push('$');
            rest = after;
        } else if let Some(inner) = after.strip_prefix('{') {
            let end = closing(inner).ok_or_else(|| format!("{} has no end", quoted(text)))?;
            let (inner, after) = inner.split_at(end);
            let name_len = inner.bytes().take_while(is_name).count();
            let (name, how) = inner.split_at(name_len);
            let default = how.strip_prefix(":-").or_else(|| how.strip_prefix('-'));
            let default = default.ok_or_else(|| unknown(name))?;
            if depth >= DEEPEST {
                return Err("its defaults are nested too deep".to_owned());
            }
            whole.push_str(&expand_at(default, depth + 1)?);
            rest = after.strip_prefix('}').unwrap_or(after);
        } else {
            let name_len = after.bytes().take_while(is_name).count();
            return Err(unknown(after.get(..name_len).unwrap_or_default()));
        }
    }
    whole.push_str(rest);
    Ok(whole)
}

fn is_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

fn unknown(name: &str) -> String {
    format!("{} has no default", quoted(&format!("${{{name}}}")))
}

/// Where the brace ends that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_taken_and_everything_else_is_said() {
        for (text, expected) in [
            ("8080:80", Ok("8080:80")),
            ("${PORT:-8080}:80", Ok("8080:80")),
            ("${PORT-8080}:${INNER:-${OTHER:-80}}", Ok("8080:80")),
            ("a$$b", Ok("a$b")),
            ("${EMPTY:-}", Ok("")),
            ("${PORT}:80", Err("`${PORT}` has no default")),
            ("$PORT:80", Err("`${PORT}` has no default")),
            ("${PORT:?say it}:80", Err("`${PORT}` has no default")),
            ("${PORT:+1}:80", Err("`${PORT}` has no default")),
            ("${PORT:-1", Err("`${PORT:-1` has no end")),
        ] {
            let found = expand(text);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_takes_no_stack() {
        let text = format!("{}x{}", "${A:-".repeat(40_000), "}".repeat(40_000));
        assert!(expand(&text).unwrap_err().contains("too deep"));
        assert!(
            expand(&"${A:-".repeat(40_000))
                .unwrap_err()
                .contains("no end")
        );
    }
}
