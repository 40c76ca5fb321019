//! What an HTTP answer must hold beside its status.

use http::HeaderName;
use nepho_common::{json_path::JsonPath, plan::HttpCheck, recording::Outcome};

use super::{Failure, exchange::Replied};

/// What is expected, made ready.
#[derive(Debug)]
pub(super) struct Expected {
    headers: Vec<(HeaderName, String)>,
    body: String,
    json: Vec<(JsonPath, String)>,
}

impl Expected {
    pub(super) fn of(check: &HttpCheck) -> Result<Self, String> {
        let url = &check.url;
        let header = |(name, value): &(String, String)| {
            let key = name.parse();
            let key = key.map_err(|_| format!("no header can be named {name:?}, of {url}"))?;
            Ok((key, value.clone()))
        };
        let json = |(path, value): &(String, String)| {
            let parsed = path.parse();
            let parsed = parsed.map_err(|why| format!("JSON path {path:?} of {url}: {why}"))?;
            Ok((parsed, value.clone()))
        };
        let headers: Result<_, String> = check.headers_have.iter().map(header).collect();
        let json: Result<_, String> = check.json.iter().map(json).collect();
        Ok(Self {
            headers: headers?,
            body: check.body_has.clone(),
            json: json?,
        })
    }

    /// Nothing of the answer is repeated in the failure: it may be anything.
    pub(super) fn judge(&self, replied: &Replied) -> Result<(), Failure> {
        let content = |what: String| Err(Failure::answer(Outcome::Content, what));
        if !replied.is_whole {
            // An answer that we did not read to its end is not the one that was asked for.
            return content("the body is longer than is read".to_owned());
        }
        for (name, text) in &self.headers {
            let mut values = replied.headers.get_all(name).iter();
            if !values.any(|value| holds(value.as_bytes(), text)) {
                return content(format!("no header {name} holds what was asked for"));
            }
        }
        if !holds(&replied.body, &self.body) {
            return content("the body does not hold what was asked for".to_owned());
        }
        if self.json.is_empty() {
            return Ok(());
        }
        let Ok(document) = serde_json::from_slice(&replied.body) else {
            return content("the body is no JSON".to_owned());
        };
        for (path, text) in &self.json {
            match path.scalar(&document) {
                Some(found) if found == *text => {}
                Some(_) => return content(format!("another value stands at {path}")),
                None => return content(format!("no scalar stands at {path}")),
            }
        }
        Ok(())
    }
}

/// Whether these bytes hold this text; every value holds an empty one.
pub(in super::super) fn holds(bytes: &[u8], text: &str) -> bool {
    text.is_empty()
        || bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    fn replied(body: &str) -> Replied {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert("content-type", json);
        Replied {
            status: StatusCode::OK,
            headers,
            body: body.as_bytes().to_vec(),
            trailers: HeaderMap::new(),
            is_whole: true,
        }
    }

    fn expected(headers: &[(&str, &str)], body: &str, json: &[(&str, &str)]) -> Expected {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
            pairs.iter().map(owned).collect()
        };
        Expected::of(&HttpCheck {
            headers_have: owned(headers),
            body_has: body.to_owned(),
            json: owned(json),
            ..HttpCheck::default()
        })
        .unwrap()
    }

    #[test]
    fn an_answer_holds_all_that_was_asked_for_or_it_is_another_one() {
        let answer = replied(r#"{"status":"ok","n":[3]}"#);
        let judge = |headers: &[(&str, &str)], body, json: &[(&str, &str)]| {
            let judged = expected(headers, body, json).judge(&answer);
            judged.map_err(|failure| failure.outcome())
        };
        let kind = ("Content-Type", "application/json");
        let wrong = Err(Outcome::Content);
        assert_eq!(judge(&[], "", &[]), Ok(()));
        assert_eq!(judge(&[kind], "status", &[("$.status", "ok")]), Ok(()));
        assert_eq!(
            judge(&[("content-type", "")], "", &[("$.n[0]", "3")]),
            Ok(())
        );
        assert_eq!(judge(&[("content-type", "text/html")], "", &[]), wrong);
        assert_eq!(judge(&[("x-other", "")], "", &[]), wrong);
        assert_eq!(judge(&[], "down", &[]), wrong);
        assert_eq!(judge(&[], "", &[("$.status", "down")]), wrong);
        assert_eq!(
            judge(&[], "", &[("$.n", "3")]),
            wrong,
            "a list is no scalar"
        );
        let no_json = expected(&[], "", &[("$.status", "ok")]).judge(&replied("ok"));
        assert!(no_json.is_err());
        let mut long = replied("ok");
        long.is_whole = false;
        assert!(expected(&[], "ok", &[]).judge(&long).is_err());
    }
}
