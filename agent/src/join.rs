//! Joining: a token goes in, an identity comes out.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nepho_common::id::Digest;
use nepho_proto::{
    session::{EnrolReply, EnrolRequest, EnrolmentClient, SessionError},
    tls::{self, client_config_enrol, peer_identity},
};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
    server::{ParsedCertificate, WebPkiClientVerifier},
};

use crate::{
    address::Address,
    dial::{DialError, Dialer},
    identity::{About, DataDir, Identity, IdentityError},
    policy,
};

/// A token is 93 characters; what is longer is another file.
const TOKEN_MAX: u64 = 4096;
/// The controller signs a certificate in milliseconds.
const ENROL_MAX: Duration = Duration::from_secs(30);

/// What the operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Where enrolment is.
    pub controller: Address,
    /// Where sessions are, if not on the same host.
    pub sessions: Option<Address>,
    /// A file, or `-` for standard input.
    pub token: PathBuf,
    /// Where to keep what comes of it.
    pub dir: DataDir,
    /// Replaces an identity that is there already.
    pub force: bool,
}

/// Why joining failed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is an identity already.
    #[error("{} holds an identity already; use another --data-dir, or --force to replace it", .0.display())]
    AlreadyJoined(PathBuf),
    /// The token can't be read.
    #[error("read the token from {}", path.display())]
    ReadToken {
        /// From where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not a token.
    #[error("this is not a join token; `nepho enroll` on the controller makes one")]
    BadToken(#[from] BadToken),
    /// The directory can't be made.
    #[error("make {}", path.display())]
    MakeDir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No key or request could be made.
    #[error("make a key and a request for a certificate")]
    Key(#[source] rcgen::Error),
    /// No connection.
    #[error(
        "reach the controller; is --controller its enrolment address, and the token of this controller?"
    )]
    Dial(#[from] DialError),
    /// The controller said no.
    #[error("the controller did not take the token")]
    Enrol(#[from] SessionError),
    /// The controller said nothing.
    #[error("the controller took the request and did not answer within 30 s; try again")]
    Silent,
    /// What came is not what was asked for. Nothing was written.
    #[error("the controller's answer is not to be trusted: {0}")]
    Untrusted(&'static str),
    /// The identity could not be kept.
    #[error("keep the identity")]
    Keep(#[from] IdentityError),
    /// The careful policy could not be written.
    #[error("write the policy {}", path.display())]
    WritePolicy {
        /// Where to.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The former agent's results are in the way.
    #[error("move the spool of the former agent to {}", path.display())]
    MoveSpool {
        /// Where to.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A join token: `nepho1.<secret>.<digest of the authority>`, both in base64url without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: [u8; 32],
    pin: Digest,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

/// Why a text is not a token. The text is a secret and is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadToken(&'static str);

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let mut parts = text.trim().split('.');
        let (Some("nepho1"), Some(secret), Some(pin), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadToken("it must read nepho1.<secret>.<digest>"));
        };
        let bytes =
            |part: &str| -> Option<[u8; 32]> { URL_SAFE_NO_PAD.decode(part).ok()?.try_into().ok() };
        let secret = bytes(secret).ok_or(BadToken("its secret is not 32 bytes in base64url"))?;
        let pin = bytes(pin).ok_or(BadToken("its digest is not 32 bytes in base64url"))?;
        let pin = Digest::new(pin);
        Ok(Self { secret, pin })
    }
}

/// Joins and returns who this agent is now.
///
/// # Errors
/// [`JoinError`] says what to do. Up to the last step nothing is written.
pub async fn join(join: Join) -> Result<About, JoinError> {
    let Join {
        controller,
        sessions,
        token,
        dir,
        force,
    } = join;
    if dir.identity().exists() && !force {
        return Err(JoinError::AlreadyJoined(dir.identity()));
    }
    let token: Token = read(&token)?.parse()?;
    let mut make = fs::DirBuilder::new();
    make.recursive(true).mode(0o700);
    make.create(&dir.0).map_err(|source| JoinError::MakeDir {
        path: dir.0.clone(),
        source,
    })?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(JoinError::Key)?;
    let csr = CertificateParams::default()
        .serialize_request(&key)
        .map_err(JoinError::Key)?;
    let dialer = Dialer::fixed(controller.clone(), client_config_enrol(token.pin));
    let client = EnrolmentClient::new(dialer.channel().await?);
    let request = EnrolRequest {
        secret: token.secret.to_vec(),
        csr: csr.der().to_vec(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let asked = tokio::time::timeout(ENROL_MAX, client.enrol(request));
    let reply = asked.await.map_err(|_| JoinError::Silent)??;
    let identity = checked(&reply, &key, token.pin)?;
    let sessions = sessions.unwrap_or_else(|| Address {
        host: controller.host.clone(),
        port: reply.sessions_port,
    });
    let about = About {
        schema: About::SCHEMA.to_owned(),
        controller,
        sessions,
        agent: reply.agent,
        environment: reply.environment,
    };
    set_spool_aside(&dir, &about)?;
    let path = dir.policy();
    policy::write_careful(&path).map_err(|source| JoinError::WritePolicy { path, source })?;
    about.store(&dir)?;
    // Last, because its being there means that everything is.
    identity.store(&dir)?;
    Ok(about)
}

fn read(path: &Path) -> Result<String, JoinError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().take(TOKEN_MAX).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(TOKEN_MAX).read_to_string(&mut text))
    };
    let path = path.to_owned();
    read.map_err(|source| JoinError::ReadToken { path, source })?;
    Ok(text)
}

/// The certificate is ours, says who we are, and was signed by the authority that the token names.
pub(crate) fn checked(
    reply: &EnrolReply,
    key: &KeyPair,
    pin: Digest,
) -> Result<Identity, JoinError> {
    let untrusted = |why| JoinError::Untrusted(why);
    let chain: Vec<_> = reply
        .chain
        .iter()
        .cloned()
        .map(CertificateDer::from)
        .collect();
    let (Some(own), Some(authority)) = (chain.first(), chain.last()) else {
        return Err(untrusted("it holds no certificate"));
    };
    if Digest::of(authority) != pin {
        return Err(untrusted("its authority is not the one of the token"));
    }
    let parsed = ParsedCertificate::try_from(own)
        .map_err(|_| untrusted("its certificate does not parse"))?;
    if *parsed.subject_public_key_info() != *key.subject_public_key_info() {
        return Err(untrusted("its certificate is for another key"));
    }
    match peer_identity(own) {
        Ok(tls::Identity::Agent(agent)) if agent == reply.agent => {}
        Ok(tls::Identity::Agent(_) | tls::Identity::Controller) | Err(_) => {
            return Err(untrusted("its certificate does not carry the agent's name"));
        }
    }
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.clone())
        .map_err(|_| untrusted("its authority can't be used"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| untrusted("its authority can't be used"))?;
    let between = chain.get(1..chain.len() - 1).unwrap_or_default();
    verifier
        .verify_client_cert(own, between, UnixTime::now())
        .map_err(|_| untrusted("its certificate is not valid now; is this host's clock right?"))?;
    let private = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|_| untrusted("our own key can't be written"))?;
    Identity::new(private, chain).ok_or(untrusted("it holds no certificate of ours"))
}

/// Records bear their author's name, and the controller takes none in another's name: a spool
/// that another agent left would stop the new one's results.
fn set_spool_aside(dir: &DataDir, new: &About) -> Result<(), JoinError> {
    let Ok(old) = About::load(dir) else {
        return Ok(());
    };
    if old.agent == new.agent && old.controller == new.controller || !dir.spool().exists() {
        return Ok(());
    }
    let stamp = crate::clock::wall().0;
    let path = dir.0.join(format!("spool-of-{}-{stamp}", old.agent));
    fs::rename(dir.spool(), &path).map_err(|source| JoinError::MoveSpool { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_and_its_secret_is_not_printed() {
        let part = |byte: u8| URL_SAFE_NO_PAD.encode([byte; 32]);
        let text = format!("nepho1.{}.{}\n", part(1), part(2));
        let token: Token = text.parse().unwrap();
        assert_eq!((token.secret, token.pin), ([1; 32], Digest::new([2; 32])));
        assert!(!format!("{token:?}").contains("1, 1"));
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        let part = |byte: u8| URL_SAFE_NO_PAD.encode([byte; 32]);
        for bad in [
            String::new(),
            format!("nepho2.{}.{}", part(1), part(2)),
            format!("nepho1.{}", part(1)),
            format!("nepho1.{}.{}.x", part(1), part(2)),
            format!("nepho1.{}.{}=", part(1), part(2)),
            format!("nepho1.{}.{}", URL_SAFE_NO_PAD.encode([1; 31]), part(2)),
        ] {
            let error = bad.parse::<Token>().unwrap_err().to_string();
            assert!(!error.contains(&part(1)), "{error}");
        }
    }
}
