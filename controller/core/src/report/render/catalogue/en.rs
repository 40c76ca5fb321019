//! English.

use super::{
    super::super::{
        charts::Happening,
        model::{Priority, Verdict},
    },
    Say,
};

pub(super) fn say(what: &Say<'_>) -> String {
    let text = match *what {
        Say::Verdict(verdict) => verdict.word(),
        Say::Outcome(outcome) => outcome.word(),
        Say::Priority(priority) => priority.map_or("none", Priority::word),
        Say::Doubt(code) => code.word(),
        Say::NoPlan => "a run without a readable plan",
        Say::UnknownRun => "run unknown",
        Say::NoFindings => "no findings",
        Say::SkipToContent => "To the findings",
        Say::Contents => "Contents",
        Say::LateChanges => "What late results changed",
        Say::DidNotPass => "What did not pass",
        Say::AllPassed => "Everything that was judged passed.",
        Say::NothingJudged => "Nothing was judged.",
        Say::Matrix => "From where to where",
        Say::MatrixNote => {
            "Median response time of successful requests; failed and missing ones are named."
        }
        Say::Loads => "Loads",
        Say::LoadsNote => {
            "Response times count from the instant at which each request was due. With failures: a request that failed took longer than any."
        }
        Say::SentHead => "sent of due",
        Say::PerSecondHead => "good answers/s",
        Say::UsersHead => "users",
        Say::QuantileHead(word) => word,
        Say::ResponseHead => "response p50, p99, max",
        Say::WithFailuresHead => "p99 with failures",
        Say::ServiceHead => "service p50, p99",
        Say::LagHead => "sent late p99",
        Say::GeneratorHead => "busiest core, longest gap",
        Say::Never => "never",
        Say::Judged => "What was judged",
        Say::Stages => "Stages",
        Say::Agents => "Agents",
        Say::Conditions => "Conditions",
        Say::Hosts => "Hosts",
        Say::Doubts => "Doubts",
        Say::NoDoubts => "Nothing keeps a reader from believing all of it.",
        Say::Evidence => "Evidence",
        Say::EvidenceNote => {
            "Records of the journal behind what did not pass; the JSON report has those of every finding."
        }
        Say::Finding => "finding",
        Say::Was => "was",
        Say::Is => "is",
        Say::VerdictHead => "verdict",
        Say::Findings => "findings",
        Say::Stage => "stage",
        Say::StageStep => "stage / step",
        Say::Began => "began at",
        Say::Lasted => "lasted",
        Say::Remark => "remark",
        Say::Agent => "agent",
        Say::Environment => "environment",
        Say::RequestsHead => "requests",
        Say::RecordsHead => "records",
        Say::Complete => "proven complete",
        Say::MissingHead => "missing",
        Say::Who => "who",
        Say::Host => "host",
        Say::System => "system",
        Say::Size => "size",
        Say::Version => "version",
        Say::Controller => "controller",
        Say::FromTo => "from \\ to",
        Say::From => "from",
        Say::Pair => "from, to",
        Say::Service => "service",
        Say::Group => "group",
        Say::Seen => "seen",
        Say::Expected => "expected",
        Say::Observed => "observed",
        Say::Uncertainty => "uncertainty",
        Say::Cause => "likely cause",
        Say::Remedy => "remedy",
        Say::SamplesHead => "samples",
        Say::MeasuredBy => "measured by",
        Say::SameFor => "the same holds for",
        Say::SameForSome(n) => return format!("The same holds for {n} more"),
        Say::NoRequest => "no answer",
        Say::FromWhere(from) => return format!("from {from}"),
        Say::Starts => "How well the agents kept the common starts",
        Say::StartError => "late by",
        Say::RoundTrip => "shortest round trip",
        Say::CauseShort => "cause",
        Say::TheSame => "the same",
        Say::About => "about",
        Say::Kind => "kind",
        Say::Text => "text",
        Say::TitleOfPriority(priority) => match priority {
            Some(Priority::High) => "Look into it first",
            Some(Priority::Medium) => "Then",
            Some(Priority::Low) => "When there is time",
            None => "Without a priority",
        },
        Say::Latencies => "Latency",
        Say::PercentilesNote => {
            "Response times of successful requests, from the instant they were due. The band is the 95% \
             interval, if requests are independent; a line ends where fewer than ten values lie above."
        }
        Say::PercentilesFrom(from) => return format!("Percentiles, from {from}"),
        Say::ToWhere(to) => return format!("to {to}"),
        Say::Successes(n) => return format!("{n} successes"),
        Say::FailuresLeftOut(n) => return format!("{n} failures not among them"),
        Say::OurSideLeftOut(n) => return format!("{n} failed on our side"),
        Say::AsTable => "As a table",
        Say::PercentileHead => "percentile",
        Say::TooFewValues => "too few values",
        Say::OverTimeNote => {
            "Over time: the stronger the colour, the more requests took so long. Red bars below are failures; \
             numbers above are events of the list below."
        }
        Say::OverTime(from, to) => return format!("Over time, from {from} to {to}"),
        Say::CoarseNote(n, every) => {
            return format!(
                "{n} values come from recordings longer than {every}; they stand where those began."
            );
        }
        Say::SinceStage => "since the start",
        Say::SuccessesHead => "successes",
        Say::FailuresHead => "failures",
        Say::FastestHead => "fastest from",
        Say::MedianHead => "median below",
        Say::SlowestHead => "slowest below",
        Say::MorePlots(n) => return format!("{n} more pairs are not plotted."),
        Say::Events => "What happened",
        Say::Number => "no.",
        Say::InRun => "in the run",
        Say::What => "what",
        Say::Happened(what, about) => {
            return match what {
                Happening::StageBegan => format!("stage {about} began"),
                Happening::StageEnded => format!("stage {about} ended"),
                Happening::AgentLost => format!("{about} was last heard of"),
                Happening::AgentReturned => format!("{about} was back"),
                Happening::AgentRestarted => format!("{about} was back, restarted"),
                Happening::ClockDisturbed => format!("the clock of {about} stood still"),
            };
        }
        Say::MoreMarks(n) => return format!("{n} more events are not listed."),
        Say::Resources => "Resources",
        Say::ResourcesNote => {
            "The line is the largest value of each stretch of time, the band goes down to the smallest."
        }
        Say::GaugeIn(name, from) => return format!("{name}, {from}"),
        Say::Of => "of",
        Say::ValuesHead => "values",
        Say::Least => "smallest",
        Say::Most => "largest",
        Say::MoreGauges(n) => return format!("{n} more series are not drawn."),
        Say::TheScenario => "The scenario",
        Say::AsItWasRun => "The file as it was run",
        Say::MoreBytes(n) => return format!("{n} more bytes are in the journal."),
        Say::OnePair => "Steps between one pair of environments",
        Say::OutOfLine => "Services that are out of line:",
        Say::NoPath => "no path",
        Say::Nothing => "nothing",
        Say::ScenarioFile => "scenario",
        Say::NoHosts => "nothing is known of the hosts",
        Say::AboutTheRun => "the run",
        Say::CantPass(text) => return format!("The run can't pass: {text}."),
        Say::Run(run) => return format!("run {run}"),
        Say::Scenario(name) => return format!("scenario {name}"),
        Say::BeganAt(at) => return format!("began {at}"),
        Say::EndedAt(at) => return format!("ended {at}"),
        Say::Count(n, verdict) => return format!("{n} {}", counted(verdict)),
        Say::Revised {
            number,
            late,
            said,
            closed,
        } => {
            let said = said.map_or("nothing", Verdict::word);
            let open = if closed {
                ""
            } else {
                "; more may still arrive"
            };
            return format!(
                "Revision {number}: {late} came after revision {}, which said {said}{open}",
                number.saturating_sub(1)
            );
        }
        Say::LateRecordsOf(n, agent) => return format!("{n} {} of {agent}", records(n)),
        Say::LateRecords(n, whose) => return format!("{n} {} ({whose})", records(n)),
        Say::LateOf(n, agent) => return format!("{n} of {agent}"),
        Say::LateOthers(n) => return format!("others of {n} agents"),
        Say::OfPriority(priority) => {
            return format!("priority {}", say(&Say::Priority(priority)));
        }
        Say::ExpectedObserved(expected, observed) => {
            return format!("expected {expected}; observed {observed}");
        }
        Say::OfPlanned(observed, planned) => {
            return format!("{observed} of {planned} planned requests");
        }
        Say::SamplesOf(observed, planned) => return format!("{observed} of {planned}"),
        Say::AndMoreInJson(n) => return format!("and {n} more, listed in the JSON report"),
        Say::AndMore(n) => return format!("{n} more"),
        Say::MoreNotPassed(n) => return format!("and {n} more that did not pass"),
        Say::SummaryCut => "The report goes on; report.md and report.json hold all of it.",
        Say::MoreChanged(n) => return format!("{n} more changed."),
        Say::SeveralFindings(n) => return format!("{n} findings"),
        Say::FailedOf(failed, n) => return format!("{failed} of {n} failed"),
        Say::MedianOf(stage, step) => return format!("{stage} / {step}: median response time"),
        Say::FromToOf(from, to) => return format!("{from} to {to}"),
        Say::AllServices(1) => "The one service, from everywhere",
        Say::AllServices(n) => return format!("All {n} services, from everywhere"),
        Say::MissingOf(n) => return format!("{n} missing"),
        Say::SentOf(sent, due) => return format!("{sent} of {due}"),
        Say::SpinsFor(spin) => return format!("spinning for up to {spin}"),
        Say::CoreAndGap(percent, gap) => return format!("{percent}%, {gap}"),
        Say::LanesAndReference(lanes, reference) => {
            return format!("lanes {lanes}, reference lane {reference}");
        }
        Say::LastedOf(lasted, planned) => return format!("{lasted} of {planned}"),
        Say::Refused(why) => return format!("refused: {why}"),
        Say::Lost(span) => return format!("lost {span}"),
        Say::LostBetween {
            from,
            to,
            restarted,
        } => {
            let restarted = if restarted { ", restarted" } else { "" };
            return format!("{from} to {to} ({}{restarted})", to.since(from));
        }
        Say::LostToTheEnd(from) => return format!("{from} to the end"),
        Say::RequestsMissing {
            missing,
            planned,
            stage,
            why,
        } => return format!("{missing} of {planned} requests of {stage} missing: {why}"),
        Say::AgentGap(agent, gap) => return format!("agent {agent}: {gap}"),
        Say::Plan(id) => return format!("plan {id}"),
        Say::TheRun(end) => return format!("the run {end}"),
        Say::WorstStart {
            agent,
            stage,
            start,
        } => return format!("worst start: {agent} in {stage}, {start}"),
        Say::StartWithin(late, bound) => return format!("{late} ± {bound}"),
        Say::StartNarrowed(late, bound, alone) => {
            return format!(
                "{late} ± {bound} (by the hosts' own clocks; by exchanges alone ± {alone})"
            );
        }
        Say::StartUnbound(late) => return format!("{late}, clock bound unknown"),
        Say::WallClock {
            agent,
            kept,
            within,
        } => {
            let kept = if kept { "kept" } else { "not kept by anybody" };
            return format!("wall clock of {agent}: {kept}, within {within}");
        }
        Say::File(name, digest) => return format!("file {name}: sha256 {digest}"),
        Say::HostSize(cpus, mebibytes) => return format!("{cpus} cpus, {mebibytes} MiB"),
        Say::DoubtOf(kind, text) => return format!("doubt ({kind}): {text}"),
        Say::DoubtsOfKind(more) => return format!(" (and {more} more of this kind)"),
        Say::RecordIn(seq, spool) => return format!("{seq} in spool {spool}"),
        Say::RecordsIn(from, to, spool, n) => {
            return format!("{from} to {to} in spool {spool} ({n} of them)");
        }
        Say::MadeBy(version) => {
            let space = if version.is_empty() { "" } else { " " };
            return format!(
                "Made by nepho{space}{version} from the run's journal; the same journal gives the same page."
            );
        }
        Say::LeftOut(n) => return format!("{n} more are in the JSON report."),
        Say::ToMend => "What to mend",
        Say::MendOf(priority, n) => {
            let plural = if n == 1 { "" } else { "s" };
            let priority = say(&Say::Priority(priority));
            return format!("{priority}, {n} finding{plural}");
        }
    };
    text.to_owned()
}

/// Of so many findings.
const fn counted(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::NotRun => "not run",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Fail => "failed",
        Verdict::Error => "broken",
    }
}

const fn records(n: u64) -> &'static str {
    if n == 1 { "record" } else { "records" }
}
