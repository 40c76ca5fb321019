//! A health check that asks a URL with curl or wget.

use serde_json::{Map, Value};

use super::variable::expand;
use crate::{diagnose::quoted, fleet::RequestPath};

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) https: bool,
    /// In the container.
    pub(super) port: u16,
    pub(super) path: String,
    /// Options of the command that change the request, which are not taken over.
    pub(super) dropped: bool,
}

/// Reads `healthcheck`; `None` when it is switched off. `names` are what the container calls itself.
///
/// # Errors
/// Why it says nothing about a URL.
pub(super) fn asked(check: &Map<String, Value>, names: &[&str]) -> Result<Option<Asked>, String> {
    if check.get("disable") == Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let words = match check.get("test") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(line)) => words(&expand(line)?),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| match item {
                Value::String(text) => expand(text),
                other => Ok(other.to_string()),
            });
            let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
            let shell = |line: Option<&String>| line.map(|line| words(line)).unwrap_or_default();
            match texts.first().map(String::as_str) {
                None | Some("NONE") => return Ok(None),
                Some("CMD-SHELL") => shell(texts.get(1)),
                Some("CMD") => match texts.get(1..).unwrap_or_default() {
                    [sh, flag, line, ..] if flag == "-c" && sh.ends_with("sh") => shell(Some(line)),
                    words => words.to_vec(),
                },
                Some(_) => {
                    return Err("its `test` begins with none of NONE, CMD, CMD-SHELL".to_owned());
                }
            }
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Err("its `test` is no command".to_owned());
        }
    };
    command(&words, names).map(Some)
}

/// The words of the first command of a shell line.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '|' | ';' | '&' | '>' | '<') => break,
            (None, c) if c.is_whitespace() => words.push(String::new()),
            (_, c) => words.last_mut().expect("it begins with one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn command(words: &[String], names: &[&str]) -> Result<Asked, String> {
    let program = words
        .first()
        .map_or("", |word| word.rsplit('/').next().unwrap_or(word));
    if !matches!(program, "curl" | "wget") {
        return Err(format!("it runs {} and asks no URL", quoted(program)));
    }
    let options = words.get(1..).unwrap_or_default();
    let is_url = |word: &&String| word.starts_with("http://") || word.starts_with("https://");
    let is_bare = |word: &&String| word.starts_with("localhost") || word.starts_with("127.0.0.1");
    let url = options
        .iter()
        .find(is_url)
        .or_else(|| options.iter().find(is_bare));
    let url = url.ok_or("it asks no URL")?;
    let mut dropped = false;
    for (nth, word) in options.iter().enumerate() {
        let next = options.get(nth + 1).map_or("", String::as_str);
        match word.split('=').next().unwrap_or(word) {
            "-X" | "--request" | "--method" => {
                let method = word.split_once('=').map_or(next, |(_, method)| method);
                if method != "GET" {
                    return Err(format!("it asks with {}, not with GET", quoted(method)));
                }
            }
            "-d" | "--data" | "--data-raw" | "--json" | "--post-data" | "-F" | "--form" => {
                return Err("it sends a body".to_owned());
            }
            // Their values may be secrets, so they are not even repeated.
            "-H" | "--header" | "-u" | "--user" | "-b" | "--cookie" => dropped = true,
            _ => {}
        }
    }
    parse(url, names, dropped)
}

fn parse(url: &str, names: &[&str], dropped: bool) -> Result<Asked, String> {
    let (https, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://").unwrap_or(url)),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("its URL holds a password".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    let here = ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"];
    if !here.contains(&host) && !names.contains(&host) {
        return Err(format!(
            "it asks {}, which is not the service itself",
            quoted(host)
        ));
    }
    let bad_port = || format!("{} is no port", quoted(port.unwrap_or_default()));
    let port = match port {
        None if https => 443,
        None => 80,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(bad_port)?,
    };
    let path = path.split('#').next().unwrap_or(path);
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let bad = |why| format!("its path can't be asked for: {why}");
    let path = RequestPath::parse(&path).map_err(bad)?;
    if path.as_str().contains("${") {
        return Err("its path holds a `${…}`".to_owned());
    }
    Ok(Asked {
        https,
        port,
        path: path.as_str().to_owned(),
        dropped,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(test: Value) -> Result<Option<String>, String> {
        let check = json!({ "test": test });
        let Value::Object(check) = check else {
            panic!()
        };
        let text = |asked: Asked| {
            let scheme = if asked.https { "https" } else { "http" };
            let more = if asked.dropped { " less" } else { "" };
            format!("{scheme} {} {}{more}", asked.port, asked.path)
        };
        Ok(asked(&check, &["api"])?.map(text))
    }

    #[test]
    fn a_url_is_found_in_every_usual_form() {
        for (test, expected) in [
            (
                json!(["CMD", "curl", "-f", "http://localhost:8080/healthz"]),
                "http 8080 /healthz",
            ),
            (
                json!("curl -fsS http://127.0.0.1:8080/healthz?full=1 || exit 1"),
                "http 8080 /healthz?full=1",
            ),
            (
                json!(["CMD-SHELL", "curl --fail 'http://localhost/' > /dev/null"]),
                "http 80 /",
            ),
            (json!("wget --spider -q http://localhost"), "http 80 /"),
            (
                json!("/usr/bin/wget -qO- https://localhost:8443/a#b"),
                "https 8443 /a",
            ),
            (json!(["CMD", "curl", "http://api:9000/x"]), "http 9000 /x"),
            (
                json!(["CMD", "sh", "-c", "curl http://[::1]:81/y"]),
                "http 81 /y",
            ),
            (
                json!(["CMD", "curl", "-f", "localhost:8080"]),
                "http 8080 /",
            ),
            (
                json!(["CMD", "curl", "-H", "Host: x", "http://localhost/z"]),
                "http 80 /z less",
            ),
            (
                json!("curl -X GET http://localhost:${PORT:-81}/z"),
                "http 81 /z",
            ),
        ] {
            assert_eq!(read(test.clone()), Ok(Some(expected.to_owned())), "{test}");
        }
        for off in [json!(["NONE"]), json!(null)] {
            assert_eq!(read(off), Ok(None));
        }
    }

    #[test]
    fn what_asks_no_url_of_its_own_says_so() {
        for (test, why) in [
            (
                json!(["CMD", "pg_isready", "-U", "postgres"]),
                "runs `pg_isready`",
            ),
            (
                json!("test -f /tmp/ready && curl http://localhost"),
                "runs `test`",
            ),
            (
                json!("curl http://other:80/"),
                "`other`, which is not the service itself",
            ),
            (json!("curl http://u:p@localhost/"), "holds a password"),
            (
                json!("curl -X POST http://localhost/"),
                "`POST`, not with GET",
            ),
            (
                json!("curl --request=HEAD http://localhost/"),
                "`HEAD`, not with GET",
            ),
            (json!("curl -d x http://localhost/"), "sends a body"),
            (json!("curl http://localhost:0/"), "`0` is no port"),
            (json!("curl http://localhost/\u{1b}[31m"), "percent-encoded"),
            (json!("curl -V"), "asks no URL"),
            (
                json!("curl http://localhost:$PORT/"),
                "`${PORT}` has no default",
            ),
            (json!(["curl", "http://localhost/"]), "begins with none of"),
            (json!(7), "no command"),
            (json!(["CMD"]), "runs ``"),
        ] {
            let found = read(test.clone()).unwrap_err();
            assert!(found.contains(why), "{test}: {found}");
        }
    }
}
