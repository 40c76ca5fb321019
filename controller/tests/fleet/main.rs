//! The fleet simulation: the real run, real engines, recorders and outboxes, and a seeded fabric
//! that delays, loses, repeats and reorders, in one thread and without a clock.
//!
//! Each seed is one run over three agents with clocks of their own. Some of them crash and come back
//! without what was not synced, sleep, run out of disk, or change their idea of the time of day. `NEPHO_SEEDS=N` runs N seeds, `NEPHO_SEED=N` that one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod chance;
mod check;
mod disk;
mod restart;
mod scene;
mod world;

use check::Sabotage;

fn seeds() -> Vec<u64> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    match number("NEPHO_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("NEPHO_SEEDS").unwrap_or(200)).collect(),
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_arrives_that_was_not_issued() {
    let seeds = seeds();
    let mut seen = check::Seen::default();
    for &seed in &seeds {
        let world = world::play(seed, Sabotage::None);
        let found = check::check(&world);
        assert!(
            found.is_ok(),
            "seed {seed}: {} (again with NEPHO_SEED={seed})",
            found.unwrap_err()
        );
        seen.count(&world);
    }
    println!("{} seeds: {seen:?}", seeds.len());
    if seeds.len() >= 100 {
        seen.assert_everything_happened();
    }
}

#[test]
fn one_seed_gives_one_history() {
    let history = |seed| format!("{:?}", world::play(seed, Sabotage::None).journal());
    for seed in 0..5 {
        assert_eq!(history(seed), history(seed));
    }
}

/// The checks can fail: each sabotage breaks one promise, and some seed must show it.
#[test]
fn every_sabotage_is_found() {
    for sabotage in [
        Sabotage::AckBeforeStore,
        Sabotage::StoreTwice,
        Sabotage::Invent,
        Sabotage::LoseSamples,
        Sabotage::SendBeforeSync,
        Sabotage::DropWhenFull,
        Sabotage::HideSleep,
    ] {
        let found = (0..200).any(|seed| check::check(&world::play(seed, sabotage)).is_err());
        assert!(found, "{sabotage:?} was not noticed by any of 200 seeds");
    }
}
