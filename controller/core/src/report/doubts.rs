//! Doubts are gathered by kind and subject, so that a hostile agent can't flood a report.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    model::{Doubt, Verdict},
    render::Lang,
    said::{Said, said},
};

/// The kinds of doubt. The first ones decide the run's verdict.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// There is no start of a run in the journal.
    NoStart,
    /// The plan is not in the journal, or not the one that was run.
    NoPlan,
    /// The run could not go on.
    RunFailed,
    /// The plan expects nothing.
    NothingExpected,
    /// The journal has no end of the run.
    Unfinished,
    /// What the scenario says must hold did not, and the run was aborted for it.
    Aborted,
    /// Somebody stopped the run.
    Stopped,
    /// One record exists with two contents.
    Conflict,
    /// The controller's own records contradict each other.
    Contradiction,
    /// A record could not be read.
    Unreadable,
    /// An agent said something that it may not say.
    NotItsOwn,
    /// An agent reported something that the plan did not ask of it.
    NotPlanned,
    /// Records of another run or of an earlier try.
    OtherRun,
    /// An agent reported more requests than were planned.
    TooMany,
    /// What is stored contradicts the seal.
    SealDiffers,
    /// The agent did not say that its results are complete.
    NoSeal,
    /// An agent refused.
    Refused,
    /// An agent was not heard of for a while.
    Lost,
    /// The controller was restarted in the middle of the run.
    ControllerAway,
    /// An agent's clock was disturbed.
    Suspended,
    /// Time stamps of an agent and of the controller contradict each other.
    Clock,
    /// A wall clock is off, or was set in the middle of the run.
    WallClock,
    /// What hosts say of their clocks contradicts what was measured.
    HostClock,
    /// An agent lost records before they were stored.
    Gap,
    /// An agent's spool was full, and its results are divided less finely.
    Coarse,
    /// Requests that were due were not sent.
    NotSent,
    /// An agent did not keep up with the load that it sent.
    Generator,
    /// A load ended before its stage did, or never began.
    LoadEnded,
    /// A finding passed although something of it is missing.
    PassedWithout,
    /// A finding was judged without the instances that have no path.
    NoPath,
    /// Something that was watched was not there, went, or was started again.
    Watched,
    /// Several versions of our programs took part.
    Versions,
}

impl Code {
    /// The word of the JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoStart => "no-start",
            Self::NoPlan => "no-plan",
            Self::RunFailed => "run-failed",
            Self::NothingExpected => "nothing-expected",
            Self::Unfinished => "unfinished",
            Self::Aborted => "aborted",
            Self::Stopped => "stopped",
            Self::Conflict => "conflict",
            Self::Contradiction => "contradiction",
            Self::Unreadable => "unreadable",
            Self::NotItsOwn => "not-its-own",
            Self::NotPlanned => "not-planned",
            Self::OtherRun => "other-run",
            Self::TooMany => "too-many",
            Self::SealDiffers => "seal-differs",
            Self::NoSeal => "no-seal",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::ControllerAway => "controller-away",
            Self::Suspended => "suspended",
            Self::Clock => "clock",
            Self::WallClock => "wall-clock",
            Self::HostClock => "host-clock",
            Self::Gap => "gap",
            Self::Coarse => "coarse",
            Self::NotSent => "not-sent",
            Self::Generator => "generator",
            Self::LoadEnded => "load-ended",
            Self::PassedWithout => "passed-without",
            Self::NoPath => "no-path",
            Self::Watched => "watched",
            Self::Versions => "versions",
        }
    }

    /// The best verdict that a run with this doubt can have.
    #[must_use]
    pub const fn at_best(self) -> Verdict {
        match self {
            Self::NoStart | Self::NoPlan | Self::RunFailed => Verdict::Error,
            Self::Aborted => Verdict::Fail,
            Self::NothingExpected | Self::Unfinished | Self::Contradiction => Verdict::Inconclusive,
            Self::Stopped
            | Self::Conflict
            | Self::Unreadable
            | Self::NotItsOwn
            | Self::NotPlanned
            | Self::OtherRun
            | Self::TooMany
            | Self::SealDiffers
            | Self::NoSeal
            | Self::Refused
            | Self::Lost
            | Self::ControllerAway
            | Self::Suspended
            | Self::Clock
            | Self::WallClock
            | Self::HostClock
            | Self::Gap
            | Self::Coarse
            | Self::NotSent
            | Self::Generator
            | Self::LoadEnded
            | Self::PassedWithout
            | Self::NoPath
            | Self::Watched
            | Self::Versions => Verdict::Pass,
        }
    }
}

/// Doubts under way: for each kind and subject how often, and one example.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubts(BTreeMap<(Code, String), (u64, Said)>);

impl Doubts {
    /// Adds one. Of several texts on one subject the smallest is shown, so that order is nothing.
    pub(super) fn add(&mut self, code: Code, about: impl ToString, text: Said) {
        let (times, example) = self
            .0
            .entry((code, about.to_string()))
            .or_insert_with(|| (0, text.clone()));
        *times = times.saturating_add(1);
        if text < *example {
            *example = text;
        }
    }

    /// Adds all of these.
    pub(super) fn merge(&mut self, others: Self) {
        for ((code, about), (times, example)) in others.0 {
            let known = self.0.entry((code, about));
            let (sum, text) = known.or_insert_with(|| (0, example.clone()));
            *sum = sum.saturating_add(times);
            *text = example.min(text.clone());
        }
    }

    /// The best verdict that the run can have.
    pub(super) fn at_best(&self) -> Verdict {
        let best = self.0.keys().map(|(code, _)| code.at_best());
        best.max().unwrap_or(Verdict::Pass)
    }

    pub(super) fn list(self, lang: Lang) -> Vec<Doubt> {
        let doubt = |((code, about), (times, example)): (_, (u64, Said))| {
            let text = match times {
                0 | 1 => example,
                _ => {
                    let more = times - 1;
                    said!("{example} (and {more} more like it)", "{example}（同类另有 {more} 条）"; example)
                }
            };
            Doubt {
                code,
                text: text.into_text(lang),
                about,
            }
        };
        self.0.into_iter().map(doubt).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_one_line_whatever_its_order() {
        let of = |order: &[&str]| {
            let mut doubts = Doubts::default();
            order
                .iter()
                .for_each(|text| doubts.add(Code::NotPlanned, "a", Said::as_is(text)));
            doubts.list(Lang::En)
        };
        let one = of(&["x", "b", "z"]);
        assert_eq!(one, of(&["b", "z", "x"]));
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].text, "b (and 2 more like it)");
    }

    #[test]
    fn only_some_doubts_decide() {
        let mut doubts = Doubts::default();
        doubts.add(Code::Lost, "a", Said::as_is("x"));
        assert_eq!(doubts.at_best(), Verdict::Pass);
        doubts.add(Code::Unfinished, "", Said::as_is("x"));
        assert_eq!(doubts.at_best(), Verdict::Inconclusive);
        doubts.add(Code::NoPlan, "", Said::as_is("x"));
        assert_eq!(doubts.at_best(), Verdict::Error);
    }

    #[test]
    fn the_word_is_the_one_of_the_json() {
        for code in [
            Code::NoStart,
            Code::PassedWithout,
            Code::SealDiffers,
            Code::NotItsOwn,
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
        }
    }
}
