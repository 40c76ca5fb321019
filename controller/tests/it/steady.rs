//! A steady state: what must be so before anything is disturbed.

use nepho_controller_core::report::{
    Verdict,
    model::{Report, Steady},
};

use crate::{
    fleet::{Service, write_fleet_of},
    found::report,
    process::took,
    site::{Place, Site},
};

/// One stage after the other, and nothing is expected but the steady state.
fn scenario(stages: &[&str]) -> String {
    let mut text = "api: nepho/v1\nname: s\nfleet: fleet.yaml\n\
                    steady-state: [{on: reach, success-rate: {min: 99%}, over: 10s}]\nstages:\n"
        .to_owned();
    for stage in stages {
        text.push_str(&format!(
            "  - name: {stage}\n    lasts: 10s\n    steps: \
             {{reach: {{probe: {{health: {{}}, every: 200ms, timeout: 1s}}}}}}\n"
        ));
    }
    text
}

fn verdict(report: &Report, steady: Steady) -> Verdict {
    let mut of = report
        .findings
        .iter()
        .filter(|one| one.steady == Some(steady));
    let found = of.next().unwrap();
    assert!(of.next().is_none(), "one finding for each of the two times");
    found.verdict
}

#[test]
fn a_run_that_does_not_begin_in_a_steady_state_ends_there_with_a_code_of_its_own() {
    let _took = took("steady state met and not met");
    let site = Site::start();
    let dir = site.dir();
    let service = Service::start(dir, "a", "svc");
    write_fleet_of(dir, std::slice::from_ref(&service));
    let _agent = site.agent(&Place::new("a-1", "a"));
    std::fs::write(dir.join("one.yaml"), scenario(&["only"])).unwrap();
    site.ask(&["run", "one.yaml", "--out", "one"]).with(0);
    let met = report(&dir.join("one"));
    let both = [Steady::Before, Steady::After].map(|steady| verdict(&met, steady));
    assert_eq!(both, [Verdict::Pass; 2]);
    for finding in &met.findings {
        // Ten seconds of five requests each, every one of them in the part that is judged.
        assert_eq!((finding.samples.planned, finding.samples.missing), (50, 0));
    }

    drop(service);
    std::fs::write(dir.join("two.yaml"), scenario(&["first", "second"])).unwrap();
    site.ask(&["run", "two.yaml", "--out", "two"]).with(13);
    let unmet = report(&dir.join("two"));
    assert_eq!(verdict(&unmet, Steady::Before), Verdict::Fail);
    assert_eq!(verdict(&unmet, Steady::After), Verdict::NotRun);
    assert!(
        unmet.stages[1].began_ns.is_none(),
        "nothing was disturbed and nothing came after"
    );
}
