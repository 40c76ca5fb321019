//! What agents and controller say of spools that were full and of clocks that lie, as a reader of the
//! report has it. None of it changes a figure or a verdict.

use nepho_common::{
    event::{Shortage, What},
    journal::{Body, Entry},
    time::{ClockOffset, Nanos, RunTime},
};

use super::{
    fixture::{agent, good, has, journal, of, plan, told, told_by},
    model::{Code, Report},
    render::{Lang, markdown},
};

fn with(more: Vec<Entry>) -> Report {
    let mut entries = journal(&plan(), good);
    entries.extend(more);
    of(entries)
}

fn text(report: &Report, code: Code) -> &str {
    let doubt = report.doubts.iter().find(|doubt| doubt.code == code);
    &doubt.unwrap().text
}

#[test]
fn a_spool_that_was_full_is_told_with_how_finely_its_results_are_divided() {
    let sound = with(Vec::new());
    assert!(!has(&sound, Code::Coarse));
    let full = |why, waited, longest| {
        told_by(
            agent("local"),
            What::SpoolFull {
                stage: "hybrid".parse().unwrap(),
                why,
                waited: Nanos::from_secs(waited),
                longest: Nanos::from_secs(longest),
            },
        )
    };
    let mut second = full(Shortage::Disk, 7, 90);
    second[0].key.seq = second[0].key.seq.next();
    let report = with([full(Shortage::Disk, 12, 30), second].concat());
    let said = text(&report, Code::Coarse);
    for part in [
        "agent-local",
        "for 12s",
        "the disk took nothing",
        "hybrid",
        "1m30s",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(markdown::render(&report, Lang::En).contains("no finer than by 1m30s"));
    let quota = with(full(Shortage::Quota, 0, 1_400));
    let said = text(&quota, Code::Coarse);
    assert!(
        said.contains("was full, because it was as large as it may be"),
        "{said}"
    );
    for report in [&report, &quota] {
        assert_eq!(report.findings, sound.findings);
        assert_eq!(report.verdict, sound.verdict);
        assert!(
            !has(report, Code::WallClock),
            "it has no stamps to judge clocks by"
        );
    }
    // Nobody says it of another.
    let forged = What::SpoolFull {
        stage: "hybrid".parse().unwrap(),
        why: Shortage::Disk,
        waited: Nanos(0),
        longest: Nanos(0),
    };
    assert!(has(&with(told(forged)), Code::NotItsOwn));
}

#[test]
fn a_host_whose_clock_is_not_where_it_says_is_named_with_the_least_that_it_is_off() {
    let range = |lo, hi| ClockOffset { lo, hi };
    let rejected = |claimed, measured| {
        with(told(What::HostClockRejected {
            agent: agent("tencent"),
            at: RunTime(3_000_000_000),
            claimed,
            measured,
        }))
    };
    for (claimed, measured) in [
        (range(79_000_000, 81_000_000), range(-1_000_000, 1_000_000)),
        (range(-1_000_000, 1_000_000), range(79_000_000, 81_000_000)),
    ] {
        let report = rejected(claimed, measured);
        let said = text(&report, Code::HostClock);
        assert!(
            said.contains("agent-tencent") && said.contains("at least 78ms"),
            "{said}"
        );
        assert_eq!(report.findings, with(Vec::new()).findings);
    }
    assert!(!has(&with(Vec::new()), Code::HostClock));
}

#[test]
fn a_start_that_hosts_own_bounds_narrowed_says_what_it_is_without_them() {
    let mut entries = journal(&plan(), good);
    for entry in &mut entries {
        let Body::Events(events) = &mut entry.body else {
            continue;
        };
        if let What::StageOrdered { agents, .. } = &mut events[0].what {
            for order in agents.values_mut() {
                order.measured = Some(ClockOffset {
                    lo: -40_000_000,
                    hi: 40_000_000,
                });
            }
        }
    }
    let page = markdown::render(&of(entries), Lang::En);
    let said = "± 40µs (by the hosts' own clocks; by exchanges alone ± 40ms)";
    assert!(page.contains(said), "{page}");
    assert!(!markdown::render(&with(Vec::new()), Lang::En).contains("exchanges alone"));
}
