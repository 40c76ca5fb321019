//! Load: many requests to one address, due when a schedule says so.
//!
//! A load has lanes, threads that share nothing of a request; each has its part of the schedule and
//! of the connections. Everything that was due is counted once, and each request's time begins when
//! it was due.
//!
//! - [`http1`]: reads answers. `request`: the bytes that are sent. `stream`: connections.
//! - `lane`: one thread, `cores`: where it stays. `places`: what its tasks share. `user`: takes what is due and has it carried.
//!   `sweep`: time-outs, and what is told.
//! - `carrier`: what carries a request: `exchange`, a connection of its own, or a place of `http2`.
//! - `fill`: what is other in each request. `judge`: what an answer must be. `mix`: which call a request is. `traced`: who answered.
//! - `sheet`: what is counted. `reference`: the lane that the others are compared with.
//! - `step`: a load of a stage. [`one_shot`]: the generator on its own, without a controller.
//!   `withheld`: what its host did not give it. [`null`]: a target that does nothing.

mod carrier;
mod cores;
mod exchange;
mod fill;
pub mod http1;
mod http2;
mod judge;
mod lane;
mod mix;
pub mod null;
pub mod one_shot;
mod places;
mod reference;
mod request;
mod sheet;
mod step;
mod stream;
mod sweep;
mod traced;
mod user;
mod withheld;

use std::{io, net::SocketAddr, sync::Arc, thread::JoinHandle};

use http::uri::PathAndQuery;
use nepho_agent_core::pace::Pace;
use nepho_common::{
    load::{CONNECTIONS_MAX, Carried, Counted, Model, Order, Pool, SPIN_MAX},
    plan::{BadSchedule, BadStripe},
    time::Mono,
};
use tokio::sync::{mpsc, watch};

pub(super) use self::step::{Ended, Loading};
use self::{
    fill::Filler,
    http2::Head,
    lane::{Requests, Said, Share, Work},
    mix::Mix,
    request::{BadRequest, Request},
    stream::Door,
};
use super::{
    guard::Guard,
    pacer::Mode,
    probe::{Failure, Site, Spoken, Tls},
};

/// The most calls of a mix.
const CALLS_MAX: u32 = 50;
/// Lanes tell once a second, and what came late of earlier seconds with it.
const SAID_MAX: usize = 1_024;

/// Why a load can't begin.
#[derive(Debug, thiserror::Error)]
pub enum Unable {
    /// The address is none.
    #[error("{0}")]
    Address(String),
    /// The request is none.
    #[error("{0}")]
    Request(String),
    /// The schedule is none.
    #[error("no schedule can be made of what is asked for")]
    Schedule(#[from] BadSchedule),
    /// No share of the schedule can be so small.
    #[error("no share can be made of the schedule")]
    Stripe(#[from] BadStripe),
    /// More or less than can be.
    #[error("{what} must be at least 1 and at most {most}, and is {is}")]
    Bounds {
        /// Of what.
        what: &'static str,
        /// What was asked for.
        is: u64,
        /// The most.
        most: u64,
    },
    /// Not one connection could be opened.
    #[error("no connection to {to} could be opened")]
    NoConnection {
        /// Whom.
        to: String,
        /// Why.
        #[source]
        why: Failure,
    },
    /// The policy forbids the target, or its name leads nowhere.
    #[error("{to} can't be dialled")]
    Target {
        /// Whom.
        to: String,
        /// Why.
        #[source]
        why: Failure,
    },
    /// This host has no more threads or file handles.
    #[error("a thread of the generator can't go on")]
    Thread(#[source] io::Error),
}

impl From<BadRequest> for Unable {
    fn from(bad: BadRequest) -> Self {
        Self::Request(bad.to_string())
    }
}

/// A load whose connections are open.
#[derive(Debug)]
pub struct Load {
    said: mpsc::Receiver<Said>,
    start: watch::Sender<Option<Mono>>,
    mode: watch::Sender<Mode>,
    lanes: Vec<JoinHandle<()>>,
    /// How many connections are open.
    pub connections: u32,
    /// Why one could not be opened.
    pub failure: Option<Failure>,
    /// Where they lead.
    pub addresses: Vec<SocketAddr>,
}

impl Load {
    /// Opens the connections. That none could be is no error: what is due will find out.
    ///
    /// # Errors
    /// What is asked for can't be done, or is forbidden.
    pub async fn open(order: &Order, guard: &Guard) -> Result<Self, Unable> {
        bounded("connections", order.connections, CONNECTIONS_MAX)?;
        bounded("lanes", order.lanes, order.connections)?;
        let cores = cores(order)?;
        possible(order).map_err(|why| Unable::Request(why.to_owned()))?;
        let (site, path) = Site::of(&order.url).map_err(Unable::Address)?;
        let path = path.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let filler = Arc::new(Filler::new(order));
        let requests = requests(order, &filler, &site, &path)?;
        let to = site.to.to_string();
        let addresses = guard.addresses(&site.to).await;
        let addresses = addresses.map_err(|why| Unable::Target {
            to: to.clone(),
            why,
        })?;
        let tls = match site.tls {
            None => None,
            Some(name) => {
                let tls = Tls::of(order.authorities.as_deref()).await;
                let tls = tls.map_err(Unable::Request)?;
                let spoken = if order.carried.http2 {
                    Spoken::Http2
                } else {
                    Spoken::Http1
                };
                Some((tls.connector(spoken).clone(), name))
            }
        };
        let work = Arc::new(Work {
            requests,
            mix: Mix::new(order.calls.iter().map(|call| call.weight), seed(order)),
            follows: order.calls.iter().map(|call| call.follows).collect(),
            taken: filler.taken(),
            is_traced: order.told_by.is_some(),
            door: Door {
                addresses: addresses.clone().into(),
                tls,
                http2: order.carried.http2,
            },
            model: order.model.clone(),
            lasts: order.lasts,
            timeout: order.timeout,
            carried: Carried {
                requests_per_connection: match order.carried.pool {
                    Pool::Shared | Pool::PerUser => order.carried.requests_per_connection,
                    Pool::New => 1,
                },
                ..order.carried
            },
        });
        Self::start(order, work, addresses, &cores).await
    }

    async fn start(
        order: &Order,
        work: Arc<Work>,
        addresses: Vec<SocketAddr>,
        cores: &[usize],
    ) -> Result<Self, Unable> {
        let (say, said) = mpsc::channel(SAID_MAX);
        let (start, started) = watch::channel(None);
        let (mode, asked) = watch::channel(Mode::Send);
        let mut load = Self {
            said,
            start,
            mode,
            lanes: Vec::new(),
            connections: 0,
            failure: None,
            addresses,
        };
        for lane in 0..order.lanes {
            let share = share(order, lane, cores)?;
            let (work, said) = (Arc::clone(&work), say.clone());
            let (started, asked) = (started.clone(), asked.clone());
            let thread = std::thread::Builder::new().name(format!("lane-{lane}"));
            let thread = thread.spawn(move || lane::run(work, share, started, asked, &said));
            load.lanes.push(thread.map_err(Unable::Thread)?);
        }
        if let Some(reference) = &order.reference {
            let (work, share) = reference::lane(order, reference, &work)?;
            let (started, asked, said) = (started.clone(), asked.clone(), say.clone());
            let thread = std::thread::Builder::new().name("reference".to_owned());
            let thread = thread.spawn(move || lane::run(work, share, started, asked, &said));
            load.lanes.push(thread.map_err(Unable::Thread)?);
        }
        drop(say);
        for _ in 0..load.lanes.len() {
            match load.said.recv().await {
                Some(Said::Opened(count, why)) => {
                    load.connections += count;
                    if let Some(why) = why {
                        load.failure.get_or_insert(why);
                    }
                }
                Some(Said::Broken(error)) => return Err(Unable::Thread(error)),
                Some(Said::Counted(_)) | None => {}
            }
        }
        Ok(load)
    }

    /// Begins at this instant.
    pub fn begin(&self, at: Mono) {
        self.start.send_replace(Some(at));
    }

    /// From now on nothing new is sent, or nothing is waited for either.
    pub fn turn(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// What was counted next; `None` when it is over.
    ///
    /// # Errors
    /// A thread could not go on.
    pub async fn next(&mut self) -> Result<Option<Counted>, Unable> {
        loop {
            match self.said.recv().await {
                Some(Said::Counted(counted)) => return Ok(Some(counted)),
                Some(Said::Opened(..)) => {}
                Some(Said::Broken(error)) => return Err(Unable::Thread(error)),
                None => return Ok(None),
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.turn(Mode::Cut);
        // A lane that waits for its start ends when nobody can give one.
        self.start.send_replace(Some(Mono(0)));
        self.said.close();
        for lane in self.lanes.drain(..) {
            drop(lane.join());
        }
    }
}

/// What is sent, made ready.
fn requests(
    order: &Order,
    filler: &Arc<Filler>,
    site: &Site,
    path: &PathAndQuery,
) -> Result<Requests, Unable> {
    let count = u32::try_from(order.calls.len()).unwrap_or(u32::MAX);
    bounded("calls", count, CALLS_MAX)?;
    let (calls, host) = (order.calls.iter(), &site.host);
    Ok(if order.carried.http2 {
        let is_tls = site.tls.is_some();
        let heads = calls.map(|call| Head::new(order, filler, call, host, path, is_tls));
        Requests::Http2(heads.collect::<Result<_, _>>()?)
    } else {
        let requests = calls.map(|call| Request::new(order, filler, call, host, path));
        Requests::Http1(requests.collect::<Result<_, _>>()?)
    })
}

fn bounded(what: &'static str, is: u32, most: u32) -> Result<(), Unable> {
    if (1..=most).contains(&is) {
        return Ok(());
    }
    Err(Unable::Bounds {
        what,
        is: is.into(),
        most: most.into(),
    })
}

/// The cores of the lanes, where each has one of its own; none else.
fn cores(order: &Order) -> Result<Vec<usize>, Unable> {
    if !order.carried.pin {
        return Ok(Vec::new());
    }
    let cores = cores::allowed().map_err(Unable::Thread)?;
    let count = u32::try_from(cores.len()).unwrap_or(u32::MAX);
    bounded("lanes with a core of their own", order.lanes, count)?;
    Ok(cores)
}

/// What can't be asked for at a time.
fn possible(order: &Order) -> Result<(), &'static str> {
    let carried = &order.carried;
    if carried.pool == Pool::PerUser && order.model.is_open() {
        return Err(
            "a connection for each user needs users: requests that are due by a schedule have none",
        );
    }
    if carried.pool == Pool::New && carried.requests_per_connection > 1 {
        return Err("a connection for each request can't carry several");
    }
    if carried.spin > SPIN_MAX {
        return Err("more than 10 ms before each request are no spin but a busy core");
    }
    Ok(())
}

/// Draws which call a request is.
const fn seed(order: &Order) -> u64 {
    match &order.model {
        Model::Open { seed, .. } => *seed,
        Model::Closed { .. } => 1,
    }
}

/// What this lane does of it; the first ones take what can't be divided.
fn share(order: &Order, lane: u32, cores: &[usize]) -> Result<Share, Unable> {
    let lanes = order.lanes;
    let (each, rest) = (order.connections / lanes, order.connections % lanes);
    let stripe = order.stripe.split(lane, lanes)?;
    let due = match &order.model {
        Model::Open { schedule, seed } => Some(Pace::new(schedule, *seed, stripe)?),
        Model::Closed { .. } => None,
    };
    Ok(Share {
        lane,
        is_reference: false,
        stripe,
        core: cores.get(lane as usize).copied(),
        due,
        connections: each + u32::from(lane < rest),
        in_flight_max: order.in_flight_max.div_ceil(lanes.into()),
    })
}
