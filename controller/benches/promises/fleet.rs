//! Two thousand agents on one controller: memory, processor, heartbeats, and what a restart costs.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nepho_common::{
    histogram::Histogram,
    id::{AgentId, Attempt, Digest, PlanId, RunId, Seq, SpoolId},
    journal::{Body, FORMAT, Record, RecordKey, RecordKind},
    recording::{Metric, Outcome, Recording, Series},
    time::{Interval, Nanos, RunTime},
};
use nepho_controller::{
    clock,
    identity::{ca::Authority, certificate::Serial, csr::ProvenKey},
    journal::{Admission, RunRow, RunState, Store},
};
use nepho_proto::{journal, tls};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::time::{Instant, sleep};

use crate::{
    crowd::{Author, Crowd, Held, Seen},
    site::{Controller, data},
    table::{Table, kept, quantiles},
    usage::{Usage, raise_descriptors},
};

/// Series in each record: 20 services probed each second, with three metrics.
const SERIES: u32 = 60;
/// Between edges of recordings, as the agent's recorder has them.
const EDGE: Duration = Duration::from_secs(10);
/// Both for "at rest" and for "flowing".
const WATCHED: Duration = Duration::from_secs(30);
/// After the last session opened, so that every agent has had a heartbeat.
const SETTLED: Duration = Duration::from_secs(6);
/// The benchmark gives up on what takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn measure(bin: &Path, agents: usize) {
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(bin, agents));
}

async fn run(bin: &Path, agents: usize) {
    let dir = tempfile::Builder::new()
        .prefix("nepho-bench-")
        .tempdir()
        .unwrap();
    let mut table = Table::new();
    let mut held = enrol(dir.path(), agents).await;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let controller = Controller::start(bin, dir.path(), any, any);
    let pid = controller.running.pid();
    sleep(Duration::from_secs(2)).await;
    let empty = Usage::of(pid);

    let run: RunId = RUN.parse().unwrap();
    let author: Author = Arc::new(move |held, seq| record(&run, held, seq));
    let crowd = Crowd::new(controller.sessions, &author);
    let seen = Arc::clone(&crowd.seen);
    let mut points = vec![(0, empty.resident)];
    for upto in [agents / 4, agents / 2, agents] {
        let more = upto - points.last().unwrap().0;
        let begin = (Instant::now(), Usage::of(pid));
        crowd.join(held.drain(..more));
        all_in(&seen, upto).await;
        let took = begin.0.elapsed();
        sleep(SETTLED).await;
        let now = Usage::of(pid);
        points.push((upto, now.resident));
        let figure = format!(
            "{:.1} s, {:.0} ms of processor for each new agent's two handshakes; {:.1} MiB resident",
            took.as_secs_f64(),
            now.cpu_since(&begin.1).as_secs_f64() * 1e3 / more as f64,
            now.resident / 1024.0
        );
        table.row(
            &format!("{upto} agents in, {more} of them at once"),
            "",
            figure,
        );
    }
    memory(&mut table, &points);

    seen.measures.store(true, Ordering::Relaxed);
    let before = Usage::of(pid);
    sleep(WATCHED).await;
    let after = Usage::of(pid);
    table.row(
        "processor, heartbeats only",
        "",
        format!("{:.1} % of a core", after.core_since(&before)),
    );
    late(&mut table, &seen, "heartbeats later than 5 s, at rest");

    let edges = WATCHED.as_secs() / EDGE.as_secs();
    let before = Usage::of(pid);
    for _ in 0..edges {
        crowd.edge();
        sleep(EDGE).await;
    }
    let after = Usage::of(pid);
    let all = f64::from(SERIES) * agents as f64 / EDGE.as_secs_f64();
    let figure = format!(
        "{:.1} % of a core at {all:.0} recordings/s",
        after.core_since(&before)
    );
    table.row("processor, recordings flowing", "", figure);
    let each = (after.resident - empty.resident) / agents as f64;
    let word = kept(each <= 160.0);
    let figure = format!(
        "{each:.0} KiB each, {:.0} at the peak: {word}",
        (after.peak - empty.resident) / agents as f64
    );
    table.row(
        "memory for each agent, heartbeats and recordings flowing",
        "≤ 160 KiB",
        figure,
    );
    late(
        &mut table,
        &seen,
        "heartbeats later than 5 s, recordings flowing",
    );
    let acked = std::mem::take(&mut *seen.acknowledged.lock().unwrap());
    assert!(!acked.is_empty(), "nothing was acknowledged");
    table.row(
        "written to acknowledged, everybody at one edge",
        "",
        quantiles(&mut acked.clone()),
    );
    seen.measures.store(false, Ordering::Relaxed);

    let mut controller = controller;
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::KILL, "SIGKILL")] {
        // In the middle of an edge: some of it is on its way.
        crowd.edge();
        sleep(Duration::from_millis(100)).await;
        let (enrolment, sessions) = (controller.enrolment, controller.sessions);
        let ended = Instant::now();
        controller.running.end(signal);
        let down = ended.elapsed();
        controller = Controller::start(bin, dir.path(), enrolment, sessions);
        let listens = Instant::now();
        all_in(&seen, agents).await;
        let back = listens.elapsed();
        delivered(&seen).await;
        let figure = format!(
            "{:.1} s after the new one listens (the old one took {:.1} s to end), everything owed acknowledged after {:.1} s",
            back.as_secs_f64(),
            down.as_secs_f64(),
            listens.elapsed().as_secs_f64()
        );
        table.row(&format!("all {agents} back after {name}"), "", figure);
    }
    let lost = std::mem::take(&mut *seen.lost.lock().unwrap());
    eprintln!("sessions that ended: {lost:#?}");
    sleep(SETTLED).await;
    let again = Usage::of(controller.running.pid());
    let figure = format!(
        "{:.1} MiB, {:.0} at the peak",
        again.resident / 1024.0,
        again.peak / 1024.0
    );
    table.row("controller resident after the restarts", "", figure);
    controller.running.end(Signal::TERM);
    let acked = seen.acked.lock().unwrap().clone();
    table.row(
        "results acknowledged and lost, stored twice",
        "0",
        conserved(dir.path(), &acked, agents).await,
    );
    table.print(&format!(
        "{agents} agents on one controller (`scripts/bench fleet`)"
    ));
}

fn memory(table: &mut Table, points: &[(usize, f64)]) {
    let slope = |from: (usize, f64), to: (usize, f64)| (to.1 - from.1) / (to.0 - from.0) as f64;
    let parts: Vec<_> = points
        .windows(2)
        .map(|pair| {
            format!(
                "{:.0} from {} to {}",
                slope(pair[0], pair[1]),
                pair[0].0,
                pair[1].0
            )
        })
        .collect();
    let whole = slope(points[0], *points.last().unwrap());
    let word = kept(whole <= 160.0);
    let figure = format!("{whole:.0} KiB each ({}): {word}", parts.join(", "));
    table.row(
        "memory for each agent, heartbeats only",
        "≤ 160 KiB",
        figure,
    );
}

fn late(table: &mut Table, seen: &Seen, what: &str) {
    let mut late = std::mem::take(&mut *seen.lateness.lock().unwrap());
    assert!(!late.is_empty(), "no heartbeat came");
    table.row(what, "", quantiles(&mut late));
}

/// Until everybody is welcomed and has its results stream.
async fn all_in(seen: &Seen, agents: usize) {
    let begin = Instant::now();
    let counts = || [&seen.welcomed, &seen.open].map(|count| count.load(Ordering::SeqCst));
    while counts() != [agents; 2] {
        let lost = || seen.lost.lock().unwrap().clone();
        assert!(
            begin.elapsed() < PATIENCE,
            "of {agents} in: {:?}; lost: {:#?}",
            counts(),
            lost()
        );
        sleep(Duration::from_millis(5)).await;
    }
}

async fn delivered(seen: &Seen) {
    let begin = Instant::now();
    while seen.owed.load(Ordering::SeqCst) > 0 {
        assert!(
            begin.elapsed() < PATIENCE,
            "{} owed",
            seen.owed.load(Ordering::SeqCst)
        );
        sleep(Duration::from_millis(5)).await;
    }
}

/// Agents as enrolment leaves them, made by the authority itself.
async fn enrol(dir: &Path, agents: usize) -> Vec<Held> {
    let data = data(dir);
    std::fs::create_dir(&data).unwrap();
    let store = Store::open(&data.join("nepho.sqlite")).await.unwrap();
    let now = clock::wall();
    let authority = Authority::open(&data, now).unwrap();
    let mut all = Vec::new();
    let mut admissions = Vec::new();
    for n in 1..=agents {
        let agent: AgentId = format!("crowd-{n}").parse().unwrap();
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        let proven = ProvenKey::from_request(request.der()).unwrap();
        let serial = Serial::random().unwrap();
        let issued = authority
            .issue_agent(&agent, &proven, &serial, now)
            .unwrap();
        admissions.push(store.admit(Admission {
            environment: "crowd".parse().unwrap(),
            agent: Some(agent.clone()),
            serial: issued.serial,
            key: proven.fingerprint(),
            not_after: issued.not_after,
            now,
        }));
        let chain = issued.chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let tls = tls::client_config_session(authority.ca_der(), chain, key).unwrap();
        let mut spool = [7; 16];
        spool[..8].copy_from_slice(&(n as u64).to_be_bytes());
        let spool = SpoolId::new(spool);
        all.push(Held { agent, spool, tls });
    }
    // They wait for the one writer, which commits them together.
    for admitted in futures_util::future::join_all(admissions).await {
        admitted.unwrap();
    }
    let run = RunRow {
        run: RUN.parse().unwrap(),
        plan: PlanId(Digest::of(b"bench")),
        scenario: "bench".parse().unwrap(),
        state: RunState::Ended,
        verdict: None,
        made: None,
        created: now,
        ended: Some(now),
        requested_by: "bench".to_owned(),
    };
    store.create_run(run).await.unwrap();
    store.close().await;
    all
}

/// Results of a run that is over: late ones are kept as well.
const RUN: &str = "20261123-000000-0000";

/// What an agent's recorder seals after ten seconds: ten samples in each series.
fn record(run: &RunId, held: &Held, seq: Seq) -> Record {
    let recording = |n: u32| {
        let metric = [Metric::ResponseTime, Metric::ServiceTime, Metric::SendLag][n as usize % 3];
        let mut histogram = Histogram::default();
        for sample in 0..10u64 {
            // Spread like round trips of some milliseconds; not random, so that runs compare.
            let step = (u64::from(n) * 31 + sample * 17 + seq.0 * 7) % 97;
            histogram.record(Nanos(2_000_000 + step * 40_000));
        }
        let edge = |n: u64| RunTime(i64::try_from(n * EDGE.as_nanos() as u64).unwrap());
        Recording {
            series: Arc::new(Series {
                run: run.clone(),
                attempt: Attempt(1),
                stage: "steady".parse().unwrap(),
                step: "reach".parse().unwrap(),
                operation: "GET /health".to_owned().try_into().unwrap(),
                from: "crowd".parse().unwrap(),
                agent: held.agent.clone(),
                to: format!("crowd/service-{}/1", n / 3).parse().unwrap(),
                outcome: Outcome::Success,
                metric,
            }),
            interval: Interval {
                from: edge(seq.0 - 1),
                to: edge(seq.0),
            },
            histogram,
        }
    };
    let body = Body::Recordings((0..SERIES).map(recording).collect());
    Record {
        format: FORMAT,
        kind: RecordKind::Recordings,
        version: journal::version(RecordKind::Recordings),
        key: RecordKey {
            agent: held.agent.clone(),
            spool: held.spool,
            seq,
        },
        run: run.clone(),
        payload: journal::payload(run, Attempt(1), &body),
    }
}

/// Every acknowledged record is stored, once, and nothing else is.
async fn conserved(dir: &Path, acked: &BTreeMap<AgentId, u64>, agents: usize) -> String {
    let store = Store::open(&data(dir).join("nepho.sqlite")).await.unwrap();
    let records = store.run_records(&RUN.parse().unwrap()).await.unwrap();
    store.close().await;
    let mut stored: BTreeMap<AgentId, Vec<u64>> = BTreeMap::new();
    let mut bytes = 0;
    for record in records {
        bytes += record.payload.len();
        assert!(journal::decode(&record).is_ok(), "{:?}", record.key);
        stored
            .entry(record.key.agent)
            .or_default()
            .push(record.key.seq.0);
    }
    assert_eq!(acked.len(), agents, "everybody had something acknowledged");
    for (agent, &acked) in acked {
        let numbers: Vec<u64> = (1..=acked).collect();
        assert_eq!(stored.get(agent), Some(&numbers), "{agent}");
    }
    let all: u64 = acked.values().sum();
    format!(
        "0 and 0, of {all} records with {:.0} MiB",
        bytes as f64 / f64::from(1 << 20)
    )
}
