//! Strategies for events.

use nepho_common::{
    control::{Host, Refusal, StopMode},
    event::{
        ClockJump, Event, Known, LoadEnd, Presence, RunEnd, Shortage, Skip, StageEnd, StartOrder,
        Subject, What,
    },
    id::{Fence, PlanId, SpoolId},
    symptom::{CertificateFault, Listener, Symptom, plain},
    time::{ClockEpoch, ClockOffset, HostClock, Mono, Nanos, WallMillis},
};
use proptest::{
    collection::{btree_map, btree_set, vec},
    option,
    prelude::*,
    sample::select,
};

use super::{digest, instance, name, operation, outcome, run_time, seq, span, text};

pub(crate) fn mono() -> impl Strategy<Value = Mono> {
    span().prop_map(|Nanos(at)| Mono(at))
}

prop_compose! {
    pub(crate) fn host()(
        (name, os, kernel, arch, version) in (text(), text(), text(), text(), text()),
        cpus in any::<u32>(), memory in any::<u64>(),
    ) -> Host {
        Host { name, os, kernel, arch, cpus, memory, version }
    }
}

pub(crate) fn stop() -> impl Strategy<Value = StopMode> {
    select([StopMode::Stop, StopMode::Abort].as_slice())
}

pub(crate) fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        name().prop_map(Refusal::Busy),
        btree_set(name(), 0..4).prop_map(Refusal::Unsupported),
        text().prop_map(Refusal::Invalid),
        Just(Refusal::Fenced),
        Just(Refusal::Leaving),
        text().prop_map(Refusal::Policy),
        span().prop_map(Refusal::Late),
    ]
}

prop_compose! {
    pub(crate) fn host_clock()(
        synchronised in any::<bool>(), max_error in span(), estimated_error in span(),
    ) -> HostClock {
        HostClock { synchronised, max_error, estimated_error }
    }
}

prop_compose! {
    fn range()(a in any::<i64>(), b in any::<i64>()) -> ClockOffset {
        ClockOffset { lo: a.min(b), hi: a.max(b) }
    }
}

prop_compose! {
    fn start_order()(
        at in mono(), offset in range(), round_trip in span(), measured in option::of(range()),
    ) -> StartOrder {
        StartOrder { at, offset, round_trip, measured }
    }
}

prop_compose! {
    fn known()(
        agent in name(), spool in any::<[u8; 16]>(), ends in vec((seq(), seq()), 0..4),
    ) -> Known {
        let ranges = ends.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
        Known { agent, spool: SpoolId::new(spool), ranges }
    }
}

prop_compose! {
    fn subject()(stage in name(), step in name(), to in instance()) -> Subject {
        Subject { stage, step, to }
    }
}

fn fault() -> impl Strategy<Value = CertificateFault> {
    prop_oneof![
        span().prop_map(CertificateFault::Expired),
        span().prop_map(CertificateFault::NotYet),
        Just(CertificateFault::Name),
        Just(CertificateFault::Issuer),
    ]
}

prop_compose! {
    fn listener()(port in 1u16.., program in option::of("[a-z]{1,20}")) -> Listener {
        Listener { port, program }
    }
}

prop_compose! {
    fn symptom()(
        address in option::of((any::<std::net::IpAddr>(), any::<u16>())),
        status in option::of(1u16..=999), certificate in option::of(fault()),
        listeners in option::of(vec(listener(), 0..4)), said in "[ -~]{0,40}",
    ) -> Symptom {
        let address = address.map(std::net::SocketAddr::from);
        Symptom { address, status, certificate, listeners, said: plain(&said) }
    }
}

/// What an agent may say.
pub(crate) fn of_agent() -> impl Strategy<Value = What> {
    let how = prop_oneof![
        Just(StageEnd::Completed),
        stop().prop_map(StageEnd::Stopped)
    ];
    prop_oneof![
        (name(), mono(), mono()).prop_map(|(stage, planned, actual)| What::StageStarted {
            stage,
            planned,
            actual
        }),
        (name(), run_time(), how).prop_map(|(stage, at, how)| What::StageEnded { stage, at, how }),
        (name(), name(), any::<u64>(), span()).prop_map(|(stage, step, count, longest)| {
            What::Missed {
                stage,
                step,
                count,
                longest,
            }
        }),
        (span(), option::of(mono()))
            .prop_map(|(suspended, awake)| What::EpochOpened { suspended, awake }),
        (
            name(),
            select([Shortage::Disk, Shortage::Quota].as_slice()),
            span(),
            span()
        )
            .prop_map(|(stage, why, waited, longest)| What::SpoolFull {
                stage,
                why,
                waited,
                longest
            }),
        (
            name(),
            name(),
            run_time(),
            prop_oneof![
                span().prop_map(LoadEnd::Unheard),
                text().prop_map(LoadEnd::Unable),
            ]
        )
            .prop_map(|(stage, step, at, why)| What::LoadEnded {
                stage,
                step,
                at,
                why
            }),
        (subject(), run_time(), outcome(), symptom()).prop_map(|(of, at, outcome, symptom)| {
            What::SymptomSeen {
                of,
                at,
                outcome,
                symptom,
            }
        }),
        (subject(), run_time(), operation(), operation()).prop_map(|(of, at, name, value)| {
            What::FactSeen {
                of,
                at,
                name,
                value,
            }
        }),
        (
            name(),
            name(),
            name(),
            run_time(),
            select(Presence::ALL.as_slice())
        )
            .prop_map(|(stage, step, thing, at, how)| What::ThingSeen {
                stage,
                step,
                thing,
                at,
                how,
            }),
        host_clock().prop_map(What::HostClock),
        (seq(), seq()).prop_map(|(one, other)| What::Gap {
            from: one.min(other),
            to: one.max(other)
        }),
    ]
}

/// What the controller may say.
pub(crate) fn of_controller() -> impl Strategy<Value = What> {
    let skip = prop_oneof![
        name().prop_map(Skip::After),
        Just(Skip::Stopped),
        text().prop_map(Skip::NotReady),
    ];
    let end = prop_oneof![
        Just(RunEnd::Completed),
        stop().prop_map(RunEnd::Stopped),
        text().prop_map(RunEnd::Failed),
    ];
    prop_oneof![
        (name(), run_time(), option::of((run_time(), range()))).prop_map(|(agent, at, jump)| {
            let jump = jump.map(|(since, moved)| ClockJump { since, moved });
            What::ClockDisturbed { agent, at, jump }
        }),
        (name(), name(), run_time(), text()).prop_map(|(stage, step, at, why)| {
            What::Aborted {
                stage,
                step,
                at,
                why,
            }
        }),
        (name(), run_time(), range(), range()).prop_map(|(agent, at, claimed, measured)| {
            What::HostClockRejected {
                agent,
                at,
                claimed,
                measured,
            }
        }),
        (digest(), host()).prop_map(|(plan, host)| What::RunStarted {
            plan: PlanId(plan),
            host
        }),
        (name(), name(), host(), vec(name(), 0..4)).prop_map(
            |(agent, environment, host, features)| What::AgentJoined {
                agent,
                environment,
                host,
                features,
            }
        ),
        (name(), refusal()).prop_map(|(agent, why)| What::AgentRefused { agent, why }),
        (
            name(),
            run_time(),
            mono(),
            btree_map(name(), start_order(), 0..4)
        )
            .prop_map(|(stage, at_run, at, agents)| What::StageOrdered {
                stage,
                at_run,
                at,
                agents
            }),
        (name(), run_time(), run_time()).prop_map(|(agent, last_heard, at)| What::AgentLost {
            agent,
            last_heard,
            at
        }),
        (name(), run_time(), any::<bool>()).prop_map(|(agent, at, restarted)| {
            What::AgentReturned {
                agent,
                at,
                restarted,
            }
        }),
        (run_time(), any::<u64>()).prop_map(|(at, fence)| What::ControllerReturned {
            at,
            fence: Fence(fence)
        }),
        (name(), vec(name(), 0..4))
            .prop_map(|(stage, missing)| What::StageCollected { stage, missing }),
        (name(), skip).prop_map(|(stage, why)| What::StageSkipped { stage, why }),
        (stop(), text()).prop_map(|(mode, by)| What::StopRequested { mode, by }),
        (name(), text()).prop_map(|(agent, why)| What::RecordRefused { agent, why }),
        end.prop_map(|how| What::RunEnded { how }),
        (1u32.., vec(known(), 0..4))
            .prop_map(|(revision, known)| What::Reported { revision, known }),
    ]
}

prop_compose! {
    pub(crate) fn said(what: BoxedStrategy<What>)(
        at in mono(), epoch in any::<u32>(), wall in 0i64..253_402_300_800_000, what in what,
    ) -> Event {
        Event { at, epoch: ClockEpoch(epoch), wall: WallMillis(wall), what }
    }
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    said(prop_oneof![of_agent(), of_controller()].boxed())
}
