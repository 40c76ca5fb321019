//! What two kept clocks know of each other. This host's may be kept by nobody, so a library stands
//! before `adjtimex` and says what chrony would; the clocks themselves are the host's one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use nepho_common::{event::What, time::Nanos};

use crate::{
    fleet::{Service, distances, scenario, write_fleet_of},
    found::{events, journal, report},
    process::{exists, program, skip, took},
    site::{Place, Site},
    start::{gives_namespaces, namespace, true_errors},
};

/// A kernel whose clock is kept within so many microseconds.
const KEPT: &str = "
#include <string.h>
#include <sys/timex.h>
int adjtimex(struct timex *timex) {
    memset(timex, 0, sizeof *timex);
    timex->status = STA_PLL;
    timex->maxerror = MAXERROR;
    timex->esterror = MAXERROR / 10;
    return TIME_OK;
}
";

fn library(dir: &Path, maxerror: u32) -> Option<PathBuf> {
    let (source, library) = (dir.join("kept.c"), dir.join("kept.so"));
    std::fs::write(&source, KEPT).unwrap();
    let mut compiler = Command::new(exists("cc")?);
    compiler.args(["-shared", "-fPIC", "-O1"]);
    compiler.arg(format!("-DMAXERROR={maxerror}"));
    let made = compiler.arg("-o").arg(&library).arg(&source).output();
    made.ok()?.status.success().then_some(library)
}

#[test]
fn two_kept_clocks_bound_a_start_over_far_paths_better_than_any_exchange() {
    let _took = took("start, kept clocks");
    const TEST: &str = "two_kept_clocks_bound_a_start…";
    if !gives_namespaces() {
        return skip(TEST, "no time namespaces, or not for us");
    }
    let temp = tempfile::tempdir().unwrap();
    let Some(library) = library(temp.path(), 2_000) else {
        return skip(TEST, "there is no C compiler");
    };
    let site = Site::start_preloaded(&library);
    let dir = site.dir();
    let services = ["a", "b", "c"].map(|at| Service::start(dir, at, &format!("svc-{at}")));
    write_fleet_of(dir, &services);
    std::fs::write(
        dir.join("s.yaml"),
        scenario("s", &["one", "two"], "3s", "500ms"),
    )
    .unwrap();
    let (_proxy, paths) = distances(dir, site.sessions, &[(60, 0)]);
    let places = [
        // Behind a lopsided path; the same, and nobody keeps its clock; near.
        ("far-1", "a", Some(paths[0]), 1_000, true),
        ("alone-1", "b", Some(paths[0]), 5_000, false),
        ("near-1", "c", None, 20_000, true),
    ];
    let _agents = places.map(|(agent, environment, sessions, seconds, kept)| {
        site.enrol(&Place {
            agent,
            environment,
            sessions,
        });
        let mut starter = namespace(seconds);
        if kept {
            starter.env("LD_PRELOAD", &library);
        }
        site.run_agent(agent, starter.arg(program("nepho-agent")))
    });
    site.ask(&["run", "s.yaml", "--out", "out"]).with(0);

    let (journal, report) = (journal(&dir.join("out")), report(&dir.join("out")));
    let ahead: BTreeMap<_, _> = places
        .iter()
        .map(|(agent, _, _, seconds, _)| (*agent, seconds * 1_000_000_000))
        .collect();
    // The truth lies within what is stated, narrowed or not.
    assert_eq!(true_errors(&journal, &report, &ahead).unwrap().len(), 6);
    for what in events(&journal, "controller") {
        assert!(!matches!(what, What::HostClockRejected { .. }), "{what:?}");
        let What::StageOrdered { agents, .. } = what else {
            continue;
        };
        for (agent, order) in agents {
            let (bound, alone) = (order.offset.width().half(), order.measured);
            println!("{agent}: ± {bound}, by exchanges alone {alone:?}");
            match agent.as_str() {
                "far-1" => {
                    assert!(bound < Nanos::from_millis(6), "{order:?}");
                    let alone = alone.unwrap().width().half();
                    assert!(alone > Nanos::from_millis(20), "{order:?}");
                }
                // On a host that is kept in truth its kernel's own word counts.
                "alone-1" => assert!(alone.is_some() || bound > Nanos::from_millis(20)),
                _ => assert!(bound < Nanos::from_millis(6), "{order:?}"),
            }
        }
    }
}
