//! What an answer must be, and who gave it.

use nepho_common::{
    json_path::JsonPath,
    load::Expected,
    plan::{Take, ToldBy},
    recording::Outcome,
};

use super::{
    super::probe::holds,
    fill::Filler,
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
    /// What the answer gives to those that follow, and where that is kept.
    take: Vec<(usize, Told)>,
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
        let json = expected.json.iter();
        let json = json.map(|(at, text)| Ok((path(at)?, text.clone())));
        Ok(Self {
            json: json.collect::<Result<_, String>>()?,
            expected: expected.clone(),
            told_by: told_by.map(Told::new).transpose()?,
            take: Vec::new(),
        })
    }

    /// It must give this too, which is kept at these places.
    ///
    /// # Errors
    /// A path into JSON is none, or nobody keeps what is taken.
    pub(super) fn taking(mut self, take: &[Take], filler: &Filler) -> Result<Self, String> {
        for one in take {
            let name = one.name.as_str();
            let place = filler.place(name).ok_or("it takes what nobody keeps")?;
            self.take.push((place, Told::new(&one.from)?));
        }
        Ok(self)
    }

    /// Keeps what an answer gives; the same that [`outcome`](Self::outcome) looked for.
    pub(super) fn take(&self, heard: &impl Heard, taken: &mut [String]) {
        let mut document = Document::of(heard.body());
        for (place, told) in &self.take {
            let value = told.value(heard, &mut document);
            if let (Some(value), Some(kept)) = (value, taken.get_mut(*place)) {
                *kept = value;
            }
        }
    }

    /// How much of a body it has to see.
    pub(super) fn kept(&self) -> usize {
        let of_take = self.take.iter().map(|(_, told)| told);
        let mut all = self.told_by.iter().chain(of_take);
        let told = all.any(|told| matches!(told, Told::Json(_)));
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
        let mut document = Document::of(heard.body());
        let mut taken = self.take.iter();
        if !taken.all(|(_, told)| told.value(heard, &mut document).is_some()) {
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

/// A body as JSON, read when somebody asks and once.
struct Document<'a> {
    body: &'a [u8],
    read: Option<Option<serde_json::Value>>,
}

impl<'a> Document<'a> {
    const fn of(body: &'a [u8]) -> Self {
        Self { body, read: None }
    }

    fn get(&mut self) -> Option<&serde_json::Value> {
        let body = self.body;
        let read = self
            .read
            .get_or_insert_with(|| serde_json::from_slice(body).ok());
        read.as_ref()
    }
}

impl Told {
    fn new(told_by: &ToldBy) -> Result<Self, String> {
        Ok(match told_by {
            ToldBy::Header(name) => Self::Header(name.to_string()),
            ToldBy::Json(at) => Self::Json(path(at.as_str())?),
            ToldBy::Address => Self::Address,
        })
    }

    /// What stands there; nothing that would not fit anywhere.
    fn value(&self, heard: &impl Heard, document: &mut Document<'_>) -> Option<String> {
        let value = match self {
            Self::Header(name) => {
                let value = heard.values(name).next()?;
                std::str::from_utf8(value).ok()?.to_owned()
            }
            Self::Json(path) => path.scalar(document.get()?)?,
            Self::Address => return None,
        };
        (value.len() <= TAKEN_MAX).then_some(value)
    }
}

/// The longest value that is taken from an answer: no token is longer, and no request may be much.
const TAKEN_MAX: usize = 16 << 10;

fn path(path: &str) -> Result<JsonPath, String> {
    let parsed = path.parse::<JsonPath>();
    parsed.map_err(|why| format!("JSON path {path:?}: {why}"))
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
