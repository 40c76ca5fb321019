//! Many requests.

mod feeds;
mod requests;
mod rise;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    id::EnvironmentName,
    load::SPIN_MAX,
    plan::{Carried, Feed, Pool, Rise, Schedule},
    time::Nanos,
};

pub use self::requests::Request;
pub(super) use self::requests::files;
use self::schedule::schedule;
use super::{
    Selector, Source, asked,
    duration::duration,
    raw::{RawClosed, RawLoad},
    selector::{environments, selector},
};
use crate::{
    diagnose::{Checker, Code, Pointer, Problem},
    fleet::Names,
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
    /// How what is sent is carried.
    pub carried: Carried,
    /// Rows that requests are filled with.
    pub feeds: Vec<Feed>,
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
        /// How many users there are in all, or in the last stair.
        users: u32,
        /// They come in stairs; all are there from the start when `None`.
        rise: Option<Rise>,
        /// From an answer to the next request.
        think: Nanos,
    },
}

/// Below 10 ms timers decide, above a minute nobody waits.
const TIMEOUT: (Nanos, Nanos) = (Nanos::from_millis(10), Nanos::from_secs(60));
/// Recordings of a load are whole seconds.
const SECOND: Nanos = Nanos::from_secs(1);
const MODELS: &str = "exactly one of `open` and `closed`";

/// The files that were sent with a scenario, by the reference that stands in it.
pub(crate) type Files = BTreeMap<String, Source>;

/// Parses the load at `at`, of a stage that is so long. Without `files` nothing is said about what
/// stands in them.
pub(crate) fn load(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawLoad,
    (names, files): (Option<&Names>, Option<&Files>),
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
    let carried = carried(checker, at, raw);
    let feeds = feeds::feeds(checker, &at.key("feeds"), raw.feeds.as_ref(), files);
    let requests = requests::requests(checker, &at.key("requests"), raw, (&feeds, files));
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
        carried: carried?,
        feeds,
        requests,
    })
    .filter(|load| !load.requests.is_empty())
}

fn carried(checker: &mut Checker, at: &Pointer, raw: &RawLoad) -> Option<Carried> {
    let pool_at = at.key("pool");
    let pool = raw.pool.as_deref().unwrap_or("shared");
    let pool = checker.text(&pool_at, Some(pool), |text| {
        let known = [
            ("shared", Pool::Shared),
            ("per-user", Pool::PerUser),
            ("new", Pool::New),
        ];
        asked::word(text, "way to choose a connection", &known)
    })?;
    if pool == Pool::PerUser && raw.open.is_some() {
        let problem = Problem::new(Code::NotOneOf, "an open load has no users")
            .label("`shared` or `new`, or make the load `closed`");
        checker.at_value(&pool_at, problem);
        return None;
    }
    let each = raw.requests_per_connection;
    if pool == Pool::New && each.is_some_and(|each| each > 1) {
        let what = "with `pool: new` each connection carries one request";
        let problem = Problem::new(Code::ExactlyOne, what).label("leave this out");
        checker.at_key(&at.key("requests-per-connection"), problem);
        return None;
    }
    let spin = match raw.spin.as_deref() {
        None => Nanos(0),
        text => duration(checker, &at.key("spin"), text, Nanos(1_000), SPIN_MAX)?,
    };
    Some(Carried {
        http2: raw.http2.unwrap_or(false),
        pool,
        requests_per_connection: each.unwrap_or(0),
        pin: raw.pin.unwrap_or(false),
        spin,
    })
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
            let RawClosed { think, .. } = closed;
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
            let (users, rise) = rise::users(checker, &at, closed, lasts)?;
            Some((
                LoadModel::Closed { users, rise, think },
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
