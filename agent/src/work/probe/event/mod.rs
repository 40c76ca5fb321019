//! A message that is sent and waited for. Each is told from all others by an id of its own.
//!
//! - `line`: bytes to and from a target that speaks in lines, with bounds.
//! - `redis`, `nats`, `webhook`: the channels.

mod line;
mod nats;
mod redis;
mod webhook;

use nepho_common::{
    plan::EventCheck,
    policy::{Endpoint, Policy},
};

use self::{nats::Nats, redis::Redis, webhook::Webhook};
use super::{Failure, means::Means};
use crate::random;

#[derive(Debug)]
pub(super) enum EventQuestion {
    Redis(Redis),
    Nats(Nats),
    Webhook(Box<Webhook>),
}

impl EventQuestion {
    pub(super) fn new(check: &EventCheck, to: Endpoint, policy: &Policy) -> Result<Self, String> {
        Ok(match check {
            EventCheck::Redis(check) => Self::Redis(Redis::new(check, to, policy)?),
            EventCheck::Nats(check) => Self::Nats(Nats::new(check, to, policy)?),
            EventCheck::Webhook(check) => Self::Webhook(Box::new(Webhook::new(check, policy)?)),
        })
    }

    pub(super) const fn needs_tls(&self) -> bool {
        match self {
            Self::Redis(_) | Self::Nats(_) => false,
            Self::Webhook(hook) => hook.needs_tls(),
        }
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>) -> Result<(), Failure> {
        let id: [u8; 16] = random::bytes().map_err(Failure::Random)?;
        let id = format!("nepho-{}", hex::encode(id));
        match self {
            Self::Redis(redis) => redis.ask(means, &id).await,
            Self::Nats(nats) => nats.ask(means, &id).await,
            Self::Webhook(hook) => hook.ask(means, &id).await,
        }
    }
}
