//! What an answer must be, and who gave it.

use nepho_common::{json_path::JsonPath, load::Expected, plan::ToldBy, recording::Outcome};

use super::{
    super::probe::holds,
    http1::{KEPT_MAX, Reader},
    traced::{Name, Names},
};

/// An answer that is complete, as far as it was kept.
pub(super) trait Heard {
    /// The values of each header of this name, in order.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// The start of its body.
    fn body(&self) -> &[u8];
}

impl Heard for Reader {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name)
    }

    fn body(&self) -> &[u8] {
        self.body()
    }
}

/// What is expected of the answers to one call, made ready.
#[derive(Debug, Clone, Default)]
pub(super) struct Judge {
    expected: Expected,
    json: Vec<(JsonPath, String)>,
    told_by: Option<Told>,
}

/// Where the name of whoever answered stands.
#[derive(Debug, Clone)]
enum Told {
    Header(String),
    Json(JsonPath),
    Address,
}

impl Judge {
    /// Of these expectations.
    ///
    /// # Errors
    /// A path into JSON is none.
    pub(super) fn new(expected: &Expected, told_by: Option<&ToldBy>) -> Result<Self, String> {
        let path = |path: &str| {
            let parsed = path.parse::<JsonPath>();
            parsed.map_err(|why| format!("JSON path {path:?}: {why}"))
        };
        let json = expected.json.iter();
        let json = json.map(|(at, text)| Ok((path(at)?, text.clone())));
        Ok(Self {
            json: json.collect::<Result<_, String>>()?,
            expected: expected.clone(),
            told_by: match told_by {
                Some(ToldBy::Header(name)) => Some(Told::Header(name.to_string())),
                Some(ToldBy::Json(at)) => Some(Told::Json(path(at.as_str())?)),
                Some(ToldBy::Address) => Some(Told::Address),
                None => None,
            },
        })
    }

    /// How much of a body it has to see.
    pub(super) fn kept(&self) -> usize {
        let told = matches!(self.told_by, Some(Told::Json(_)));
        if self.expected.body_has.is_empty() && self.json.is_empty() && !told {
            0
        } else {
            KEPT_MAX
        }
    }

    /// How an answer ended that has this status, and a body of so many bytes.
    pub(super) fn outcome(&self, heard: &impl Heard, status: u16, body_bytes: u64) -> Outcome {
        let Expected {
            status: statuses,
            headers_have,
            body_has,
            json: _,
        } = &self.expected;
        let is_right = if statuses.is_empty() {
            (200..400).contains(&status)
        } else {
            statuses.contains(&status)
        };
        if !is_right {
            return Outcome::Status;
        }
        let has =
            |(name, text): &(String, String)| heard.values(name).any(|value| holds(value, text));
        if !headers_have.iter().all(has) {
            return Outcome::Content;
        }
        if body_has.is_empty() && self.json.is_empty() {
            return Outcome::Success;
        }
        let body = heard.body();
        // A body that is longer than what is kept was not seen whole.
        let is_whole = body.len() as u64 == body_bytes;
        let holds = is_whole && holds(body, body_has);
        if holds && (self.json.is_empty() || self.says(body)) {
            Outcome::Success
        } else {
            Outcome::Content
        }
    }

    fn says(&self, body: &[u8]) -> bool {
        serde_json::from_slice(body).is_ok_and(|document| {
            let mut all = self.json.iter();
            all.all(|(path, text)| path.scalar(&document).is_some_and(|found| found == *text))
        })
    }

    /// Whoever gave this answer, on a connection to `peer`.
    pub(super) fn name(&self, heard: &impl Heard, peer: &str, names: &mut Names) -> Option<Name> {
        match self.told_by.as_ref()? {
            Told::Header(name) => names.of(heard.values(name).next()?),
            Told::Json(path) => {
                let document = serde_json::from_slice(heard.body()).ok()?;
                names.of(path.scalar(&document)?.as_bytes())
            }
            Told::Address => names.of(peer.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::http1::{Asked, Limits, Progress},
        *,
    };

    /// What becomes of this answer.
    fn judged(expected: &Expected, told_by: Option<&ToldBy>, bytes: &str) -> (Outcome, String) {
        let judge = Judge::new(expected, told_by).unwrap();
        let mut reader = Reader::new(Limits::default());
        reader.begin(Asked {
            kept: judge.kept(),
            ..Asked::default()
        });
        reader.spare()[..bytes.len()].copy_from_slice(bytes.as_bytes());
        let Ok(Progress::Done(response)) = reader.filled(bytes.len()) else {
            panic!("it is complete");
        };
        let mut names = Names::default();
        let told = judge.name(&reader, "peer", &mut names);
        let told = told.and_then(|name| names.text(name));
        let outcome = judge.outcome(&reader, response.status, response.body_bytes);
        (outcome, told.unwrap_or_default())
    }

    fn answer(status: u16, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\nX-Instance: a/1\r\ncontent-length: {length}\r\n\r\n{body}")
    }

    #[test]
    fn an_answer_is_what_was_expected_or_says_in_what_it_is_not() {
        let pair = |(a, b): (&str, &str)| vec![(a.to_owned(), b.to_owned())];
        let plain = Expected::default();
        let created = Expected {
            status: [201].into(),
            ..Expected::default()
        };
        let named = Expected {
            headers_have: pair(("x-instance", "a/")),
            ..Expected::default()
        };
        let stranger = Expected {
            headers_have: pair(("x-instance", "b/")),
            ..Expected::default()
        };
        let holding = Expected {
            body_has: "id".to_owned(),
            json: pair(("$.id", "7")),
            ..Expected::default()
        };
        for (expected, status, body, outcome) in [
            (&plain, 204, "", Outcome::Success),
            (&plain, 302, "x", Outcome::Success),
            (&plain, 404, "x", Outcome::Status),
            (&created, 201, "", Outcome::Success),
            (&created, 200, "", Outcome::Status),
            (&named, 200, "", Outcome::Success),
            (&stranger, 200, "", Outcome::Content),
            (&holding, 200, "{\"id\": 7}", Outcome::Success),
            (&holding, 200, "{\"id\": 8}", Outcome::Content),
            (&holding, 200, "id", Outcome::Content),
            (&holding, 500, "{\"id\": 7}", Outcome::Status),
        ] {
            let (found, _) = judged(expected, None, &answer(status, body));
            assert_eq!(found, outcome, "{status} {body}");
        }
    }

    #[test]
    fn whoever_answered_is_named_by_a_header_or_by_the_body() {
        let word = |text: &str| text.to_owned().try_into().unwrap();
        let header = ToldBy::Header(word("x-instance"));
        let body = ToldBy::Json(word("$.by"));
        let plain = Expected::default();
        let by = |told_by, body: &str| judged(&plain, told_by, &answer(200, body)).1;
        assert_eq!(by(Some(&header), ""), "a/1");
        assert_eq!(by(Some(&body), "{\"by\": \"b/2\"}"), "b/2");
        assert_eq!(by(Some(&body), "by b/2"), "");
        assert_eq!(by(Some(&ToldBy::Address), ""), "peer");
        assert_eq!(by(None, ""), "");
        assert!(Judge::new(&plain, Some(&ToldBy::Json(word("by")))).is_err());
    }
}
