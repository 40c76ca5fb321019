//! A target that is one queue: what is measured is what queueing makes of that very schedule.

use nepho_agent_core::pace::lindley::Server;
use nepho_common::{plan::Arrivals, time::Nanos};

use super::{Light, due, load, ns, quantile};
use crate::process::took;

#[test]
fn response_times_at_a_queue_are_those_of_its_schedule() {
    let _took = took("a queue");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &["--delay", "10ms"]);
    let words = [&light.url, "--rate", "80/s", "-d", "30s", "-c", "64"];
    let summary = load(&words, 0);
    let due = due(Arrivals::Poisson, "80/s", 30, &summary);
    let (mut server, service) = (Server::default(), Nanos::from_millis(10));
    let times = due
        .iter()
        .map(|at| server.wait(Nanos(*at), service).0 + service.0);
    let mut times: Vec<_> = times.collect();
    assert_eq!(summary["succeeded"], times.len());
    for (share, name, most) in [(0.5, "p50", 1_000_000), (0.99, "p99", 3_000_000)] {
        let (told, theory) = (
            ns(&summary, "response_ns", name),
            quantile(&mut times, share),
        );
        println!("{name}: told {told} ns, by Lindley {theory} ns");
        assert!(told.abs_diff(theory) <= most, "{name}: {told} and {theory}");
        // The control: without the queue it would be another figure altogether.
        assert!(theory.abs_diff(service.0) > most);
    }
}
