//! Enrolment: a join token and a public key go in, a certificate comes out.

use std::fmt;

use nepho_common::id::{AgentId, Digest, EnvironmentName};
use tonic::{Request, Response, Status, async_trait, service::Routes, transport::Channel};

use super::{Refused, SessionError, Stranger, peer::found};
use crate::{
    limits::ENROLMENT_MAX,
    wire::{self, enrolment_client::EnrolmentClient as Wire, enrolment_server::EnrolmentServer},
};

/// What a host that wants to become an agent says.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolRequest {
    /// The secret part of its join token.
    pub secret: Vec<u8>,
    /// A PKCS#10 request, DER; only its public key is taken from it.
    pub csr: Vec<u8>,
    /// The version of its program.
    pub version: String,
}

impl fmt::Debug for EnrolRequest {
    /// Without the secret, so that no log can hold it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolRequest")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolReply {
    /// DER, the agent's own first, then the authority.
    pub chain: Vec<Vec<u8>>,
    /// Its name.
    pub agent: AgentId,
    /// Where it is.
    pub environment: EnvironmentName,
    /// The controller's port for sessions.
    pub sessions_port: u16,
}

/// What an agent says whose certificate is half-way through its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewRequest {
    /// A PKCS#10 request with a new key, DER; only its public key is taken from it.
    pub csr: Vec<u8>,
    /// The version of its program.
    pub version: String,
}

/// What an agent says that was away until its certificate had ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReissueRequest {
    /// That certificate, DER.
    pub certificate: Vec<u8>,
    /// A PKCS#10 request with a new key, DER; only its public key is taken from it.
    pub csr: Vec<u8>,
    /// By the certificate's key, over [`reissue_message`].
    pub proof: Vec<u8>,
    /// The version of its program.
    pub version: String,
}

/// What the old key signs to get a certificate for a new one. It names its purpose, so that no
/// other signature of that key is one of these, and the request, so that it serves no other key.
#[must_use]
pub fn reissue_message(csr: &[u8]) -> Vec<u8> {
    let mut message = b"nepho.v1 reissue\0".to_vec();
    message.extend_from_slice(&Digest::of(csr).bytes()[..]);
    message
}

/// The agent's end.
#[derive(Debug, Clone)]
pub struct EnrolmentClient {
    channel: Channel,
}

impl EnrolmentClient {
    /// Over a channel that is encrypted already; its URI says `http://`.
    #[must_use]
    pub const fn new(channel: Channel) -> Self {
        Self { channel }
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`SessionError`] when the controller refuses, can't be reached, or answers nonsense.
    pub async fn enrol(&self, request: EnrolRequest) -> Result<EnrolReply, SessionError> {
        let mut client = Wire::new(self.channel.clone())
            .max_decoding_message_size(ENROLMENT_MAX)
            .max_encoding_message_size(ENROLMENT_MAX);
        let reply = client.enrol(wire::EnrolRequest::from(request)).await?;
        Ok(reply.into_inner().try_into()?)
    }

    /// Asks for a certificate in place of one that has ended.
    ///
    /// # Errors
    /// [`SessionError`] when the controller refuses, can't be reached, or answers nonsense.
    pub async fn reissue(&self, request: ReissueRequest) -> Result<EnrolReply, SessionError> {
        let mut client = Wire::new(self.channel.clone())
            .max_decoding_message_size(ENROLMENT_MAX)
            .max_encoding_message_size(ENROLMENT_MAX);
        let reply = client.reissue(wire::ReissueRequest::from(request)).await?;
        Ok(reply.into_inner().try_into()?)
    }
}

/// What a controller does with enrolments.
#[async_trait]
pub trait Enrolment: Send + Sync + 'static {
    /// A host wants to become an agent.
    async fn enrol(&self, peer: Stranger, request: EnrolRequest) -> Result<EnrolReply, Refused>;

    /// An agent comes back whose certificate has ended.
    async fn reissue(&self, peer: Stranger, request: ReissueRequest)
    -> Result<EnrolReply, Refused>;
}

/// Routes for `Server::add_routes`. The incoming streams' `ConnectInfo` must be [`Stranger`].
pub fn enrolment_server(enrolment: impl Enrolment) -> Routes {
    let server = EnrolmentServer::new(Glue(enrolment))
        .max_decoding_message_size(ENROLMENT_MAX)
        .max_encoding_message_size(ENROLMENT_MAX);
    Routes::new(server)
}

struct Glue<E>(E);

#[async_trait]
impl<E: Enrolment> wire::enrolment_server::Enrolment for Glue<E> {
    async fn enrol(
        &self,
        request: Request<wire::EnrolRequest>,
    ) -> Result<Response<wire::EnrolReply>, Status> {
        let stranger: Stranger = found(&request)?;
        let bad = |bad: crate::BadMessage| Status::invalid_argument(bad.to_string());
        let asked = request.into_inner().try_into().map_err(bad)?;
        let reply = self.0.enrol(stranger, asked).await?;
        Ok(Response::new(reply.into()))
    }
    async fn reissue(
        &self,
        request: Request<wire::ReissueRequest>,
    ) -> Result<Response<wire::EnrolReply>, Status> {
        let stranger: Stranger = found(&request)?;
        let bad = |bad: crate::BadMessage| Status::invalid_argument(bad.to_string());
        let asked = request.into_inner().try_into().map_err(bad)?;
        let reply = self.0.reissue(stranger, asked).await?;
        Ok(Response::new(reply.into()))
    }
}
