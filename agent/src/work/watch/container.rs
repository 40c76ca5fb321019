//! What containers of this host use, by what their engine says. All that fit one pick are one
//! thing, and what they use is added up; what the engine does not say of one of them is not told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use nepho_common::{
    event::Presence,
    id::ThingName,
    plan::ContainerPick,
    recording::Unit,
    time::{Mono, Nanos},
};
use tokio::time::{Instant, timeout_at};

use super::{
    Reading,
    engine::{AT_ONCE, Engine, EngineError, Inspected, Listed, Used},
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

/// A container that is there.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// Or it was started, and ended.
    runs: bool,
    /// When its counters were read.
    at: Mono,
    used: Used,
    /// How often the engine says that it started it again.
    restarts: u64,
}

impl Reader {
    /// Everything of these containers, and what changed about their being there. What the engine
    /// has not said within this time is not told.
    pub(super) async fn read(
        &mut self,
        socket: &str,
        picks: &BTreeMap<ThingName, ContainerPick>,
        within: Duration,
    ) -> (Vec<Reading>, Vec<(ThingName, Presence)>) {
        let (mut readings, mut changes) = (Vec::new(), Vec::new());
        if picks.is_empty() {
            return (readings, changes);
        }
        let found = find(socket, picks, Instant::now() + within).await;
        for name in picks.keys() {
            let followed = self.of.entry(name.clone()).or_default();
            let nothing = BTreeMap::new();
            let mine = found.as_ref().map(|found| found.get(name));
            let change = match mine {
                Ok(Some(Err(why))) | Err(why) => followed.tracker.blind(*why),
                Ok(mine) => {
                    let mine = mine.and_then(|mine| mine.as_ref().ok());
                    let (told, change) = followed.look(mine.unwrap_or(&nothing).clone());
                    let of = |(gauge, value, unit)| Reading {
                        name: gauge,
                        thing: Some(name.clone()),
                        value,
                        unit,
                    };
                    readings.extend(told.into_iter().map(of));
                    change
                }
            };
            changes.extend(change.map(|how| (name.clone(), how)));
        }
        (readings, changes)
    }
}

/// What was found of each thing, or why one of its containers can't be looked at.
type Things = BTreeMap<ThingName, Result<BTreeMap<Identity, Found>, Presence>>;

/// Asks of each container by itself: an engine that is busy with one answers nothing about that
/// one, and that is no reason to know nothing of the others.
async fn find(
    socket: &str,
    picks: &BTreeMap<ThingName, ContainerPick>,
    until: Instant,
) -> Result<Things, Presence> {
    let listed = async { Engine::connect(socket).await?.list().await };
    let listed = timeout_at(until, listed).await;
    let listed = listed.map_err(|_| Presence::NoAnswer)?;
    let listed = listed.map_err(|error| why(&error))?;
    let of = listed.into_iter().filter_map(|container| {
        let fits = picks.iter().filter(|(_, pick)| container.fits(pick));
        let things: Vec<_> = fits.map(|(name, _)| name.clone()).collect();
        let asked = !things.is_empty();
        asked.then_some(async move { (ask(socket, &container, until).await, things) })
    });
    let all: Vec<_> = stream::iter(of).buffer_unordered(AT_ONCE).collect().await;
    let mut found = Things::new();
    for (answer, things) in all {
        for name in things {
            let mine = found.entry(name).or_insert_with(|| Ok(BTreeMap::new()));
            match (&answer, mine) {
                (Ok(Some((identity, one))), Ok(mine)) => {
                    mine.insert(identity.clone(), *one);
                }
                (Err(why), mine) => *mine = Err(*why),
                (Ok(_), _) => {}
            }
        }
    }
    Ok(found)
}

/// What is known of it when the time is over: `None` of one that is gone.
async fn ask(
    socket: &str,
    container: &Listed,
    until: Instant,
) -> Result<Option<(Identity, Found)>, Presence> {
    let inspected = async {
        let mut engine = Engine::connect(socket).await?;
        let inspected = engine.inspect(container).await?;
        Ok((engine, inspected))
    };
    let answer = timeout_at(until, inspected).await;
    let answer = answer.map_err(|_| Presence::NoAnswer)?;
    let (mut engine, Some(inspected)) = answer.map_err(|error| why(&error))? else {
        return Ok(None);
    };
    let mut used = Used::default();
    if inspected.runs() {
        // One that is just started or stopped has none for seconds: that it is there is known.
        if let Ok(told) = timeout_at(until, engine.used(container)).await {
            used = told.map_err(|error| why(&error))?;
        }
    }
    let found = Found {
        runs: inspected.runs(),
        at: clock::now(),
        used,
        restarts: inspected.restarts,
    };
    Ok(Some((identity(&container.id, &inspected), found)))
}

fn why(error: &EngineError) -> Presence {
    tracing::debug!(%error, "containers can't be looked at");
    error.presence()
}

fn identity(id: &str, inspected: &Inspected) -> Identity {
    (id.to_owned(), inspected.started().to_owned())
}

impl Followed {
    fn look(
        &mut self,
        all: BTreeMap<Identity, Found>,
    ) -> (Vec<(&'static str, f64, Unit)>, Option<Presence>) {
        let last = self.last.take();
        let counted = self.tracker.restarts();
        let (again, starts) = last.as_ref().map_or((0, 0), |last| again(last, &all));
        let change = self.tracker.look(present(last.as_ref(), &all));
        let seen = self.tracker.restarts() - counted;
        // What came in the place of another of the same id was seen by its presence too.
        let missed = again.saturating_sub(seen) + starts.saturating_sub(again);
        self.tracker.missed(missed);
        let runs = |(of, one): (&Identity, &Found)| one.runs.then(|| (of.clone(), *one));
        let found: BTreeMap<Identity, Found> = all.iter().filter_map(runs).collect();
        self.last = Some(all);
        let restarts = float(self.tracker.restarts());
        let mut told = vec![
            ("container.count", float(found.len() as u64), Unit::Count),
            ("container.restarts", restarts, Unit::Count),
        ];
        if !found.is_empty() {
            let memory: Option<u64> = found.values().map(|one| one.used.memory).sum();
            told.extend(memory.map(|sum| ("container.memory", float(sum), Unit::Bytes)));
            let threads: Option<u64> = found.values().map(|one| one.used.threads).sum();
            told.extend(threads.map(|sum| ("container.threads", float(sum), Unit::Count)));
        }
        if let Some(last) = last.as_ref().filter(|_| !found.is_empty()) {
            told.extend(rates(last, &found));
        }
        (told, change)
    }
}

/// Those that run, and those that were started since the last look although they have ended again:
/// what crashes as soon as it starts may be down at every look.
fn present(
    last: Option<&BTreeMap<Identity, Found>>,
    now: &BTreeMap<Identity, Found>,
) -> BTreeSet<Identity> {
    let is = |((id, started), one): &(&Identity, &Found)| {
        one.runs || last.is_some_and(|last| earlier(last, id, started).is_some())
    };
    now.iter().filter(is).map(|(of, _)| of.clone()).collect()
}

/// The same container, before it was started again.
fn earlier<'a>(last: &'a BTreeMap<Identity, Found>, id: &str, started: &str) -> Option<&'a Found> {
    let mut last = last.iter();
    let found = last.find(|((other, before), _)| other == id && before != started);
    found.map(|(_, found)| found)
}

/// Of how many containers another start was found than at the last look, and how many starts those
/// were as far as the engine counted them.
fn again(last: &BTreeMap<Identity, Found>, now: &BTreeMap<Identity, Found>) -> (u64, u64) {
    let mut sums = (0_u64, 0_u64);
    for ((id, started), one) in now {
        let same = last.get(&(id.clone(), started.clone()));
        let other = earlier(last, id, started);
        let before = same.or(other).map_or(one.restarts, |found| found.restarts);
        let counted = one.restarts.saturating_sub(before);
        let other = u64::from(other.is_some());
        sums.0 = sums.0.saturating_add(other);
        sums.1 = sums.1.saturating_add(counted.max(other));
    }
    sums
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
            runs: true,
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
    fn one_that_is_down_at_every_look_is_still_counted() {
        let down = |at| Found {
            runs: false,
            ..one(at, 0, 0)
        };
        let mut followed = Followed::default();
        let restarts = |told| values(told)["container.restarts"];
        let (told, change) = followed.look(found(&[("a", "1", down(0))]));
        assert_eq!(change, Some(Presence::NotThere));
        assert!(near(restarts(told), 0.0), "whatever was before is not told");
        for start in 2..=4_u32 {
            let (told, _) = followed.look(found(&[("a", &start.to_string(), down(2))]));
            let told = values(told);
            assert!(near(told["container.count"], 0.0) && !told.contains_key("container.cpu"));
            assert!(near(told["container.restarts"], f64::from(start - 1)));
        }
        // Nothing began since, then it runs.
        let (told, change) = followed.look(found(&[("a", "4", down(8))]));
        assert_eq!((restarts(told), change), (3.0, Some(Presence::Gone)));
        let (told, change) = followed.look(found(&[("a", "5", one(10, 0, 0))]));
        assert_eq!((restarts(told), change), (4.0, Some(Presence::There)));
        // One that was stopped, and another in its place; the old one stays as it was.
        let old = ("a", "5", down(12));
        let (told, _) = followed.look(found(&[old, ("b", "6", one(12, 0, 0))]));
        assert!(near(restarts(told), 5.0));
        let (told, _) = followed.look(found(&[old, ("b", "6", one(14, 0, 3))]));
        assert!(near(restarts(told), 8.0), "what the engine alone counted");
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
