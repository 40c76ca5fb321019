//! The certificate after this one: a new key at half of its life, or, after an absence that outlived
//! it, in its place by proving the old key.

use std::{fmt, io, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use nepho_common::{id::Digest, time::WallMillis};
use nepho_proto::{
    session::{
        EnrolReply, EnrolmentClient, ReissueRequest, RenewRequest, SessionError, SessionsClient,
        reissue_message,
    },
    tls::{self, client_config_enrol},
};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey as _};
use rustls::ClientConfig;
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tonic::Code;

use crate::{
    backoff::Backoff,
    chain::Chain,
    dial::{DialError, Dialer},
    identity::{About, DataDir, Identity, IdentityError},
    join::{self, JoinError},
    random,
};

/// The controller signs a certificate in milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// A controller that said no has its reason, which a person must remove: asking again and again
/// only fills two logs.
const REFUSED_WAIT: Duration = Duration::from_secs(600);
/// The wall clock may be set, and the host may sleep: it is looked at this often at least.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How rustls says that the other side takes our certificate for ended.
const ENDED_ALERT: &str = "CertificateExpired";

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error("no connection")]
    Dial(#[from] DialError),
    #[error("the controller gives no certificate")]
    Session(#[from] SessionError),
    #[error("nothing was heard for {ANSWER_MAX:?}")]
    Silent,
    #[error("make a key and a request for a certificate")]
    Key(#[from] rcgen::Error),
    #[error("the old key can't be used")]
    OldKey(#[source] rcgen::Error),
    #[error("the new certificate is not used")]
    Untrusted(#[from] JoinError),
    #[error("the new certificate is for another agent")]
    AnotherAgent,
    #[error("keep the new identity")]
    Keep(#[from] IdentityError),
    #[error("keep the new identity")]
    Task(#[from] tokio::task::JoinError),
}

impl RenewalError {
    /// Whether a person has to do something.
    const fn is_refusal(&self) -> bool {
        let Self::Session(SessionError::Refused(refused)) = self else {
            return false;
        };
        matches!(
            refused.code,
            Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented
        )
    }
}

/// Keeps an agent's identity fresh.
pub struct Renewal {
    dir: DataDir,
    about: About,
    identity: Identity,
    /// To everybody who dials.
    publish: watch::Sender<Arc<ClientConfig>>,
    /// The door took our certificate for ended, whatever our clock says.
    ended: Arc<Notify>,
    wall: fn() -> WallMillis,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").finish_non_exhaustive()
    }
}

impl Renewal {
    /// Of this identity, which `dir` holds; with it the way to dial with the latest one.
    ///
    /// # Errors
    /// The identity can't be used.
    pub fn new(
        dir: DataDir,
        about: About,
        identity: Identity,
        wall: fn() -> WallMillis,
    ) -> Result<(Self, Dialer), IdentityError> {
        let (publish, latest) = watch::channel(identity.tls()?);
        let ended = Arc::new(Notify::new());
        let dialer = Dialer {
            address: about.sessions.clone(),
            tls: latest,
            ended: Arc::clone(&ended),
        };
        let renewal = Self {
            dir,
            about,
            identity,
            publish,
            ended,
            wall,
        };
        Ok((renewal, dialer))
    }

    /// Renews until it is dropped.
    #[expect(
        clippy::infinite_loop,
        reason = "whoever spawned it ends it, and `!` can't be named there"
    )]
    pub async fn keep(mut self, dialer: Dialer) {
        loop {
            let mut has_ended = self.wait().await;
            let mut backoff = Backoff::new();
            while let Err(error) = self.renew(&dialer, has_ended).await {
                let text = Chain(&error).to_string();
                has_ended = has_ended || is_ended(&text);
                let wait = if error.is_refusal() {
                    tracing::error!(error = text, "the certificate can't be renewed");
                    REFUSED_WAIT
                } else {
                    let wait = backoff.next_wait();
                    tracing::warn!(error = text, ?wait, "the certificate was not renewed");
                    wait
                };
                sleep(wait).await;
            }
            // Said of the certificate that is no longer used.
            self.ended.notified().now_or_never();
        }
    }

    /// Until it is time. `true`: the door says that our certificate has ended.
    async fn wait(&self) -> bool {
        let (begin, end) = self.validity();
        let due = due(begin, end, random::up_to);
        loop {
            let left = due.0.saturating_sub((self.wall)().0);
            let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else {
                return false;
            };
            tokio::select! {
                () = sleep(Duration::from_millis(left).min(LOOK_EVERY)) => {}
                () = self.ended.notified() => return true,
            }
        }
    }

    fn validity(&self) -> (WallMillis, WallMillis) {
        // A certificate of which we can't read this is renewed at once.
        tls::validity(self.identity.certificate()).unwrap_or((WallMillis(0), WallMillis(0)))
    }

    async fn renew(&mut self, dialer: &Dialer, has_ended: bool) -> Result<(), RenewalError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let csr = CertificateParams::default().serialize_request(&key)?;
        let csr = csr.der().to_vec();
        let has_ended = has_ended || (self.wall)() >= self.validity().1;
        let asking = async {
            if has_ended {
                self.reissue(csr).await
            } else {
                renewed(dialer, csr).await
            }
        };
        let reply = timeout(ANSWER_MAX, asking)
            .await
            .map_err(|_| RenewalError::Silent)??;
        if reply.agent != self.about.agent {
            return Err(RenewalError::AnotherAgent);
        }
        let identity = join::checked(&reply, &key, self.pin())?;
        let config = identity.tls()?;
        let dir = self.dir.clone();
        // It syncs, and the measuring must not wait for that.
        let stored = spawn_blocking(move || identity.store(&dir).map(|()| identity));
        self.identity = stored.await??;
        self.publish.send_replace(config);
        let agent = &self.about.agent;
        tracing::info!(%agent, after_its_end = has_ended, "the agent has a new certificate");
        Ok(())
    }

    async fn reissue(&self, csr: Vec<u8>) -> Result<EnrolReply, RenewalError> {
        let old = KeyPair::try_from(self.identity.key()).map_err(RenewalError::OldKey)?;
        let proof = old
            .sign(&reissue_message(&csr))
            .map_err(RenewalError::OldKey)?;
        let tls = client_config_enrol(self.pin());
        let dialer = Dialer::fixed(self.about.controller.clone(), tls);
        let client = EnrolmentClient::new(dialer.channel().await?);
        let request = ReissueRequest {
            certificate: self.identity.certificate().to_vec(),
            csr,
            proof,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Ok(client.reissue(request).await?)
    }

    fn pin(&self) -> Digest {
        Digest::of(self.identity.authority())
    }
}

async fn renewed(dialer: &Dialer, csr: Vec<u8>) -> Result<EnrolReply, RenewalError> {
    let client = SessionsClient::new(dialer.channel().await?);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(client.renew(RenewRequest { csr, version }).await?)
}

/// Whether a door refused us because our certificate has ended.
pub(crate) fn is_ended(error: &str) -> bool {
    error.contains(ENDED_ALERT)
}

/// Half of the life, give or take a tenth of that: agents that were enrolled together don't renew
/// together.
fn due(
    begin: WallMillis,
    end: WallMillis,
    draw: impl FnOnce(u64) -> io::Result<u64>,
) -> WallMillis {
    let half = end.0.saturating_sub(begin.0).max(0) / 2;
    let spread = half / 10;
    let most = u64::try_from(spread.saturating_mul(2)).unwrap_or(0);
    // Without randomness the middle.
    let drawn = draw(most).ok().and_then(|drawn| i64::try_from(drawn).ok());
    let jitter = drawn.unwrap_or(spread) - spread;
    WallMillis(begin.0.saturating_add(half).saturating_add(jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn it_is_time_at_half_of_the_life_give_or_take_a_tenth() {
        let (begin, end) = (WallMillis(HOUR_MS), WallMillis(25 * HOUR_MS));
        let at = |drawn: fn(u64) -> io::Result<u64>| due(begin, end, drawn).0 - begin.0;
        assert_eq!(at(|_| Ok(0)), 12 * HOUR_MS - 12 * HOUR_MS / 10);
        assert_eq!(at(Ok), 12 * HOUR_MS + 12 * HOUR_MS / 10);
        assert_eq!(at(|most| Ok(most / 2)), 12 * HOUR_MS);
        assert_eq!(at(|_| Err(io::ErrorKind::Other.into())), 12 * HOUR_MS);
    }

    #[test]
    fn a_certificate_that_ends_before_it_begins_is_renewed_at_once() {
        assert_eq!(due(WallMillis(5), WallMillis(1), Ok), WallMillis(5));
    }

    #[test]
    fn only_what_a_person_must_change_is_a_refusal() {
        let refused = |code| {
            let refused = nepho_proto::session::Refused::new(code, "no");
            RenewalError::from(SessionError::Refused(refused)).is_refusal()
        };
        assert!(refused(Code::PermissionDenied));
        assert!(refused(Code::Unimplemented));
        assert!(!refused(Code::Unavailable));
        assert!(!RenewalError::Silent.is_refusal());
    }
}
