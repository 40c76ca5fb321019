//! Strategies for what is said in a session.

use nepho_common::{
    calibrated::Calibrated,
    control::{Command, Hello, Order, Phase, PolicyReport, Status},
    id::{BootId, Fence, PlanId, RunKey, Seq},
    plan::{
        Act, Arrivals, AssignedStage, AssignedStep, Assignment, Call, Carried, Check,
        ContainerPick, DnsCheck, DnsRecord, EventCheck, Feed, GrpcCheck, HttpCheck, IcmpCheck, Leg,
        Load, Model, NatsCheck, PickText, Pool, Probe, ProcessPick, PrometheusCheck, Rate,
        RedisCheck, Rise, Schedule, Share, Stripe, Take, Target, TcpCheck, TlsCheck, ToldBy, Watch,
        WebhookCheck,
    },
    time::{ClockEpoch, HostWall, Mono, Nanos},
};
use proptest::{
    collection::{btree_map, btree_set, vec},
    option,
    prelude::*,
};

use super::{
    attempt, digest,
    event::{host, host_clock, refusal, stop},
    instance, name, operation, run_time, seq, span, spool, text,
};
use crate::{
    limits::SPAN_MAX,
    session::{
        Ack, AgentMessage, ControllerMessage, EnrolReply, EnrolRequest, Ping, Pong, ReissueRequest,
        RenewRequest, Welcome,
    },
};

prop_compose! {
    fn key()(run in name(), attempt in attempt(), fence in any::<u64>()) -> RunKey {
        RunKey { run, attempt, fence: Fence(fence) }
    }
}

pub(crate) fn status() -> impl Strategy<Value = Status> {
    let phase = prop_oneof![
        Just(Phase::Unknown),
        refusal().prop_map(Phase::Refused),
        Just(Phase::Prepared),
        name().prop_map(Phase::Armed),
        name().prop_map(Phase::Scheduled),
        name().prop_map(Phase::Running),
        name().prop_map(Phase::Draining),
        (name(), spool(), seq()).prop_map(|(stage, spool, seal)| Phase::Sealed {
            stage,
            spool,
            seal
        }),
        Just(Phase::Stopped),
    ];
    (key(), phase).prop_map(|(key, phase)| Status { key, phase })
}

prop_compose! {
    pub(crate) fn hello()(
        (low, more, boot, host) in (1u32..1000, 0u32..1000, any::<[u8; 16]>(), host()),
        (features, spool, next) in (btree_set(name(), 0..4), spool(), seq()),
        epoch in any::<u32>(),
        runs in vec(status(), 0..4),
        policy in option::of(policy()),
        calibrated in option::of((1u64..10_000_000, 1u32..99, 1u32..999)),
    ) -> Hello {
        Hello {
            protocol: (low, low + more),
            boot: BootId::new(boot),
            host,
            features,
            spool,
            next,
            epoch: ClockEpoch(epoch),
            runs,
            policy,
            calibrated: calibrated.and_then(|(rate, threads, cores)| {
                Calibrated::new(rate, threads, cores).ok()
            }),
        }
    }
}

fn policy() -> impl Strategy<Value = PolicyReport> {
    // A newer agent's may be anything printable.
    let in_force = "[ -~]{0,80}".prop_map(|canonical| PolicyReport::InForce {
        digest: nepho_common::id::Digest::of(canonical.as_bytes()),
        canonical,
        doors: ["[::1]:7443", "c.example:1"]
            .map(|door| door.to_owned().try_into().expect("these are endpoints"))
            .into(),
    });
    prop_oneof![in_force, text().prop_map(PolicyReport::Refusing)]
}

fn check() -> impl Strategy<Value = Check> {
    let header = ("[A-Za-z-]{1,20}", "[ -~]{0,40}");
    let url = "http://[a-z.]{1,20}(:8080)?";
    let http = (
        "http://[a-z.]{1,20}(:8080)?/[a-z/]{0,20}",
        "GET|HEAD|POST",
        vec(header, 0..4),
        btree_set(100u16..1000, 0..4),
        (
            vec(header, 0..2),
            "[ -~]{0,9}",
            vec(header, 0..2),
            0..=10u32,
            any::<bool>(),
        ),
    );
    let http = http.prop_map(|(url, method, headers, status, more)| {
        let (headers_have, body_has, json, redirects, http2) = more;
        Check::Http(HttpCheck {
            url,
            method,
            headers,
            status,
            headers_have,
            body_has,
            json,
            redirects,
            http2,
        })
    });
    let at = ("[a-z.:0-9]{1,40}", 1u16..);
    let tcp = (
        at.clone(),
        "[ -~\r\n]{0,9}",
        "[ -~\r\n]{0,9}",
        "[ -~\r\n]{0,9}",
    );
    let tcp = tcp.prop_map(|((host, port), banner, send, expect)| {
        Check::Tcp(TcpCheck {
            host,
            port,
            banner,
            send,
            expect,
        })
    });
    let names = vec("[a-z.]{1,9}", 0..3);
    let tls = (at.clone(), "[a-z.]{0,9}", names, span(), any::<bool>());
    let tls = tls.prop_map(|((host, port), name, names, left, only_1_3)| {
        Check::Tls(TlsCheck {
            host,
            port,
            name,
            names,
            left,
            only_1_3,
        })
    });
    let record = proptest::sample::select(DnsRecord::ALL.as_slice());
    let dns = (
        at.clone(),
        "[a-z.]{1,9}",
        record,
        btree_set("[a-z.0-9]{1,9}", 0..3),
    );
    let dns = dns.prop_map(|((host, port), name, record, answers)| {
        Check::Dns(DnsCheck {
            host,
            port,
            name,
            record,
            answers,
        })
    });
    let icmp = at
        .clone()
        .prop_map(|(host, port)| Check::Icmp(IcmpCheck { host, port }));
    let grpc = (url, "[a-z.]{0,9}");
    let grpc = grpc.prop_map(|(url, service)| Check::Grpc(GrpcCheck { url, service }));
    let bound = || option::of(any::<i64>());
    let prometheus = (url, vec(header, 0..2), "[ -~]{1,20}", bound(), bound());
    let prometheus = prometheus.prop_map(|(url, headers, query, min, max)| {
        Check::Prometheus(PrometheusCheck {
            url,
            headers,
            query,
            min,
            max,
        })
    });
    let redis = (at.clone(), "[a-z.]{1,9}", "[a-z.]{0,9}");
    let redis = redis.prop_map(|((host, port), stream, password)| {
        EventCheck::Redis(RedisCheck {
            host,
            port,
            stream,
            password,
        })
    });
    let nats = (at, "[a-z.]{1,9}", "[a-z.]{0,9}");
    let nats = nats.prop_map(|((host, port), subject, token)| {
        EventCheck::Nats(NatsCheck {
            host,
            port,
            subject,
            token,
        })
    });
    let hook = (url, "/[a-z]{0,9}", "/[a-z]{0,9}", vec(header, 0..2));
    let hook = hook.prop_map(|(url, post, seen, headers)| {
        EventCheck::Webhook(WebhookCheck {
            url,
            post,
            seen,
            headers,
        })
    });
    let event = prop_oneof![redis, nats, hook].prop_map(Check::Event);
    prop_oneof![http, tcp, tls, dns, icmp, grpc, prometheus, event]
}

prop_compose! {
    fn target()(
        to in instance(), operation in operation(), check in check(), offset in span(),
    ) -> Target {
        Target { to, operation, check, offset }
    }
}

fn pick() -> impl Strategy<Value = PickText> {
    "[a-z=.-]{1,20}".prop_map(|text| text.try_into().unwrap())
}

fn process() -> impl Strategy<Value = ProcessPick> {
    prop_oneof![
        pick().prop_map(ProcessPick::Name),
        pick().prop_map(ProcessPick::Unit),
        "/[a-z/]{0,20}".prop_map(|path| ProcessPick::PidFile(path.try_into().unwrap())),
    ]
}

fn container() -> impl Strategy<Value = ContainerPick> {
    prop_oneof![
        pick().prop_map(ContainerPick::Name),
        pick().prop_map(ContainerPick::Label),
    ]
}

prop_compose! {
    fn watching()(
        name in name(), every in 1..=SPAN_MAX, hosts in btree_set(name(), 0..2),
        without_host in any::<bool>(),
        processes in btree_map("p[a-z]{1,8}".prop_map(|name| name.parse().unwrap()), process(), 0..3),
        containers in btree_map("c[a-z]{1,8}".prop_map(|name| name.parse().unwrap()), container(), 0..3),
    ) -> AssignedStep {
        let watch = Watch { every: Nanos(every), hosts, without_host, processes, containers };
        AssignedStep { name, act: Act::Watch(watch) }
    }
}

prop_compose! {
    fn probing()(
        name in name(), every in 1..=SPAN_MAX, timeout in span(), to in vec(target(), 0..3),
    ) -> AssignedStep {
        AssignedStep { name, act: Act::Probe(Probe { every: Nanos(every), timeout, to }) }
    }
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let arrivals = prop_oneof![Just(Arrivals::Poisson), Just(Arrivals::Constant)];
    let leg = (1..=Rate::MAX.0, 0..=Rate::MAX.0, 1_u64..1_000_000_000_000);
    let leg = leg.prop_map(|(from, to, lasts)| Leg {
        from: Rate(from),
        to: Rate(to),
        lasts: Nanos(lasts),
    });
    let list = vec(0_u64..1_000_000_000_000, 1..5).prop_map(|mut at| {
        at.sort_unstable();
        Schedule::list(at.into_iter().map(Nanos).collect()).unwrap()
    });
    prop_oneof![
        (arrivals, vec(leg, 1..4))
            .prop_map(|(arrivals, legs)| Schedule::legs(arrivals, legs).unwrap()),
        list,
    ]
}

prop_compose! {
    fn share()(
        agent in name(), to in instance(), (of, nth) in (1..100_u32, any::<u32>()),
        connections in 1..100_u32, lanes in any::<u32>(), in_flight_max in any::<u64>(),
        reference in option::of((1..=Rate::MAX.0).prop_map(Rate)),
    ) -> Share {
        let stripe = Stripe::new(nth % of, of).unwrap();
        let lanes = lanes % connections.min(Load::<Target>::LANES_MAX) + 1;
        let lanes = lanes.min(connections);
        Share { agent, to, stripe, connections, lanes, in_flight_max, reference }
    }
}

prop_compose! {
    fn call()(
        operation in operation(), weight in 1..9_u32, body in "[ -~\n]{0,9}", path in "[ -~]{0,9}",
        (is_template, is_json, follows) in any::<(bool, bool, bool)>(),
        take in vec((operation(), operation()), 0..2), headers in vec(("[a-z]{1,9}", "[ -~]{1,9}"), 0..2),
    ) -> Call {
        let weight = if follows { 0 } else { weight };
        let given = |(name, from)| Take { name, from: ToldBy::Json(from) };
        let take = take.into_iter().map(given).collect();
        Call { operation, weight, body, is_template, path, is_json, follows, take, headers }
    }
}

prop_compose! {
    fn carried()(
        (http2, pin) in any::<(bool, bool)>(), requests_per_connection in any::<u64>(), spin in span(),
        pool in prop_oneof![Just(Pool::Shared), Just(Pool::PerUser), Just(Pool::New)],
    ) -> Carried {
        Carried { http2, pool, requests_per_connection, pin, spin }
    }
}

prop_compose! {
    fn feed()(
        name in operation(), is_drawn in any::<bool>(), columns in vec(operation(), 1..3),
        rows in vec("[ -~\n]{0,9}", 1..4),
    ) -> Feed {
        let row = |value: String| columns.iter().map(|_| value.clone()).collect();
        let rows = rows.into_iter().map(row).collect();
        Feed { name, is_drawn, columns, rows }
    }
}

prop_compose! {
    fn loading()(
        name in name(),
        model in prop_oneof![
            (schedule(), any::<u64>()).prop_map(|(schedule, seed)| Model::Open { schedule, seed }),
            (span(), option::of((1..9_u32, 9..99_u32, 2..9_u32))).prop_map(|(think, rise)| {
                let rise = rise.map(|(from, to, count)| Rise::new(from, to, count).expect("it rises"));
                Model::Closed { think, rise }
            }),
        ],
        timeout in span(), warm_up in span(), calls in vec(call(), 0..3),
        told_by in option::of(prop_oneof![
            operation().prop_map(ToldBy::Header), operation().prop_map(ToldBy::Json),
            Just(ToldBy::Address),
        ]),
        (shares, to) in (vec(share(), 0..3), vec(target(), 0..3)),
        (feeds, carried, seed) in (vec(feed(), 0..2), carried(), any::<u64>()),
    ) -> AssignedStep {
        let load = Load { model, timeout, warm_up, calls, told_by, shares, to, feeds, carried, seed };
        AssignedStep { name, act: Act::Load(load) }
    }
}

prop_compose! {
    fn stage()(name in name(), lasts in span(), steps in vec(prop_oneof![probing(), watching(), loading()], 0..3)) -> AssignedStage {
        AssignedStage { name, lasts, steps }
    }
}

prop_compose! {
    pub(crate) fn assignment()(
        plan in digest(), environment in name(),
        features in btree_set(name(), 0..4), stages in vec(stage(), 0..3),
    ) -> Assignment {
        Assignment { plan: PlanId(plan), environment, features, stages }
    }
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let order = prop_oneof![
        assignment().prop_map(|assignment| Order::Prepare(Box::new(assignment))),
        name().prop_map(Order::Arm),
        (name(), run_time(), any::<u64>()).prop_map(|(stage, at_run, at)| Order::Start {
            stage,
            at_run,
            at: Mono(at)
        }),
        (name(), run_time(), any::<u64>()).prop_map(|(stage, at_run, at)| Order::Resume {
            stage,
            at_run,
            at: Mono(at)
        }),
        stop().prop_map(Order::Stop),
        Just(Order::Release),
    ];
    (key(), order).prop_map(|(key, order)| Command { key, order })
}

prop_compose! {
    fn pong()(
        (id, t1, t2, t3) in any::<(u64, u64, u64, u64)>(),
        epoch in any::<u32>(), runs in vec(status(), 0..4),
        policy in option::of(policy()),
        wall in option::of((host_clock(), any::<i64>())),
    ) -> Pong {
        let (t1, t2, t3) = (Mono(t1), Mono(t2), Mono(t3));
        let wall = wall.map(|(clock, ahead)| HostWall { clock, ahead });
        Pong { id, t1, t2, t3, epoch: ClockEpoch(epoch), runs, policy, wall }
    }
}

pub(crate) fn agent_message() -> impl Strategy<Value = AgentMessage> {
    prop_oneof![
        hello().prop_map(|hello| AgentMessage::Hello(Box::new(hello))),
        pong().prop_map(AgentMessage::Pong),
        status().prop_map(AgentMessage::Status),
        text().prop_map(|reason| AgentMessage::Goodbye { reason }),
    ]
}

pub(crate) fn controller_message() -> impl Strategy<Value = ControllerMessage> {
    let welcome = (1u32.., 1..=SPAN_MAX, name());
    prop_oneof![
        welcome.prop_map(|(protocol, heartbeat, agent)| {
            ControllerMessage::Welcome(Welcome {
                protocol,
                heartbeat: Nanos(heartbeat),
                agent,
            })
        }),
        any::<(u64, u64)>().prop_map(|(id, t1)| ControllerMessage::Ping(Ping { id, t1: Mono(t1) })),
        command().prop_map(ControllerMessage::Command),
        text().prop_map(|reason| ControllerMessage::Goodbye { reason }),
    ]
}

prop_compose! {
    pub(crate) fn ack()(spool in spool(), seq in any::<u64>()) -> Ack {
        Ack { spool, seq: Seq(seq) }
    }
}

prop_compose! {
    pub(crate) fn enrol_request()(
        secret in vec(any::<u8>(), 1..64), csr in vec(any::<u8>(), 1..400), version in text(),
    ) -> EnrolRequest {
        EnrolRequest { secret, csr, version }
    }
}

prop_compose! {
    pub(crate) fn enrol_reply()(
        chain in vec(vec(any::<u8>(), 1..400), 1..5),
        agent in name(), environment in name(), sessions_port in 1u16..,
    ) -> EnrolReply {
        EnrolReply { chain, agent, environment, sessions_port }
    }
}

prop_compose! {
    pub(crate) fn renew_request()(
        csr in vec(any::<u8>(), 1..400), version in text(),
    ) -> RenewRequest {
        RenewRequest { csr, version }
    }
}

prop_compose! {
    pub(crate) fn reissue_request()(
        certificate in vec(any::<u8>(), 1..400), csr in vec(any::<u8>(), 1..400),
        proof in vec(any::<u8>(), 1..80), version in text(),
    ) -> ReissueRequest {
        ReissueRequest { certificate, csr, proof, version }
    }
}
