//! The same with a real engine: its own, with folders of its own, without a network, and an image
//! that is one static program.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nepho_controller_core::report::Verdict;

use super::{container::site, of, told};
use crate::{
    found::report,
    process::{Running, clean, eventually, exists, said, skip, took},
};

const TEST: &str = "containers_of_a_real_engine_are_judged_by_what_they_really_use";

/// Uses a core, or nothing; the second after it took 64 MiB and touched them.
const PROGRAM: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int n, char **words) {
    if (n > 1 && !strcmp(words[1], "busy")) for (;;) ;
    /* Volatile: what nobody reads is left out by a compiler. */
    volatile char *room = malloc(64 << 20);
    for (long at = 0; at < 64 << 20; at += 1024) room[at] = 1;
    for (;;) pause();
}
"#;

/// An engine that ends with this.
struct Docker {
    running: Running,
    socket: PathBuf,
}

impl Docker {
    /// `None`, and why is said, where there can be none.
    fn start(dir: &Path) -> Option<Self> {
        let wanted = ["dockerd", "containerd", "runc", "docker", "gcc"];
        let lacking: Vec<_> = wanted
            .iter()
            .filter(|name| exists(name).is_none())
            .collect();
        if !lacking.is_empty() || !rustix::process::geteuid().is_root() {
            skip(TEST, &format!("it needs root, and lacks {lacking:?}"));
            return None;
        }
        let socket = dir.join("docker.sock");
        let path = |name: &str| dir.join(name).display().to_string();
        let mut command = clean(Command::new("dockerd"));
        // Nothing of this host's network is touched.
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
        command.args(["--storage-driver", "vfs"]);
        command.args(["--host", &format!("unix://{}", socket.display())]);
        command.args(["--data-root", &path("data"), "--exec-root", &path("exec")]);
        command.args(["--pidfile", &path("docker.pid")]);
        let mut docker = Self {
            running: Running::start(&mut command, dir, "dockerd"),
            socket,
        };
        let up = eventually("the engine answers or ends", || {
            if docker.ask(&["version"]).is_some() {
                return Some(true);
            }
            (!docker.running.is_alive()).then_some(false)
        });
        if !up {
            let errors = docker.running.errors();
            let last = errors.lines().last().unwrap_or_default();
            skip(TEST, &format!("the engine does not start here: {last}"));
            return None;
        }
        Some(docker)
    }

    fn docker(&self) -> Command {
        let mut docker = clean(Command::new("docker"));
        docker
            .arg("--host")
            .arg(format!("unix://{}", self.socket.display()));
        docker
    }

    /// What it printed, if it is content.
    fn ask(&self, words: &[&str]) -> Option<String> {
        let said = said(self.docker().args(words));
        (said.code == Some(0)).then_some(said.stdout)
    }

    fn image(&self, dir: &Path) {
        let root = dir.join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(dir.join("program.c"), PROGRAM).unwrap();
        let gcc = ["-static", "-O1", "-o", "root/program", "program.c"];
        said(clean(Command::new("gcc")).args(gcc).current_dir(dir)).with(0);
        let tar = ["-C", "root", "-cf", "image.tar", "program"];
        said(clean(Command::new("tar")).args(tar).current_dir(dir)).with(0);
        let tar = dir.join("image.tar").display().to_string();
        self.ask(&["import", &tar, "program:1"]).unwrap();
    }

    /// Starts a container and says its id.
    fn run(&self, words: &[&str]) -> String {
        let mut all = vec!["run", "--detach", "--network", "none"];
        all.extend(words);
        let said = said(self.docker().args(&all));
        said.with(0).trim().to_owned()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Containers outlive an engine that is killed.
        if let Some(all) = self.ask(&["ps", "--quiet", "--all"]) {
            for id in all.lines() {
                self.ask(&["rm", "--force", id]);
            }
        }
        self.running.signal(rustix::process::Signal::TERM);
        self.running.ended(Duration::from_secs(30));
    }
}

#[test]
fn containers_of_a_real_engine_are_judged_by_what_they_really_use() {
    let _took = took("containers of a real engine");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let Some(docker) = Docker::start(dir) else {
        return;
    };
    docker.image(dir);
    // A tenth of a core: it wants more, and is held back.
    let limited = ["--name", "web-1", "--label", "role=web", "--cpus", "0.1"];
    docker.run(&[&limited[..], &["program:1", "/program", "busy"]].concat());
    docker.run(&[
        "--name",
        "web-2",
        "--label",
        "role=web",
        "program:1",
        "/program",
        "idle",
    ]);
    let (site, _agent) = site(&docker.socket, "");
    let scenario = "api: nepho/v1
name: containers
fleet: fleet.yaml
stages:
  - name: only
    lasts: 16s
    steps:
      look: &
      wide: &
    expect:
      - {on: look, resource: {name: container.cpu, max: 2%}, by: [container]}
      - {on: look, resource: {name: container.throttled, max: 5%}, by: [container]}
      - {on: look, resource: {name: container.memory, max: 32MiB}, by: [container]}
      - {on: look, resource: {name: container.restarts, max: '0'}, by: [container]}
      - {on: wide, resource: {name: container.cpu, max: 50%}, by: [container]}
      - {on: wide, resource: {name: container.memory, max: 1GiB}, by: [container]}
";
    let watch = "{watch: {every: 2s, containers: {busy: {name: web-1}, idle: {name: web-2}, \
                 both: {label: role=web}}}}";
    std::fs::write(site.dir().join("s.yaml"), scenario.replace('&', watch)).unwrap();
    site.ask(&["run", "s.yaml", "--out", "one"]).with(10);
    let out = site.dir().join("one");
    let one = report(&out);
    let is = |what: &str, step, thing, expected| {
        let finding = of(&one, &format!("resource.container.{what}"), step, thing);
        assert_eq!(finding.verdict, expected, "{finding:#?}");
    };
    let (pass, fail) = (Verdict::Pass, Verdict::Fail);
    for (what, busy, idle, both) in [
        ("cpu", fail, pass, fail),
        ("throttled", fail, pass, fail),
        ("memory", pass, fail, fail),
        ("restarts", pass, pass, pass),
    ] {
        is(what, "look", "busy", busy);
        is(what, "look", "idle", idle);
        is(what, "look", "both", both);
    }
    for thing in ["busy", "idle", "both"] {
        is("cpu", "wide", thing, pass);
        is("memory", "wide", thing, pass);
    }
    let used = told(&out, "look", "container.cpu", "busy");
    let held = told(&out, "look", "container.throttled", "busy");
    println!("a busy loop with a tenth of a core used {used:?}, and was held back in {held:?}");
    assert!(used.iter().all(|share| *share < 0.2), "{used:?}");

    let mut run = site.nepho(&["run", "s.yaml", "--out", "two"]);
    let mut running = Running::start(&mut run, dir, "second");
    // Started again and again until the run is over, so that no instant of it has to be met.
    while running.is_alive() {
        docker.ask(&["restart", "--time", "0", "web-2"]).unwrap();
    }
    running.said(Duration::from_secs(60)).with(10);
    let out = site.dir().join("two");
    let ran = told(&out, "look", "container.count", "idle");
    let restarted = told(&out, "look", "container.restarts", "idle");
    println!("of one that is restarted all the time {ran:?} ran, after {restarted:?} restarts");
    let two = report(&out);
    let restarts = |thing| of(&two, "resource.container.restarts", "look", thing);
    assert_eq!(restarts("idle").verdict, fail, "{:?}", restarts("idle"));
    assert_eq!(restarts("busy").verdict, pass, "the other one ran on");
}
