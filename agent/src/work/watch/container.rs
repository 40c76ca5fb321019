//! What containers of this host use, by what their engine says. All that fit one pick are one
//! thing, and what they use is added up; what the engine does not say of one of them is not told.

use std::collections::BTreeMap;

use nepho_common::{
    event::Presence,
    id::ThingName,
    plan::ContainerPick,
    recording::Unit,
    time::{Mono, Nanos},
};
use tokio::time::timeout;

use super::{
    Reading,
    engine::{Engine, EngineError, Inspected, Used, WITHIN},
    presence::Tracker,
    share::{float, rate, share},
};
use crate::clock;

/// One start of one container.
type Identity = (String, String);

/// Reads, and knows what it read last.
#[derive(Debug, Default)]
pub(super) struct Reader {
    of: BTreeMap<ThingName, Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    tracker: Tracker<Identity>,
    last: Option<BTreeMap<Identity, Found>>,
}

/// A container that runs.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// When its counters were read.
    at: Mono,
    used: Used,
    /// How often the engine says that it started it again.
    restarts: u64,
}

impl Reader {
    /// Everything of these containers, and what changed about their being there.
    pub(super) async fn read(
        &mut self,
        socket: &str,
        picks: &BTreeMap<ThingName, ContainerPick>,
    ) -> (Vec<Reading>, Vec<(ThingName, Presence)>) {
        let (mut readings, mut changes) = (Vec::new(), Vec::new());
        if picks.is_empty() {
            return (readings, changes);
        }
        let found = match timeout(WITHIN, find(socket, picks)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::debug!(%error, "containers can't be looked at");
                Err(error.presence())
            }
            Err(_) => Err(Presence::NoAnswer),
        };
        for name in picks.keys() {
            let followed = self.of.entry(name.clone()).or_default();
            let change = match &found {
                Ok(found) => {
                    let mine = found.get(name).cloned().unwrap_or_default();
                    let (told, change) = followed.look(mine);
                    let of = |(gauge, value, unit)| Reading {
                        name: gauge,
                        thing: Some(name.clone()),
                        value,
                        unit,
                    };
                    readings.extend(told.into_iter().map(of));
                    change
                }
                Err(why) => followed.tracker.blind(*why),
            };
            changes.extend(change.map(|how| (name.clone(), how)));
        }
        (readings, changes)
    }
}

async fn find(
    socket: &str,
    picks: &BTreeMap<ThingName, ContainerPick>,
) -> Result<BTreeMap<ThingName, BTreeMap<Identity, Found>>, EngineError> {
    let mut engine = Engine::connect(socket).await?;
    let mut found: BTreeMap<ThingName, BTreeMap<Identity, Found>> = BTreeMap::new();
    for container in engine.list().await? {
        let fits = picks.iter().filter(|(_, pick)| container.fits(pick));
        let things: Vec<_> = fits.map(|(name, _)| name.clone()).collect();
        if things.is_empty() {
            continue;
        }
        let Some((inspected, stats)) = engine.of(&container).await? else {
            continue;
        };
        let one = Found {
            at: clock::now(),
            used: stats.used(),
            restarts: inspected.restarts,
        };
        let identity = identity(&container.id, &inspected);
        for name in things {
            let mine = found.entry(name).or_default();
            mine.insert(identity.clone(), one);
        }
    }
    Ok(found)
}

fn identity(id: &str, inspected: &Inspected) -> Identity {
    (id.to_owned(), inspected.started().to_owned())
}

impl Followed {
    fn look(
        &mut self,
        found: BTreeMap<Identity, Found>,
    ) -> (Vec<(&'static str, f64, Unit)>, Option<Presence>) {
        let change = self.tracker.look(found.keys().cloned().collect());
        if let Some(last) = &self.last {
            self.tracker.missed(unseen(last, &found));
        }
        let restarts = float(self.tracker.restarts());
        let mut all = vec![
            ("container.count", float(found.len() as u64), Unit::Count),
            ("container.restarts", restarts, Unit::Count),
        ];
        if !found.is_empty() {
            let memory: Option<u64> = found.values().map(|one| one.used.memory).sum();
            all.extend(memory.map(|sum| ("container.memory", float(sum), Unit::Bytes)));
            let threads: Option<u64> = found.values().map(|one| one.used.threads).sum();
            all.extend(threads.map(|sum| ("container.threads", float(sum), Unit::Count)));
        }
        if let Some(last) = self.last.as_ref().filter(|_| !found.is_empty()) {
            all.extend(rates(last, &found));
        }
        self.last = Some(found);
        (all, change)
    }
}

/// Starts again that the engine counted between two looks, beyond the one that was seen.
fn unseen(last: &BTreeMap<Identity, Found>, now: &BTreeMap<Identity, Found>) -> u64 {
    let more = now.iter().map(|((id, started), one)| {
        let before = last.iter().find(|((other, _), _)| other == id);
        before.map_or(0, |((_, earlier), before)| {
            let counted = one.restarts.saturating_sub(before.restarts);
            counted.saturating_sub(u64::from(earlier != started))
        })
    });
    more.fold(0, u64::saturating_add)
}

/// Rates since the last look. One that was started since then has used all that it used since then.
fn rates(
    last: &BTreeMap<Identity, Found>,
    now: &BTreeMap<Identity, Found>,
) -> Vec<(&'static str, f64, Unit)> {
    let first = last.values().map(|one| one.at).min();
    let mut cpu = Some(0.0);
    let (mut held, mut disk, mut network) = (Some((0, 0)), Some((0.0, 0.0)), Some((0.0, 0.0)));
    for (of, one) in now {
        let before = last.get(of);
        // Nothing was there before: nothing is known of how long ago it began.
        let Some(since) = before.map(|before| before.at).or(first) else {
            return Vec::new();
        };
        let passed = one.at.since(since);
        let before = before.map_or_else(none, |before| before.used);
        let more = one.used.cpu.zip(before.cpu);
        cpu = cpu
            .zip(more)
            .map(|(sum, (now, before))| sum + rate(now.saturating_sub(before), passed) / 1e9);
        held = sum(held, one.used.throttled.zip(before.throttled));
        disk = pace(disk, one.used.disk.zip(before.disk), passed);
        network = pace(network, one.used.network.zip(before.network), passed);
    }
    let mut all = Vec::new();
    all.extend(cpu.map(|cpu| ("container.cpu", cpu, Unit::Ratio)));
    // Without a limit, or idle, it has no periods and is held back in none.
    let held = held.map(|(periods, held)| share(held, periods));
    all.extend(held.map(|held| ("container.throttled", held, Unit::Ratio)));
    let both = |names: [&'static str; 2], pace: Option<(f64, f64)>| {
        let pace = pace.map(|(one, other)| [(names[0], one), (names[1], other)]);
        let pace = pace.into_iter().flatten();
        pace.map(|(name, value)| (name, value, Unit::BytesPerSecond))
    };
    all.extend(both(
        ["container.disk.read", "container.disk.written"],
        disk,
    ));
    all.extend(both(
        ["container.network.received", "container.network.sent"],
        network,
    ));
    all
}

/// The counters of a container before it began.
const fn none() -> Used {
    Used {
        cpu: Some(0),
        throttled: Some((0, 0)),
        memory: None,
        threads: None,
        network: Some((0, 0)),
        disk: Some((0, 0)),
    }
}

type Pair = (u64, u64);

fn grown((now, before): (Pair, Pair)) -> Pair {
    (
        now.0.saturating_sub(before.0),
        now.1.saturating_sub(before.1),
    )
}

fn sum(all: Option<Pair>, more: Option<(Pair, Pair)>) -> Option<Pair> {
    let (all, more) = (all?, grown(more?));
    Some((all.0.saturating_add(more.0), all.1.saturating_add(more.1)))
}

fn pace(all: Option<(f64, f64)>, more: Option<(Pair, Pair)>, passed: Nanos) -> Option<(f64, f64)> {
    let (all, more) = (all?, grown(more?));
    Some((all.0 + rate(more.0, passed), all.1 + rate(more.1, passed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container that used so many seconds of processor, read so many seconds into a stage.
    fn one(at: u64, cpu: u64, restarts: u64) -> Found {
        let used = Used {
            cpu: Some(cpu * 1_000_000_000),
            throttled: Some((at * 10, at * 5)),
            memory: Some(1_000),
            ..Used::default()
        };
        Found {
            at: Mono(at * 1_000_000_000),
            used,
            restarts,
        }
    }

    fn found(all: &[(&str, &str, Found)]) -> BTreeMap<Identity, Found> {
        let one = |(id, started, found): &(&str, &str, Found)| {
            (((*id).to_owned(), (*started).to_owned()), *found)
        };
        all.iter().map(one).collect()
    }

    fn values(told: Vec<(&'static str, f64, Unit)>) -> BTreeMap<&'static str, f64> {
        told.into_iter()
            .map(|(name, value, _)| (name, value))
            .collect()
    }

    fn near(value: f64, to: f64) -> bool {
        (value - to).abs() < 1e-9
    }

    #[test]
    fn what_fits_is_added_up_and_what_is_not_said_of_all_is_not_told() {
        let mut followed = Followed::default();
        let first = found(&[("a", "1", one(0, 0, 0)), ("b", "1", one(0, 10, 0))]);
        let told = values(followed.look(first).0);
        assert!(near(told["container.count"], 2.0) && near(told["container.memory"], 2_000.0));
        assert!(
            !told.contains_key("container.cpu"),
            "a rate needs two readings"
        );
        let second = found(&[("a", "1", one(2, 1, 0)), ("b", "1", one(2, 14, 0))]);
        let told = values(followed.look(second).0);
        assert!(near(told["container.cpu"], 2.5), "{told:?}");
        assert!(near(told["container.throttled"], 0.5));
        assert!(!told.contains_key("container.network.sent"));
    }

    #[test]
    fn a_restart_is_counted_once_whoever_saw_it_and_resets_no_counter() {
        let mut followed = Followed::default();
        followed.look(found(&[("a", "1", one(0, 100, 0))]));
        // Seen by its start, and counted by the engine too.
        let (told, change) = followed.look(found(&[("a", "2", one(2, 1, 1))]));
        let told = values(told);
        assert_eq!(change, Some(Presence::Restarted));
        assert!(near(told["container.restarts"], 1.0), "{told:?}");
        assert!(near(told["container.cpu"], 0.5), "{told:?}");
        // Three times between two looks, of which one was seen.
        let told = values(followed.look(found(&[("a", "5", one(4, 1, 4))])).0);
        assert!(near(told["container.restarts"], 4.0), "{told:?}");
        // Made anew under the same name.
        let told = values(followed.look(found(&[("b", "1", one(6, 1, 0))])).0);
        assert!(near(told["container.restarts"], 5.0), "{told:?}");
    }

    #[test]
    fn one_that_is_gone_uses_nothing_that_is_known() {
        let mut followed = Followed::default();
        followed.look(found(&[("a", "1", one(0, 0, 0))]));
        let (told, change) = followed.look(BTreeMap::new());
        assert_eq!(change, Some(Presence::Gone));
        let told: Vec<_> = values(told).into_keys().collect();
        assert_eq!(told, ["container.count", "container.restarts"]);
    }
}
