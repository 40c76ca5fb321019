//! Many requests.

use std::collections::BTreeSet;

use nepho_common::{
    id::EnvironmentName,
    json_path::JsonPath,
    plan::{Arrivals, BadSchedule, Leg, Rate, Schedule},
    time::Nanos,
};

use super::{
    Selector, asked,
    duration::{duration, print_duration},
    raw::{RawAnswer, RawClosed, RawLoad, RawOpen, RawRequest, RawSpike},
    selector::{environments, selector},
};
use crate::{
    diagnose::{Checker, Code, Pointer, Problem, quoted},
    fleet::{
        HeaderName, HeaderValue, Headers, Method, Names, RequestPath, Statuses, headers,
        request_path,
    },
};

/// Send many requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// The environments whose agents send; empty for all.
    pub from: BTreeSet<EnvironmentName>,
    /// To whom.
    pub to: Selector,
    /// To the instances themselves, or to what stands before them.
    pub via: Via,
    /// When.
    pub model: LoadModel,
    /// The first so long of it is no part of the baseline: whole seconds.
    pub warm_up: Nanos,
    /// How long an answer is waited for, from when its request was due.
    pub timeout: Nanos,
    /// While so many requests wait or are open, one that is due is shed; none is when `None`.
    pub in_flight: Option<u64>,
    /// Threads of each agent for each target; what the rate needs when `None`.
    pub threads: Option<u32>,
    /// What is sent; at least one.
    pub requests: Vec<Request>,
}

/// Whom a load goes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Via {
    /// The instances that are chosen.
    #[default]
    Instances,
    /// The balancers of their groups.
    Balancer,
}

/// When requests are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadModel {
    /// When a schedule says so.
    Open {
        /// The whole schedule, over all agents and targets.
        schedule: Schedule,
        /// Connections in all; as many as are needed when `None`.
        connections: Option<u32>,
    },
    /// When the answer before has come.
    Closed {
        /// How many users there are in all.
        users: u32,
        /// From an answer to the next request.
        think: Nanos,
    },
}

/// One of the requests of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How it asks.
    pub method: Method,
    /// For what.
    pub path: RequestPath,
    /// How often, beside the others.
    pub weight: u32,
    /// With what beside.
    pub headers: Headers,
    /// What is sent behind them.
    pub body: String,
    /// The statuses that count as success; all from 200 to 399 when empty.
    pub ok: Statuses,
    /// Headers of the answer, and what their values hold.
    pub headers_have: Vec<(HeaderName, String)>,
    /// What the body of the answer holds.
    pub body_has: String,
    /// What stands where in its JSON.
    pub json: Vec<(JsonPath, String)>,
}

/// Below 10 ms timers decide, above a minute nobody waits.
const TIMEOUT: (Nanos, Nanos) = (Nanos::from_millis(10), Nanos::from_secs(60));
/// Recordings of a load are whole seconds.
const SECOND: Nanos = Nanos::from_secs(1);
const MODELS: &str = "exactly one of `open` and `closed`";

/// Parses the load at `at`, of a stage that is so long.
pub(crate) fn load(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawLoad,
    names: Option<&Names>,
    lasts: Option<Nanos>,
) -> Option<Load> {
    let from = environments(checker, &at.key("from"), raw.from.as_ref(), names);
    let to = selector(checker, &at.key("to"), raw.to.as_ref(), names);
    let via = raw.to.as_ref().and_then(|to| to.via.as_deref());
    let via_at = at.key("to").key("via");
    let via = checker.text(&via_at, Some(via.unwrap_or("instances")), |text| {
        let known = [("instances", Via::Instances), ("balancer", Via::Balancer)];
        asked::word(text, "way to send", &known)
    });
    let timeout = raw.timeout.as_deref().unwrap_or("5s");
    let timeout_at = at.key("timeout");
    let timeout = duration(checker, &timeout_at, Some(timeout), TIMEOUT.0, TIMEOUT.1);
    let model = model(checker, at, raw, lasts);
    let requests_at = at.key("requests");
    let mut requests = Vec::new();
    for (index, one) in raw.requests.iter().flatten().enumerate() {
        if let Some(one) = one {
            requests.extend(request(checker, &requests_at.index(index), one));
        }
    }
    let (model, warm_up) = model?;
    Some(Load {
        from,
        to,
        via: via?,
        model,
        warm_up,
        timeout: timeout?,
        in_flight: raw.in_flight,
        threads: raw.threads,
        requests,
    })
    .filter(|load| !load.requests.is_empty())
}

fn model(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawLoad,
    lasts: Option<Nanos>,
) -> Option<(LoadModel, Nanos)> {
    let warm = |checker: &mut Checker, at: &Pointer, text: Option<&str>| {
        let most = lasts.map_or(SECOND, |lasts| Nanos(lasts.0.saturating_sub(SECOND.0)));
        let text = text?;
        let found = duration(checker, &at.key("warm-up"), Some(text), Nanos(0), most)?;
        Some(Nanos(found.0.div_ceil(SECOND.0) * SECOND.0))
    };
    match (&raw.open, &raw.closed) {
        (Some(open), None) => {
            let at = at.key("open");
            let warm_up = warm(checker, &at, open.warm_up.as_deref());
            let schedule = schedule(checker, &at, open, lasts?)?;
            let connections = raw.connections;
            let model = LoadModel::Open {
                schedule,
                connections,
            };
            Some((model, warm_up.unwrap_or_default()))
        }
        (None, Some(closed)) => {
            let RawClosed { users, think, .. } = closed;
            if raw.connections.is_some() {
                let what = "each user of a closed load has a connection of his own";
                let problem = Problem::new(Code::ExactlyOne, what).label("say it by `users`");
                checker.at_key(&at.key("connections"), problem);
            }
            let at = at.key("closed");
            let warm_up = warm(checker, &at, closed.warm_up.as_deref());
            let most = Nanos::from_secs(3_600);
            let think = think.as_deref().unwrap_or("0s");
            let think = duration(checker, &at.key("think"), Some(think), Nanos(0), most)?;
            let users = (*users)?;
            Some((
                LoadModel::Closed { users, think },
                warm_up.unwrap_or_default(),
            ))
        }
        (both, _) => {
            if !checker.is_incomplete(at) {
                let what = match both {
                    Some(_) => "this load is open and closed",
                    None => "this load doesn't say when to send",
                };
                let problem = Problem::new(Code::ExactlyOne, what)
                    .label(MODELS)
                    .help("for example `open: {rate: 100/s}`");
                checker.at_key(at, problem);
            }
            None
        }
    }
}

fn schedule(checker: &mut Checker, at: &Pointer, raw: &RawOpen, lasts: Nanos) -> Option<Schedule> {
    let arrivals = raw.arrivals.as_deref().unwrap_or("poisson");
    let arrivals = checker.text(&at.key("arrivals"), Some(arrivals), |text| {
        let known = [
            ("poisson", Arrivals::Poisson),
            ("constant", Arrivals::Constant),
        ];
        asked::word(text, "kind of arrivals", &known)
    });
    let given = [
        raw.rate.is_some(),
        raw.ramp.is_some(),
        raw.stairs.is_some(),
        raw.spike.is_some(),
        raw.list.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        if !checker.is_incomplete(at) {
            let what = "an open load has one schedule";
            let problem = Problem::new(Code::ExactlyOne, what)
                .label("exactly one of `rate`, `ramp`, `stairs`, `spike` and `list`");
            checker.at_key(at, problem);
        }
        return None;
    }
    let arrivals = arrivals?;
    let rate = |checker: &mut Checker, at: &Pointer, text: &Option<String>| {
        checker.text(at, text.as_deref(), |text| {
            text.parse::<Rate>().map_err(|why| {
                Problem::new(Code::BadSchedule, format!("{} is not a rate", quoted(text)))
                    .label(why.to_string())
                    .help("requests per second or minute: 800/s, 30/m")
            })
        })
    };
    let (place, made) = if raw.rate.is_some() {
        let at = at.key("rate");
        let rate = rate(checker, &at, &raw.rate)?;
        (at, Schedule::constant(arrivals, rate, lasts))
    } else if let Some(ramp) = &raw.ramp {
        let at = at.key("ramp");
        let from = rate(checker, &at.key("from"), &ramp.from);
        let to = rate(checker, &at.key("to"), &ramp.to)?;
        (at, Schedule::ramp(arrivals, from?, to, lasts))
    } else if let Some(stairs) = &raw.stairs {
        let at = at.key("stairs");
        let from = rate(checker, &at.key("from"), &stairs.from);
        let to = rate(checker, &at.key("to"), &stairs.to)?;
        let count = usize::try_from(stairs.count?).ok()?;
        let each = Nanos(lasts.0 / count.max(1) as u64);
        (at, Schedule::steps(arrivals, (from?, to), count, each))
    } else if let Some(spike) = &raw.spike {
        let at = at.key("spike");
        let base = rate(checker, &at.key("base"), &spike.base);
        let peak = rate(checker, &at.key("peak"), &spike.peak)?;
        let legs = spiked(checker, &at, spike, (base?, peak), lasts)?;
        (at, Schedule::legs(arrivals, legs))
    } else {
        let at = at.key("list");
        let mut instants = Vec::new();
        for (index, text) in raw.list.iter().flatten().enumerate() {
            let last = Nanos(lasts.0.saturating_sub(1));
            let at = at.index(index);
            instants.push(duration(checker, &at, text.as_deref(), Nanos(0), last)?);
        }
        (at, Schedule::list(instants))
    };
    made.map_err(|why: BadSchedule| {
        let problem = Problem::new(Code::BadSchedule, "nobody can send by this");
        checker.at_value(&place, problem.label(why.to_string()));
    })
    .ok()
}

/// Legs of no length are left out: a spike may begin with the stage, and end with it.
fn spiked(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawSpike,
    (base, peak): (Rate, Rate),
    lasts: Nanos,
) -> Option<Vec<Leg>> {
    let begin = duration(checker, &at.key("at"), raw.at.as_deref(), Nanos(0), lasts)?;
    let for_at = at.key("for");
    let long = duration(checker, &for_at, raw.lasts.as_deref(), Nanos(1), lasts)?;
    let Some(after) = lasts.0.checked_sub(begin.0.saturating_add(long.0)) else {
        let most = print_duration(Nanos(lasts.0.saturating_sub(begin.0)));
        let what = "the spike is longer than the stage";
        let problem = Problem::new(Code::OutOfRange, what).label(format!("at most {most}"));
        checker.at_value(&for_at, problem);
        return None;
    };
    let legs = [(base, begin), (peak, long), (base, Nanos(after))];
    let legs = legs.map(|(rate, lasts)| Leg::flat(rate, lasts));
    Some(
        legs.into_iter()
            .filter(|leg| leg.lasts > Nanos(0))
            .collect(),
    )
}

fn request(checker: &mut Checker, at: &Pointer, raw: &RawRequest) -> Option<Request> {
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
    let path = request_path(checker, &at.key(key), Some(path), "");
    let mut headers = headers(checker, &at.key("headers"), raw.headers.as_ref());
    let body = match (&raw.body, &raw.json) {
        (Some(_), Some(_)) => {
            let problem = Problem::new(Code::ExactlyOne, "this request has two bodies")
                .label("`body` or `json`");
            checker.at_key(&at.key("json"), problem);
            return None;
        }
        (Some(body), None) => body.clone(),
        (None, Some(json)) => {
            let name = HeaderName::parse("content-type").expect("a name");
            let value = HeaderValue::parse("application/json").expect("a value");
            headers.entry(name).or_insert(value);
            json.to_string()
        }
        (None, None) => String::new(),
    };
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
        body,
        ok: expect.status.iter().flatten().flatten().copied().collect(),
        headers_have: asked::headers_have(checker, &at.key("headers-have"), &expect.headers_have),
        body_has: expect.body.clone().unwrap_or_default(),
        json: asked::json(checker, &at.key("json"), &expect.json),
    })
}
