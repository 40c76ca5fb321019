//! What a load sends: requests, and flows of them.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    json_path::JsonPath,
    plan::{Feed, Take, ToldBy},
    template::{Hole, Template, is_name},
};

use super::{
    super::{
        asked,
        raw::{RawAnswer, RawLoad, RawRequest, RawTake},
    },
    Files, feeds,
};
use crate::{
    diagnose::{Checker, Code, Pointer, Problem, quoted},
    fleet::{
        HeaderName, HeaderValue, Headers, Method, RequestPath, Statuses, headers, request_path,
    },
};

/// One of the requests of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How it asks.
    pub method: Method,
    /// For what.
    pub path: RequestPath,
    /// How often, beside the others; nothing when it follows another.
    pub weight: u32,
    /// With what beside.
    pub headers: Headers,
    /// Headers whose values have holes.
    pub own_headers: Vec<(HeaderName, String)>,
    /// What is sent behind them.
    pub body: String,
    /// Path, body and the values of its own headers are templates.
    pub is_template: bool,
    /// The path as it was written: with holes where there are some.
    pub written: String,
    /// What stands in the holes of the body is written as in a string of JSON.
    pub is_json: bool,
    /// It goes out when the one before it was answered as it should be.
    pub follows: bool,
    /// What its answer gives to those that follow.
    pub take: Vec<Take>,
    /// The statuses that count as success; all from 200 to 399 when empty.
    pub ok: Statuses,
    /// Headers of the answer, and what their values hold.
    pub headers_have: Vec<(HeaderName, String)>,
    /// What the body of the answer holds.
    pub body_has: String,
    /// What stands where in its JSON.
    pub json: Vec<(JsonPath, String)>,
}

/// What may stand in a hole.
struct Known<'a> {
    feeds: &'a [Feed],
    /// Without the files nothing is known of what stands in them.
    is_whole: bool,
    taken: BTreeSet<String>,
}

/// The files that a load names beside the scenario's fleet.
pub(in super::super) fn files(raw: &RawLoad) -> Vec<String> {
    let feeds = raw
        .feeds
        .iter()
        .flatten()
        .filter_map(|(_, feed)| feed.as_ref());
    let feeds = feeds.flat_map(|feed| [feed.csv.as_ref(), feed.json.as_ref()]);
    let requests = raw.requests.iter().flatten().flatten();
    let each = requests.flat_map(|one| {
        let flow = one.flow.iter().flatten().flatten();
        std::iter::once(one).chain(flow)
    });
    let bodies = each.map(|one| one.body_file.as_ref());
    feeds.chain(bodies).flatten().cloned().collect()
}

/// Parses the requests at `at`, flows laid out one after the other.
pub(super) fn requests(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawLoad,
    (feeds, files): (&[Feed], Option<&Files>),
) -> Vec<Request> {
    let mut all = Vec::new();
    for (index, one) in raw.requests.iter().flatten().enumerate() {
        let Some(one) = one else { continue };
        let at = at.index(index);
        let mut known = Known {
            feeds,
            is_whole: files.is_some(),
            taken: BTreeSet::new(),
        };
        let Some(flow) = &one.flow else {
            all.extend(request(checker, &at, one, (&known, files)));
            continue;
        };
        let mut first = true;
        for (place, step) in flow.iter().enumerate() {
            let Some(step) = step else { continue };
            let at = at.key("flow").index(place);
            refuse_in_flow(checker, &at, step);
            if let Some(mut found) = request(checker, &at, step, (&known, files)) {
                known
                    .taken
                    .extend(found.take.iter().map(|take| take.name.to_string()));
                found.follows = !first;
                found.weight = if first { one.weight.unwrap_or(1) } else { 0 };
                all.push(found);
            }
            first = false;
        }
    }
    if all.len() > MOST {
        let message = format!("these are {} requests, those in flows with them", all.len());
        let problem = Problem::new(Code::OutOfRange, message).label(format!("at most {MOST}"));
        checker.at_key(at, problem);
    }
    all
}

/// The most requests of a load.
const MOST: usize = 50;

fn refuse_in_flow(checker: &mut Checker, at: &Pointer, raw: &RawRequest) {
    for (key, is_there) in [
        ("weight", raw.weight.is_some()),
        ("flow", raw.flow.is_some()),
    ] {
        if is_there {
            let message = format!("a request in a flow has no `{key}` of its own");
            let problem = Problem::new(Code::ComesLater, message).label("say it of the flow");
            checker.at_key(&at.key(key), problem);
        }
    }
}

/// A text whose holes are known.
fn hole(checker: &mut Checker, at: &Pointer, text: &str, known: &Known<'_>) -> Option<Template> {
    checker.text(at, Some(text), |text| {
        let bad = |why: String| {
            let message = format!("{} can't be filled", quoted(text));
            Problem::new(Code::Reference, message).label(why)
        };
        if text.contains("${env:") || text.contains("${file:") {
            return Err(bad(
                "secrets are read in the values of `headers` only".to_owned()
            ));
        }
        let template: Template = text
            .parse()
            .map_err(|why: nepho_common::template::BadTemplate| bad(why.to_string()))?;
        for hole in template.holes() {
            match hole {
                Hole::Sequence | Hole::Random(..) => {}
                Hole::Taken(name) if known.taken.contains(name) => {}
                Hole::Taken(name) => {
                    let why = format!(
                        "no request before it in its flow takes {}; say `take: {{{name}: {{json: \
                         $.path}}}}` there",
                        quoted(name)
                    );
                    return Err(bad(why));
                }
                Hole::Feed(..) if !known.is_whole => {}
                Hole::Feed(feed, column) => {
                    let found = known.feeds.iter().find(|one| one.name.as_str() == feed);
                    let Some(found) = found else {
                        return Err(bad(format!("this load has no feed {}", quoted(feed))));
                    };
                    let mut columns = found.columns.iter().map(|one| one.as_str());
                    if !columns.any(|one| one == column) {
                        let columns: Vec<_> =
                            found.columns.iter().map(|one| one.as_str()).collect();
                        return Err(bad(format!(
                            "feed {feed} has no column {}, only {}",
                            quoted(column),
                            columns.join(", ")
                        )));
                    }
                }
            }
        }
        Ok(template)
    })
}

/// The headers that every request has, and those whose values have holes.
fn own_headers(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawRequest,
    known: &Known<'_>,
) -> Option<(Headers, Vec<(HeaderName, String)>)> {
    let at = at.key("headers");
    let is_own = |value: &Option<String>| {
        let value = value.as_deref().unwrap_or_default();
        let template = value.parse::<Template>();
        // What is no template either is told by those who read headers, unless it was to be one.
        template.map_or_else(|_| !value.contains("${env:"), |one| !one.is_plain())
            && value.contains("${")
    };
    let all = raw.headers.iter().flatten();
    let (own, same): (BTreeMap<_, _>, BTreeMap<_, _>) = all
        .map(|(name, value)| (name.clone(), value.clone()))
        .partition(|(_, value)| is_own(value));
    let same = headers(checker, &at, Some(&same));
    let mut found = Vec::new();
    for (name, value) in own {
        let at = at.key(&name);
        let text = value.unwrap_or_default();
        if text.contains("${env:") || text.contains("${file:") {
            let problem = Problem::new(Code::Reference, "a secret and a hole in one header")
                .label("the one or the other")
                .help("send two headers, or take what the secret gives from an answer");
            checker.at_value(&at, problem);
            return None;
        }
        let template = hole(checker, &at, &text, known)?;
        let name = checker.text(&at, Some(&name), |name| {
            HeaderName::parse(name).map_err(|why| {
                let message = format!("{} can't be sent as a header", quoted(name));
                Problem::new(Code::BadHttp, message).label(why.to_string())
            })
        })?;
        checker.text(&at, Some(&template.filled("x")), |value| {
            HeaderValue::parse(value).map_err(|why| {
                Problem::new(Code::BadHttp, "this can't be sent as a header").label(why.to_string())
            })
        })?;
        found.push((name, text));
    }
    Some((same, found))
}

/// The body, and whether it is JSON.
fn body(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawRequest,
    files: Option<&Files>,
) -> Option<(String, bool)> {
    let given = [
        raw.body.is_some(),
        raw.json.is_some(),
        raw.body_file.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() > 1 {
        let problem = Problem::new(Code::ExactlyOne, "this request has two bodies")
            .label("one of `body`, `json` and `body-file`");
        checker.at_key(at, problem);
        return None;
    }
    if let Some(name) = &raw.body_file {
        let at = at.key("body-file");
        let text = feeds::file(checker, &at, name, files)?.map_or("", |file| &file.text);
        if text.len() > BODY_MAX {
            let message = format!("{} has {} bytes", quoted(name), text.len());
            let problem = Problem::new(Code::OutOfRange, message);
            checker.at_value(&at, problem.label(format!("at most {BODY_MAX}")));
            return None;
        }
        return Some((text.to_owned(), false));
    }
    Some(match (&raw.body, &raw.json) {
        (Some(body), _) => (body.clone(), false),
        (None, Some(json)) => (json.to_string(), true),
        (None, None) => (String::new(), false),
    })
}

/// As much as may stand in the scenario itself.
const BODY_MAX: usize = 65_536;

fn take(
    checker: &mut Checker,
    at: &Pointer,
    raw: Option<&BTreeMap<String, Option<RawTake>>>,
) -> Option<Vec<Take>> {
    let mut all = Vec::new();
    for (name, raw) in raw.into_iter().flatten() {
        let at = at.key(name);
        let Some(raw) = raw else { continue };
        if !is_name(name) {
            let message = format!("{} names nothing that can be filled in", quoted(name));
            let problem = Problem::new(Code::BadName, message);
            checker.at_key(
                &at,
                problem.label("letters, digits, `-` and `_`, 63 at most"),
            );
            return None;
        }
        let from = match (&raw.header, &raw.json) {
            (Some(header), None) => {
                let parsed = checker.text(&at.key("header"), Some(header), |text| {
                    HeaderName::parse(text).map_err(|why| {
                        let message = format!("{} is no header", quoted(text));
                        Problem::new(Code::BadHttp, message).label(why.to_string())
                    })
                })?;
                ToldBy::Header(parsed.as_str().to_owned().try_into().ok()?)
            }
            (None, Some(json)) => {
                let path = checker.text(&at.key("json"), Some(json), |text| {
                    text.parse::<JsonPath>().map_err(|why| {
                        let message = format!("{} is no path into JSON", quoted(text));
                        Problem::new(Code::BadQuestion, message).label(why.to_string())
                    })
                })?;
                ToldBy::Json(path.to_string().try_into().ok()?)
            }
            _ => {
                let problem = Problem::new(Code::ExactlyOne, "this does not say where it stands")
                    .label("one of `header` and `json`");
                checker.at_key(&at, problem);
                return None;
            }
        };
        let name = name.clone().try_into().ok()?;
        all.push(Take { name, from });
    }
    Some(all)
}

/// Parses a request at `at`; one that follows another has no weight.
fn request(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawRequest,
    (known, files): (&Known<'_>, Option<&Files>),
) -> Option<Request> {
    let all = [
        ("get", Method::Get, &raw.get),
        ("head", Method::Head, &raw.head),
        ("post", Method::Post, &raw.post),
        ("put", Method::Put, &raw.put),
        ("patch", Method::Patch, &raw.patch),
        ("delete", Method::Delete, &raw.delete),
    ];
    let mut given = all.iter().filter_map(|(key, method, path)| {
        let path = path.as_deref()?;
        Some((*key, *method, path))
    });
    let (Some((key, method, path)), None) = (given.next(), given.next()) else {
        if !checker.is_incomplete(at) {
            let what = "a request has one method";
            let problem = Problem::new(Code::ExactlyOne, what)
                .label("exactly one of `get`, `head`, `post`, `put`, `patch` and `delete`")
                .help("for example `get: /api/contacts`");
            checker.at_key(at, problem);
        }
        return None;
    };
    let path_at = at.key(key);
    let written = path.to_owned();
    let path = hole(checker, &path_at, path, known)?;
    let path = request_path(checker, &path_at, Some(&path.filled("0")), "");
    let (mut headers, own_headers) = own_headers(checker, at, raw, known)?;
    let (body, is_json) = body(checker, at, raw, files)?;
    let from_file = raw.body_file.is_some();
    let body_at = at.key(if from_file {
        "body-file"
    } else if is_json {
        "json"
    } else {
        "body"
    });
    // A file is sent as it is.
    if !from_file {
        hole(checker, &body_at, &body, known)?;
    }
    if is_json {
        let name = HeaderName::parse("content-type").expect("a name");
        let value = HeaderValue::parse("application/json").expect("a value");
        headers.entry(name).or_insert(value);
    }
    let is_template =
        !own_headers.is_empty() || written.contains("${") || (!from_file && body.contains("${"));
    let body = if from_file && is_template {
        Template::literal(&body).to_string()
    } else {
        body
    };
    let take = take(checker, &at.key("take"), raw.take.as_ref())?;
    let none = RawAnswer::default();
    let expect = raw.expect.as_ref().unwrap_or(&none);
    let at = at.key("expect");
    if method == Method::Head && (expect.body.is_some() || expect.json.is_some()) {
        let problem = Problem::new(Code::BadQuestion, "an answer to HEAD has no body")
            .label("`head` with `body` or `json`")
            .help("send `get`, or leave `body` and `json` out");
        checker.at_key(&at, problem);
        return None;
    }
    Some(Request {
        method,
        path: path?,
        weight: raw.weight.unwrap_or(1),
        headers,
        own_headers,
        body,
        is_template,
        written,
        is_json,
        follows: false,
        take,
        ok: expect.status.iter().flatten().flatten().copied().collect(),
        headers_have: asked::headers_have(checker, &at.key("headers-have"), &expect.headers_have),
        body_has: expect.body.clone().unwrap_or_default(),
        json: asked::json(checker, &at.key("json"), &expect.json),
    })
}
