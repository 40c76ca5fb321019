//! How an agent ends: it drains, it cuts what takes too long, and it can be told to hurry.

use std::time::Instant;

use nepho_common::{control::Refusal, event::StageEnd, id::StageName};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command as Program};

use super::*;

struct Site {
    controller: Controller,
    dir: DataDir,
    _temp: tempfile::TempDir,
}

fn one() -> StageName {
    "one".parse().unwrap()
}

impl Site {
    async fn joined() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir(temp.path().join("agent"));
        let controller = Controller::start().await;
        join(controller.join(&dir, SECRET, controller.pin()))
            .await
            .unwrap();
        Self {
            controller,
            dir,
            _temp: temp,
        }
    }

    /// The agent is in the middle of a stage that lasts so long.
    async fn runs(&mut self, lasts: Nanos) {
        self.controller.welcome().await;
        let plan = Box::new(assignment(1, lasts));
        self.controller.order(Order::Prepare(plan)).await;
        self.controller.order(Order::Arm(one())).await;
        let start = Order::Start {
            stage: one(),
            at_run: RunTime(0),
            at: clock::now(),
        };
        self.controller.order(start).await;
        while self.controller.phase().await != Phase::Running(one()) {}
    }

    /// How the stage ended, once its seal is here.
    async fn sealed(&mut self) -> StageEnd {
        let mut end = None;
        loop {
            let entry = self.controller.entries.recv().await.unwrap();
            match entry.body {
                Body::Events(events) => {
                    end = events.into_iter().fold(end, |end, event| match event.what {
                        What::StageEnded { how, .. } => Some(how),
                        _ => end,
                    });
                }
                Body::Seal(_) => return end.unwrap(),
                _ => {}
            }
        }
    }

    fn program(&self, options: &[&str]) -> Child {
        Program::new(env!("CARGO_BIN_EXE_nepho-agent"))
            .arg("run")
            .args(options)
            .arg("--data-dir")
            .arg(&self.dir.0)
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

#[tokio::test]
async fn while_it_drains_it_finishes_its_stage_answers_pings_and_takes_nothing_new() {
    local(async {
        let mut site = Site::joined().await;
        let running = run(&site.dir);
        site.runs(Nanos::from_millis(1500)).await;
        running.stop.send_replace(DRAIN);
        let key = RunKey {
            run: "r2".parse().unwrap(),
            attempt: Attempt(1),
            fence: Fence(1),
        };
        let order = Order::Prepare(Box::new(assignment(1, Nanos::from_secs(1))));
        let command = Command { key, order };
        let say = &site.controller.say;
        say.send(ControllerMessage::Command(command)).await.unwrap();
        assert_eq!(
            site.controller.phase().await,
            Phase::Refused(Refusal::Leaving)
        );
        let ping = Ping {
            id: 7,
            t1: clock::now(),
        };
        let say = &site.controller.say;
        say.send(ControllerMessage::Ping(ping)).await.unwrap();
        assert!(matches!(
            site.controller.hear().await,
            AgentMessage::Pong(_)
        ));
        assert_eq!(site.sealed().await, StageEnd::Completed);
        while !matches!(site.controller.hear().await, AgentMessage::Goodbye { .. }) {}
        assert_eq!(running.agent.await.unwrap().unwrap(), Ending::Complete);
    })
    .await;
}

#[tokio::test]
async fn a_stage_that_outlasts_the_deadline_is_cut_and_sealed() {
    local(async {
        let mut site = Site::joined().await;
        let running = run(&site.dir);
        site.runs(Nanos::from_secs(60)).await;
        let soon = Leave::Drain(Duration::from_millis(300));
        running.stop.send_replace(soon);
        assert_eq!(site.sealed().await, StageEnd::Stopped(StopMode::Abort));
        assert_eq!(running.agent.await.unwrap().unwrap(), Ending::Incomplete);
    })
    .await;
}

#[tokio::test]
async fn results_that_nobody_acknowledges_are_waited_for_no_longer_than_said() {
    local(async {
        let mut site = Site::joined().await;
        site.controller.acks.store(false, Ordering::Relaxed);
        let running = run(&site.dir);
        site.runs(Nanos::from_millis(300)).await;
        let asked = Instant::now();
        running.stop.send_replace(DRAIN);
        assert_eq!(running.agent.await.unwrap().unwrap(), Ending::Incomplete);
        println!("gave up after {:?}", asked.elapsed());
    })
    .await;
}

#[tokio::test]
async fn the_exit_code_says_how_complete_the_end_was() {
    local(async {
        // A stage is cut at the deadline: 75.
        let mut site = Site::joined().await;
        let mut child = site.program(&["--drain", "0"]);
        site.runs(Nanos::from_secs(60)).await;
        signal(&child, Signal::TERM);
        assert_eq!(site.sealed().await, StageEnd::Stopped(StopMode::Abort));
        assert_eq!(child.wait().await.unwrap().code(), Some(75));

        // A second signal does not wait for the stage: 143, or 130 for Ctrl-C.
        for (second, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let mut site = Site::joined().await;
            let mut child = site.program(&["--drain", "600"]);
            site.runs(Nanos::from_secs(60)).await;
            signal(&child, Signal::TERM);
            let early = tokio::time::timeout(Duration::from_millis(300), child.wait());
            assert!(early.await.is_err(), "it finishes its stage first");
            signal(&child, second);
            assert_eq!(child.wait().await.unwrap().code(), Some(code));
        }
    })
    .await;
}
