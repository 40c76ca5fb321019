//! What is expected of a step.

mod concurrency;
mod throughput;

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    id::StepName,
    plan::{Amount, Dimension, FACTS, LatencyMax, Quantile, Rate, Window},
    recording::{Scope, WATCH_GAUGES},
    time::Nanos,
};

pub(super) use self::{concurrency::has_users, throughput::is_of_load};
use super::{
    Ratio,
    amount::{Sort, amount},
    asked,
    duration::{days, duration},
    raw::{
        RawAbort, RawCertificate, RawConcurrency, RawCounts, RawDimension, RawDistribution,
        RawDurations, RawExpectation, RawLatency, RawRatios, RawResource, RawSteady, RawThroughput,
    },
};
use crate::diagnose::{Checker, Code, Pointer, Problem, quoted};

/// What is expected of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The step that is judged.
    pub on: StepName,
    /// What is judged, and what it must be.
    pub judge: Judge,
    /// One finding for each combination of these; one over everything when empty.
    pub by: BTreeSet<Dimension>,
    /// The part of the stage that is judged.
    pub during: Window,
    /// Whether the stage fails with it.
    pub gate: bool,
}

/// What is judged, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judge {
    /// The number of requests that failed.
    Failures {
        /// The most that may fail.
        max: u64,
        /// Judges what can be said with this confidence, in place of what was observed.
        confidence: Option<Ratio>,
    },
    /// The share of requests that succeeded.
    SuccessRate {
        /// The least share.
        min: Ratio,
        /// Judges what can be said with this confidence, in place of what was observed.
        confidence: Option<Ratio>,
    },
    /// How long answers took.
    Latency {
        /// At least one.
        bounds: BTreeMap<Quantile, Bounds<Nanos>>,
    },
    /// How much longer the certificates are valid that targets show.
    Certificate {
        /// The least time.
        min: Nanos,
    },
    /// What is used by what is watched.
    Resource {
        /// Which: one of `WATCH_GAUGES`.
        name: &'static str,
        /// Every reading lies within.
        bounds: Bounds<Amount>,
    },
    /// How a balancer spreads what it is sent.
    Distribution {
        /// Over what.
        over: Over,
        /// By how much a share may differ.
        tolerance: Ratio,
        /// Of all shares together.
        confidence: Ratio,
    },
    /// What targets say of themselves is the same.
    Same {
        /// Of what: one of `FACTS`.
        fact: &'static str,
    },
    /// How many users a closed load carries. At least one limit is there.
    Concurrency {
        /// The least users.
        min: u32,
        /// How slow answers may be.
        latency: Option<LatencyMax>,
        /// The least share that must succeed.
        success_rate: Option<Ratio>,
    },
    /// How many requests of a load succeed in a second.
    Throughput {
        /// Over all of the time that is judged.
        bounds: Bounds<Rate>,
    },
}

impl Judge {
    /// What is told apart when one step is judged in several ways: of a watch, each figure.
    #[must_use]
    pub const fn subject(&self) -> &'static str {
        match self {
            Self::Resource { name, .. } => name,
            Self::Failures { .. }
            | Self::SuccessRate { .. }
            | Self::Latency { .. }
            | Self::Distribution { .. }
            | Self::Throughput { .. }
            | Self::Certificate { .. } => self.as_str(),
            Self::Same { fact } => fact,
            // Those within one figure of the latency are not those within another.
            Self::Concurrency { latency, .. } => match latency {
                Some(LatencyMax { quantile, .. }) => quantile.word(),
                None => self.as_str(),
            },
        }
    }

    /// What it is of, if it is of what a watch looks at.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Resource { name, .. } => Scope::of(name),
            Self::Failures { .. }
            | Self::SuccessRate { .. }
            | Self::Latency { .. }
            | Self::Certificate { .. }
            | Self::Distribution { .. }
            | Self::Concurrency { .. }
            | Self::Throughput { .. }
            | Self::Same { .. } => None,
        }
    }

    /// Whether it is of how requests ended, and when.
    #[must_use]
    pub const fn is_of_requests(&self) -> bool {
        match self {
            Self::Failures { .. }
            | Self::SuccessRate { .. }
            | Self::Latency { .. }
            | Self::Concurrency { .. }
            | Self::Throughput { .. }
            | Self::Distribution { .. } => true,
            Self::Certificate { .. } | Self::Same { .. } | Self::Resource { .. } => false,
        }
    }

    /// The word for it in files and in ids of findings.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Failures { .. } => "failures",
            Self::SuccessRate { .. } => "success-rate",
            Self::Latency { .. } => "latency",
            Self::Certificate { .. } => "certificate",
            Self::Resource { .. } => "resource",
            Self::Distribution { .. } => "distribution",
            Self::Same { .. } => "same",
            Self::Concurrency { .. } => "concurrency",
            Self::Throughput { .. } => "throughput",
        }
    }
}

/// What a balancer spreads its decisions over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// The instances of its group, by their weights.
    Instances,
    /// Versions, by these weights.
    Versions(BTreeMap<String, u32>),
}

/// What must be so before anything is disturbed, and again at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steady {
    /// The step that is judged.
    pub on: StepName,
    /// What is judged, and what it must be.
    pub judge: Judge,
    /// One finding for each combination of these; one over everything when empty.
    pub by: BTreeSet<Dimension>,
    /// At the beginning of the first stage that has the step, and at the end of the last.
    pub over: Nanos,
}

/// Bounds of a figure; at least one is there, and the lower is not above the upper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<T> {
    /// At least this.
    pub min: Option<T>,
    /// At most this.
    pub max: Option<T>,
}

/// Parses the expectation at `at` of a stage whose steps are called `steps`.
pub(crate) fn expectation(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawExpectation,
    steps: Option<&BTreeSet<&str>>,
) -> Option<Expectation> {
    let on = on(checker, &at.key("on"), raw.on.as_deref(), steps);
    let judge = judge(checker, at, &RawJudge::from(raw));
    if let Some(Judge::Concurrency { .. }) = judge {
        concurrency::is_of_all(checker, at, raw);
    }
    let by = dimensions(raw.by.as_deref());
    let during = checker.text(
        &at.key("during"),
        Some(raw.during.as_deref().unwrap_or("stage")),
        window,
    );
    Some(Expectation {
        on: on?,
        judge: judge?,
        by,
        during: during?,
        gate: raw.gate.unwrap_or(true),
    })
}

/// Parses the steady state at `at`: what is judged by which step, and for how long.
pub(crate) fn steady(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawSteady,
    steps: Option<&BTreeSet<&str>>,
) -> Option<Steady> {
    let on = on(checker, &at.key("on"), raw.on.as_deref(), steps);
    let judge = judge(checker, at, &RawJudge::from(raw));
    let over_at = at.key("over");
    let most = Nanos::from_secs(3_600);
    let over = duration(checker, &over_at, raw.over.as_deref(), Window::EDGE, most);
    if let Some(over) = over
        && over.0 % Window::EDGE.0 > 0
    {
        let problem = Problem::new(Code::BadDuration, format!("{over} is not tens of seconds"))
            .label("10s, 20s, 30s…")
            .help("agents record what they see in spans of ten seconds");
        checker.at_value(&over_at, problem);
        return None;
    }
    Some(Steady {
        on: on?,
        judge: judge?,
        by: dimensions(raw.by.as_deref()),
        over: over?,
    })
}

fn dimensions(raw: Option<&[Option<RawDimension>]>) -> BTreeSet<Dimension> {
    let words = raw.iter().copied().flatten().flatten();
    words
        .filter_map(|word| Dimension::ALL.into_iter().find(|one| one.word() == word.0))
        .collect()
}

pub(super) fn on(
    checker: &mut Checker,
    at: &Pointer,
    text: Option<&str>,
    steps: Option<&BTreeSet<&str>>,
) -> Option<StepName> {
    let Some(steps) = steps else {
        return checker.name(at, text);
    };
    let text = text?;
    if !steps.contains(text) {
        let problem = Problem::new(
            Code::UnknownStep,
            format!("this stage has no step {}", quoted(text)),
        )
        .label("unknown step")
        .meant(text, steps.iter().copied());
        checker.at_value(at, problem);
    }
    // A step whose name is no name is refused where it stands.
    text.parse().ok()
}

/// What an entry says of what is judged.
pub(super) struct RawJudge<'a> {
    failures: Option<&'a RawCounts>,
    success_rate: Option<&'a RawRatios>,
    latency: Option<&'a RawLatency>,
    certificate: Option<&'a RawCertificate>,
    resource: Option<&'a RawResource>,
    same: Option<&'a str>,
    distribution: Option<&'a RawDistribution>,
    concurrency: Option<&'a RawConcurrency>,
    throughput: Option<&'a RawThroughput>,
    confidence: Option<&'a str>,
}

impl<'a> From<&'a RawExpectation> for RawJudge<'a> {
    fn from(raw: &'a RawExpectation) -> Self {
        Self {
            failures: raw.failures.as_ref(),
            success_rate: raw.success_rate.as_ref(),
            latency: raw.latency.as_ref(),
            certificate: raw.certificate.as_ref(),
            resource: raw.resource.as_ref(),
            same: raw.same.as_deref(),
            distribution: raw.distribution.as_ref(),
            concurrency: raw.concurrency.as_ref(),
            throughput: raw.throughput.as_ref(),
            confidence: raw.confidence.as_deref(),
        }
    }
}

impl<'a> From<&'a RawSteady> for RawJudge<'a> {
    fn from(raw: &'a RawSteady) -> Self {
        Self {
            failures: raw.failures.as_ref(),
            success_rate: raw.success_rate.as_ref(),
            latency: raw.latency.as_ref(),
            // These are the same for days, need all of a stage, or are read too seldom.
            certificate: None,
            same: None,
            distribution: None,
            concurrency: None,
            throughput: None,
            resource: None,
            confidence: raw.confidence.as_deref(),
        }
    }
}

impl<'a> From<&'a RawAbort> for RawJudge<'a> {
    fn from(raw: &'a RawAbort) -> Self {
        Self {
            failures: raw.failures.as_ref(),
            success_rate: raw.success_rate.as_ref(),
            latency: raw.latency.as_ref(),
            certificate: None,
            same: None,
            distribution: None,
            concurrency: None,
            throughput: None,
            resource: None,
            confidence: None,
        }
    }
}

pub(super) fn judge(checker: &mut Checker, at: &Pointer, raw: &RawJudge<'_>) -> Option<Judge> {
    let confidence = match raw.confidence {
        None => None,
        Some(text) => Some(confidence(checker, &at.key("confidence"), text)?),
    };
    if !says_one_thing(checker, at, raw) {
        return None;
    }
    let is_share =
        raw.failures.is_some() || raw.success_rate.is_some() || raw.distribution.is_some();
    if confidence.is_some() && !is_share {
        let message = "this has no confidence to be judged with";
        let problem = Problem::new(Code::ComesLater, message)
            .label("only with `failures`, `success-rate` and `distribution` in this version")
            .help("leave it out: the interval of a latency is always shown");
        checker.at_value(&at.key("confidence"), problem);
        return None;
    }
    // What is missing in any of them was noted by the schema.
    if let Some(raw) = raw.failures {
        failures(checker, at, raw, confidence)
    } else if let Some(raw) = raw.success_rate {
        success_rate(checker, at, raw, confidence)
    } else if let Some(raw) = raw.latency {
        let at = at.key("latency");
        let bounds = Quantile::ALL.into_iter().filter_map(|quantile| {
            let raw = raw.bounds(quantile)?;
            let bounds = durations(checker, &at.key(quantile.word()), raw)?;
            Some((quantile, bounds))
        });
        Some(Judge::Latency {
            bounds: bounds.collect(),
        })
    } else if let Some(raw) = raw.certificate {
        let at = at.key("certificate").key("left").key("min");
        let min = raw.left.as_ref()?.min.as_deref();
        days(checker, &at, min).map(|min| Judge::Certificate { min })
    } else if let Some(raw) = raw.resource {
        resource(checker, &at.key("resource"), raw)
    } else if let Some(raw) = raw.distribution {
        distribution(checker, &at.key("distribution"), raw, confidence)
    } else if let Some(raw) = raw.concurrency {
        concurrency::parse(checker, &at.key("concurrency"), raw)
    } else if let Some(raw) = raw.throughput {
        throughput::parse(checker, &at.key("throughput"), raw)
    } else {
        same(checker, &at.key("same"), raw.same?)
    }
}

/// What is sure enough when nothing is said.
const SURE: &str = "95%";

fn distribution(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawDistribution,
    confidence: Option<Ratio>,
) -> Option<Judge> {
    let over_at = at.key("over");
    let is_version = checker.text(&over_at, raw.over.as_deref(), |text| {
        asked::word(
            text,
            "thing to spread over",
            &[("instance", false), ("version", true)],
        )
    });
    let tolerance = checker.text(&at.key("tolerance"), raw.tolerance.as_deref(), |text| {
        let wrong = |why: &dyn std::fmt::Display| {
            let what = format!("{} is no tolerance", quoted(text));
            Problem::new(Code::BadRatio, what).label(why.to_string())
        };
        match text.parse::<Ratio>() {
            Ok(found) if found.ppm() == 0 => Err(wrong(&"above 0%: no two shares are alike")),
            Ok(found) => Ok(found),
            Err(why) => Err(wrong(&why)),
        }
    });
    let weights_at = at.key("weights");
    let weights: BTreeMap<String, u32> = raw
        .weights
        .iter()
        .flatten()
        .filter_map(|(name, weight)| Some((name.clone(), (*weight)?)))
        .collect();
    let over = match (is_version?, weights.is_empty()) {
        (false, true) => Over::Instances,
        (true, false) => Over::Versions(weights),
        (false, false) => {
            let problem =
                Problem::new(Code::ExactlyOne, "instances have weights in the fleet file")
                    .label("leave `weights` out");
            checker.at_key(&weights_at, problem);
            return None;
        }
        (true, true) => {
            let problem = Problem::new(Code::MissingKey, "versions have no weights")
                .label("`weights` is missing")
                .help("for example `weights: {\"2.1\": 9, \"2.2\": 1}`");
            checker.at_value(&over_at, problem);
            return None;
        }
    };
    Some(Judge::Distribution {
        over,
        tolerance: tolerance?,
        confidence: confidence.unwrap_or_else(|| SURE.parse().expect("a share")),
    })
}

/// Notes that an entry expects nothing, or several things.
fn says_one_thing(checker: &mut Checker, at: &Pointer, raw: &RawJudge<'_>) -> bool {
    let given = [
        raw.failures.is_some(),
        raw.success_rate.is_some(),
        raw.latency.is_some(),
        raw.certificate.is_some(),
        raw.resource.is_some(),
        raw.same.is_some(),
        raw.distribution.is_some(),
        raw.concurrency.is_some(),
        raw.throughput.is_some(),
    ];
    let given = given.into_iter().filter(|given| *given).count();
    if given != 1 && !checker.is_incomplete(at) {
        let what = match given {
            0 => "this doesn't say what is expected",
            _ => "this expects more than one thing",
        };
        let problem = Problem::new(Code::ExactlyOne, what)
            .label(
                "exactly one of `failures`, `success-rate`, `latency`, `certificate`, `resource`, \
                 `same`, `distribution`, `concurrency` and `throughput`",
            )
            .help("write one entry for each");
        checker.at_value(&at.key("on"), problem);
    }
    given == 1
}

fn failures(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawCounts,
    confidence: Option<Ratio>,
) -> Option<Judge> {
    let max = raw.max?;
    let enough = |confidence: &Ratio| chance_of_none(max) <= doubt(*confidence);
    if confidence.as_ref().is_none_or(enough) {
        return Some(Judge::Failures { max, confidence });
    }
    let at = at.key("failures").key("max");
    let help = "raise it: 95% takes 3, 99% takes 5";
    never(checker, &at, "so few failures", help);
    None
}

fn success_rate(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawRatios,
    confidence: Option<Ratio>,
) -> Option<Judge> {
    let at = at.key("success-rate").key("min");
    let min = ratio(checker, &at, raw.min.as_deref())?;
    if confidence.is_some() && min == Ratio::WHOLE {
        never(checker, &at, "100%", "lower it, or leave out `confidence`");
        return None;
    }
    Some(Judge::SuccessRate { min, confidence })
}

fn same(checker: &mut Checker, at: &Pointer, text: &str) -> Option<Judge> {
    let known = FACTS.into_iter().find(|fact| *fact == text);
    if known.is_none() {
        let message = format!("no target says {} of itself", quoted(text));
        let problem = Problem::new(Code::NotOneOf, message)
            .label("not known")
            .meant(text, FACTS);
        checker.at_value(at, problem);
    }
    known.map(|fact| Judge::Same { fact })
}

fn resource(checker: &mut Checker, at: &Pointer, raw: &RawResource) -> Option<Judge> {
    let text = raw.name.as_deref()?;
    let known = WATCH_GAUGES.iter().find(|(name, _)| *name == text);
    let Some(&(name, unit)) = known else {
        let message = format!("no watch tells of {}", quoted(text));
        let problem = Problem::new(Code::NotOneOf, message)
            .label("unknown figure")
            .meant(text, WATCH_GAUGES.iter().map(|(name, _)| *name));
        checker.at_value(&at.key("name"), problem);
        return None;
    };
    let sort = Sort::of(name, unit);
    let min = amount(checker, &at.key("min"), raw.min.as_deref(), sort);
    let max = amount(checker, &at.key("max"), raw.max.as_deref(), sort);
    if (raw.min.is_some() && min.is_none()) || (raw.max.is_some() && max.is_none()) {
        return None;
    }
    let above = matches!((min, max), (Some(min), Some(max)) if min.value() > max.value());
    if (min.is_none() && max.is_none()) || above {
        let why = if above {
            "`min` is above `max`: nothing can satisfy this"
        } else {
            "`min` or `max` is missing"
        };
        if !checker.is_incomplete(at) {
            let problem = Problem::new(Code::BadBounds, "these are no bounds").label(why);
            checker.at_key(at, problem);
        }
        return None;
    }
    let bounds = Bounds { min, max };
    Some(Judge::Resource { name, bounds })
}

fn confidence(checker: &mut Checker, at: &Pointer, text: &str) -> Option<Ratio> {
    let confidence = ratio(checker, at, Some(text))?;
    if confidence.ppm() >= 500_000 && confidence < Ratio::WHOLE {
        return Some(confidence);
    }
    let message = format!("{} is no confidence to judge with", quoted(text));
    let problem = Problem::new(Code::BadRatio, message).label("from 50% to 99.9999%; 95% is usual");
    checker.at_value(at, problem);
    None
}

/// Says that no number of requests can show it.
fn never(checker: &mut Checker, at: &Pointer, what: &str, help: &str) {
    let message = format!("no number of requests shows {what} with that confidence");
    let problem = Problem::new(Code::BadBounds, message)
        .label("nothing can satisfy this")
        .help(help);
    checker.at_value(at, problem);
}

fn doubt(confidence: Ratio) -> f64 {
    f64::from(Ratio::WHOLE.ppm() - confidence.ppm()) / 1e6
}

/// How likely it is that none of very many fails, when so many are due to: the rule of three.
fn chance_of_none(failures: u64) -> f64 {
    // Beyond a few dozen it is nothing, whatever the confidence.
    let failures = u32::try_from(failures).unwrap_or(u32::MAX).min(100);
    (-f64::from(failures)).exp()
}

fn ratio(checker: &mut Checker, at: &Pointer, text: Option<&str>) -> Option<Ratio> {
    checker.text(at, text, |text| {
        text.parse::<Ratio>().map_err(|why| {
            Problem::new(
                Code::BadRatio,
                format!("{} is not a percentage", quoted(text)),
            )
            .label(why.to_string())
        })
    })
}

fn durations(checker: &mut Checker, at: &Pointer, raw: &RawDurations) -> Option<Bounds<Nanos>> {
    // Between what a histogram of layout 1 can tell apart and what it can hold.
    let (least, most) = (Nanos(1_000), Nanos::from_secs(3600));
    let min = duration(checker, &at.key("min"), raw.min.as_deref(), least, most);
    let max = duration(checker, &at.key("max"), raw.max.as_deref(), least, most);
    if (raw.min.is_some() && min.is_none()) || (raw.max.is_some() && max.is_none()) {
        return None;
    }
    bounds(checker, at, min, max)
}

fn bounds<T: PartialOrd>(
    checker: &mut Checker,
    at: &Pointer,
    min: Option<T>,
    max: Option<T>,
) -> Option<Bounds<T>> {
    let why = match (&min, &max) {
        (None, None) => "`min` or `max` is missing",
        (Some(min), Some(max)) if min > max => "`min` is above `max`: nothing can satisfy this",
        (Some(_), _) | (None, Some(_)) => return Some(Bounds { min, max }),
    };
    if !checker.is_incomplete(at) {
        checker.at_key(
            at,
            Problem::new(Code::BadBounds, "these are no bounds").label(why),
        );
    }
    None
}

fn window(text: &str) -> Result<Window, Problem> {
    let known = ["stage", "baseline"];
    match text {
        "stage" => Ok(Window::Stage),
        "baseline" => Ok(Window::Baseline),
        _ if [".hold", ".active", ".recovery"]
            .iter()
            .any(|part| text.ends_with(part)) =>
        {
            let message = format!(
                "the window {} comes with a later version of nepho",
                quoted(text)
            );
            Err(Problem::new(Code::ComesLater, message)
                .label("not in this version")
                .help("this version knows: stage, baseline"))
        }
        _ => Err(Problem::new(
            Code::NotOneOf,
            format!("there is no window {}", quoted(text)),
        )
        .label("unknown window")
        .meant(text, known)),
    }
}
