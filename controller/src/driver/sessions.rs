//! The agents as the driver knows them: who is connected, how far each clock is off, what is on its
//! way to them.

use std::collections::BTreeMap;

use nepho_common::{
    calibrated::Calibrated,
    control::{Command, Hello, Host, Order, PolicyReport},
    id::{AgentId, BootId, EnvironmentName, Feature, RunId, RunKey},
    time::{ClockOffset, Exchange, Mono, Nanos},
};
use nepho_controller_core::clock::{Estimate, Jump, Reading, Told};
use nepho_proto::session::{ControllerMessage, Ping, Pong, Sender};
use tracing::{info, warn};

use super::SessionId;
use crate::{clock, discipline, sessions::HEARTBEAT, view::AgentView};

/// Exchanges in a burst: the shortest of eight round trips is seldom a queue's.
const BURST: u32 = 8;
/// Pings of one session that were not answered; more than that and the agent is as good as silent.
const PINGS_MAX: usize = 32;

/// All agents that had a session since the controller started.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    agents: BTreeMap<AgentId, Known>,
}

/// For so long after a second copy was refused its agent is shown as cloned. A copy that runs comes
/// again within 10 s.
const COPY_SHOWN: Nanos = Nanos::from_secs(60);

/// How a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The agent's first since we started, or the same process again.
    Same,
    /// Another process than before.
    Restarted,
    /// Another process while the first one is in its session: refused.
    Copy,
}

/// What an answer to a ping brought.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// It contradicts what was known: a clock was disturbed.
    pub(super) disturbed: Option<Jump>,
    /// Where the offset would lie by what the hosts say of their clocks, and where it does.
    pub(super) rejected: Option<(ClockOffset, ClockOffset)>,
    /// The runs whose burst is over, with what it showed.
    pub(super) over: Vec<(RunId, Reading)>,
}

#[derive(Debug)]
struct Known {
    environment: EnvironmentName,
    boot: BootId,
    host: Host,
    features: Vec<Feature>,
    policy: Option<PolicyReport>,
    calibrated: Option<Calibrated>,
    clock: Estimate,
    heard: Mono,
    session: Option<Session>,
    copy_seen: Option<Mono>,
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    out: Sender<ControllerMessage>,
    next_ping: u64,
    pinged: Mono,
    /// Pings on their way: an agent's word is not taken for what we stamped.
    pings: BTreeMap<u64, Mono>,
    bursts: BTreeMap<RunId, u32>,
}

impl Fleet {
    /// A session was opened; it replaces an older one of the same process. Of two processes with
    /// one identity the one that is in its session stays: a copy must not push the agent out.
    pub(super) fn open(
        &mut self,
        agent: &AgentId,
        environment: EnvironmentName,
        id: SessionId,
        hello: &Hello,
        out: Sender<ControllerMessage>,
    ) -> Entry {
        let now = clock::now();
        if let Some(known) = self.agents.get_mut(agent)
            && known.is_copied_by(hello.boot, now)
        {
            known.copy_seen = Some(now);
            let (host, theirs) = (&hello.host.name, &known.host.name);
            warn!(%agent, %host, first = %theirs, "ALARM: a second copy of one identity was refused");
            return Entry::Copy;
        }
        let before = self.agents.remove(agent);
        let copy_seen = before.as_ref().and_then(|known| known.copy_seen);
        let restarted = before
            .as_ref()
            .is_some_and(|known| known.boot != hello.boot);
        let clock = match before {
            Some(known) if !restarted => known.clock,
            Some(_) | None => Estimate::default(),
        };
        let session = Session {
            id,
            out,
            next_ping: 1,
            pinged: Mono(0),
            pings: BTreeMap::new(),
            bursts: BTreeMap::new(),
        };
        let known = Known {
            environment,
            boot: hello.boot,
            host: hello.host.clone(),
            features: hello.features.iter().cloned().collect(),
            policy: hello.policy.clone(),
            calibrated: hello.calibrated,
            clock,
            heard: now,
            session: Some(session),
            copy_seen,
        };
        self.agents.insert(agent.clone(), known);
        self.beat(now);
        if restarted {
            Entry::Restarted
        } else {
            Entry::Same
        }
    }

    /// Something came. `false`: from a session that was replaced.
    pub(super) fn heard(&mut self, agent: &AgentId, id: SessionId, at: Mono) -> bool {
        let Some(known) = self.agents.get_mut(agent) else {
            return false;
        };
        let current = known
            .session
            .as_ref()
            .is_some_and(|session| session.id == id);
        if current {
            known.heard = at;
        }
        current
    }

    /// A session is over.
    pub(super) fn close(&mut self, agent: &AgentId, id: SessionId) {
        let Some(known) = self.agents.get_mut(agent) else {
            return;
        };
        if known.session.take_if(|session| session.id == id).is_some() {
            info!(%agent, "session closed");
        }
    }

    /// The heartbeat: pings whoever is due, and cuts off who is silent.
    pub(super) fn beat(&mut self, now: Mono) {
        for (agent, known) in &mut self.agents {
            let silent = now.since(known.heard) > nepho_controller_core::run::LOST_AFTER;
            if known.session.take_if(|_| silent).is_some() {
                warn!(%agent, "session cut: nothing was heard for three heartbeats");
            }
            if let Some(session) = &mut known.session
                && now.since(session.pinged) >= HEARTBEAT
            {
                session.ping();
            }
        }
    }

    /// An answer to a ping.
    pub(super) fn pong(&mut self, agent: &AgentId, pong: &Pong, t4: Mono) -> Answered {
        let Some(known) = self.agents.get_mut(agent) else {
            return Answered::default();
        };
        let Some(session) = &mut known.session else {
            return Answered::default();
        };
        if let Some(policy) = &pong.policy {
            known.policy = Some(policy.clone());
        }
        let Some(t1) = session.pings.remove(&pong.id) else {
            return Answered::default();
        };
        let exchange = Exchange {
            t1,
            t2: pong.t2,
            t3: pong.t3,
            t4,
        };
        let told = known.clock.note(exchange, pong.epoch);
        match told {
            Told::Agrees => {}
            Told::Contradicts(_) => warn!(%agent, "its clock or ours was disturbed"),
            Told::Nonsense => warn!(%agent, "time stamps that contradict themselves"),
        }
        let claimed = pong.wall.zip(discipline::host_wall());
        let claimed = claimed.and_then(|(theirs, ours)| theirs.offset_from(ours));
        // Theirs was read before ours, and both may have drifted on the way.
        let claimed = claimed.map(|claimed| claimed.aged(t4.since(t1)));
        let measured = known.clock.note_hosts(claimed, t4);
        let rejected = claimed.zip(measured);
        if let Some((claimed, measured)) = rejected {
            warn!(%agent, ?claimed, ?measured, "what our hosts say of their clocks is not so");
        }
        let mut over = Vec::new();
        session.bursts.retain(|run, left| {
            *left = left.saturating_sub(1);
            if *left == 0 {
                over.push(run.clone());
            }
            *left > 0
        });
        if !session.bursts.is_empty() {
            session.ping();
        }
        let read = known.clock.read(clock::now());
        let showed = |run| read.map(|read| (run, read));
        Answered {
            disturbed: match told {
                Told::Contradicts(jump) => Some(jump),
                Told::Agrees | Told::Nonsense => None,
            },
            rejected,
            over: over.into_iter().filter_map(showed).collect(),
        }
    }

    /// Exchanges clocks in a burst, for this run.
    pub(super) fn burst(&mut self, agent: &AgentId, run: &RunId) {
        let session = self
            .agents
            .get_mut(agent)
            .and_then(|known| known.session.as_mut());
        let Some(session) = session else { return };
        session.bursts.insert(run.clone(), BURST);
        session.ping();
    }

    /// Sends an order, if the agent is connected; the run repeats it otherwise.
    pub(super) fn send(&mut self, agent: &AgentId, key: &RunKey, order: Order) {
        let Some(known) = self.agents.get_mut(agent) else {
            return;
        };
        let Some(session) = &known.session else {
            return;
        };
        let command = ControllerMessage::Command(Command {
            key: key.clone(),
            order,
        });
        if session.out.try_send(command).is_err() {
            warn!(%agent, "session cut: it does not take its orders");
            known.session = None;
        }
    }

    /// Ends one agent's session, and says why; whether it had one.
    pub(super) fn dismiss(&mut self, agent: &AgentId, reason: &str) -> bool {
        let known = self.agents.get_mut(agent);
        let Some(session) = known.and_then(|known| known.session.take()) else {
            return false;
        };
        session.say_goodbye(reason);
        true
    }

    /// Ends all sessions.
    pub(super) fn say_goodbye(&mut self, reason: &str) {
        for session in self
            .agents
            .values_mut()
            .filter_map(|known| known.session.take())
        {
            session.say_goodbye(reason);
        }
    }

    /// For people, with the runs that each takes part in.
    pub(super) fn views(&self, runs: &[(&RunId, Vec<AgentId>)], now: Mono) -> Vec<AgentView> {
        let view = |(agent, known): (&AgentId, &Known)| AgentView {
            agent: agent.clone(),
            environment: known.environment.clone(),
            connected: known.session.is_some(),
            silent_for: Some(now.since(known.heard)),
            host: Some(known.host.clone()),
            features: known.features.clone(),
            policy: known.policy.clone(),
            calibrated: known.calibrated,
            clock: known.clock.offset(now),
            round_trip: known.clock.round_trip(),
            revoked: None,
            cloned: known
                .copy_seen
                .is_some_and(|seen| now.since(seen) <= COPY_SHOWN),
            runs: runs
                .iter()
                .filter(|(_, agents)| agents.contains(agent))
                .map(|(run, _)| (*run).clone())
                .collect(),
        };
        self.agents.iter().map(view).collect()
    }
}

impl Known {
    /// Whether another process of it is in a session that is alive.
    fn is_copied_by(&self, boot: BootId, now: Mono) -> bool {
        let alive = now.since(self.heard) <= nepho_controller_core::run::LOST_AFTER;
        self.session.is_some() && self.boot != boot && alive
    }
}

impl Session {
    fn say_goodbye(self, reason: &str) {
        let goodbye = ControllerMessage::Goodbye {
            reason: reason.to_owned(),
        };
        // One that is full or gone notices the closed stream.
        self.out.try_send(goodbye).ok();
    }

    fn ping(&mut self) {
        if self.pings.len() >= PINGS_MAX {
            self.pings.pop_first();
        }
        let id = self.next_ping;
        self.next_ping += 1;
        let t1 = clock::now();
        // A full queue is a slow agent: it will be silent, and that is noticed.
        if self
            .out
            .try_send(ControllerMessage::Ping(Ping { id, t1 }))
            .is_ok()
        {
            self.pings.insert(id, t1);
            self.pinged = t1;
        }
    }
}
