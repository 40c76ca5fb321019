//! The crash matrix: at each named place of a run somebody is killed (the agent, the controller,
//! both) and started again, and the run must come to its end by itself.
//!
//! Whatever died: what was acknowledged is stored, once; nothing is counted that no service
//! received, and nothing twice; the run ends in time, with a verdict that is a pass only if every
//! planned request is there. A place that is not reached fails its cell.

mod cell;
mod check;
mod list;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use self::{
    cell::{Lived, live},
    list::{Cell, all, covering},
};
use crate::process::took;

/// Cells at a time: each waits most of its time.
const ABREAST: usize = 6;

#[test]
fn whoever_dies_wherever_nothing_acknowledged_is_lost_and_no_verdict_is_a_false_pass() {
    let _took = took("crash matrix");
    let all_of_it = std::env::var_os("NEPHO_CELLS").is_some_and(|cells| cells == "all");
    play(&if all_of_it { all() } else { covering() });
}

#[test]
fn the_matrix_has_its_forty_cells_and_the_covering_set_every_place() {
    let (all, covering) = (all(), covering());
    assert!(all.len() >= 40, "{}", all.len());
    for cell in &all {
        assert!(
            covering.iter().any(|one| one.point == cell.point),
            "{} is in no cell of the gate",
            cell.point
        );
    }
    println!(
        "{} cells, {} of them in the gate",
        all.len(),
        covering.len()
    );
}

fn play(cells: &[Cell]) {
    let next = AtomicUsize::new(0);
    let table = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..ABREAST.min(cells.len()) {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let began = Instant::now();
                    // A cell fails by panicking; the others go on.
                    let lived = std::panic::catch_unwind(|| live(cell));
                    let seconds = began.elapsed().as_secs_f64();
                    table.lock().unwrap().push((*cell, lived.ok(), seconds));
                }
            });
        }
    });
    let mut table = table.into_inner().unwrap();
    table.sort_by_key(|(cell, ..)| *cell);
    println!(
        "| held at | dies | seconds | acknowledged | stored | requests received | counted | verdict |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (cell, lived, seconds) in &table {
        let Cell { point, dies, .. } = cell;
        match lived {
            Some(Lived {
                acked,
                stored,
                received,
                counted,
                verdict,
            }) => println!(
                "| {point} | {dies:?} | {seconds:.1} | {acked} | {stored} | {received} | {counted} | {verdict} |"
            ),
            None => println!("| {point} | {dies:?} | {seconds:.1} | | | | | FAILED, see above |"),
        }
    }
    let failed: Vec<_> = table
        .iter()
        .filter(|(_, lived, _)| lived.is_none())
        .collect();
    let failed: Vec<_> = failed.iter().map(|(cell, ..)| cell).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Breaks one promise in what a cell left.
type Doctor = fn(&mut check::Evidence);

/// The check can fail: each thing that is broken on purpose in what a real cell left must be found.
#[test]
fn a_doctored_store_is_found_by_the_same_check() {
    let cell = Cell {
        holds: list::Holds::Controller,
        point: "report.after-end",
        dies: list::Dies::Controller,
    };
    let (_, evidence) = cell::lived(&cell);
    assert_eq!(check::check(&evidence), Ok(()));
    let broken: [(&str, Doctor); 6] = [
        ("an acknowledged record is gone", |e| {
            let first = e.stored[0].first().copied();
            first.map(|seq| e.stored[0].remove(&seq));
        }),
        ("a record is there twice", |e| {
            e.journal.extend(e.journal.first().cloned())
        }),
        ("more is counted than was received", |e| e.received = [0, 0]),
        ("more is counted than was planned", |e| {
            e.report.findings[0].samples.observed += 1_000;
            e.received = [u64::MAX, u64::MAX];
        }),
        ("a pass with something missing", |e| {
            e.report.findings[0].samples.missing = 1
        }),
        ("a stage that was ordered twice", |e| {
            let twice = e.journal.iter().find(|entry| check::orders(entry)).cloned();
            e.journal.extend(twice.map(|mut entry| {
                entry.key.seq.0 += 1_000;
                entry
            }));
        }),
    ];
    for (what, doctor) in broken {
        let mut evidence = evidence.clone();
        doctor(&mut evidence);
        assert!(check::check(&evidence).is_err(), "{what} was not noticed");
    }
}
