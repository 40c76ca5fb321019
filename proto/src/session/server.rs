//! The controller's end of a session.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::StreamExt as _;
use nepho_common::{id::AgentId, journal::Record};
use tonic::{
    Request, Response, Status, Streaming, async_trait,
    body::Body,
    codegen::{BoxFuture, BoxStream, Service, http},
    server::NamedService,
    service::Routes,
};

use super::{
    Ack, AgentMessage, ControllerMessage, EnrolReply, Incoming, Outgoing, Peer, Refused,
    RenewRequest, client::incoming, peer::agent,
};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::{AGENT_MESSAGE_MAX, COMMAND_MAX, RESULTS_MAX},
    wire::{self, sessions_server::SessionsServer},
};

/// What a controller does with sessions.
///
/// Only agents get here: whoever shows another certificate of ours is refused before.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// An agent opened its control stream.
    async fn control(
        &self,
        peer: Peer,
        incoming: Incoming<AgentMessage>,
    ) -> Result<Outgoing<ControllerMessage>, Refused>;

    /// An agent opened its results stream. A record that bears another's name comes as a bad
    /// message.
    async fn results(
        &self,
        peer: Peer,
        incoming: Incoming<Record>,
    ) -> Result<Outgoing<Ack>, Refused>;

    /// An agent wants a certificate for a new key.
    async fn renew(&self, peer: Peer, request: RenewRequest) -> Result<EnrolReply, Refused>;
}

/// Routes for `Server::add_routes`. The incoming streams' `ConnectInfo` must be
/// [`PeerIdentity`](super::PeerIdentity).
pub fn sessions_server(sessions: impl Sessions) -> Routes {
    let glue = Arc::new(Glue(sessions));
    Routes::new(ByMethod {
        control: SessionsServer::from_arc(Arc::clone(&glue))
            .max_decoding_message_size(AGENT_MESSAGE_MAX)
            .max_encoding_message_size(COMMAND_MAX),
        results: SessionsServer::from_arc(glue)
            .max_decoding_message_size(RESULTS_MAX)
            .max_encoding_message_size(RESULTS_MAX),
    })
}

/// Two servers of one service, because a generated server has one limit for all its methods.
struct ByMethod<S> {
    control: SessionsServer<Glue<S>>,
    results: SessionsServer<Glue<S>>,
}

impl<S> Clone for ByMethod<S> {
    fn clone(&self) -> Self {
        Self {
            control: self.control.clone(),
            results: self.results.clone(),
        }
    }
}

impl<S> NamedService for ByMethod<S> {
    const NAME: &'static str = wire::sessions_server::SERVICE_NAME;
}

impl<S: Sessions> Service<http::Request<Body>> for ByMethod<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The generated servers are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // Whatever is not results has the smaller limit, unknown methods included.
        if request.uri().path().ends_with("/Results") {
            self.results.call(request)
        } else {
            self.control.call(request)
        }
    }
}

struct Glue<S>(S);

#[async_trait]
impl<S: Sessions> wire::sessions_server::Sessions for Glue<S> {
    type ControlStream = BoxStream<wire::ControllerMessage>;
    type ResultsStream = BoxStream<wire::Ack>;

    async fn control(
        &self,
        request: Request<Streaming<wire::AgentMessage>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let peer = agent(&request)?;
        let out = self.0.control(peer, incoming(request.into_inner())).await?;
        Ok(Response::new(out.map(|message| Ok(message.into())).boxed()))
    }

    async fn results(
        &self,
        request: Request<Streaming<wire::Record>>,
    ) -> Result<Response<Self::ResultsStream>, Status> {
        let peer = agent(&request)?;
        let author = peer.agent.clone();
        let records = incoming(request.into_inner());
        let records = records.map(move |item| Ok(own(&author, item?)?)).boxed();
        let out = self.0.results(peer, records).await?;
        Ok(Response::new(out.map(|ack| Ok(ack.into())).boxed()))
    }

    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::EnrolReply>, Status> {
        let peer = agent(&request)?;
        let bad = |bad: BadMessage| Status::invalid_argument(bad.to_string());
        let asked = request.into_inner().try_into().map_err(bad)?;
        let reply = self.0.renew(peer, asked).await?;
        Ok(Response::new(reply.into()))
    }
}

/// Nobody sends in another's name.
fn own(author: &AgentId, record: Record) -> Result<Record, BadMessage> {
    if record.key.agent == *author {
        return Ok(record);
    }
    Err(Wrong::Foreign {
        found: record.key.agent.to_string(),
        said: author.to_string(),
    })
    .within("agent")
}
