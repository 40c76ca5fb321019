use std::{
    collections::BTreeSet,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{GET, NEVER, Peer, Stamps, light, now, stamps};
use crate::running::{Running, binary};

const MS: u64 = 1_000_000;

fn numbered(slot: u64) -> String {
    format!("GET / HTTP/1.1\r\nhost: x\r\nx-nepho-slot: {slot}\r\n\r\n")
}

/// A target that stamps, and what it wrote after `act`.
fn stamped(more: &[&str], act: impl FnOnce(&Running)) -> Vec<Stamps> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stamps");
    let mut target = light(&[&["--stamps", text(&file)], more].concat());
    act(&target);
    let (status, ..) = target.end(Signal::TERM);
    assert!(status.success());
    stamps(&file)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn stamps_are_complete_in_order_and_between_the_clients_own() {
    let mut clients = Vec::new();
    let stamps = stamped(&[], |target| {
        let mut peers: Vec<_> = (0..3).map(|_| Peer::new(target.address())).collect();
        for slot in 0..300 {
            let peer = &mut peers[slot as usize % 3];
            let sent = now();
            assert_eq!(peer.asks(&numbered(slot)).status, 200);
            clients.push((sent, now()));
        }
        // Pipelined, and one that has no number.
        peers[0].say(&(300..340).map(numbered).collect::<String>());
        peers[0].say(GET);
        for _ in 0..41 {
            peers[0].told();
        }
    });
    let slots: Vec<_> = stamps.iter().map(|stamp| stamp.slot).collect();
    assert_eq!(slots, (0..340).chain([NEVER]).collect::<Vec<_>>());
    assert!(stamps.is_sorted_by_key(|stamp| stamp.came));
    assert!(
        stamps
            .iter()
            .all(|stamp| stamp.came <= stamp.went && stamp.went < NEVER)
    );
    let mut apart = Vec::new();
    for (stamp, (sent, received)) in stamps.iter().zip(&clients) {
        assert!(*sent <= stamp.came && stamp.came <= *received, "{stamp:?}");
        // The peer may have the answer before the target has looked at the clock.
        apart.push(stamp.went.abs_diff(*received));
    }
    apart.sort_unstable();
    println!("went and received are {} us apart", apart[150] / 1000);
    assert!(apart[150] <= MS, "{apart:?}");
}

#[test]
fn what_has_no_room_is_counted_in_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stamps");
    let mut command = binary();
    command.args(["light", "--most-stamps", "10", "--stamps", text(&file)]);
    let mut target = Running::start_command(command.stderr(Stdio::piped()));
    let mut peer = Peer::new(target.address());
    for slot in 0..25 {
        peer.asks(&numbered(slot));
    }
    let (status, ..) = target.end(Signal::TERM);
    assert!(status.success());
    let said = target.errors();
    let last = said.lines().last().expect("a line");
    assert!(last.contains("refused") && last.contains("15"), "{said}");
    let slots: Vec<_> = stamps(&file).iter().map(|stamp| stamp.slot).collect();
    assert_eq!(slots, (0..10).collect::<Vec<_>>());
}

/// Instants of a Poisson process, from a seed: gaps with an exponential distribution.
fn arrivals(count: usize, mean: Duration) -> Vec<Duration> {
    let mut state = 0x5eed_u64;
    let mut at = Duration::ZERO;
    let mut next = || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let uniform = ((mixed >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        at += mean.mul_f64(-uniform.ln());
        at
    };
    (0..count).map(|_| next()).collect()
}

/// Sends at these instants over several connections, whatever the answers do, and gets them all.
fn send_all(target: &Running, instants: &[Duration]) {
    let mut peers: Vec<_> = (0..4).map(|_| Peer::new(target.address())).collect();
    let start = Instant::now();
    for (nth, at) in instants.iter().enumerate() {
        thread::sleep(at.saturating_sub(start.elapsed()));
        peers[nth % 4].say(&numbered(nth as u64));
    }
    for nth in 0..instants.len() {
        assert_eq!(peers[nth % 4].told().status, 200);
    }
}

/// What this machine makes of a wait: how much later than asked a thread of ours wakes at the median,
/// in nanoseconds, while `act` goes on. A wait of the target's is late by that through no fault of it.
fn lateness_during<Output>(act: impl FnOnce() -> Output) -> (Output, u64) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let control = scope.spawn(|| {
            let mut late = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let asked = Duration::from_millis(2);
                let start = Instant::now();
                thread::sleep(asked);
                late.push((start.elapsed() - asked).as_nanos() as u64);
            }
            late.sort_unstable();
            late[late.len() / 2]
        });
        let output = act();
        over.store(true, Ordering::Relaxed);
        (output, control.join().expect("a thread that only sleeps"))
    })
}

/// When one server that takes `occupied` for each is done with them.
fn lindley(stamps: &[Stamps], occupied: u64) -> Vec<u64> {
    let mut free = 0;
    let mut done = |stamp: &Stamps| {
        free = free.max(stamp.came) + occupied;
        free
    };
    stamps.iter().map(&mut done).collect()
}

/// How much later than that they went; an answer that went before is an error.
fn late(stamps: &[Stamps], truth: &[u64]) -> Vec<u64> {
    let pairs = stamps.iter().zip(truth);
    let late = pairs.map(|(stamp, truth)| stamp.went.checked_sub(*truth).expect("never early"));
    let mut late: Vec<_> = late.collect();
    late.sort_unstable();
    late
}

/// Tries up to five times. A busy machine spoils an attempt, a fault spoils them all.
fn some_attempt(mut attempt: impl FnMut() -> Result<(), String>) {
    let mut spoiled = Vec::new();
    while let Err(reason) = attempt() {
        spoiled.push(reason);
        assert!(spoiled.len() < 5, "{spoiled:#?}");
    }
    println!("spoiled: {spoiled:?}");
}

/// Whether answers went when they should, but for a millisecond and what the machine makes of a wait.
fn are_in_time(stamps: &[Stamps], truth: &[u64], control: u64) -> Result<(), String> {
    let late = late(stamps, truth);
    let (median, most) = (late[late.len() / 2], late[late.len() - 1]);
    let said = format!(
        "late by {} us, at most {} us; the machine's own {} us",
        median / 1000,
        most / 1000,
        control / 1000
    );
    println!("{said}");
    if median <= MS + control {
        Ok(())
    } else {
        Err(said)
    }
}

#[test]
fn the_virtual_queue_follows_lindley() {
    let occupied = 5 * MS;
    let instants = arrivals(200, Duration::from_nanos(occupied).div_f64(0.6));
    let run = || stamped(&["--delay", "5ms"], |target| send_all(target, &instants));
    some_attempt(|| {
        let (stamps, control) = lateness_during(run);
        let slots: BTreeSet<_> = stamps.iter().map(|stamp| stamp.slot).collect();
        assert_eq!((stamps.len(), slots.len()), (200, 200));
        let truth = lindley(&stamps, occupied);
        let pairs = stamps.iter().zip(&truth);
        let waited = pairs.filter(|(stamp, done)| **done > stamp.came + occupied);
        let waited = waited.count();
        assert!(waited >= 40, "only {waited} waited: no queue was tested");
        are_in_time(&stamps, &truth, control)
    });
}

#[test]
fn without_a_queue_every_answer_is_as_late_as_every_other() {
    let later = 5 * MS;
    let instants = arrivals(200, Duration::from_nanos(later).div_f64(0.6));
    let run = || {
        stamped(&["--delay-each", "5ms"], |target| {
            send_all(target, &instants)
        })
    };
    some_attempt(|| {
        let (stamps, control) = lateness_during(run);
        let truth: Vec<_> = stamps.iter().map(|stamp| stamp.came + later).collect();
        are_in_time(&stamps, &truth, control)?;
        // One server could not have kept up with these.
        let queue = lindley(&stamps, later);
        let pairs = stamps.iter().zip(&queue);
        let early = pairs.filter(|(stamp, done)| stamp.went + MS < **done);
        match early.count() {
            40.. => Ok(()),
            early => Err(format!("only {early} were earlier than from a queue")),
        }
    });
}

#[test]
fn both_delays_add_up() {
    // In pairs, so that each second one waits.
    let instants = (0..60).map(|nth| Duration::from_millis(12 * (nth / 2)));
    let instants: Vec<_> = instants.collect();
    let both = ["--delay", "5ms", "--delay-each", "30ms"];
    let run = || stamped(&both, |target| send_all(target, &instants));
    some_attempt(|| {
        let (stamps, control) = lateness_during(run);
        let truth = lindley(&stamps, 5 * MS).into_iter();
        let truth: Vec<_> = truth.map(|done| done + 30 * MS).collect();
        are_in_time(&stamps, &truth, control)
    });
}

#[test]
fn the_freeze_comes_once_and_lasts_as_long_as_it_was_told() {
    let stall = ["--stall-at", "200ms", "--stall-for", "300ms"];
    let ask_on = |target: &Running| {
        let mut peer = Peer::new(target.address());
        thread::sleep(Duration::from_millis(250)); // Counts from the first request, not before.
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(800) {
            assert_eq!(peer.asks(GET).status, 200);
            thread::sleep(Duration::from_millis(1));
        }
    };
    some_attempt(|| {
        let stamps = stamped(&stall, ask_on);
        let first = stamps[0].came;
        let gaps = stamps
            .windows(2)
            .map(|pair| [pair[0].came - first, pair[1].came - first]);
        let frozen: Vec<_> = gaps
            .filter(|[before, after]| after - before >= 300 * MS)
            .collect();
        let said = format!("no request in {frozen:?} ns");
        println!("{said}");
        match frozen[..] {
            // The last request before it may be as old as the pause between two.
            [[100_000_000..=250_000_000, 500_000_000..=700_000_000]] => Ok(()),
            _ => Err(said),
        }
    });
}
