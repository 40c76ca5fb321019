//! What a watch says of processes, judged: real agents, and processes of the test's own that do
//! what they are called.

mod container;
mod docker;
mod engine;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use nepho_common::{journal::Body, recording::Gauge};
use nepho_controller_core::report::{
    Verdict,
    model::{Code, Finding, Report},
};

use crate::{
    found::{dimension, journal, report},
    process::{clean, command, said, took},
};

/// A process with a name that no other has. It is a shell under another name, so it needs nothing.
struct Named {
    child: Child,
    name: String,
}

impl Named {
    /// A shell that is called `name`, for whoever starts it.
    fn shell(dir: &Path, name: &str) -> PathBuf {
        // Fifteen bytes are what the kernel keeps of a name, and other tests may run beside this.
        let path = dir.join(format!("{name}-{}", std::process::id()));
        std::fs::copy("/bin/sh", &path).unwrap();
        path
    }

    fn start(dir: &Path, name: &str, script: &str) -> Self {
        let shell = Self::shell(dir, name);
        let mut command = clean(Command::new(&shell));
        Self::from(command.args(["-c", script]), &shell)
    }

    /// One that is started again and again by another.
    fn again(dir: &Path, name: &str, script: &str) -> Self {
        let shell = Self::shell(dir, name);
        let mut command = clean(Command::new("/bin/sh"));
        let own = shell.display();
        let script = script.replace("SELF", &own.to_string());
        Self::from(command.args(["-c", &script]), &shell)
    }

    fn from(command: &mut Command, shell: &Path) -> Self {
        use std::os::unix::process::CommandExt as _;
        // A group of its own, so that what it started ends with it.
        let child = command.process_group(0).spawn().unwrap();
        let name = shell.file_name().unwrap().to_str().unwrap().to_owned();
        Self { child, name }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// Stands still for good, and uses nothing.
const STAND_STILL: &str = "kill -STOP $$";

fn fleet(dir: &Path) {
    let fleet = "api: nepho/v1\nenvironments: {local: {}}\nservices:\n  \
                 - {name: none, environment: local, tcp: {}, address: {inside: '127.0.0.1:1'}}\n";
    std::fs::write(dir.join("fleet.yaml"), fleet).unwrap();
}

fn of<'a>(report: &'a Report, kind: &str, step: &str, thing: &str) -> &'a Finding {
    let mut all = report.findings.iter().filter(|one| {
        let word = if kind.contains("container") {
            "container"
        } else {
            "process"
        };
        one.kind == kind && one.step.as_str() == step && dimension(one, word) == thing
    });
    let found = all.next();
    found.unwrap_or_else(|| panic!("{kind} of {thing} in {step}: {:#?}", report.findings))
}

/// What was told of one thing, in order.
fn told(out: &Path, step: &str, name: &str, thing: &str) -> Vec<f64> {
    let entries = journal(out).into_iter();
    let gauges = entries.flat_map(|entry| match entry.body {
        Body::Gauges(gauges) => gauges,
        Body::Events(_)
        | Body::Recordings(_)
        | Body::Traces(_)
        | Body::Exhibits(_)
        | Body::Seal(_) => Vec::new(),
    });
    let is = |one: &Gauge| {
        let of = one.thing.as_ref().is_some_and(|one| one.as_str() == thing);
        of && one.step.as_str() == step && one.name.as_str() == name
    };
    let told: BTreeMap<_, _> = gauges.filter(is).map(|one| (one.at, one.value)).collect();
    told.into_values().collect()
}

#[test]
fn processes_are_judged_by_what_they_really_use() {
    let _took = took("processes watched, judged");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fleet(dir);
    let hog = Named::start(dir, "hog", "while :; do :; done");
    let idle = Named::start(dir, "idle", STAND_STILL);
    // Twice as much every quarter of a second, up to 32 MiB in one text.
    let leak = Named::start(
        dir,
        "leak",
        "x=aaaaaaaa; i=0; while [ $i -lt 22 ]; do x=$x$x; i=$((i+1)); sleep 0.25; done; \
         kill -STOP $$",
    );
    let again = Named::again(dir, "again", "while :; do SELF -c 'sleep 2; :'; done");
    let flap = Named::again(
        dir,
        "flap",
        "while :; do SELF -c 'sleep 3; :'; sleep 3; done",
    );
    let scenario = "api: nepho/v1
name: things
fleet: fleet.yaml
stages:
  - name: only
    lasts: 12s
    steps:
      tight: &
      wide: &
    expect:
      - {on: tight, resource: {name: process.cpu, max: 5%}, by: [process]}
      - {on: tight, resource: {name: process.memory, max: 20MiB}, by: [process]}
      - {on: tight, resource: {name: process.restarts, max: '0'}, by: [process]}
      - {on: tight, resource: {name: process.count, min: '1'}, by: [process]}
      - {on: wide, resource: {name: process.cpu, max: 6400%}, by: [from, process]}
      - {on: wide, resource: {name: process.memory, max: 4GiB}, by: [process]}
      - {on: wide, resource: {name: process.restarts, max: '1000'}, by: [process]}
";
    let watch = format!(
        "{{watch: {{every: 1s, processes: {{hog: {{name: {}}}, idle: {{name: {}}}, \
         leak: {{name: {}}}, again: {{name: {}}}, flap: {{name: {}}}, missing: {{name: no-such-program}}}}}}}}",
        hog.name, idle.name, leak.name, again.name, flap.name
    );
    std::fs::write(dir.join("things.yaml"), scenario.replace('&', &watch)).unwrap();
    let mut run = command("nepho");
    run.args(["run", "things.yaml", "--local", "--out", "out"]);
    said(run.current_dir(dir)).with(10);
    let out = dir.join("out");
    let found = report(&out);
    let verdict = |kind: &str, step, thing| of(&found, kind, step, thing).verdict;

    let cpu = |thing| verdict("resource.process.cpu", "tight", thing);
    assert_eq!((cpu("hog"), cpu("idle")), (Verdict::Fail, Verdict::Pass));
    let memory = |thing| verdict("resource.process.memory", "tight", thing);
    assert_eq!(
        (memory("leak"), memory("hog")),
        (Verdict::Fail, Verdict::Pass)
    );
    let restarts = |thing| verdict("resource.process.restarts", "tight", thing);
    assert_eq!(
        (restarts("again"), restarts("hog")),
        (Verdict::Fail, Verdict::Pass)
    );
    let count = |thing| verdict("resource.process.count", "tight", thing);
    assert_eq!(
        (count("flap"), count("hog")),
        (Verdict::Fail, Verdict::Pass)
    );
    assert_eq!(count("missing"), Verdict::Fail);
    // The same processes lie within wider bounds.
    for thing in ["hog", "idle"] {
        assert_eq!(
            verdict("resource.process.cpu", "wide", thing),
            Verdict::Pass
        );
    }
    assert_eq!(
        verdict("resource.process.memory", "wide", "leak"),
        Verdict::Pass
    );
    assert_eq!(
        verdict("resource.process.restarts", "wide", "again"),
        Verdict::Pass
    );

    // Of one that is not there nothing is known, and that is said.
    let missing = of(&found, "resource.process.memory", "wide", "missing");
    assert_eq!(missing.verdict, Verdict::Inconclusive, "{missing:?}");
    let cause = missing.cause.as_ref().unwrap();
    assert!(cause.contains("It is not there"), "{cause}");
    let noted: Vec<_> = found
        .doubts
        .iter()
        .filter(|doubt| doubt.code == Code::Watched)
        .map(|doubt| doubt.text.as_str())
        .collect();
    let says = |words: &[&str]| {
        let all = |text: &&str| words.iter().all(|word| text.contains(word));
        assert!(noted.iter().any(all), "{words:?}: {noted:#?}");
    };
    says(&["flap,", "is gone"]);
    says(&["again,", "was started again"]);
    says(&["missing,", "is not there"]);
    assert!(
        !noted.iter().any(|text| text.contains("hog,")),
        "{noted:#?}"
    );

    let leaked = told(&out, "tight", "process.memory", "leak");
    let (first, last) = (leaked[0], leaked[leaked.len() - 1]);
    assert!(last > 2.0 * first, "it grew: {leaked:?}");
    let used = told(&out, "tight", "process.cpu", "hog");
    println!("a busy loop used {used:?} of a core");
    assert!(
        used.iter().all(|share| *share < 1.1),
        "one core at the most: {used:?}"
    );
    let idle = told(&out, "tight", "process.cpu", "idle");
    assert!(idle.iter().all(|share| *share < 0.01), "{idle:?}");
}
