//! A lane that sends little beside the others, over a connection of its own: what it sees and they do
//! not is their own doing, or the target's with crowded connections.

use std::sync::Arc;

use nepho_agent_core::pace::Pace;
use nepho_common::{
    load::{Carried, Model, Order, Reference},
    plan::{Arrivals, Schedule, Stripe},
};

use super::{
    Unable,
    lane::{Share, Work},
    mix::Mix,
};

/// What it does of the work that the others do.
pub(super) fn lane(
    order: &Order,
    reference: &Reference,
    work: &Work,
) -> Result<(Arc<Work>, Share), Unable> {
    let schedule = Schedule::constant(Arrivals::Constant, reference.rate, order.lasts)?;
    let due = Pace::new(&schedule, 0, Stripe::WHOLE)?;
    let only = |(_, nth)| u32::from(nth == reference.call);
    let work = Work {
        mix: Mix::new(order.calls.iter().zip(0..).map(only), 0),
        follows: Vec::new(),
        taken: 0,
        is_traced: false,
        model: Model::Open { schedule, seed: 0 },
        carried: Carried {
            http2: order.carried.http2,
            ..Carried::default()
        },
        ..work.clone()
    };
    let share = Share {
        lane: order.lanes,
        is_reference: true,
        stripe: Stripe::WHOLE,
        core: None,
        due: Some(due),
        connections: 1,
        // Nothing waits for its turn, so what is sent has all its time.
        in_flight_max: 1,
    };
    Ok((Arc::new(work), share))
}
