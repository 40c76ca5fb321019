//! Load on one address: what a generator is told to do, and what it says of it.
//!
//! ```text
//! Order --stdin--> generator --stdout--> Told::Ready, Told::Second, …, Told::Ended
//! ```
//!
//! Every request is counted as offered once: it was due. Then it was sent, or it was shed, or its
//! time was over before it could be sent; what was sent was completed, whatever came back, or cut
//! at the end.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use crate::plan::{Carried, Model, Pool};
use crate::{
    histogram::{BadHistogram, Histogram, Sparse},
    plan::{Feed, Rate, Stripe, Take, ToldBy},
    recording::{Metric, Outcome},
    time::{Mono, Nanos},
};

/// The most connections of one generator: below the ports that a host has towards one address.
pub const CONNECTIONS_MAX: u32 = 20_000;
/// The most bytes of a request's body: it is sent from memory.
pub const BODY_MAX: usize = 1 << 20;
/// The longest that a thread looks at the clock before a request is due: no alarm of a host that may
/// send load is later.
pub const SPIN_MAX: Nanos = Nanos::from_millis(10);

/// What a generator is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Always [`Order::SCHEMA`].
    pub schema: String,
    /// Whom, and what when a call does not say.
    pub url: String,
    /// What is sent, each as often as its weight says; at least one.
    pub calls: Vec<Sent>,
    /// What in an answer names who gave it; when it is set, what ended is told by back end.
    #[serde(default)]
    pub told_by: Option<ToldBy>,
    /// When.
    pub model: Model,
    /// Which part of the schedule is this generator's.
    #[serde(default = "whole")]
    pub stripe: Stripe,
    /// Connections in all.
    pub connections: u32,
    /// Threads, each with its share of the connections and of the schedule.
    pub lanes: u32,
    /// From the start, the warm-up with it.
    pub lasts: Nanos,
    /// The first so long of it is told apart from the rest.
    pub warm_up: Nanos,
    /// From the intended instant on; an answer that comes later came for nobody.
    pub timeout: Nanos,
    /// A request that is due while so many wait or are open is shed, and counted.
    pub in_flight_max: u64,
    /// Each request carries its number in the whole schedule in the header `x-nepho-slot`.
    pub number: bool,
    /// Certificates of authorities that are trusted for this target, in PEM, and no others; the
    /// host's own when `None`.
    pub authorities: Option<String>,
    /// Rows that requests are filled with.
    #[serde(default)]
    pub feeds: Vec<Feed>,
    /// Draws what requests leave to chance.
    #[serde(default)]
    pub seed: u64,
    /// How requests come to the target.
    #[serde(default)]
    pub carried: Carried,
    /// What one thread more sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// What a reference lane sends over a connection of its own: little, and always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Which of the calls, from 0.
    pub call: u16,
    /// Evenly spaced. What is due while the one before is open is not sent.
    pub rate: Rate,
}

/// One of the requests that are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Of so many requests as all weights together are, this one is so many.
    pub weight: u32,
    /// `GET`, or another method.
    pub method: String,
    /// Path and query; those of the order's URL when `None`.
    #[serde(default)]
    pub target: Option<String>,
    /// In the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// What is sent behind them.
    pub body: Vec<u8>,
    /// What the answer must be.
    #[serde(default)]
    pub expect: Expected,
    /// Target, body and the values of headers are [templates](crate::template).
    #[serde(default)]
    pub is_template: bool,
    /// What stands in the holes of the body is written as in a string of JSON.
    #[serde(default)]
    pub is_json: bool,
    /// It goes out when the one before it was answered as it should be; its weight is nothing.
    #[serde(default)]
    pub follows: bool,
    /// What its answer gives to those that follow.
    #[serde(default)]
    pub take: Vec<Take>,
}

impl Sent {
    /// What a GET is without more.
    #[must_use]
    pub fn get() -> Self {
        Self {
            weight: 1,
            method: "GET".to_owned(),
            target: None,
            headers: Vec::new(),
            body: Vec::new(),
            expect: Expected::default(),
            is_template: false,
            is_json: false,
            follows: false,
            take: Vec::new(),
        }
    }
}

/// What an answer must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The statuses that count as success; all from 200 to 399 when empty.
    pub status: BTreeSet<u16>,
    /// Headers, each with a text that its value holds.
    pub headers_have: Vec<(String, String)>,
    /// What its body holds.
    pub body_has: String,
    /// Paths into its JSON body, each with the scalar that stands there.
    pub json: Vec<(String, String)>,
}

const fn whole() -> Stripe {
    Stripe::WHOLE
}

impl Order {
    /// Names this format.
    pub const SCHEMA: &'static str = "nepho.load-order/v1";

    /// A GET like the one before, on one connection of one thread, each waited for ten seconds.
    #[must_use]
    pub fn plain(url: String, model: Model, lasts: Nanos) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            url,
            calls: vec![Sent::get()],
            told_by: None,
            model,
            stripe: Stripe::WHOLE,
            connections: 1,
            lanes: 1,
            lasts,
            warm_up: Nanos(0),
            timeout: Nanos::from_secs(10),
            in_flight_max: u64::MAX,
            number: false,
            authorities: None,
            feeds: Vec::new(),
            seed: 0,
            carried: Carried::default(),
            reference: None,
        }
    }
}

/// What a generator says, one line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Told {
    /// It can't even begin.
    Refused {
        /// Why, and what to do.
        why: String,
    },
    /// Its connections are open, and it begins.
    Ready {
        /// How many are open.
        connections: u32,
        /// The addresses that it dialled.
        to: Vec<String>,
    },
    /// What one lane counted since it last said so.
    Counted(Box<Counted>),
    /// Nothing more comes.
    Ended {
        /// The instant from which the schedule counts, on the host's monotonic clock.
        began: Mono,
        /// From there to the last answer.
        took: Nanos,
        /// What its host did not give it while it was measured; `None` if that is not known.
        #[serde(default)]
        withheld: Option<Withheld>,
    },
}

/// Processor time that the generator's host did not get, or did not give it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// The share of all processor time that the hypervisor gave to others, in parts per million.
    pub stolen_ppm: Option<u32>,
    /// How its control group, or one that this is in, was held back.
    pub throttled: Option<Throttled>,
}

/// How a control group was held back because its share of processor time was used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttled {
    /// In how many of the kernel's periods.
    pub times: u64,
    /// How long in all, over all processors.
    pub lasted: Nanos,
}

/// What one lane counted, of the requests that were due in one second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Which lane.
    pub lane: u32,
    /// Which second, from the start.
    pub second: u64,
    /// Requests and bytes.
    pub counts: Counts,
    /// Times, by how it ended and what was timed.
    pub times: Vec<Timed>,
    /// Of the lane itself; absent in what came late of an earlier second.
    pub own: Option<Own>,
    /// Who answered, where that is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<Traced>,
    /// It is the reference lane, whose requests are no part of the load.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_reference: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(it: &bool) -> bool {
    !*it
}

/// Requests and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Were due.
    pub offered: u64,
    /// Went out.
    pub sent: u64,
    /// Came to an end: an answer, or a failure.
    pub completed: u64,
    /// Were due and not even begun, because too many were open.
    pub shed: u64,
    /// Were due, and were over before they could be sent.
    pub unsent: u64,
    /// Were open when the generator was told to end at once.
    pub cut: u64,
    /// Bytes of answers.
    pub received: u64,
    /// Bytes of requests.
    pub written: u64,
    /// Connections that were opened.
    pub connected: u64,
}

impl Counts {
    /// Adds the other.
    pub fn add(&mut self, other: Self) {
        let Self {
            offered,
            sent,
            completed,
            shed,
            unsent,
            cut,
            received,
            written,
            connected,
        } = other;
        for (sum, more) in [
            (&mut self.offered, offered),
            (&mut self.sent, sent),
            (&mut self.completed, completed),
            (&mut self.shed, shed),
            (&mut self.unsent, unsent),
            (&mut self.cut, cut),
            (&mut self.received, received),
            (&mut self.written, written),
            (&mut self.connected, connected),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Times of requests that ended alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    /// Which of the calls of a mix, from 0.
    #[serde(default)]
    pub call: u16,
    /// How they ended.
    pub outcome: Outcome,
    /// What was timed.
    pub metric: Metric,
    /// The times.
    histogram: Sparse,
}

impl Timed {
    /// These times.
    #[must_use]
    pub fn new(outcome: Outcome, metric: Metric, histogram: &Histogram) -> Self {
        Self {
            call: 0,
            outcome,
            metric,
            histogram: histogram.to_sparse(),
        }
    }

    /// The same of another call.
    #[must_use]
    pub const fn of_call(mut self, call: u16) -> Self {
        self.call = call;
        self
    }

    /// The times, checked.
    ///
    /// # Errors
    /// Whoever wrote this is no generator of ours.
    pub fn histogram(&self) -> Result<Histogram, BadHistogram> {
        Histogram::from_sparse(&self.histogram)
    }
}

/// How the requests of one call ended that one back end answered, in the order in which they were
/// due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traced {
    /// Which of the calls, from 0.
    pub call: u16,
    /// What the back end calls itself; nothing when `None`.
    pub by: Option<String>,
    /// Connections whose first request is among them.
    pub connections: u64,
    /// Runs of equal outcomes.
    pub runs: Vec<Ran>,
    /// How many requests were left out at the end.
    pub truncated: u64,
}

/// Consecutive requests with one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ran {
    /// When the first was due, from the start.
    pub first: Nanos,
    /// When the last was.
    pub last: Nanos,
    /// How many.
    pub count: u32,
    /// How they ended.
    pub outcome: Outcome,
}

/// How a lane itself did in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// Processor time that its thread used.
    pub used: Nanos,
    /// In so long.
    pub over: Nanos,
    /// The longest that its thread did not get to run although it was due to.
    pub gap: Nanos,
}

/// Histograms by how requests ended and what was timed.
pub type Times = BTreeMap<(Outcome, Metric), Histogram>;
