//! Traces: a table in four columns.

use nepho_common::{
    id::Operation,
    recording::{TRACE_RUNS_MAX, Trace, TraceRun},
    time::{Nanos, RunTime},
};

use super::field::{at_most, choice, name, run_time, span, within_range};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    wire,
};

impl TryFrom<wire::Trace> for Trace {
    type Error = BadMessage;

    fn try_from(wire: wire::Trace) -> Result<Self, BadMessage> {
        let rows = wire.gap.len();
        at_most("gap", rows, TRACE_RUNS_MAX)?;
        if [wire.length.len(), wire.count.len(), wire.outcome.len()] != [rows; 3] {
            return Err(Wrong::Columns.into());
        }
        let mut runs: Vec<TraceRun> = Vec::with_capacity(rows);
        for row in 0..rows {
            let before = runs.last().map(|run| run.last);
            let columns = (
                wire.gap[row],
                wire.length[row],
                wire.count[row],
                wire.outcome[row],
            );
            runs.push(run(before, columns).within(&format!("[{row}]"))?);
        }
        // 4096 rows of 32 bits stay far below 64 bits; only what was left out can go beyond.
        let told: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
        let most = i128::from(u64::MAX - told);
        within_range("truncated", wire.truncated.into(), 0, most)?;
        let back_end = (!wire.back_end.is_empty()).then_some(wire.back_end);
        Ok(Self {
            stage: name("stage", wire.stage)?,
            step: name("step", wire.step)?,
            operation: name("operation", wire.operation)?,
            to: name("to", wire.to)?,
            back_end: back_end.map(|text| name("back_end", text)).transpose()?,
            runs,
            connections: wire.connections,
            truncated: wire.truncated,
        })
    }
}

fn run(
    before: Option<RunTime>,
    (gap, length, count, outcome): (i64, u64, u32, i32),
) -> Result<TraceRun, BadMessage> {
    let first = match before {
        // Its own cap keeps the sum inside 64 bits.
        Some(before) => {
            let gap = run_time("gap", gap)?.0;
            if gap < 0 {
                return Err(Wrong::Backwards).within("gap");
            }
            run_time("gap", before.0 + gap)?
        }
        None => run_time("gap", gap)?,
    };
    let last = run_time("length", first.plus(span("length", length)?).0)?;
    within_range("count", count.into(), 1, u32::MAX.into())?;
    if count == 1 && last != first {
        return Err(Wrong::Backwards).within("length");
    }
    let outcome = choice::<wire::Outcome, _>("outcome", outcome)?;
    Ok(TraceRun {
        first,
        last,
        count,
        outcome,
    })
}

impl From<&Trace> for wire::Trace {
    fn from(trace: &Trace) -> Self {
        let mut last = RunTime(0);
        let mut gap = |run: &TraceRun| {
            let before = std::mem::replace(&mut last, run.last);
            run.first.0.saturating_sub(before.0)
        };
        let length = |run: &TraceRun| {
            let Nanos(length) = run.last.since(run.first);
            length
        };
        let outcome = |run: &TraceRun| wire::Outcome::from(run.outcome).into();
        Self {
            stage: trace.stage.to_string(),
            step: trace.step.to_string(),
            operation: trace.operation.to_string(),
            to: trace.to.to_string(),
            back_end: trace
                .back_end
                .as_ref()
                .map(Operation::to_string)
                .unwrap_or_default(),
            gap: trace.runs.iter().map(&mut gap).collect(),
            length: trace.runs.iter().map(length).collect(),
            count: trace.runs.iter().map(|run| run.count).collect(),
            outcome: trace.runs.iter().map(outcome).collect(),
            connections: trace.connections,
            truncated: trace.truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::arbitrary::{through, trace};

    proptest! {
        #[test]
        fn a_trace_reads_back(trace in trace()) {
            prop_assert_eq!(through::<wire::Trace, _>(&trace), Ok(trace));
        }

        #[test]
        fn columns_of_different_lengths_are_refused(trace in trace(), which in 0usize..3) {
            let mut wire = wire::Trace::from(&trace);
            match which {
                0 => wire.length.push(0),
                1 => wire.count.push(1),
                _ => wire.outcome.push(1),
            }
            prop_assert_eq!(Trace::try_from(wire).unwrap_err().wrong, Wrong::Columns);
        }

        #[test]
        fn a_row_that_can_not_be_is_refused(
            trace in trace(), at in any::<Index>(), which in 0usize..5,
        ) {
            prop_assume!(trace.runs.len() > 1);
            let mut wire = wire::Trace::from(&trace);
            let row = at.index(trace.runs.len() - 1) + 1;
            match which {
                0 => wire.gap[row] = -1,
                1 => wire.gap[row] = i64::MAX,
                2 => wire.length[row] = u64::MAX,
                3 => wire.count[row] = 0,
                _ => wire.outcome[row] = 0,
            }
            let bad = Trace::try_from(wire).unwrap_err();
            prop_assert!(bad.field.starts_with(&format!("[{row}].")), "{bad}");
        }
    }

    #[test]
    fn a_trace_longer_than_any_of_ours_is_refused() {
        let rows = TRACE_RUNS_MAX + 1;
        let wire = wire::Trace {
            gap: vec![0; rows],
            ..Default::default()
        };
        let bad = Trace::try_from(wire).unwrap_err();
        assert_eq!(
            bad.wrong,
            Wrong::TooMany {
                found: rows,
                max: TRACE_RUNS_MAX
            }
        );
    }
}
