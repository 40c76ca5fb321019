//! Enrolment: a good join token and the proof of a key in, a certificate out.

use std::{sync::Arc, time::Duration};

use nepho_common::{
    id::{AgentId, Digest, EnvironmentName},
    time::WallMillis,
};
use nepho_proto::session::{
    EnrolReply, EnrolRequest, Enrolment, Refused, ReissueRequest, Stranger, async_trait,
};
use tonic::Code;

use super::{
    ca::{Authority, AuthorityError},
    certificate::Serial,
    csr::ProvenKey,
    token::{JoinToken, NoRandomness},
    tries::Tries,
};
use crate::{
    journal::{Admission, Admitted, Grant, NewToken, Store, StoreError, TokenUse},
    listen::Cuts,
};

/// Lets agents in.
#[derive(Debug, Clone)]
pub struct Registrar {
    /// Where tokens and agents are kept.
    pub store: Store,
    /// Who signs.
    pub authority: Arc<Authority>,
    /// Ends the sessions of an agent whose name was given to a new key.
    pub cuts: Cuts,
    /// Told to the agent: where to come next.
    pub sessions_port: u16,
    /// The wall clock.
    pub wall: fn() -> WallMillis,
    /// Who tried lately.
    pub tries: Tries,
}

/// Why there is no join token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The controller's own name.
    #[error("no agent may be named `controller`: choose another name")]
    Reserved,
    /// It could not be written down.
    #[error("can't store the join token")]
    Store(#[from] StoreError),
    /// It could not be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// How long a join token can be used, if nothing else is asked for: long enough to carry it to a
/// host by hand.
pub const TOKEN_VALID: Duration = Duration::from_secs(3600);

/// Makes a join token and writes it down. The token itself is in the answer and nowhere else.
///
/// # Errors
/// When the name is reserved, or the token can't be made or stored.
pub async fn mint(
    store: &Store,
    authority: &Authority,
    environment: EnvironmentName,
    agent: Option<AgentId>,
    valid: Duration,
    now: WallMillis,
) -> Result<JoinToken, MintError> {
    if agent.as_ref().is_some_and(AgentId::is_controller) {
        return Err(MintError::Reserved);
    }
    let token = JoinToken::random(authority.pin())?;
    let valid = i64::try_from(valid.as_millis()).unwrap_or(i64::MAX);
    store
        .put_token(NewToken {
            secret: token.secret_sha(),
            environment,
            agent,
            expires: WallMillis(now.0.saturating_add(valid)),
        })
        .await?;
    Ok(token)
}

#[async_trait]
impl Enrolment for Registrar {
    async fn enrol(&self, peer: Stranger, request: EnrolRequest) -> Result<EnrolReply, Refused> {
        self.tries.may(peer)?;
        self.admit(&request).await.inspect_err(|refused| {
            self.tries.refused(peer, refused);
            let why = refused.message.as_str();
            tracing::warn!(address = %peer.address, why, "enrolment refused");
        })
    }

    async fn reissue(
        &self,
        peer: Stranger,
        request: ReissueRequest,
    ) -> Result<EnrolReply, Refused> {
        self.tries.may(peer)?;
        self.come_back(&request).await.inspect_err(|refused| {
            self.tries.refused(peer, refused);
            let why = refused.message.as_str();
            tracing::warn!(address = %peer.address, why, "an agent may not come back");
        })
    }
}

impl Registrar {
    /// The order matters: nothing is used up before the key is proven, and the agent is written
    /// down before its certificate exists. An agent whose reply was lost comes again with the
    /// same key and finds its place kept.
    async fn admit(&self, request: &EnrolRequest) -> Result<EnrolReply, Refused> {
        let now = (self.wall)();
        let key = ProvenKey::from_request(&request.csr)
            .map_err(|error| Refused::new(Code::InvalidArgument, &error.to_string()))?;
        let grant = self.grant(&request.secret, &key, now).await?;
        let serial = Serial::random().map_err(ours)?;
        let admission = Admission {
            environment: grant.environment,
            agent: grant.agent,
            serial: serial.to_string(),
            key: key.fingerprint(),
            not_after: self.authority.not_after(now),
            now,
        };
        let admitted = self.store.admit(admission).await.map_err(unstored)?;
        let (agent, replaced) = match admitted {
            Admitted::Stored { agent, replaced } => (agent, replaced),
            Admitted::Revoked(name) => {
                let why =
                    format!("agent {name} was revoked: ask for a join token with another name");
                return Err(Refused::new(Code::PermissionDenied, &why));
            }
        };
        let name = &agent.agent;
        if replaced.is_some_and(|old| old.key != agent.key) {
            tracing::warn!(agent = %name, "an agent was set up anew; its old certificate is void");
            self.cuts.cut(name);
        }
        let issued = self
            .authority
            .issue_agent(name, &key, &serial, now)
            .map_err(ours)?;
        tracing::info!(
            agent = %name,
            environment = %agent.environment,
            serial = issued.serial,
            key = %agent.key,
            version = request.version,
            again = grant.again,
            "agent enrolled"
        );
        Ok(EnrolReply {
            chain: issued.chain,
            agent: agent.agent,
            environment: agent.environment,
            sessions_port: self.sessions_port,
        })
    }

    async fn grant(
        &self,
        secret: &[u8],
        key: &ProvenKey,
        now: WallMillis,
    ) -> Result<Grant, Refused> {
        // Looked up by its hash: how long that takes says nothing of the secret.
        let secret = Digest::of(secret);
        let used = self.store.use_token(secret, key.fingerprint(), now).await;
        match used.map_err(unstored)? {
            TokenUse::Granted(grant)
                if grant.agent.as_ref().is_some_and(AgentId::is_controller) =>
            {
                Err(Refused::new(
                    Code::PermissionDenied,
                    "no agent may be named `controller`: ask for a join token with another name",
                ))
            }
            TokenUse::Granted(grant) => Ok(grant),
            TokenUse::Refused(why) => {
                // Which of the three is for the controller's log; a guesser learns nothing.
                tracing::info!(?why, token = secret.short(), "join token refused");
                Err(Refused::new(
                    Code::PermissionDenied,
                    "join token is used, expired or unknown: ask for a new one with `nepho enroll`",
                ))
            }
        }
    }
}

pub(super) fn unstored(error: StoreError) -> Refused {
    tracing::error!(error = &error as &dyn std::error::Error, "can't enrol");
    let why = "the controller can't write to its store: try again, and see its log";
    Refused::new(Code::Unavailable, why)
}

pub(super) fn ours(error: AuthorityError) -> Refused {
    tracing::error!(error = &error as &dyn std::error::Error, "can't enrol");
    let why = "the controller can't make a certificate: see its log";
    Refused::new(Code::Internal, why)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use hyper_util::rt::TokioIo;
    use nepho_proto::{
        session::{EnrolmentClient, SessionError, enrolment_server},
        tls::{self, Identity},
    };
    use rcgen::KeyPair;
    use rustls::pki_types::ServerName;
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::{
        identity::tries::FAILED,
        listen::{
            Limits, Strangers, server_builder,
            site::{Hall, Held, Site, door, knock, request, wall},
        },
    };

    fn registrar(site: &Site) -> Registrar {
        Registrar {
            store: site.store.clone(),
            authority: Arc::clone(&site.authority),
            cuts: site.cuts.clone(),
            sessions_port: 7444,
            wall,
            tries: Tries::default(),
        }
    }

    async fn serve(site: &Site) -> SocketAddr {
        let registrar = registrar(site);
        let gate = Strangers::default();
        let (address, config, incoming) = door(site.plain(), gate, Limits::default()).await;
        tokio::spawn(async move {
            let _config = config;
            server_builder()
                .add_routes(enrolment_server(registrar))
                .serve_with_incoming(incoming)
                .await
        });
        address
    }

    async fn connect(
        address: SocketAddr,
        pin: Digest,
    ) -> Result<EnrolmentClient, tonic::transport::Error> {
        let config = tls::client_config_enrol(pin);
        let connector = tower::service_fn(move |_| {
            let connector = TlsConnector::from(Arc::clone(&config));
            async move {
                let tcp = TcpStream::connect(address).await?;
                let name = ServerName::try_from("controller").unwrap();
                Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
            }
        });
        Endpoint::from_static("http://controller")
            .connect_with_connector(connector)
            .await
            .map(EnrolmentClient::new)
    }

    async fn mint_for(site: &Site, agent: Option<&str>) -> JoinToken {
        let agent = agent.map(|name| name.parse().unwrap());
        let local = "local".parse().unwrap();
        mint(
            &site.store,
            &site.authority,
            local,
            agent,
            TOKEN_VALID,
            wall(),
        )
        .await
        .unwrap()
    }

    fn ask(token: &JoinToken, key: &KeyPair) -> EnrolRequest {
        EnrolRequest {
            secret: token.secret().to_vec(),
            csr: request(key),
            version: "0.1.0".to_owned(),
        }
    }

    fn refusal(answer: Result<EnrolReply, SessionError>) -> Refused {
        match answer {
            Err(SessionError::Refused(refused)) => refused,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_address_that_tries_again_and_again_is_told_to_wait_and_others_are_not() {
        let site = Site::new().await;
        let registrar = registrar(&site);
        let [guesser, other] = [1, 2].map(|last| Stranger {
            address: SocketAddr::from(([10, 0, 0, last], 50_000)),
        });
        let key = KeyPair::generate().unwrap();
        let good = ask(&mint_for(&site, None).await, &key);
        let guess = || EnrolRequest {
            secret: vec![7; 32],
            ..good.clone()
        };
        for _ in 0..FAILED.burst {
            let refused = registrar.enrol(guesser, guess()).await.unwrap_err();
            assert_eq!(refused.code, Code::PermissionDenied);
        }
        for request in [guess(), good.clone()] {
            let refused = registrar.enrol(guesser, request).await.unwrap_err();
            assert_eq!(refused.code, Code::ResourceExhausted);
            assert!(refused.message.contains("try again in"), "{refused}");
        }
        registrar.enrol(other, good).await.unwrap();
    }

    #[tokio::test]
    async fn a_token_becomes_a_certificate_that_opens_the_sessions_door() {
        let site = Site::new().await;
        let client = connect(serve(&site).await, site.authority.pin())
            .await
            .unwrap();
        let token = mint_for(&site, None).await;
        let key = KeyPair::generate().unwrap();
        let reply = client.enrol(ask(&token, &key)).await.unwrap();
        assert_eq!(reply.agent.as_str(), "local-1");
        assert_eq!(reply.environment.as_str(), "local");
        assert_eq!(reply.sessions_port, 7444);

        let mut hall = Hall::open(site.mutual(), site.agents(), Limits::default()).await;
        let held = Held::new(key, reply.chain);
        knock(hall.address, held.config(&site.authority))
            .await
            .unwrap();
        let peer = hall.peers.recv().await.unwrap();
        assert_eq!(peer.identity, Identity::Agent(reply.agent));
    }

    #[tokio::test]
    async fn a_second_host_with_the_same_token_is_refused_with_the_remedy() {
        let site = Site::new().await;
        let client = connect(serve(&site).await, site.authority.pin())
            .await
            .unwrap();
        let token = mint_for(&site, Some("a")).await;
        let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        client.enrol(ask(&token, &first)).await.unwrap();
        let refused = refusal(client.enrol(ask(&token, &second)).await);
        assert_eq!(refused.code, Code::PermissionDenied);
        assert!(refused.message.contains("nepho enroll"), "{refused}");
        // The one that lost its reply comes again, and is the same agent.
        let again = client.enrol(ask(&token, &first)).await.unwrap();
        assert_eq!(again.agent.as_str(), "a");
        assert_eq!(site.store.agents().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_bad_request_does_not_use_the_token_up() {
        let site = Site::new().await;
        let client = connect(serve(&site).await, site.authority.pin())
            .await
            .unwrap();
        let token = mint_for(&site, None).await;
        let key = KeyPair::generate().unwrap();
        let mut bad = ask(&token, &key);
        bad.csr[20] ^= 1;
        let refused = refusal(client.enrol(bad).await);
        assert_eq!(refused.code, Code::InvalidArgument);
        let mut huge = ask(&token, &key);
        huge.csr = vec![0; 1 << 20];
        assert!(client.enrol(huge).await.is_err());
        client.enrol(ask(&token, &key)).await.unwrap();
    }

    #[tokio::test]
    async fn an_unknown_token_is_refused_in_the_same_words_as_a_used_one() {
        let site = Site::new().await;
        let client = connect(serve(&site).await, site.authority.pin())
            .await
            .unwrap();
        let never_stored = JoinToken::random(site.authority.pin()).unwrap();
        let used = mint_for(&site, None).await;
        client
            .enrol(ask(&used, &KeyPair::generate().unwrap()))
            .await
            .unwrap();
        let key = KeyPair::generate().unwrap();
        let unknown = refusal(client.enrol(ask(&never_stored, &key)).await);
        assert_eq!(unknown, refusal(client.enrol(ask(&used, &key)).await));
    }

    #[tokio::test]
    async fn nobody_becomes_the_controller() {
        let site = Site::new().await;
        let local: EnvironmentName = "local".parse().unwrap();
        let controller = Some(AgentId::controller());
        let valid = TOKEN_VALID;
        let minted = mint(
            &site.store,
            &site.authority,
            local.clone(),
            controller.clone(),
            valid,
            wall(),
        );
        assert!(matches!(minted.await, Err(MintError::Reserved)));
        // Even if such a token came to be.
        let token = JoinToken::random(site.authority.pin()).unwrap();
        let stored = NewToken {
            secret: token.secret_sha(),
            environment: local,
            agent: controller,
            expires: WallMillis(i64::MAX),
        };
        site.store.put_token(stored).await.unwrap();
        let client = connect(serve(&site).await, site.authority.pin())
            .await
            .unwrap();
        let key = KeyPair::generate().unwrap();
        let refused = refusal(client.enrol(ask(&token, &key)).await);
        assert_eq!(refused.code, Code::PermissionDenied);
        assert_eq!(site.store.agents().await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_agent_that_was_given_another_pin_does_not_talk_to_us() {
        let site = Site::new().await;
        let address = serve(&site).await;
        assert!(connect(address, Digest::of(b"another")).await.is_err());
    }

    #[tokio::test]
    async fn a_new_key_under_an_old_name_ends_the_old_ones_session() {
        let site = Site::new().await;
        let old = site.agent(&"a".parse().unwrap()).await;
        let hall = Hall::open(site.mutual(), site.agents(), Limits::default()).await;
        let mut session = knock(hall.address, old.config(&site.authority))
            .await
            .unwrap();
        let client = connect(serve(&site).await, site.authority.pin())
            .await
            .unwrap();
        let token = mint_for(&site, Some("a")).await;
        let key = KeyPair::generate().unwrap();
        client.enrol(ask(&token, &key)).await.unwrap();
        let end = tokio::io::AsyncReadExt::read_u8(&mut session).await;
        assert!(end.is_err());
        assert!(
            knock(hall.address, old.config(&site.authority))
                .await
                .is_err()
        );
    }
}
