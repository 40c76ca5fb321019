//! Sessions over real connections on the loopback, without TLS.

mod listener;

use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture, stream};
use nepho_common::{
    id::{AgentId, Seq},
    journal::Record,
    time::{ClockEpoch, Mono, Nanos},
};
use proptest::{
    strategy::{Strategy, ValueTree as _},
    test_runner::TestRunner,
};
use tonic::{Code, async_trait};

use self::listener::{Listener, listen};
use super::*;
use crate::{
    arbitrary::{entry, record_of, session},
    limits::AGENT_MESSAGE_MAX,
    tls::Identity,
    wire,
};

/// Long enough for any machine, short enough for a person; nothing here waits for it.
async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("in time")
}

async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> T {
    soon(stream.next()).await.expect("one more")
}

fn one<T>(strategy: impl Strategy<Value = T>) -> T {
    strategy
        .new_tree(&mut TestRunner::deterministic())
        .unwrap()
        .current()
}

fn pong(id: u64) -> AgentMessage {
    let (t1, t2, t3) = (Mono(id), Mono(2), Mono(3));
    AgentMessage::Pong(Pong {
        id,
        t1,
        t2,
        t3,
        epoch: ClockEpoch(0),
        runs: Vec::new(),
        policy: None,
        wall: None,
    })
}

/// Welcomes whoever comes, answers each pong with a ping, and says goodbye to a bad message;
/// acknowledges each record, and number 0 for a bad one.
struct Echo;

#[async_trait]
impl Sessions for Echo {
    async fn control(
        &self,
        peer: Peer,
        incoming: Incoming<AgentMessage>,
    ) -> Result<Outgoing<ControllerMessage>, Refused> {
        if peer.agent.as_str() == "unwanted" {
            return Err(Refused::new(Code::FailedPrecondition, "revoked\x1b[2J\n"));
        }
        let welcome = Welcome {
            protocol: 1,
            heartbeat: Nanos::from_secs(5),
            agent: peer.agent,
        };
        let answer = |item| match item {
            Ok(AgentMessage::Pong(pong)) => ControllerMessage::Ping(Ping {
                id: pong.id,
                t1: pong.t1,
            }),
            other => ControllerMessage::Goodbye {
                reason: format!("{other:?}"),
            },
        };
        let first = stream::iter([ControllerMessage::Welcome(welcome)]);
        Ok(first.chain(incoming.map(answer)).boxed())
    }

    async fn results(&self, _: Peer, incoming: Incoming<Record>) -> Result<Outgoing<Ack>, Refused> {
        let spool = one(crate::arbitrary::spool());
        let answer = move |item: Result<Record, SessionError>| match item {
            Ok(record) => Ack {
                spool: record.key.spool,
                seq: record.key.seq,
            },
            Err(_) => Ack { spool, seq: Seq(0) },
        };
        Ok(incoming.map(answer).boxed())
    }

    async fn renew(&self, peer: Peer, _: RenewRequest) -> Result<EnrolReply, Refused> {
        let agent = peer.agent;
        Ok(EnrolReply {
            agent,
            ..one(session::enrol_reply())
        })
    }
}

#[async_trait]
impl Enrolment for Echo {
    async fn enrol(&self, peer: Stranger, request: EnrolRequest) -> Result<EnrolReply, Refused> {
        assert!(peer.address.ip().is_loopback());
        if request.secret == b"wrong" {
            return Err(Refused::new(
                Code::Unauthenticated,
                "the token is not valid",
            ));
        }
        Ok(one(session::enrol_reply()))
    }

    async fn reissue(&self, _: Stranger, request: ReissueRequest) -> Result<EnrolReply, Refused> {
        if request.proof == reissue_message(&request.csr) {
            return Ok(one(session::enrol_reply()));
        }
        Err(Refused::new(Code::PermissionDenied, "no proof"))
    }
}

fn agent(name: &str) -> Identity {
    Identity::Agent(name.parse().unwrap())
}

async fn sessions(identity: Identity) -> (Listener, SessionsClient) {
    let peer = move |address| PeerIdentity {
        identity: identity.clone(),
        address,
        serial: "40".to_owned(),
    };
    let listener = listen(sessions_server(Echo), peer).await;
    let client = SessionsClient::new(listener.channel().await);
    (listener, client)
}

#[tokio::test]
async fn what_both_sides_say_arrives_as_it_was_said() {
    let (_listener, client) = sessions(agent("a")).await;
    let mut incoming = soon(client.control(stream::iter([pong(7), pong(8)]).boxed()))
        .await
        .unwrap();
    let agent: AgentId = "a".parse().unwrap();
    let welcome = Welcome {
        protocol: 1,
        heartbeat: Nanos::from_secs(5),
        agent,
    };
    assert_eq!(
        next(&mut incoming).await,
        Ok(ControllerMessage::Welcome(welcome))
    );
    for id in [7, 8] {
        let ping = Ping { id, t1: Mono(id) };
        assert_eq!(next(&mut incoming).await, Ok(ControllerMessage::Ping(ping)));
    }
    assert_eq!(soon(incoming.next()).await, None);
}

#[tokio::test]
async fn a_record_in_the_name_of_another_is_a_bad_message_and_the_next_one_still_counts() {
    let (_listener, client) = sessions(agent("a")).await;
    let mut own = record_of(&one(entry()));
    own.key.agent = "a".parse().unwrap();
    let mut others = own.clone();
    others.key.agent = "b".parse().unwrap();
    let out = stream::iter([others, own.clone()]).boxed();
    let mut incoming = soon(client.results(out)).await.unwrap();
    assert_eq!(next(&mut incoming).await.unwrap().seq, Seq(0));
    let ack = Ack {
        spool: own.key.spool,
        seq: own.key.seq,
    };
    assert_eq!(next(&mut incoming).await, Ok(ack));
}

#[tokio::test]
async fn a_refusal_says_which_and_why_without_tricks_for_the_terminal() {
    let (_listener, client) = sessions(agent("unwanted")).await;
    let refused = soon(client.control(stream::empty().boxed())).await.err();
    let message = "revoked [2J ".to_owned();
    let expected = Refused {
        code: Code::FailedPrecondition,
        message,
    };
    assert_eq!(refused, Some(SessionError::Refused(expected)));
}

#[tokio::test]
async fn the_controllers_own_certificate_opens_no_session() {
    let (_listener, client) = sessions(Identity::Controller).await;
    for refused in [
        soon(client.control(stream::empty().boxed())).await.err(),
        soon(client.results(stream::empty().boxed())).await.err(),
    ] {
        let Some(SessionError::Refused(refused)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(refused.code, Code::PermissionDenied);
    }
}

#[tokio::test]
async fn a_listener_that_does_not_say_who_is_there_lets_nobody_in() {
    let listener = listen(sessions_server(Echo), |address| Stranger { address }).await;
    let client = SessionsClient::new(listener.channel().await);
    let refused = soon(client.control(stream::empty().boxed())).await.err();
    let Some(SessionError::Refused(refused)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(refused.code, Code::Internal);
}

/// What the controller answers to one message that our own client would not send.
async fn answer_to(message: wire::AgentMessage) -> Option<Result<ControllerMessage, SessionError>> {
    let (listener, _) = sessions(agent("a")).await;
    let mut raw = wire::sessions_client::SessionsClient::new(listener.channel().await);
    let reply = soon(raw.control(stream::iter([message]))).await.unwrap();
    let mut incoming: Incoming<ControllerMessage> = client::incoming(reply.into_inner());
    next(&mut incoming).await.unwrap();
    soon(incoming.next()).await
}

#[tokio::test]
async fn a_message_that_means_nothing_reaches_the_receiver_as_a_bad_one() {
    let answer = answer_to(wire::AgentMessage { message: None }).await;
    let Some(Ok(ControllerMessage::Goodbye { reason })) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        reason.contains("Bad") && reason.contains("Missing"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_message_above_its_cap_reaches_the_receiver_as_a_bad_one() {
    let reason = "x".repeat(AGENT_MESSAGE_MAX);
    let bye = wire::agent_message::Message::Goodbye(wire::Goodbye { reason });
    let answer = answer_to(wire::AgentMessage { message: Some(bye) }).await;
    let Some(Ok(ControllerMessage::Goodbye { reason })) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        reason.contains("Bad") && reason.contains("too large"),
        "{reason}"
    );
}

#[tokio::test]
async fn bytes_that_are_no_message_reach_the_receiver_as_a_bad_one() {
    let (listener, _) = sessions(agent("a")).await;
    let mut raw = tonic::client::Grpc::new(listener.channel().await);
    soon(raw.ready()).await.unwrap();
    // Field 1 of an agent's message is a hello, and this is none.
    let nonsense = wire::EnrolRequest {
        secret: vec![0xff; 9],
        ..Default::default()
    };
    let request = tonic::Request::new(stream::iter([nonsense]));
    let path = "/nepho.v1.Sessions/Control".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<_, wire::ControllerMessage>::default();
    let reply = soon(raw.streaming(request, path, codec)).await.unwrap();
    let mut incoming: Incoming<ControllerMessage> = client::incoming(reply.into_inner());
    next(&mut incoming).await.unwrap();
    let answer = next(&mut incoming).await;
    let Ok(ControllerMessage::Goodbye { reason }) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        reason.contains("Bad") && reason.contains("failed to decode"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_controller_that_goes_away_without_a_word_is_a_broken_connection() {
    let (listener, client) = sessions(agent("a")).await;
    let mut incoming = soon(client.control(stream::pending().boxed()))
        .await
        .unwrap();
    next(&mut incoming).await.unwrap();
    listener.pull_the_plug();
    let broken = next(&mut incoming).await;
    assert!(matches!(broken, Err(SessionError::Broken(_))), "{broken:?}");
    assert_eq!(soon(incoming.next()).await, None);
    let again = soon(client.control(stream::pending().boxed())).await.err();
    assert!(matches!(again, Some(SessionError::Broken(_))), "{again:?}");
}

#[tokio::test]
async fn enrolment_answers_the_token_or_says_why_not() {
    let listener = listen(enrolment_server(Echo), |address| Stranger { address }).await;
    let client = EnrolmentClient::new(listener.channel().await);
    let asked = one(session::enrol_request());
    assert_eq!(
        soon(client.enrol(asked.clone())).await,
        Ok(one(session::enrol_reply()))
    );

    let code_of = |request| -> BoxFuture<'_, Option<Code>> {
        let enrol = client.enrol(request);
        async move {
            match soon(enrol).await {
                Err(SessionError::Refused(refused)) => Some(refused.code),
                _ => None,
            }
        }
        .boxed()
    };
    let wrong = EnrolRequest {
        secret: b"wrong".to_vec(),
        ..asked.clone()
    };
    assert_eq!(code_of(wrong).await, Some(Code::Unauthenticated));
    let empty = EnrolRequest {
        secret: Vec::new(),
        ..asked
    };
    assert_eq!(code_of(empty).await, Some(Code::InvalidArgument));
}

#[tokio::test]
async fn a_renewal_is_for_the_agent_that_the_connection_belongs_to() {
    let (_listener, client) = sessions(agent("a")).await;
    let asked = one(session::renew_request());
    let reply = soon(client.renew(asked.clone())).await.unwrap();
    assert_eq!(reply.agent.as_str(), "a");
    let empty = RenewRequest {
        csr: Vec::new(),
        ..asked.clone()
    };
    let refused = soon(client.renew(empty)).await.unwrap_err();
    assert!(
        matches!(refused, SessionError::Refused(refused) if refused.code == Code::InvalidArgument)
    );
    let (_listener, client) = sessions(Identity::Controller).await;
    let refused = soon(client.renew(asked)).await.unwrap_err();
    assert!(
        matches!(refused, SessionError::Refused(refused) if refused.code == Code::PermissionDenied)
    );
}

#[tokio::test]
async fn a_reissue_is_answered_or_refused_with_its_reason() {
    let listener = listen(enrolment_server(Echo), |address| Stranger { address }).await;
    let client = EnrolmentClient::new(listener.channel().await);
    let asked = one(session::reissue_request());
    let proven = ReissueRequest {
        proof: reissue_message(&asked.csr),
        ..asked.clone()
    };
    assert_eq!(
        soon(client.reissue(proven)).await,
        Ok(one(session::enrol_reply()))
    );
    let refused = soon(client.reissue(asked)).await.unwrap_err();
    assert!(matches!(refused, SessionError::Refused(refused) if refused.message == "no proof"));
}
