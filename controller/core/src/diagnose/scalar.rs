//! What a plain scalar means: the YAML 1.2 core schema (§10.3.2), and nothing of YAML 1.1.
//! `on`, `off`, `yes` and `no` are words.

use serde_json::Value;

/// The value of an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal)
            .then(|| u64::from_str_radix(octal, 8).ok())?
            .map(Value::from);
    }
    if let Some(hex) = text.strip_prefix("0x").filter(|hex| !hex.is_empty()) {
        return hex
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then(|| u64::from_str_radix(hex, 16).ok())?
            .map(Value::from);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits(unsigned) {
        let plain = text.strip_prefix('+').unwrap_or(text);
        if let Ok(number) = plain.parse::<u64>() {
            return Some(Value::from(number));
        }
        if let Ok(number) = plain.parse::<i64>() {
            return Some(Value::from(number));
        }
    }
    // `1.`, `.5`, `1e3`; not `1_000`, not `inf`, not `nan`, which Rust would take.
    let looks_so = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().any(|b| b.is_ascii_digit())
        && unsigned
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'-' | b'+'));
    let float: f64 = looks_so.then(|| text.parse().ok())??;
    // Overflow to infinity has no JSON number: it stays text and is refused where a number is due.
    serde_json::Number::from_f64(float).map(Value::Number)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_of_yaml_1_1_are_words() {
        for word in [
            "on", "off", "yes", "no", "y", "n", "On", "OFF", "Yes", "NO", "1_000", "12:30",
        ] {
            assert_eq!(resolve(word), json!(word));
        }
    }

    #[test]
    fn the_core_schema_knows_these() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("FALSE", json!(false)),
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("0o17", json!(15)),
            ("0xff", json!(255)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            ("1s", json!("1s")),
            ("99%", json!("99%")),
            (".inf", json!(".inf")),
            (".nan", json!(".nan")),
            ("0x", json!("0x")),
            ("-", json!("-")),
            ("010", json!(10)),
            ("1e999", json!("1e999")),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
    }
}
