//! The faults that demo and tests plant into a service while it runs.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

/// Every switch with what it does, as the answer to an unknown one lists them.
pub(super) const KNOWN: [(&str, &str); 9] = [
    ("status", "200..=599: answer this status"),
    ("delay_ms", "0..=600000: answer this much later"),
    ("hang", "true: take the request and never answer"),
    ("reset", "true: close the connection with a reset"),
    ("unhealthy", "true: only /health answers, with 503"),
    (
        "close_after",
        "1 or more: close each connection after so many answers",
    ),
    (
        "every",
        "1 or more: status, delay_ms, hang and reset meet only each so-manieth request",
    ),
    (
        "flap_ms",
        "100..=600000: up for so long, then down for as long, and so on: answers status, or 503",
    ),
    ("burn", "true: a thread computes without end; answers go on"),
];

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Switches {
    status: Option<u16>,
    delay_ms: Option<u32>,
    hang: bool,
    reset: bool,
    unhealthy: bool,
    close_after: Option<u64>,
    every: Option<u64>,
    flap_ms: Option<u32>,
    /// When `flap_ms` was turned, as the service's uptime.
    #[serde(skip)]
    flap_since: Duration,
    burn: bool,
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Answer,
    Status(u16),
    Hang,
    Reset,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SwitchError {
    #[error("switches are a JSON object")]
    NotAnObject(#[source] serde_json::Error),
    #[error("unknown switch {0:?}")]
    Unknown(String),
    #[error("switch {name:?} wants {wants}")]
    Value {
        name: &'static str,
        wants: &'static str,
    },
    #[error("switch {0:?} is not for a service that never answers; it knows \"reset\"")]
    Speechless(&'static str),
}

impl Switches {
    /// These switches with those of `json` set; `null` and `false` clear one. All or none is taken.
    ///
    /// `uptime` is how long the service has been there.
    pub(super) fn turned(&self, json: &[u8], uptime: Duration) -> Result<Self, SwitchError> {
        let wanted: Map<String, Value> =
            serde_json::from_slice(json).map_err(SwitchError::NotAnObject)?;
        let mut next = self.clone();
        for (name, value) in &wanted {
            let Some((name, wants)) = KNOWN.into_iter().find(|(known, _)| known == name) else {
                return Err(SwitchError::Unknown(name.clone()));
            };
            next.set(name, value)
                .ok_or(SwitchError::Value { name, wants })?;
            if name == "flap_ms" {
                next.flap_since = next.flap_ms.map_or(Duration::ZERO, |_| uptime);
            }
        }
        Ok(next)
    }

    /// Refuses what a service that never answers can't do.
    pub(super) fn for_silent(self) -> Result<Self, SwitchError> {
        let only_reset = Self {
            reset: self.reset,
            ..Self::default()
        };
        if self == only_reset {
            return Ok(self);
        }
        let all = serde_json::to_value(&self).expect("switches have string keys");
        let is_set = |name: &str| !matches!(all[name], Value::Null | Value::Bool(false));
        let name = KNOWN
            .iter()
            .map(|(name, _)| *name)
            .find(|name| *name != "reset" && is_set(name));
        Err(SwitchError::Speechless(
            name.expect("a switch other than reset differs"),
        ))
    }

    pub(super) fn resets(&self) -> bool {
        self.reset
    }

    pub(super) fn burns(&self) -> bool {
        self.burn
    }

    /// The fate of the service's `nth` request, counted from 1, that came at this `uptime`, and how
    /// long it waits for it.
    pub(super) fn fate(&self, path: &str, nth: u64, uptime: Duration) -> (Duration, Fate) {
        let meets = self.every.is_none_or(|every| nth.is_multiple_of(every));
        let healthy_or_other = !(self.unhealthy && path == "/health");
        // While it flaps, the status is that of its down times, and meets all of their requests.
        let (down, status) = match self.flap_ms {
            Some(ms) => (self.is_down(ms, uptime), None),
            None => (false, self.status.filter(|_| meets)),
        };
        let fate = match status {
            _ if meets && self.reset => Fate::Reset,
            _ if meets && self.hang => Fate::Hang,
            Some(status) => Fate::Status(status),
            None if down => Fate::Status(self.status.unwrap_or(503)),
            None if healthy_or_other => Fate::Answer,
            None => Fate::Status(503),
        };
        let delay = self.delay_ms.filter(|_| meets).unwrap_or(0);
        (Duration::from_millis(delay.into()), fate)
    }

    fn is_down(&self, flap_ms: u32, uptime: Duration) -> bool {
        let flapping = uptime.saturating_sub(self.flap_since);
        let turns = flapping.as_millis() / u128::from(flap_ms.max(1));
        !turns.is_multiple_of(2)
    }

    /// Whether a connection that has given `answers` answers is to be closed.
    pub(super) fn closes_after(&self, answers: u64) -> bool {
        self.close_after.is_some_and(|most| answers >= most)
    }

    /// `None` if the value is not what the switch wants.
    fn set(&mut self, name: &str, value: &Value) -> Option<()> {
        let number = |range: std::ops::RangeInclusive<u64>| match value {
            Value::Null => Some(None),
            value => value
                .as_u64()
                .filter(|number| range.contains(number))
                .map(Some),
        };
        let flag = || {
            if value.is_null() {
                Some(false)
            } else {
                value.as_bool()
            }
        };
        match name {
            "status" => {
                self.status = number(200..=599)?.and_then(|number| u16::try_from(number).ok());
            }
            "delay_ms" => {
                self.delay_ms = number(0..=600_000)?.and_then(|number| u32::try_from(number).ok());
            }
            "hang" => self.hang = flag()?,
            "reset" => self.reset = flag()?,
            "unhealthy" => self.unhealthy = flag()?,
            "close_after" => self.close_after = number(1..=u64::MAX)?,
            "every" => self.every = number(1..=u64::MAX)?,
            "flap_ms" => {
                let ms = number(100..=600_000)?;
                self.flap_ms = ms.and_then(|number| u32::try_from(number).ok());
            }
            "burn" => self.burn = flag()?,
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn switches(json: &str) -> Switches {
        turned(&Switches::default(), json).unwrap()
    }

    /// By a service that has been there for a second.
    fn turned(before: &Switches, json: &str) -> Result<Switches, SwitchError> {
        before.turned(json.as_bytes(), SECOND)
    }

    #[test]
    fn nothing_switched_changes_nothing() {
        assert_eq!(
            Switches::default().fate("/health", 1, SECOND),
            (Duration::ZERO, Fate::Answer)
        );
        assert!(!Switches::default().closes_after(1_000_000));
    }

    #[test]
    fn every_known_switch_can_be_set_and_cleared() {
        for (name, _) in KNOWN {
            let set = ["true", "200"].iter().find_map(|value| {
                turned(&Switches::default(), &format!("{{\"{name}\":{value}}}")).ok()
            });
            let set = set.unwrap_or_else(|| panic!("{name} takes neither true nor 200"));
            assert_ne!(set, Switches::default(), "{name}");
            let cleared = turned(&set, &format!("{{\"{name}\":null}}")).unwrap();
            assert_eq!(cleared, Switches::default(), "{name}");
        }
    }

    #[test]
    fn switches_add_up() {
        let both = turned(&switches(r#"{"status":500}"#), r#"{"delay_ms":20}"#).unwrap();
        assert_eq!(
            both.fate("/", 1, SECOND),
            (Duration::from_millis(20), Fate::Status(500))
        );
    }

    #[test]
    fn unhealthy_touches_only_the_health_path() {
        let unhealthy = switches(r#"{"unhealthy":true}"#);
        assert_eq!(unhealthy.fate("/health", 1, SECOND).1, Fate::Status(503));
        assert_eq!(unhealthy.fate("/", 1, SECOND).1, Fate::Answer);
    }

    #[test]
    fn every_spares_the_requests_between() {
        let third = switches(r#"{"status":500,"every":3}"#);
        let failed = (1..=9)
            .filter(|nth| third.fate("/", *nth, SECOND).1 != Fate::Answer)
            .count();
        assert_eq!(failed, 3);
    }

    fn fates(flapping: &Switches, at_ms: &[u64]) -> Vec<Fate> {
        let fate = |ms: &u64| flapping.fate("/", 1, SECOND + Duration::from_millis(*ms)).1;
        at_ms.iter().map(fate).collect()
    }

    #[test]
    fn a_flapping_service_is_up_first_and_then_down_for_as_long() {
        let flapping = switches(r#"{"flap_ms":200}"#);
        let (up, down) = (Fate::Answer, Fate::Status(503));
        let seen = fates(&flapping, &[0, 199, 200, 399, 400, 599, 600, 800]);
        assert_eq!(seen, [up, up, down, down, up, up, down, up]);
    }

    #[test]
    fn flaps_are_counted_from_when_they_were_turned_last() {
        let flapping = switches(r#"{"flap_ms":200}"#);
        let later = SECOND + Duration::from_millis(300);
        let other = flapping.turned(br#"{"delay_ms":5}"#, later).unwrap();
        assert_eq!(fates(&other, &[300]), [Fate::Status(503)], "as it was");
        let again = flapping.turned(br#"{"flap_ms":200}"#, later).unwrap();
        assert_eq!(
            fates(&again, &[300, 500]),
            [Fate::Answer, Fate::Status(503)]
        );
    }

    #[test]
    fn a_flapping_service_gives_its_status_while_it_is_down_and_to_every_request() {
        let flapping = switches(r#"{"flap_ms":200,"status":500,"every":1000}"#);
        assert_eq!(
            fates(&flapping, &[0, 200]),
            [Fate::Answer, Fate::Status(500)]
        );
    }

    #[test]
    fn flaps_have_bounds() {
        for ms in [99, 600_001] {
            let refused = turned(&Switches::default(), &format!("{{\"flap_ms\":{ms}}}"));
            assert!(refused.is_err(), "{ms}");
        }
        for ms in [100, 600_000] {
            switches(&format!("{{\"flap_ms\":{ms}}}"));
        }
    }

    #[test]
    fn a_wrong_value_or_name_is_refused_whole() {
        let refused = |json: &str| turned(&Switches::default(), json).unwrap_err();
        assert!(matches!(
            refused(r#"{"status":99}"#),
            SwitchError::Value { name: "status", .. }
        ));
        assert!(matches!(
            refused(r#"{"hang":1}"#),
            SwitchError::Value { name: "hang", .. }
        ));
        assert!(matches!(
            refused(r#"{"hang":true,"explode":1}"#),
            SwitchError::Unknown(_)
        ));
        assert!(matches!(refused("[]"), SwitchError::NotAnObject(_)));
    }

    #[test]
    fn a_silent_service_knows_only_reset() {
        assert!(switches(r#"{"reset":true}"#).for_silent().is_ok());
        let refused = switches(r#"{"reset":true,"every":2}"#).for_silent();
        assert!(matches!(refused, Err(SwitchError::Speechless("every"))));
    }
}
