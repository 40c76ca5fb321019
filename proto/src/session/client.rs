//! The agent's end of a session.

use std::future::ready;

use futures_util::StreamExt as _;
use nepho_common::journal::Record;
use tonic::{Streaming, transport::Channel};

use super::{
    Ack, AgentMessage, ControllerMessage, EnrolReply, Incoming, Outgoing, RenewRequest,
    SessionError,
};
use crate::{
    bad::BadMessage,
    limits::{AGENT_MESSAGE_MAX, COMMAND_MAX, ENROLMENT_MAX, RESULTS_MAX},
    wire::{self, sessions_client::SessionsClient as Wire},
};

/// Opens control and results. They belong on connections of their own, so that data can't starve
/// an abort: make two of these, over two channels.
#[derive(Debug, Clone)]
pub struct SessionsClient {
    channel: Channel,
}

impl SessionsClient {
    /// Over a channel that is encrypted already; its URI says `http://`.
    #[must_use]
    pub const fn new(channel: Channel) -> Self {
        Self { channel }
    }

    /// Opens the control stream.
    ///
    /// # Errors
    /// [`SessionError`] when the controller refuses or can't be reached.
    pub async fn control(
        &self,
        out: Outgoing<AgentMessage>,
    ) -> Result<Incoming<ControllerMessage>, SessionError> {
        let mut client = Wire::new(self.channel.clone())
            .max_decoding_message_size(COMMAND_MAX)
            .max_encoding_message_size(AGENT_MESSAGE_MAX);
        let reply = client.control(out.map(wire::AgentMessage::from)).await?;
        Ok(incoming(reply.into_inner()))
    }

    /// Opens the results stream.
    ///
    /// # Errors
    /// [`SessionError`] when the controller refuses or can't be reached.
    pub async fn results(&self, out: Outgoing<Record>) -> Result<Incoming<Ack>, SessionError> {
        let mut client = Wire::new(self.channel.clone())
            .max_decoding_message_size(RESULTS_MAX)
            .max_encoding_message_size(RESULTS_MAX);
        let reply = client.results(out.map(wire::Record::from)).await?;
        Ok(incoming(reply.into_inner()))
    }

    /// Asks for a certificate for a new key.
    ///
    /// # Errors
    /// [`SessionError`] when the controller refuses, can't be reached, or answers nonsense.
    pub async fn renew(&self, request: RenewRequest) -> Result<EnrolReply, SessionError> {
        let mut client = Wire::new(self.channel.clone())
            .max_decoding_message_size(ENROLMENT_MAX)
            .max_encoding_message_size(ENROLMENT_MAX);
        let reply = client.renew(wire::RenewRequest::from(request)).await?;
        Ok(reply.into_inner().try_into()?)
    }
}

/// Each message through its conversion, until the stream itself fails: tonic would say again and
/// again that a connection is gone, and a receiver that goes on after an error would spin.
pub(super) fn incoming<W, N>(stream: Streaming<W>) -> Incoming<N>
where
    W: Send + 'static,
    N: TryFrom<W, Error = BadMessage>,
{
    let until_it_fails = stream.scan(false, |failed, item| {
        let item = (!*failed).then_some(item);
        *failed = !matches!(item, Some(Ok(_)));
        ready(item)
    });
    until_it_fails.map(|item| Ok(N::try_from(item?)?)).boxed()
}
