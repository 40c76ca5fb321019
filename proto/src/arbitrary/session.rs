//! Strategies for what is said in a session.

use nepho_common::{
    control::{Command, Hello, Order, Phase, PolicyReport, Status},
    id::{BootId, Fence, PlanId, RunKey, Seq},
    plan::{
        Act, AssignedStage, AssignedStep, Assignment, Check, HttpCheck, Probe, Target, TcpCheck,
        Watch,
    },
    time::{ClockEpoch, HostWall, Mono, Nanos},
};
use proptest::{
    collection::{btree_set, vec},
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
        policy in proptest::option::of(policy()),
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
    let http = (
        "http://[a-z.]{1,20}(:8080)?/[a-z/]{0,20}",
        "GET|HEAD|POST",
        vec(header, 0..4),
        btree_set(100u16..1000, 0..4),
    );
    let http = http.prop_map(|(url, method, headers, status)| {
        Check::Http(HttpCheck {
            url,
            method,
            headers,
            status,
        })
    });
    let tcp = ("[a-z.:0-9]{1,40}", 1u16..);
    prop_oneof![
        http,
        tcp.prop_map(|(host, port)| Check::Tcp(TcpCheck { host, port }))
    ]
}

prop_compose! {
    fn target()(
        to in instance(), operation in operation(), check in check(), offset in span(),
    ) -> Target {
        Target { to, operation, check, offset }
    }
}

prop_compose! {
    fn watching()(name in name(), every in 1..=SPAN_MAX, hosts in btree_set(name(), 0..2)) -> AssignedStep {
        AssignedStep { name, act: Act::Watch(Watch { every: Nanos(every), hosts }) }
    }
}

prop_compose! {
    fn probing()(
        name in name(), every in 1..=SPAN_MAX, timeout in span(), to in vec(target(), 0..3),
    ) -> AssignedStep {
        AssignedStep { name, act: Act::Probe(Probe { every: Nanos(every), timeout, to }) }
    }
}

prop_compose! {
    fn stage()(name in name(), lasts in span(), steps in vec(prop_oneof![probing(), watching()], 0..3)) -> AssignedStage {
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
        policy in proptest::option::of(policy()),
        wall in proptest::option::of((host_clock(), any::<i64>())),
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
