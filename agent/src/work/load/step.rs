//! A load of a stage: one share of it, from the start of the stage to its end.

use nepho_common::{
    load::{Counted, Expected, Order, Reference, Sent},
    plan::{AssignedStage, Call, Check, HttpCheck, Load as Planned, Target},
    policy::{Endpoint, Policy},
    template::Template,
    time::{Mono, Nanos},
};
use tokio::{sync::watch, time::timeout};

use super::{
    super::{
        guard::Guard,
        pacer::Mode,
        probe::{Site, reveal},
    },
    Load, Unable,
};
use crate::clock;

/// A load whose controller is silent for so long ends: nobody could stop it. Three heartbeats, after
/// which the controller has given the agent up as well.
pub(in super::super) const LEASE: Nanos = Nanos::from_secs(15);

/// How a load ended that could go on to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Ended {
    /// With its stage, or because somebody wanted it.
    AsTold,
    /// Nothing was heard of the controller for so long.
    Unheard(Nanos),
}

/// One share of a step.
pub(in super::super) struct Loading {
    /// Place of the step in the stage.
    pub(in super::super) step: usize,
    /// Place of the share in the step.
    pub(in super::super) share: usize,
    order: Result<Order, Unable>,
    at: Mono,
    guard: Guard,
}

impl Loading {
    /// Every share of every load of a stage that starts at `at`.
    pub(in super::super) fn all(stage: &AssignedStage, at: Mono, guard: &Guard) -> Vec<Self> {
        let mut all = Vec::new();
        for (step, assigned) in stage.steps.iter().enumerate() {
            let Some(load) = assigned.act.load() else {
                continue;
            };
            for share in 0..load.shares.len() {
                all.push(Self {
                    step,
                    share,
                    order: order(stage, load, share, &guard.policy()),
                    at,
                    guard: guard.clone(),
                });
            }
        }
        all
    }

    /// Sends until the mode or the stage ends it, or nothing was heard of the controller for
    /// [`LEASE`], and tells what was counted.
    ///
    /// # Errors
    /// It can't begin, or this host has no more threads.
    pub(in super::super) async fn run<T: Future<Output = ()>>(
        self,
        mut mode: watch::Receiver<Mode>,
        mut heard: watch::Receiver<Mono>,
        tell: impl Fn(Counted) -> T,
    ) -> Result<Ended, Unable> {
        let order = self.order?;
        let mut load = tokio::select! {
            load = Load::open(&order, &self.guard) => load?,
            _ = beyond(&mut mode, Mode::Send) => return Ok(Ended::AsTold),
        };
        load.begin(self.at);
        let (mut known, mut ended) = (Mode::Send, Ended::AsTold);
        loop {
            tokio::select! {
                counted = load.next() => match counted? {
                    Some(counted) => tell(counted).await,
                    None => return Ok(ended),
                },
                turned = beyond(&mut mode, known), if known < Mode::Cut => {
                    known = turned;
                    load.turn(known);
                }
                silence = unheard(&mut heard), if known == Mode::Send => {
                    known = Mode::Cut;
                    ended = Ended::Unheard(silence);
                    load.turn(known);
                }
            }
        }
    }
}

/// Comes back when nothing was heard of the controller for [`LEASE`], and says for how long.
async fn unheard(heard: &mut watch::Receiver<Mono>) -> Nanos {
    loop {
        let silence = clock::now().since(*heard.borrow_and_update());
        if silence >= LEASE {
            return silence;
        }
        // Another word of it begins the wait anew; who can't hear it any more waits to the end.
        let rest = Nanos(LEASE.0 - silence.0).duration();
        let word = async {
            if heard.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        drop(timeout(rest, word).await);
    }
}

/// Comes back with a mode beyond the one that is known; a driver that is gone wants an end at once.
async fn beyond(mode: &mut watch::Receiver<Mode>, known: Mode) -> Mode {
    let turned = mode.wait_for(|mode| *mode > known).await;
    turned.map_or(Mode::Cut, |mode| *mode)
}

/// What a generator is told to do of it. The budget has seen that nothing is lacking.
fn order(
    stage: &AssignedStage,
    load: &Planned<Target>,
    share: usize,
    policy: &Policy,
) -> Result<Order, Unable> {
    let lacks = || Unable::Request("the step says nothing of what is sent".to_owned());
    let share = load.shares.get(share).ok_or_else(lacks)?;
    let (mut calls, mut base) = (Vec::new(), None);
    for call in &load.calls {
        let mut targets = load.to.iter();
        let target = targets.find(|to| to.to == share.to && to.operation == call.operation);
        let Some(Check::Http(check)) = target.map(|target| &target.check) else {
            return Err(lacks());
        };
        base.get_or_insert_with(|| check.url.clone());
        calls.push(sent(call, check, policy)?);
    }
    Ok(Order {
        schema: Order::SCHEMA.to_owned(),
        url: base.ok_or_else(lacks)?,
        calls,
        told_by: load.told_by.clone(),
        model: load.model.clone(),
        stripe: share.stripe,
        connections: share.connections,
        lanes: share.lanes,
        lasts: stage.lasts,
        warm_up: load.warm_up,
        timeout: load.timeout,
        in_flight_max: share.in_flight_max,
        number: false,
        authorities: None,
        feeds: load.feeds.clone(),
        seed: load.seed,
        carried: load.carried,
        reference: share
            .reference
            .zip(load.reference_call())
            .map(|(rate, call)| Reference { call, rate }),
    })
}

fn sent(call: &Call, check: &HttpCheck, policy: &Policy) -> Result<Sent, Unable> {
    let to = Endpoint::of_url(&check.url).map_err(|why| Unable::Address(why.to_string()))?;
    let (_, path) = Site::of(&check.url).map_err(Unable::Address)?;
    let headers = check.headers.iter().map(|(name, value)| {
        let value = reveal(value, &to, policy).map_err(Unable::Request)?;
        let value = match call.is_template {
            true => Template::literal(&value).to_string(),
            false => value,
        };
        Ok((name.clone(), value))
    });
    let mut headers: Vec<_> = headers.collect::<Result<_, Unable>>()?;
    headers.extend(call.headers.iter().cloned());
    let path = if call.path.is_empty() {
        path.to_string()
    } else {
        call.path.clone()
    };
    Ok(Sent {
        weight: call.weight,
        method: check.method.clone(),
        target: Some(path),
        headers,
        body: call.body.clone().into_bytes(),
        is_template: call.is_template,
        is_json: call.is_json,
        follows: call.follows,
        take: call.take.clone(),
        expect: Expected {
            status: check.status.clone(),
            headers_have: check.headers_have.clone(),
            body_has: check.body_has.clone(),
            json: check.json.clone(),
        },
    })
}
