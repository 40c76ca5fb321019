//! The controller's death and return: what it had not yet committed is lost, sessions are cut, the
//! run is taken up from the journal, and everybody is asked again.

use std::collections::BTreeMap;

use nepho_common::{
    control::Phase,
    event::{Event, What},
    id::{Fence, RunKey},
    journal::Body,
    time::Nanos,
};
use nepho_controller_core::{
    clock::Estimate,
    report::{self, Verdict},
    run::{self, Past, Run},
};

use crate::world::World;

impl World {
    /// Gives an event to the scribe; a commit takes up to 30 ms.
    pub(crate) fn write(&mut self, event: Event) {
        let takes = Nanos::from_millis(1 + self.chance.below(30));
        let before = self.unwritten.back().map_or(self.now, |(at, _)| *at);
        self.unwritten
            .push_back((self.now.plus(takes).max(before), event));
    }

    /// What is committed by now, or all of it.
    pub(crate) fn commit(&mut self, all: bool) {
        while let Some((_, event)) = self
            .unwritten
            .pop_front_if(|(at, _)| all || *at <= self.now)
        {
            let begun = matches!(event.what, What::RunStarted { .. });
            let ordered = match &event.what {
                What::StageOrdered { stage, .. } => Some(stage.clone()),
                _ => None,
            };
            self.keep(Body::Events(vec![event]));
            if begun {
                self.input(run::Input::Begun);
            }
            if let Some(stage) = ordered {
                self.input(run::Input::Ordered(stage));
            }
        }
    }

    /// SIGKILL; it comes back within 20 s.
    pub(crate) fn crash_controller(&mut self) {
        self.restarts += 1;
        self.unwritten.clear();
        self.wire.clear();
        let down = Nanos::from_millis(self.chance.below(20_000));
        self.away = Some(self.now.plus(down));
    }

    /// The same store, another process.
    pub(crate) fn come_back(&mut self) {
        self.away = None;
        let said: Vec<Event> = self
            .entries()
            .into_iter()
            .filter(|entry| entry.key.agent.is_controller())
            .flat_map(|entry| match entry.body {
                Body::Events(events) => events,
                _ => Vec::new(),
            })
            .collect();
        let collected = said.iter().filter_map(|event| match &event.what {
            What::StageCollected { stage, .. } => Some(stage.clone()),
            _ => None,
        });
        let judge = |stage| {
            let passed = report::judge_stage(self.entries(), &stage) == Verdict::Pass;
            (stage, passed)
        };
        let passed: BTreeMap<_, _> = collected.map(judge).collect();
        let before = self.run.key().clone();
        let key = RunKey {
            fence: Fence(before.fence.0 + 1),
            ..before
        };
        let past = Past {
            key,
            plan: self.run.plan().clone(),
            said: &said,
            shift: 0,
            passed,
        };
        let (run, actions) = Run::restore(past, self.now).unwrap();
        self.run = run;
        self.clocks.fill_with(Estimate::default);
        self.bursts.fill(0);
        self.boots.fill(0);
        self.greeted.fill(false);
        self.perform(actions);
        for index in 0..self.agents.len() {
            let (agent, spool) = (self.agents[index].id.clone(), self.agents[index].spool_id);
            let seq = self.durable(&agent, spool);
            self.input(run::Input::Durable { agent, spool, seq });
        }
    }

    /// The first words of an agent in a session name every run that it knows.
    pub(crate) fn greet(&mut self, index: usize, knows_the_run: bool) {
        if !std::mem::replace(&mut self.greeted[index], true) && !knows_the_run {
            let agent = self.agents[index].id.clone();
            let phase = Phase::Unknown;
            self.input(run::Input::Status { agent, phase });
        }
    }
}
