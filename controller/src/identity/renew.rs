//! The certificate after this one: for an agent that is in a session, and for one that comes back
//! after its certificate has ended.

use std::time::Duration;

use nepho_common::{id::AgentId, time::WallMillis};
use nepho_proto::{
    session::{EnrolReply, Peer, Refused, ReissueRequest, RenewRequest, reissue_message},
    tls::{self, Identity},
};
use rustls::pki_types::CertificateDer;
use tonic::Code;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    certificate::Serial,
    csr::{ProvenKey, is_signed_by},
    enrol::{Registrar, ours, unstored},
};
use crate::journal::{Offer, Offered};

/// For so long after its certificate's end an agent may come back by proving its key: a host that
/// was off over a holiday does, a disk that turns up after months does not.
pub const AWAY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Who an ended certificate was for.
struct Former {
    agent: AgentId,
    serial: String,
}

impl Registrar {
    /// A certificate for a new key of an agent that is in a session. The present one stays good
    /// until the new one is first shown: the reply may be lost.
    ///
    /// # Errors
    /// A [`Refused`] that says what to do.
    pub async fn renew(&self, peer: &Peer, request: &RenewRequest) -> Result<EnrolReply, Refused> {
        let key = proven(&request.csr)?;
        // A copy that was left behind may still be in a session: it must not get ahead again.
        let shown = peer.serial.clone();
        self.issue_next(&peer.agent, shown, &key, &request.version)
            .await
    }

    /// A certificate for a new key of an agent whose certificate has ended. It must be one of
    /// ours, the agent's latest, not too long ended, and its key must have signed this request.
    ///
    /// # Errors
    /// A [`Refused`] that says what to do.
    pub async fn come_back(&self, request: &ReissueRequest) -> Result<EnrolReply, Refused> {
        let key = proven(&request.csr)?;
        let Former { agent, serial } = self.former(request, (self.wall)())?;
        self.tries.reissue(&agent)?;
        self.issue_next(&agent, serial, &key, &request.version)
            .await
    }

    fn former(&self, request: &ReissueRequest, now: WallMillis) -> Result<Former, Refused> {
        let no = |why: &str| Refused::new(Code::PermissionDenied, why);
        let der = CertificateDer::from(request.certificate.as_slice());
        // Reads it to its last byte, and refuses authorities.
        let identity = tls::peer_identity(&der).map_err(|why| no(&why.to_string()))?;
        let Identity::Agent(agent) = identity else {
            return Err(no("the certificate is not an agent's"));
        };
        let unreadable = || no("the certificate can't be read");
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| unreadable())?;
        let (_, ca) =
            X509Certificate::from_der(self.authority.ca_der()).map_err(|_| unreadable())?;
        let ours = parsed.issuer() == ca.subject()
            && parsed.verify_signature(Some(ca.public_key())).is_ok();
        if !ours {
            let why = "the certificate is not of this controller's authority: join again with a \
                       new token";
            return Err(no(why));
        }
        let message = reissue_message(&request.csr);
        if !is_signed_by(parsed.public_key(), &message, &request.proof) {
            return Err(no("the request is not signed by the certificate's key"));
        }
        let ended = parsed.validity().not_after.timestamp().saturating_mul(1000);
        let away_max = i64::try_from(AWAY_MAX.as_millis()).unwrap_or(i64::MAX);
        if now.0.saturating_sub(ended) > away_max {
            let why = format!(
                "the certificate of {agent} ended more than 30 days ago: join again with a new \
                 token from `nepho enroll`"
            );
            return Err(no(&why));
        }
        let serial = hex::encode(parsed.raw_serial());
        Ok(Former { agent, serial })
    }

    /// Written down before it exists, as at enrolment.
    async fn issue_next(
        &self,
        agent: &AgentId,
        shown: String,
        key: &ProvenKey,
        version: &str,
    ) -> Result<EnrolReply, Refused> {
        let now = (self.wall)();
        let serial = Serial::random().map_err(ours)?;
        let offer = Offer {
            serial: serial.to_string(),
            key: key.fingerprint(),
            not_after: self.authority.not_after(now),
        };
        let offered = self.store.offer(agent.clone(), shown, offer).await;
        let why = match offered.map_err(unstored)? {
            Offered::Stored(environment) => {
                let issued = self
                    .authority
                    .issue_agent(agent, key, &serial, now)
                    .map_err(ours)?;
                let key = key.fingerprint();
                tracing::info!(%agent, serial = issued.serial, %key, version, "certificate renewed");
                return Ok(EnrolReply {
                    chain: issued.chain,
                    agent: agent.clone(),
                    environment,
                    sessions_port: self.sessions_port,
                });
            }
            Offered::Unknown => {
                format!("agent {agent} is not known here: join again with a new token")
            }
            Offered::Revoked => {
                format!("agent {agent} was revoked: ask for a join token with another name")
            }
            Offered::Stale => format!(
                "agent {agent} shows a certificate that is not its latest: is it running twice? \
                 Join again with a new token"
            ),
        };
        Err(Refused::new(Code::PermissionDenied, &why))
    }
}

fn proven(csr: &[u8]) -> Result<ProvenKey, Refused> {
    ProvenKey::from_request(csr)
        .map_err(|error| Refused::new(Code::InvalidArgument, &error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{KeyPair, SigningKey as _};

    use super::*;
    use crate::{
        identity::tries::{REISSUES, Tries},
        listen::{
            Limits,
            site::{Hall, Held, Site, knock, request, wall},
        },
    };

    const DAY_MS: i64 = 24 * 3600 * 1000;

    fn registrar(site: &Site, wall: fn() -> WallMillis) -> Registrar {
        Registrar {
            store: site.store.clone(),
            authority: Arc::clone(&site.authority),
            cuts: site.cuts.clone(),
            sessions_port: 7444,
            wall,
            tries: Tries::default(),
        }
    }

    fn name() -> AgentId {
        "a".parse().unwrap()
    }

    /// What the holder of `signer` says for `new`, with the certificate of `old`.
    fn asked(old: &Held, signer: &KeyPair, new: &KeyPair) -> ReissueRequest {
        let csr = request(new);
        ReissueRequest {
            certificate: old.chain[0].to_vec(),
            proof: signer.sign(&reissue_message(&csr)).unwrap(),
            csr,
            version: "0.1.0".to_owned(),
        }
    }

    /// Its session over the connection that `held` opened.
    fn session(held: &Held) -> Peer {
        let (_, parsed) = X509Certificate::from_der(&held.chain[0]).unwrap();
        Peer {
            agent: name(),
            address: ([127, 0, 0, 1], 1).into(),
            serial: hex::encode(parsed.raw_serial()),
        }
    }

    fn renewal(new: &KeyPair) -> RenewRequest {
        RenewRequest {
            csr: request(new),
            version: "0.1.0".to_owned(),
        }
    }

    fn key() -> KeyPair {
        KeyPair::generate().unwrap()
    }

    async fn gets_in(site: &Site, held: &Held) -> bool {
        let hall = Hall::open(site.mutual(), site.agents(), Limits::default()).await;
        knock(hall.address, held.config(&site.authority))
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn both_certificates_open_the_door_until_the_new_one_is_shown() {
        let site = Site::new().await;
        let old = site.agent(&name()).await;
        let new = key();
        let reply = registrar(&site, wall)
            .renew(&session(&old), &renewal(&new))
            .await
            .unwrap();
        let new = Held::new(new, reply.chain);
        assert_ne!(new.chain[0], old.chain[0]);
        assert!(gets_in(&site, &old).await);
        assert!(gets_in(&site, &new).await);
        assert!(gets_in(&site, &new).await);
        assert!(!gets_in(&site, &old).await, "the new one was shown");
        // A copy that still is in a session over the old one does not get ahead again.
        let ahead = registrar(&site, wall)
            .renew(&session(&old), &renewal(&key()))
            .await;
        assert!(ahead.unwrap_err().message.contains("running twice"));
        let row = site.store.agent(&name()).await.unwrap().unwrap();
        assert_eq!(row.next, None);
    }

    #[tokio::test]
    async fn a_lost_reply_is_asked_for_again() {
        let site = Site::new().await;
        let old = site.agent(&name()).await;
        let (lost, new) = (key(), key());
        let registrar = registrar(&site, wall);
        let first = registrar
            .renew(&session(&old), &renewal(&lost))
            .await
            .unwrap();
        let reply = registrar
            .renew(&session(&old), &renewal(&new))
            .await
            .unwrap();
        assert!(gets_in(&site, &old).await);
        assert!(!gets_in(&site, &Held::new(lost, first.chain)).await);
        assert!(gets_in(&site, &Held::new(new, reply.chain)).await);
    }

    #[tokio::test]
    async fn an_agent_comes_back_by_its_old_key_for_thirty_days_and_no_longer() {
        fn within() -> WallMillis {
            WallMillis(wall().0 + 31 * DAY_MS - 60_000)
        }
        fn after() -> WallMillis {
            WallMillis(wall().0 + 31 * DAY_MS + 60_000)
        }
        let site = Site::new().await;
        // Its certificate is good for one day.
        let old = site.agent(&name()).await;
        let request = asked(&old, &old.key, &key());
        let refused = registrar(&site, after).come_back(&request).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, Code::PermissionDenied);
        assert!(refused.message.contains("join again"), "{refused}");
        let reply = registrar(&site, within).come_back(&request).await.unwrap();
        assert_eq!(reply.agent, name());
        assert_eq!(reply.environment.as_str(), "local");
    }

    #[tokio::test]
    async fn what_came_back_opens_the_door_and_its_forerunner_does_not_return() {
        let site = Site::new().await;
        let old = site.agent(&name()).await;
        let new = key();
        let registrar = registrar(&site, wall);
        let reply = registrar.come_back(&asked(&old, &old.key, &new)).await;
        let new = Held::new(new, reply.unwrap().chain);
        // Before it was shown at the door it may lose its host's clock and come back again.
        let third = key();
        let reply = registrar.come_back(&asked(&new, &new.key, &third)).await;
        let third = Held::new(third, reply.unwrap().chain);
        assert!(gets_in(&site, &third).await);
        let refused = registrar.come_back(&asked(&old, &old.key, &key())).await;
        let refused = refused.unwrap_err();
        assert!(refused.message.contains("running twice"), "{refused}");
    }

    #[tokio::test]
    async fn an_agent_that_comes_back_again_and_again_is_told_to_wait() {
        let site = Site::new().await;
        let old = site.agent(&name()).await;
        let registrar = registrar(&site, wall);
        for _ in 0..REISSUES.burst {
            let request = asked(&old, &old.key, &key());
            registrar.come_back(&request).await.unwrap();
        }
        let request = asked(&old, &old.key, &key());
        let refused = registrar.come_back(&request).await.unwrap_err();
        assert_eq!(refused.code, Code::ResourceExhausted);
        assert!(refused.message.contains("try again in"), "{refused}");
        // Another agent does not wait for it.
        let other = site.agent(&"b".parse().unwrap()).await;
        let request = asked(&other, &other.key, &key());
        registrar.come_back(&request).await.unwrap();
    }

    #[tokio::test]
    async fn a_proof_by_another_key_or_for_another_key_is_refused() {
        let site = Site::new().await;
        let old = site.agent(&name()).await;
        let registrar = registrar(&site, wall);
        let thief = key();
        let by_another = asked(&old, &thief, &thief);
        let for_another = ReissueRequest {
            csr: request(&thief),
            ..asked(&old, &old.key, &key())
        };
        let csr = request(&thief);
        // A signature over the request alone was meant for something else.
        let other_purpose = ReissueRequest {
            proof: old.key.sign(&csr).unwrap(),
            csr,
            ..asked(&old, &old.key, &thief)
        };
        for bad in [by_another, for_another, other_purpose] {
            let refused = registrar.come_back(&bad).await.unwrap_err();
            assert_eq!(refused.code, Code::PermissionDenied);
            assert!(refused.message.contains("not signed"), "{refused}");
        }
        let row = site.store.agent(&name()).await.unwrap().unwrap();
        assert_eq!(row.next, None, "nothing was offered");
    }

    #[tokio::test]
    async fn a_certificate_of_another_authority_is_refused() {
        let (site, elsewhere) = (Site::new().await, Site::new().await);
        site.agent(&name()).await;
        let foreign = elsewhere.agent(&name()).await;
        let request = asked(&foreign, &foreign.key, &key());
        let refused = registrar(&site, wall).come_back(&request).await;
        let refused = refused.unwrap_err();
        assert!(refused.message.contains("authority"), "{refused}");
    }

    #[tokio::test]
    async fn a_revoked_agent_comes_back_by_neither_way() {
        let site = Site::new().await;
        let old = site.agent(&name()).await;
        let registrar = registrar(&site, wall);
        let waiting = key();
        let offered = registrar
            .renew(&session(&old), &renewal(&waiting))
            .await
            .unwrap();
        site.store.revoke(name(), wall()).await.unwrap();
        let renewed = registrar.renew(&session(&old), &renewal(&key())).await;
        let back = registrar.come_back(&asked(&old, &old.key, &key())).await;
        for refused in [renewed.unwrap_err(), back.unwrap_err()] {
            assert_eq!(refused.code, Code::PermissionDenied);
            assert!(refused.message.contains("revoked"), "{refused}");
        }
        // Nor by what it was offered before.
        assert!(!gets_in(&site, &Held::new(waiting, offered.chain)).await);
        assert!(!gets_in(&site, &old).await);
    }
}
