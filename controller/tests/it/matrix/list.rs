//! The enumerated states, and who dies there.

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dies {
    Agent,
    Controller,
    Both,
}

/// Whose process is held at the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holds {
    Agent,
    Controller,
}

/// One death.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) holds: Holds,
    pub(super) point: &'static str,
    pub(super) dies: Dies,
}

/// Where an agent is held, from the first order to the last.
const AGENT: [&str; 15] = [
    "command.prepare",
    "command.arm",
    "clock.pong",
    "command.start",
    "run.before-begin",
    "stage.running",
    "spool.after-append",
    "spool.after-sync",
    "results.before-send",
    "results.after-send",
    "results.acked",
    "stage.draining",
    "seal.before-write",
    "seal.after-sync",
    "command.release",
];

/// Where the controller is held, from the run's row to the report.
const CONTROLLER: [&str; 23] = [
    "begin.after-row",
    "begin.after-exhibits",
    "events.before-run-started",
    "events.after-run-started",
    "state.arming",
    "state.timing",
    "events.before-stage-ordered",
    "events.after-stage-ordered",
    "state.running",
    "ingest.before-commit",
    "ingest.after-commit",
    "state.collecting",
    "events.before-stage-collected",
    "events.after-stage-collected",
    "state.judging",
    "judge.before",
    "events.before-run-ended",
    "events.after-run-ended",
    "events.before-reported",
    "events.after-reported",
    "state.releasing",
    "report.before-end",
    "report.after-end",
];

/// Every cell.
pub(super) fn all() -> Vec<Cell> {
    let held = |holds, points: &[&'static str]| -> Vec<Cell> {
        let each = points.iter().flat_map(|&point| {
            [Dies::Agent, Dies::Controller, Dies::Both].map(|dies| Cell { holds, point, dies })
        });
        each.collect()
    };
    [
        held(Holds::Agent, &AGENT),
        held(Holds::Controller, &CONTROLLER),
    ]
    .concat()
}

/// Every place, with whoever is held there dying; and both for every third.
pub(super) fn covering() -> Vec<Cell> {
    let own = |cell: &Cell| match cell.holds {
        Holds::Agent => cell.dies == Dies::Agent,
        Holds::Controller => cell.dies == Dies::Controller,
    };
    let mut cells: Vec<_> = all().into_iter().filter(own).collect();
    let both = all().into_iter().filter(|cell| cell.dies == Dies::Both);
    cells.extend(both.step_by(3));
    cells
}
