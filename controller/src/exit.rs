//! Exit codes: documented here and nowhere else, never renumbered.
//!
//! `nepho explain CODE` prints one, `nepho explain exit-codes` the table. Codes of verbs that come
//! later are here already, so that nobody takes their numbers.

use std::process::ExitCode;

use nepho_controller_core::report::{Report, Verdict};

/// Why the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All passed, or the command did what it was told.
    Passed,
    /// Our own error.
    Internal,
    /// The command line is wrong.
    Usage,
    /// A scenario, fleet or configuration is wrong.
    Invalid,
    /// The controller knows us, and refuses.
    NotAuthorised,
    /// No controller answers.
    Unreachable,
    /// The doctor found failures.
    Doctor,
    /// Refused before anything ran.
    Refused,
    /// An expectation failed.
    Failed,
    /// Nothing failed, but not everything could be decided or was tried.
    Inconclusive,
    /// A guard ended the run.
    Aborted,
    /// The steady state was not met before the first disturbance.
    SteadyState,
    /// Something could not be undone.
    NotUndone,
    /// `plan --detailed-exitcode`: load or faults would run.
    WouldDisturb,
    /// Ctrl-C, and everything was rolled back.
    Interrupted,
    /// SIGTERM, and everything was rolled back.
    Terminated,
}

impl Exit {
    /// Every code, in order.
    pub const ALL: [Self; 16] = [
        Self::Passed,
        Self::Internal,
        Self::Usage,
        Self::Invalid,
        Self::NotAuthorised,
        Self::Unreachable,
        Self::Doctor,
        Self::Refused,
        Self::Failed,
        Self::Inconclusive,
        Self::Aborted,
        Self::SteadyState,
        Self::NotUndone,
        Self::WouldDisturb,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::NotAuthorised => 4,
            Self::Unreachable => 5,
            Self::Doctor => 6,
            Self::Refused => 7,
            Self::Failed => 10,
            Self::Inconclusive => 11,
            Self::Aborted => 12,
            Self::SteadyState => 13,
            Self::NotUndone => 14,
            Self::WouldDisturb => 20,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// What it means, for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Passed => "all passed, or the command did what it was told",
            Self::Internal => "our own error; of a run: the test itself broke",
            Self::Usage => "the command line is wrong",
            Self::Invalid => "a scenario, fleet or configuration is wrong",
            Self::NotAuthorised => "not authorised",
            Self::Unreachable => "no controller answers",
            Self::Doctor => "the doctor found failures",
            Self::Refused => {
                "refused before anything ran: policy, capability, pre-flight, stale plan, busy"
            }
            Self::Failed => {
                "an expectation failed, a comparison regressed, a cluster command rolled back"
            }
            Self::Inconclusive => "inconclusive, incomparable or not run",
            Self::Aborted => "aborted by a guard",
            Self::SteadyState => "steady state not met, nothing was injected",
            Self::NotUndone => "something could not be undone: a person must look",
            Self::WouldDisturb => "plan --detailed-exitcode: load or faults would run",
            Self::Interrupted => "interrupted (Ctrl-C), everything rolled back",
            Self::Terminated => "terminated (SIGTERM), everything rolled back",
        }
    }

    /// The code with this number.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// What a run's report ends a command with. A run in which an agent refused its part and no
    /// stage began was refused, not broken.
    #[must_use]
    pub fn of_report(report: &Report) -> Self {
        let began = report.stages.iter().any(|stage| stage.began_ns.is_some());
        if !began && report.agents.iter().any(|agent| agent.refused.is_some()) {
            return Self::Refused;
        }
        if report.was_unsteady() {
            return Self::SteadyState;
        }
        if report.was_aborted() {
            return Self::Aborted;
        }
        match report.verdict {
            Verdict::Pass => Self::Passed,
            Verdict::Error => Self::Internal,
            Verdict::Fail => Self::Failed,
            Verdict::Inconclusive | Verdict::NotRun => Self::Inconclusive,
        }
    }

    /// All of them as text, one a line.
    #[must_use]
    pub fn table() -> String {
        let row = |exit: Self| format!("{:>4}  {}\n", exit.code(), exit.meaning());
        Self::ALL.into_iter().map(row).collect()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use nepho_controller_core::report;

    use super::*;

    #[test]
    fn the_numbers_are_what_was_promised() {
        insta::assert_snapshot!(Exit::table());
    }

    #[test]
    fn no_number_is_given_twice() {
        for exit in Exit::ALL {
            assert_eq!(Exit::of_code(exit.code()), Some(exit));
        }
        assert_eq!(Exit::of_code(99), None);
    }

    #[test]
    fn verdicts_end_as_the_report_says() {
        for verdict in [
            Verdict::Pass,
            Verdict::NotRun,
            Verdict::Inconclusive,
            Verdict::Fail,
            Verdict::Error,
        ] {
            let mut report = report::report([], Vec::new());
            report.verdict = verdict;
            assert_eq!(Exit::of_report(&report).code(), report::exit_code(&report));
        }
    }

    #[test]
    fn a_run_that_an_agent_refused_is_refused_and_not_broken() {
        let mut report = report::report([], Vec::new());
        report.verdict = Verdict::Error;
        report.agents = vec![report::model::AgentReport {
            agent: "a".parse().unwrap(),
            environment: None,
            host: None,
            features: Vec::new(),
            refused: Some("busy".to_owned()),
            records: std::collections::BTreeMap::new(),
            samples: 0,
            lost: Vec::new(),
            sealed: Vec::new(),
            missing: Vec::new(),
        }];
        assert_eq!(Exit::of_report(&report), Exit::Refused);
    }
}
