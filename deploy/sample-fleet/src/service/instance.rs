//! What the connections of one service share: who it is, what is wrong with it, what it received.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::HeaderValue;
use serde_json::{Value, json};

use super::{burn::Burner, missing::Missing, switches::Switches};
use crate::{counts::Counts, listener::locked};

#[derive(Debug)]
pub(super) struct Service {
    pub(super) identity: Identity,
    pub(super) missing: Missing,
    pub(super) counts: Arc<Mutex<Counts>>,
    turned: Mutex<Turned>,
    started: Instant,
}

/// The switches, and the thread that one of them wants.
#[derive(Debug, Default)]
struct Turned {
    switches: Switches,
    burner: Option<Burner>,
}

#[derive(Debug)]
pub(super) struct Identity {
    pub(super) environment: String,
    pub(super) group: String,
    pub(super) name: String,
    pub(super) instance: String,
    pub(super) version: String,
    pub(super) instance_header: HeaderValue,
    pub(super) version_header: HeaderValue,
}

/// This text can't be the value of a header.
#[derive(Debug)]
pub(super) struct NotAHeader(pub(super) String);

impl Service {
    pub(super) fn new(identity: Identity, missing: Missing) -> Self {
        Self {
            identity,
            missing,
            counts: Arc::default(),
            turned: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// How long the service has been there: the clock of its switches.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn switches(&self) -> Switches {
        locked(&self.turned).switches.clone()
    }

    /// Turns the switches, or leaves them as they are if there is no thread to burn with.
    pub(super) fn turn(&self, next: Switches) -> io::Result<()> {
        let mut turned = locked(&self.turned);
        if !next.burns() {
            turned.burner = None;
        } else if turned.burner.is_none() {
            turned.burner = Some(Burner::start()?);
        }
        turned.switches = next;
        Ok(())
    }

    /// What `/state` answers.
    pub(super) fn state(&self) -> Value {
        let identity = &self.identity;
        let counts = locked(&self.counts).clone();
        let mut state = json!({
            "schema": "nepho.sample-state/v1",
            "service": identity.name,
            "environment": identity.environment,
            "group": identity.group,
            "instance": identity.instance,
            "version": identity.version,
            "without": self.missing,
            "uptime_ms": u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX),
            "switches": self.switches(),
        });
        let counts = serde_json::to_value(counts).expect("counts have string keys");
        if let (Value::Object(state), Value::Object(counts)) = (&mut state, counts) {
            state.extend(counts);
        }
        state
    }
}

impl Identity {
    /// Of environment, group, name and instance.
    pub(super) fn new(names: [String; 4], version: String) -> Result<Self, NotAHeader> {
        let [environment, group, name, instance] = names;
        let header = |text: String| {
            HeaderValue::from_str(&text).map_err(|_not_a_header| NotAHeader(text.clone()))
        };
        Ok(Self {
            instance_header: header(format!("{environment}/{name}/{instance}"))?,
            version_header: header(version.clone())?,
            environment,
            group,
            name,
            instance,
            version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_break_a_header_is_refused() {
        let names = ["local", "edge", "bad\nname", "1"].map(str::to_owned);
        assert!(Identity::new(names, "1".to_owned()).is_err());
    }
}
