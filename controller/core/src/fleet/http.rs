//! What HTTP can send: methods, paths, headers, statuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::diagnose::{Checker, Code, Pointer, Problem, nearest, quoted};

/// Headers as they may be written.
pub(crate) type RawHeaders = BTreeMap<String, Option<String>>;

/// Statuses that mean "healthy" or "as expected"; never empty.
pub type Statuses = BTreeSet<u16>;

/// Headers by name.
pub type Headers = BTreeMap<HeaderName, HeaderValue>;

/// How a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

impl Method {
    /// As it stands in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a text is nothing that HTTP can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHttp {
    /// The path does not begin with `/`.
    #[error("a path begins with `/`")]
    NoSlash,
    /// The path holds something that must be percent-encoded.
    #[error("spaces, control characters, `#` and letters beyond ASCII must be percent-encoded")]
    PathCharacter,
    /// Longer than 2,000 bytes, which servers refuse.
    #[error("it is longer than 2000 bytes")]
    TooLong,
    /// RFC 9110 §5.6.2: a token.
    #[error("a header's name consists of letters, digits and `-`")]
    HeaderName,
    /// The client writes it.
    #[error("this header belongs to the connection, and the client writes it itself")]
    Framing,
    /// A line break or another character that RFC 9110 §5.5 forbids.
    #[error("a header's value is one line of printable ASCII")]
    HeaderValue,
    /// A `${` that is no reference.
    #[error("a reference is `${{env:NAME}}` or `${{file:/PATH}}`")]
    Reference,
}

/// The path and query of a request: `/api/contacts?page=1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestPath(String);

impl RequestPath {
    /// Parses a path.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, BadHttp> {
        if !text.starts_with('/') {
            Err(BadHttp::NoSlash)
        } else if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            Err(BadHttp::PathCharacter)
        } else if text.len() > 2000 {
            Err(BadHttp::TooLong)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name of a header, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderName(String);

/// Headers that frame the message: sending them would break it or smuggle a second one.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers whose value is a secret.
const SECRET: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-auth-token",
];

impl HeaderName {
    /// Parses a header's name.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, BadHttp> {
        let name = text.to_ascii_lowercase();
        let token = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if name.is_empty() || !token {
            Err(BadHttp::HeaderName)
        } else if name.len() > 200 {
            Err(BadHttp::TooLong)
        } else if FRAMING.contains(&name.as_str()) {
            Err(BadHttp::Framing)
        } else {
            Ok(Self(name))
        }
    }

    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_secret(&self) -> bool {
        SECRET.contains(&self.0.as_str())
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A piece of a header's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeaderPart {
    /// Sent as it stands.
    Text(String),
    /// An environment variable of the agent that sends it.
    Env(String),
    /// The content of a file on the agent that sends it.
    File(String),
}

/// The value of a header. References stay references: only the agent that sends it reads them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderValue(Vec<HeaderPart>);

impl HeaderValue {
    /// Parses text with references in it.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, BadHttp> {
        if text.len() > 2000 {
            return Err(BadHttp::TooLong);
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\t')
        {
            return Err(BadHttp::HeaderValue);
        }
        let mut pieces = text.split("${");
        let mut parts = Vec::new();
        push_text(&mut parts, pieces.next().unwrap_or(""));
        for piece in pieces {
            let (reference, after) = piece.split_once('}').ok_or(BadHttp::Reference)?;
            parts.push(reference_part(reference)?);
            push_text(&mut parts, after);
        }
        Ok(Self(parts))
    }

    /// Its pieces, in order.
    #[must_use]
    pub fn parts(&self) -> &[HeaderPart] {
        &self.0
    }
}

fn push_text(parts: &mut Vec<HeaderPart>, text: &str) {
    if !text.is_empty() {
        parts.push(HeaderPart::Text(text.to_owned()));
    }
}

fn reference_part(text: &str) -> Result<HeaderPart, BadHttp> {
    match text.split_once(':') {
        Some(("env", name))
            if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
        {
            Ok(HeaderPart::Env(name.to_owned()))
        }
        Some(("file", path)) if path.starts_with('/') => Ok(HeaderPart::File(path.to_owned())),
        _ => Err(BadHttp::Reference),
    }
}

impl fmt::Display for HeaderValue {
    /// As it was written; never the secret itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                HeaderPart::Text(text) => f.write_str(text)?,
                HeaderPart::Env(name) => write!(f, "${{env:{name}}}")?,
                HeaderPart::File(path) => write!(f, "${{file:{path}}}")?,
            }
        }
        Ok(())
    }
}

/// Parses the method at `at`; `GET` when there is none.
pub(crate) fn method(checker: &mut Checker, at: &Pointer, text: Option<&str>) -> Option<Method> {
    let Some(text) = text else {
        return (!checker.is_refused(at)).then_some(Method::Get);
    };
    checker.text(at, Some(text), |text| match text {
        "GET" => Ok(Method::Get),
        "HEAD" => Ok(Method::Head),
        "OPTIONS" => Ok(Method::Options),
        _ => {
            let known = ["GET", "HEAD", "OPTIONS"];
            let problem = Problem::new(
                Code::BadHttp,
                format!("a probe can't send {}", quoted(text)),
            );
            Err(match nearest(text, known) {
                Some(word) => problem.label(format!("did you mean {}?", quoted(word))),
                None => problem
                    .label("a probe only reads: GET, HEAD or OPTIONS")
                    .help("what writes to a service is load, not a probe"),
            })
        }
    })
}

/// Parses the path at `at`; `default` when there is none.
pub(crate) fn request_path(
    checker: &mut Checker,
    at: &Pointer,
    text: Option<&str>,
    default: &str,
) -> Option<RequestPath> {
    if text.is_none() && checker.is_refused(at) {
        return None;
    }
    checker.text(at, Some(text.unwrap_or(default)), |text| {
        RequestPath::parse(text).map_err(|why| {
            Problem::new(Code::BadHttp, format!("{} is not a path", quoted(text)))
                .label(why.to_string())
        })
    })
}

/// Parses the headers at `at`.
pub(crate) fn headers(checker: &mut Checker, at: &Pointer, raw: Option<&RawHeaders>) -> Headers {
    let mut headers = Headers::new();
    for (text, value) in raw.into_iter().flatten() {
        let at = at.key(text);
        let name = match HeaderName::parse(text) {
            Ok(name) => Some(name),
            Err(why) => {
                let message = format!("{} can't be sent as a header", quoted(text));
                checker.at_key(
                    &at,
                    Problem::new(Code::BadHttp, message).label(why.to_string()),
                );
                None
            }
        };
        let value = checker.text(&at, value.as_deref(), |text| {
            HeaderValue::parse(text).map_err(|why| {
                let code = if why == BadHttp::Reference {
                    Code::Reference
                } else {
                    Code::BadHttp
                };
                Problem::new(code, "this can't be sent as a header").label(why.to_string())
            })
        });
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        let is_literal = value
            .parts()
            .iter()
            .all(|part| matches!(part, HeaderPart::Text(_)));
        if name.is_secret() && is_literal {
            let example = name.as_str().to_uppercase().replace('-', "_");
            checker.at_value(
                &at,
                Problem::new(Code::LiteralSecret, format!("`{name}` holds a secret"))
                    .label("a secret may not stand in a file")
                    .help(format!(
                        "let the agent read it: \"${{env:{example}}}\" or \"${{file:/PATH}}\""
                    )),
            );
            continue;
        }
        if headers.insert(name, value).is_some() {
            let message = format!("the header {} stands here twice", quoted(text));
            checker.at_key(
                &at,
                Problem::new(Code::DuplicateName, message)
                    .label("names of headers do not depend on upper and lower case"),
            );
        }
    }
    headers
}

/// The statuses at `at`; 200 when there are none. Their range is in the schema.
pub(crate) fn statuses(raw: Option<&Vec<Option<u16>>>) -> Statuses {
    raw.map_or_else(
        || Statuses::from([200]),
        |raw| raw.iter().flatten().copied().collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stay_references() {
        let value = HeaderValue::parse("Bearer ${env:TOKEN}.${file:/run/x}!").unwrap();
        assert_eq!(
            value.parts(),
            [
                HeaderPart::Text("Bearer ".to_owned()),
                HeaderPart::Env("TOKEN".to_owned()),
                HeaderPart::Text(".".to_owned()),
                HeaderPart::File("/run/x".to_owned()),
                HeaderPart::Text("!".to_owned()),
            ]
        );
        assert_eq!(value.to_string(), "Bearer ${env:TOKEN}.${file:/run/x}!");
        for bad in [
            "${TOKEN}",
            "${env:}",
            "${env:1}",
            "${env:A",
            "${file:x}",
            "${vault:x}",
            "${}",
        ] {
            assert_eq!(HeaderValue::parse(bad), Err(BadHttp::Reference), "{bad}");
        }
    }

    #[test]
    fn nothing_that_could_smuggle_a_request_is_taken() {
        assert_eq!(HeaderValue::parse("a\r\nb: c"), Err(BadHttp::HeaderValue));
        assert_eq!(HeaderName::parse("a\r\nb"), Err(BadHttp::HeaderName));
        assert_eq!(HeaderName::parse("a b"), Err(BadHttp::HeaderName));
        assert_eq!(HeaderName::parse("Content-Length"), Err(BadHttp::Framing));
        assert_eq!(RequestPath::parse("/a b"), Err(BadHttp::PathCharacter));
        assert_eq!(RequestPath::parse("/a\r\n"), Err(BadHttp::PathCharacter));
        assert_eq!(RequestPath::parse("a"), Err(BadHttp::NoSlash));
        assert_eq!(RequestPath::parse(&"/".repeat(2001)), Err(BadHttp::TooLong));
    }
}
