//! An agent whose disk fails: errors of `fdatasync` and of writes, put in by `strace` where there is one.

use std::{path::Path, process::Command};

use nepho_controller_core::report::Verdict;

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    found::report,
    process::{clean, exists, program, skip, took},
    site::{Place, Site},
};

/// The agent under a tracer that lets calls fail.
fn failing(strace: &Path, fault: &str) -> Command {
    let mut tracer = clean(Command::new(strace));
    tracer.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
    tracer.arg("trace=fdatasync,pwrite64").arg("-e");
    tracer.arg(format!("inject={fault}")).arg("--");
    tracer.arg(program("nepho-agent"));
    tracer
}

#[test]
fn an_agent_whose_disk_gives_errors_writes_again_elsewhere_and_loses_no_count() {
    let _took = took("EIO of fdatasync and of pwrite");
    const TEST: &str = "an_agent_whose_disk_gives_errors…";
    let Some(strace) = exists("strace") else {
        return skip(TEST, "there is no strace");
    };
    let mut traced = Command::new(&strace);
    let traced = traced.args(["-qq", "-o", "/dev/null", "true"]).output();
    if !traced.is_ok_and(|traced| traced.status.success()) {
        return skip(TEST, "this host lets nobody trace");
    }
    let site = Site::start();
    let dir = site.dir();
    let services = ["a", "b"].map(|env| Service::start(dir, env, &format!("svc-{env}")));
    write_fleet_of(dir, &services);
    // A tracer makes an agent slow: a request of every second second is never late by another.
    std::fs::write(dir.join("s.yaml"), scenario("s", &["only"], "6s", "2s")).unwrap();
    let faults = [
        ("a-1", "a", "fdatasync:error=EIO:when=2..3"),
        ("b-1", "b", "pwrite64:error=EIO:when=2..3"),
    ];
    let _agents = faults.map(|(agent, environment, fault)| {
        site.enrol(&Place::new(agent, environment));
        site.run_agent(agent, &mut failing(&strace, fault))
    });
    site.ask(&["run", "s.yaml", "--anyway", "--out", "out"])
        .with(0);
    let report = report(&dir.join("out"));
    assert_eq!(report.verdict, Verdict::Pass);
    for finding in &report.findings {
        assert_eq!(finding.samples.missing, 0, "{finding:?}");
    }
    for (agent, _, fault) in faults {
        let log = std::fs::read_to_string(dir.join(format!("{agent}.stderr"))).unwrap();
        assert!(log.contains("results wait in memory"), "{fault}: {log}");
        assert!(
            log.contains("the disk takes results again"),
            "{fault}: {log}"
        );
        let spool = site.data(agent).join("spool");
        let files = std::fs::read_dir(spool).unwrap().flatten();
        let aside = files.filter(|file| file.path().extension().is_some_and(|e| e == "quarantine"));
        assert_eq!(aside.count(), 0, "{fault}");
    }
}
