//! What ends a load that harms: its own scenario, and the silence of whoever could stop it.

use std::time::Duration;

use nepho_common::event::{LoadEnd, What};
use nepho_controller::clock;
use nepho_controller_core::report::{Verdict, model::Code};
use rustix::process::Signal;

use super::{
    Light,
    step::{allow, planned},
};
use crate::{
    found::{events, journal, report},
    process::{Running, eventually, took},
    site::{Place, Site},
};

const LEASE: u64 = 15_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn fleet(light: &Light) -> String {
    let address = light.url.trim_end_matches('/');
    format!(
        "api: nepho/v1\nenvironments: {{a: {{}}}}\nservices:\n  - {{name: svc, environment: a, \
         http: {{health: /}}, address: {{default: \"{address}\"}}}}\n"
    )
}

fn scenario(lasts: &str, safety: &str) -> String {
    format!(
        "api: nepho/v1\nname: guarded\nfleet: fleet.yaml\n{safety}stages:\n  - name: one\n    \
         lasts: {lasts}\n    steps:\n      busy: {{load: {{open: {{rate: 200/s}}, timeout: 1s, \
         requests: [{{get: /}}]}}}}\n    expect:\n      - {{on: busy, success-rate: {{min: 99%}}}}\n"
    )
}

/// A site with two agents that may send load.
fn site() -> (Site, Vec<Running>) {
    let site = Site::start();
    let agents = ["a-1", "a-2"].map(|agent| {
        site.enrol(&Place::new(agent, "a"));
        allow(&site, agent);
        site.run_enrolled(agent)
    });
    (site, agents.into())
}

/// Waits until the stage is under way, and names the run.
fn under_way(site: &Site) -> String {
    eventually("the stage is under way", || {
        let runs = site.ask(&["status", "-o", "json"]).with(0);
        let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
        let run = runs["runs"].get(0)?.clone();
        let elapsed = run["progress"]["elapsed"].as_u64()?;
        let name = run["run"].as_str()?.to_owned();
        (run["progress"]["state"] == "running" && elapsed > 2 * SECOND).then_some(name)
    })
}

#[test]
fn a_load_ends_within_its_lease_when_nobody_could_stop_it() {
    let _took = took("a load without a controller");
    let (mut site, _agents) = site();
    let dir = site.dir().to_owned();
    let light = Light::start(&dir, &[]);
    std::fs::write(dir.join("fleet.yaml"), fleet(&light)).unwrap();
    std::fs::write(dir.join("s.yaml"), scenario("40s", "")).unwrap();
    let mut run = site.nepho(&["run", "s.yaml", "--anyway", "--out", "out"]);
    let run = Running::start(&mut run, &dir, "run");
    under_way(&site);
    site.kill_controller();
    let killed = clock::now().0;
    // Longer than the lease, and shorter than the stage.
    std::thread::sleep(Duration::from_secs(18));
    site.start_controller();
    let said = run.said(Duration::from_secs(60));
    let out = dir.join("out");
    let journal = journal(&out);
    let (plan, began) = planned(&journal);
    let came = light.came();
    let last = *came.last().unwrap();
    let late = (last - killed) as f64 / SECOND as f64;
    println!(
        "requests went on for {late:.1} s after the controller was killed; the stage had {} s left",
        (began.0 + plan.stages[0].lasts.0 - killed) / SECOND
    );
    // At most a heartbeat less than the lease, and no request after it: the slack is for requests
    // that were open.
    assert!(last >= killed + LEASE - 6 * SECOND, "it ended at once");
    assert!(last <= killed + LEASE + SECOND / 2, "{late} s");
    for agent in ["a-1", "a-2"] {
        let told = events(&journal, agent);
        let ends: Vec<_> = told
            .iter()
            .filter_map(|what| match what {
                What::LoadEnded {
                    why: LoadEnd::Unheard(silence),
                    ..
                } => Some(silence.0),
                _ => None,
            })
            .collect();
        assert!(
            matches!(ends[..], [silence] if (LEASE..LEASE + SECOND).contains(&silence)),
            "{agent}: {ends:?}"
        );
    }
    let report = report(&out);
    assert_ne!(report.verdict, Verdict::Pass, "{said:?}");
    let doubts = report.doubts.iter();
    let doubts: Vec<_> = doubts.filter(|one| one.code == Code::LoadEnded).collect();
    assert_eq!(doubts.len(), 2, "{:?}", report.doubts);
}

#[test]
fn what_must_hold_ends_the_run_at_once_when_it_does_not() {
    let _took = took("abort-if");
    let (site, _agents) = site();
    let dir = site.dir().to_owned();
    let light = Light::start(&dir, &[]);
    std::fs::write(dir.join("fleet.yaml"), fleet(&light)).unwrap();
    let safety = |least: &str| {
        format!("safety: {{abort-if: [{{on: busy, success-rate: {{min: {least}}}, over: 3s}}]}}\n")
    };
    // The control: whoever stands still for a moment is no reason.
    std::fs::write(dir.join("calm.yaml"), scenario("8s", &safety("50%"))).unwrap();
    let plan = site.ask(&["plan", "calm.yaml"]).with(0);
    let line = "aborts unless busy success-rate ≥ 50% over the last 3s";
    assert!(plan.contains(line), "{plan}");
    let calm = site.nepho(&["run", "calm.yaml", "--anyway", "--out", "calm"]);
    let calm = Running::start(&mut { calm }, &dir, "calm");
    under_way(&site);
    light.freeze(Duration::from_millis(500));
    calm.said(Duration::from_secs(40)).with(0);
    assert!(!report(&dir.join("calm")).was_aborted());

    std::fs::write(dir.join("s.yaml"), scenario("60s", &safety("50%"))).unwrap();
    let mut run = site.nepho(&["run", "s.yaml", "--anyway", "--out", "out"]);
    let run = Running::start(&mut run, &dir, "run");
    under_way(&site);
    light.signal(Signal::STOP);
    let stopped = clock::now().0;
    let said = run.said(Duration::from_secs(40));
    light.signal(Signal::CONT);
    assert_eq!(said.code, Some(12), "{said:?}");
    let journal = journal(&dir.join("out"));
    let (_, began) = planned(&journal);
    let aborted = events(&journal, "controller")
        .into_iter()
        .find_map(|what| match what {
            What::Aborted { at, why, .. } => Some((*at, why.clone())),
            _ => None,
        });
    let (at, why) = aborted.expect("the journal says so");
    let after = (began.0 as i64 + at.0 - stopped as i64) as f64 / SECOND as f64;
    println!("{after:.2} s after the target stood still: {why}");
    // Half of three seconds fail, each a second after it was sent, and each is told a little later.
    assert!((1.5..=5.0).contains(&after), "{after}");
    assert!(why.contains("and at least 50% must"), "{why}");
    let report = report(&dir.join("out"));
    assert!(report.was_aborted());
    assert_eq!(report.verdict, Verdict::Fail);
}
