//! Everything that reports say in words of ours: one list of what can be said, and for each language
//! one match over it, so that a text that is missing in one of them does not compile.
//!
//! What is handed in is put in as it is; whoever writes it somewhere escapes the whole sentence.

use nepho_common::{
    recording::Outcome,
    time::{Nanos, RunTime},
};

use super::{
    super::{
        charts::Happening,
        model::{Code, Priority, Verdict},
    },
    lang::Lang,
};

mod en;
mod zh;

/// What can be said.
#[derive(Debug, Clone, Copy)]
pub(super) enum Say<'a> {
    // Words of ours.
    Verdict(Verdict),
    Outcome(Outcome),
    Priority(Option<Priority>),
    Doubt(Code),

    // The head.
    NoPlan,
    CantPass(&'a str),
    Run(&'a str),
    UnknownRun,
    Scenario(&'a str),
    BeganAt(&'a str),
    EndedAt(&'a str),
    NoFindings,
    /// So many findings have this verdict.
    Count(u64, Verdict),
    /// What late results made of the report.
    Revised {
        number: u32,
        late: &'a str,
        said: Option<Verdict>,
        closed: bool,
    },
    LateRecordsOf(u64, &'a str),
    LateRecords(u64, &'a str),
    LateOf(u64, &'a str),
    LateOthers(usize),
    SkipToContent,
    Contents,

    // Titles.
    LateChanges,
    DidNotPass,
    AllPassed,
    NothingJudged,
    Matrix,
    MatrixNote,
    Judged,
    Stages,
    Agents,
    Conditions,
    Hosts,
    Doubts,
    NoDoubts,
    Evidence,
    EvidenceNote,

    // Heads of tables and facts.
    Finding,
    Was,
    Is,
    VerdictHead,
    Findings,
    Stage,
    StageStep,
    Began,
    Lasted,
    Remark,
    Agent,
    Environment,
    RequestsHead,
    RecordsHead,
    Complete,
    MissingHead,
    Who,
    Host,
    System,
    Size,
    Version,
    Controller,
    FromTo,
    From,
    Pair,
    Service,
    Group,
    Seen,
    Expected,
    Observed,
    Uncertainty,
    Cause,
    Remedy,
    SamplesHead,
    MeasuredBy,
    SameFor,
    /// The same two where there is little room.
    CauseShort,
    TheSame,
    /// Above those that share a reason.
    SameForSome(usize),
    NoRequest,
    FromWhere(&'a str),
    Starts,
    StartError,
    RoundTrip,
    About,
    Kind,
    Text,

    // Findings.
    /// `priority high`, beside a finding.
    OfPriority(Option<Priority>),
    /// The title above all findings of one priority.
    TitleOfPriority(Option<Priority>),
    ExpectedObserved(&'a str, &'a str),
    /// How many of how many planned requests there are.
    OfPlanned(u64, u64),
    SamplesOf(u64, u64),
    AndMoreInJson(usize),
    AndMore(usize),
    MoreNotPassed(usize),
    MoreChanged(u64),
    SummaryCut,
    SeveralFindings(usize),
    FailedOf(u64, u64),

    // Plots.
    Latencies,
    PercentilesNote,
    PercentilesFrom(&'a str),
    ToWhere(&'a str),
    Successes(u64),
    FailuresLeftOut(u64),
    OurSideLeftOut(u64),
    AsTable,
    PercentileHead,
    TooFewValues,
    OverTimeNote,
    OverTime(&'a str, &'a str),
    /// So many values lie in coarser columns than these.
    CoarseNote(u64, Nanos),
    SinceStage,
    SuccessesHead,
    FailuresHead,
    FastestHead,
    MedianHead,
    SlowestHead,
    MorePlots(u64),
    Events,
    Number,
    InRun,
    What,
    /// What happened, to which stage or agent.
    Happened(Happening, &'a str),
    MoreMarks(u64),
    Resources,
    ResourcesNote,
    GaugeIn(&'a str, &'a str),
    Of,
    ValuesHead,
    Least,
    Most,
    MoreGauges(u64),
    TheScenario,
    AsItWasRun,
    MoreBytes(u64),

    // Loads.
    Loads,
    LoadsNote,
    SentHead,
    PerSecondHead,
    ResponseHead,
    WithFailuresHead,
    ServiceHead,
    LagHead,
    GeneratorHead,
    UsersHead,
    QuantileHead(&'a str),
    /// So much of so much.
    SentOf(u64, u64),
    Never,
    CoreAndGap(u32, Nanos),
    SpinsFor(Nanos),
    LanesAndReference(Nanos, Nanos),

    // Matrices.
    MedianOf(&'a str, &'a str),
    OnePair,
    FromToOf(&'a str, &'a str),
    OutOfLine,
    AllServices(usize),
    NoPath,
    MissingOf(u64),

    // Stages, agents, conditions.
    LastedOf(&'a str, Nanos),
    Nothing,
    Refused(&'a str),
    Lost(&'a str),
    LostBetween {
        from: RunTime,
        to: RunTime,
        restarted: bool,
    },
    LostToTheEnd(RunTime),
    RequestsMissing {
        missing: u64,
        planned: u64,
        stage: &'a str,
        why: &'a str,
    },
    AgentGap(&'a str, &'a str),
    Plan(&'a str),
    TheRun(&'a str),
    WorstStart {
        agent: &'a str,
        stage: &'a str,
        start: &'a str,
    },
    StartWithin(&'a str, Nanos),
    StartNarrowed(&'a str, Nanos, Nanos),
    StartUnbound(&'a str),
    WallClock {
        agent: &'a str,
        kept: bool,
        within: Nanos,
    },
    File(&'a str, &'a str),
    ScenarioFile,
    NoHosts,
    HostSize(u32, u64),
    DoubtOf(&'a str, &'a str),
    DoubtsOfKind(usize),
    AboutTheRun,
    RecordIn(u64, &'a str),
    RecordsIn(u64, u64, &'a str, u64),
    /// The last line of the page.
    MadeBy(&'a str),
    LeftOut(usize),
    ToMend,
    /// How urgent, and of how many findings.
    MendOf(Option<Priority>, usize),
}

impl Lang {
    /// In this language.
    pub(super) fn say(self, what: &Say<'_>) -> String {
        match self {
            Self::En => en::say(what),
            Self::ZhCn => zh::say(what),
        }
    }

    /// One after another.
    pub(super) fn list(self, all: &[impl AsRef<str>]) -> String {
        self.joined(all, ", ", "、")
    }

    /// Half sentences, one after another.
    pub(super) fn clauses(self, all: &[impl AsRef<str>]) -> String {
        self.joined(all, "; ", "；")
    }

    /// A sentence of its own, with its full stop.
    pub(super) fn sentence(self, text: &str) -> String {
        match self {
            Self::En => format!("{text}."),
            Self::ZhCn => format!("{text}。"),
        }
    }

    /// Phrases that make one figure together.
    pub(super) fn phrases(self, all: &[impl AsRef<str>]) -> String {
        self.joined(all, ", ", "，")
    }

    /// `remedy: …`
    pub(super) fn labelled(self, label: &str, text: &str) -> String {
        match self {
            Self::En => format!("{label}: {text}"),
            Self::ZhCn => format!("{label}：{text}"),
        }
    }

    /// What is said by the way, with the space that goes before it.
    pub(super) fn aside(self, text: &str) -> String {
        match self {
            Self::En => format!(" ({text})"),
            Self::ZhCn => format!("（{text}）"),
        }
    }

    fn joined(self, all: &[impl AsRef<str>], en: &str, zh: &str) -> String {
        let all: Vec<_> = all.iter().map(AsRef::as_ref).collect();
        match self {
            Self::En => all.join(en),
            Self::ZhCn => all.join(zh),
        }
    }
}
