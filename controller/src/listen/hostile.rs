//! Peers that mean no good, against the real door: none of them may stop the others.

use std::{fs::File, process::Command, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use nepho_common::{id::AgentId, time::WallMillis};
use nepho_proto::{
    session::PeerIdentity,
    tls::{self, Identity},
};
use rcgen::{CertificateParams, KeyPair, SanType};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use super::{
    Agents, Limits, Strangers,
    site::{HANG, Hall, Held, Site, door, knock, knock_over, wall},
};
use crate::identity::certificate::VALID;

fn name(text: &str) -> AgentId {
    text.parse().unwrap()
}

async fn sessions(site: &Site) -> Hall<PeerIdentity> {
    Hall::open(site.mutual(), site.agents(), Limits::default()).await
}

async fn is_let_in(site: &Site, hall: &mut Hall<PeerIdentity>, held: &Held, agent: &AgentId) {
    let tls = knock(hall.address, held.config(&site.authority))
        .await
        .unwrap();
    let peer = hall.peers.recv().await.unwrap();
    assert_eq!(peer.identity, Identity::Agent(agent.clone()));
    assert_eq!(peer.address, tls.get_ref().0.local_addr().unwrap());
}

#[tokio::test]
async fn whoever_else_comes_a_good_agent_is_let_in_and_named() {
    let site = Site::new().await;
    let mut hall = sessions(&site).await;
    let good = site.agent(&name("a")).await;
    is_let_in(&site, &mut hall, &good, &name("a")).await;

    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"SSH-2.0-x\r\n",
        &[0; 4096],
        &[0xff; 4096],
        &[22, 3, 1, 0xff, 0xff, 1],
        b"",
    ] {
        let mut tcp = TcpStream::connect(hall.address).await.unwrap();
        tcp.write_all(garbage).await.unwrap();
        drop(tcp);
        is_let_in(&site, &mut hall, &good, &name("a")).await;
    }

    let stranger = tls::client_config_enrol(site.authority.pin());
    assert!(knock(hall.address, stranger).await.is_err());
    is_let_in(&site, &mut hall, &good, &name("a")).await;
}

#[tokio::test]
async fn certificates_that_are_not_ours_or_not_an_agents_are_turned_away() {
    let site = Site::new().await;
    let other = Site::new().await;
    let mut hall = sessions(&site).await;
    let config = |held: &Held| held.config(&site.authority);

    let foreign = other.agent(&name("a")).await;
    assert!(knock(hall.address, config(&foreign)).await.is_err());

    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(tls::agent_uri(&name("a")).try_into().unwrap())];
    let own = params.self_signed(&key).unwrap().der().to_vec();
    let own = Held::new(key, vec![own]);
    assert!(knock(hall.address, config(&own)).await.is_err());

    let (chain, key) = site.authority.controller_identity(wall()).unwrap();
    let controller = tls::client_config_session(site.authority.ca_der(), chain, key).unwrap();
    assert!(knock(hall.address, controller).await.is_err());

    let good = site.agent(&name("a")).await;
    is_let_in(&site, &mut hall, &good, &name("a")).await;
}

#[tokio::test]
async fn an_agent_that_is_unknown_revoked_or_cloned_is_turned_away() {
    let site = Site::new().await;
    let mut hall = sessions(&site).await;
    let config = |held: &Held| held.config(&site.authority);

    let clone = site.agent(&name("a")).await;
    is_let_in(&site, &mut hall, &clone, &name("a")).await;
    let latest = site.agent(&name("a")).await;
    assert!(knock(hall.address, config(&clone)).await.is_err());
    is_let_in(&site, &mut hall, &latest, &name("a")).await;

    site.store.revoke(name("a"), wall()).await.unwrap();
    assert!(knock(hall.address, config(&latest)).await.is_err());

    let elsewhere = Site::new().await;
    let unknown = site.agent(&name("b")).await;
    let gate = Agents {
        store: elsewhere.store.clone(),
        ..site.agents()
    };
    let hall = Hall::open(site.mutual(), gate, Limits::default()).await;
    assert!(knock(hall.address, config(&unknown)).await.is_err());
}

#[tokio::test]
async fn silent_and_slow_peers_lose_their_places_to_others() {
    let site = Site::new().await;
    let good = site.agent(&name("a")).await;
    let limits = Limits {
        handshake: Duration::from_millis(700),
        in_flight: 4,
        ..Limits::default()
    };
    let mut hall = Hall::open(site.mutual(), site.agents(), limits).await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        let mut tcp = TcpStream::connect(hall.address).await.unwrap();
        tcp.write_all(&[22]).await.unwrap(); // The first byte of a handshake, and no more.
        silent.push(tcp);
    }
    is_let_in(&site, &mut hall, &good, &name("a")).await;
    for mut tcp in silent {
        let end = timeout(HANG, tcp.read_u8()).await.expect("is put out");
        assert!(end.is_err());
    }
}

#[tokio::test]
async fn hundreds_that_come_at_once_from_one_address_are_all_let_in() {
    let site = Site::new().await;
    let hall = Hall::open(site.plain(), Strangers { stay: None }, Limits::default()).await;
    let address = hall.address;
    let mut peers = hall.peers;
    let drain = tokio::spawn(async move { while peers.recv().await.is_some() {} });
    let config = tls::client_config_enrol(site.authority.pin());
    let start = Instant::now();
    let all = (0..250).map(|_| knock(address, Arc::clone(&config)));
    let all = futures_util::future::join_all(all).await;
    assert!(all.iter().all(Result::is_ok));
    println!("250 handshakes after {:?}", start.elapsed());
    drain.abort();
}

#[tokio::test]
async fn an_address_that_has_all_that_it_may_have_leaves_room_for_others() {
    let site = Site::new().await;
    let limits = Limits {
        open: 10,
        open_of_source: 5,
        ..Limits::default()
    };
    let mut hall = Hall::open(site.mutual(), site.agents(), limits).await;
    let held = site.agent(&name("a")).await;
    let config = held.config(&site.authority);
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(knock(hall.address, Arc::clone(&config)).await.unwrap());
        hall.peers.recv().await.unwrap();
    }
    assert!(knock(hall.address, Arc::clone(&config)).await.is_err());
    let from_elsewhere = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.7:0".parse().unwrap()).unwrap();
        let tcp = socket.connect(hall.address).await.unwrap();
        knock_over(tcp, Arc::clone(&config)).await
    };
    from_elsewhere().await.unwrap();
    open.pop();
    // The place is free once the door has seen the end.
    while knock(hall.address, Arc::clone(&config)).await.is_err() {}
}

#[tokio::test]
async fn a_cut_ends_an_idle_connection_and_revocation_keeps_it_out() {
    let site = Site::new().await;
    let hall = sessions(&site).await;
    let (a, b) = (site.agent(&name("a")).await, site.agent(&name("b")).await);
    let config = a.config(&site.authority);
    let mut first = knock(hall.address, Arc::clone(&config)).await.unwrap();
    let mut second = knock(hall.address, Arc::clone(&config)).await.unwrap();
    let mut other = knock(hall.address, b.config(&site.authority))
        .await
        .unwrap();
    assert_eq!(site.cuts.live(&name("a")), 2);

    site.store.revoke(name("a"), wall()).await.unwrap();
    let start = Instant::now();
    assert!(site.cuts.cut(&name("a")));
    for tls in [&mut first, &mut second] {
        let end = timeout(HANG, tls.read_u8()).await.expect("is cut");
        assert!(end.is_err());
    }
    println!("cut after {:?}", start.elapsed());
    assert!(knock(hall.address, config).await.is_err());

    let still = timeout(Duration::from_millis(50), other.read_u8()).await;
    assert!(still.is_err(), "the other agent's connection stays");
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    fn nearly_over() -> WallMillis {
        WallMillis(wall().0 + VALID.as_millis() as i64 - 3000)
    }
    let site = Site::new().await;
    let held = site.agent(&name("a")).await;
    let gate = Agents {
        wall: nearly_over,
        ..site.agents()
    };
    let hall = Hall::open(site.mutual(), gate, Limits::default()).await;
    let mut tls = knock(hall.address, held.config(&site.authority))
        .await
        .unwrap();
    let end = timeout(HANG, tls.read_u8()).await.expect("is cut");
    assert!(end.is_err());
}

#[tokio::test]
async fn a_new_certificate_needs_no_restart() {
    let site = Site::new().await;
    let hall = sessions(&site).await;
    let held = site.agent(&name("a")).await;
    let shown = async || {
        let tls = knock(hall.address, held.config(&site.authority))
            .await
            .unwrap();
        tls.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let before = shown().await;
    assert_eq!(shown().await, before);
    hall.config.send(site.mutual()).unwrap();
    assert_ne!(shown().await, before);
}

/// Set for the child of the test below.
const CHILD: &str = "NEPHO_TEST_DESCRIPTORS";

/// In a process of its own, because the limit holds for the whole process.
#[test]
fn without_file_descriptors_the_door_waits_and_recovers() {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(starve());
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::without_file_descriptors_the_door_waits_and_recovers");
    let status = Command::new(std::env::current_exe().unwrap())
        .args([test.as_str(), "--exact", "--nocapture"])
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

async fn starve() {
    use rustix::{
        process::{Resource, Rlimit, getrlimit, setrlimit},
        time::{ClockId, clock_gettime},
    };
    let site = Site::new().await;
    let held = site.agent(&name("a")).await;
    let (address, _config, incoming) = door(site.mutual(), site.agents(), Limits::default()).await;
    tokio::pin!(incoming);
    let tcp = TcpStream::connect(address).await.unwrap();
    let client = tokio::spawn(knock_over(tcp, held.config(&site.authority)));
    let mut inside = incoming.next().await.unwrap().unwrap();
    inside.write_all(b"in").await.unwrap();
    inside.flush().await.unwrap();
    let mut honest = client.await.unwrap().unwrap();
    // In the kernel's queue: the door is not served yet.
    let tcp = TcpStream::connect(address).await.unwrap();
    let limit = Rlimit {
        current: Some(200),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }

    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    let before = cpu();
    let nobody = timeout(Duration::from_millis(500), incoming.next()).await;
    assert!(nobody.is_err());
    let used = cpu() - before;
    assert!(used < Duration::from_millis(250), "it spins: {used:?}");
    honest.write_all(b"x").await.unwrap();
    honest.flush().await.unwrap();
    assert_eq!(inside.read_u8().await.unwrap(), b'x', "who is in is served");

    drop(taken);
    let client = tokio::spawn(knock_over(tcp, held.config(&site.authority)));
    let conn = timeout(HANG, incoming.next()).await.expect("it recovers");
    let mut conn = conn.unwrap().unwrap();
    conn.write_all(b"in").await.unwrap();
    conn.flush().await.unwrap();
    client.await.unwrap().unwrap();
}
