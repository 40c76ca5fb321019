//! Who this agent is: `identity.pem` (key, chain, authority) and `agent.json` (its name and where
//! its controller is).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nepho_common::{
    calibrated::Calibrated,
    id::{AgentId, EnvironmentName},
};
use nepho_proto::tls;
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde::{Deserialize, Serialize};

use crate::{address::Address, durable};

/// The files of a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(pub PathBuf);

impl DataDir {
    /// Key, chain and authority.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity.pem")
    }

    /// Name and addresses.
    #[must_use]
    pub fn about(&self) -> PathBuf {
        self.0.join("agent.json")
    }

    /// What the host's owner allows.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.0.join("policy.yaml")
    }

    /// What this host was found to send.
    #[must_use]
    pub fn calibration(&self) -> PathBuf {
        self.0.join(Calibrated::FILE)
    }

    /// The spool's directory.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }
}

/// What `agent.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Always [`About::SCHEMA`].
    pub schema: String,
    /// The controller's address for enrolment.
    pub controller: Address,
    /// The controller's address for sessions.
    pub sessions: Address,
    /// This agent's name.
    pub agent: AgentId,
    /// Where it is.
    pub environment: EnvironmentName,
}

impl About {
    /// The format that this release writes and reads.
    pub const SCHEMA: &'static str = "nepho.agent/v1";

    /// Reads `agent.json`.
    ///
    /// # Errors
    /// The file is missing or not of this format.
    pub fn load(dir: &DataDir) -> Result<Self, IdentityError> {
        let path = dir.about();
        let text = fs::read(&path).map_err(|source| missing(&path, source))?;
        serde_json::from_slice(&text).map_err(|source| IdentityError::About { path, source })
    }

    /// Writes `agent.json`.
    ///
    /// # Errors
    /// The disk is full, or the directory is not ours.
    pub fn store(&self, dir: &DataDir) -> Result<(), IdentityError> {
        let path = dir.about();
        let mut text = serde_json::to_vec_pretty(self).expect("texts alone make JSON");
        text.push(b'\n');
        durable::replace(&path, &text, 0o644)
            .map_err(|source| IdentityError::Write { path, source })
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// This directory was never joined.
    #[error("{} does not exist; run `nepho-agent join` first, or name the right --data-dir", .0.display())]
    NotJoined(PathBuf),
    /// A file can't be read.
    #[error("read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error("write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `agent.json` is not what we write.
    #[error("{} is not an agent's description; join again with --force", path.display())]
    About {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// `identity.pem` is not what we write.
    #[error("{} does not hold a key, a certificate and an authority; join again with --force", .0.display())]
    Pem(PathBuf),
    /// The certificates or the key can't be used.
    #[error("the identity can't be used; join again with --force")]
    Tls(#[source] tls::TlsError),
}

fn missing(path: &Path, source: io::Error) -> IdentityError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::NotFound {
        IdentityError::NotJoined(path)
    } else {
        IdentityError::Read { path, source }
    }
}

/// Key and certificates.
#[derive(Debug)]
pub struct Identity {
    key: PrivateKeyDer<'static>,
    /// The agent's own first, without the authority.
    chain: Vec<CertificateDer<'static>>,
    authority: CertificateDer<'static>,
}

impl Identity {
    /// Of a key in PKCS#8 and a chain that ends with the authority. `None` when the chain is too
    /// short for both.
    #[must_use]
    pub fn new(
        key: PrivateKeyDer<'static>,
        mut chain: Vec<CertificateDer<'static>>,
    ) -> Option<Self> {
        let authority = chain.pop()?;
        (!chain.is_empty()).then_some(Self {
            key,
            chain,
            authority,
        })
    }

    /// Reads `identity.pem`.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn load(dir: &DataDir) -> Result<Self, IdentityError> {
        let path = dir.identity();
        let pem = fs::read(&path).map_err(|source| missing(&path, source))?;
        let key = PrivateKeyDer::from_pem_slice(&pem).ok();
        let chain: Option<Vec<_>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .ok();
        key.zip(chain)
            .and_then(|(key, chain)| Self::new(key, chain))
            .ok_or(IdentityError::Pem(path))
    }

    /// Writes `identity.pem`, readable by nobody else, as one rename.
    ///
    /// # Errors
    /// The disk is full, or the directory is not ours.
    pub fn store(&self, dir: &DataDir) -> Result<(), IdentityError> {
        let mut pem = block("PRIVATE KEY", self.key.secret_der());
        for certificate in self.chain.iter().chain([&self.authority]) {
            pem.push_str(&block("CERTIFICATE", certificate));
        }
        let path = dir.identity();
        durable::replace(&path, pem.as_bytes(), 0o600)
            .map_err(|source| IdentityError::Write { path, source })
    }

    /// The private key.
    #[must_use]
    pub const fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// The agent's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.chain.first().expect("it is not made without one")
    }

    /// Who signed it.
    #[must_use]
    pub const fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    /// For the sessions listener.
    ///
    /// # Errors
    /// The certificates or the key can't be used.
    pub fn tls(&self) -> Result<Arc<ClientConfig>, IdentityError> {
        tls::client_config_session(&self.authority, self.chain.clone(), self.key.clone_key())
            .map_err(IdentityError::Tls)
    }
}

/// RFC 7468: lines of 64 characters.
fn block(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (place, letter) in STANDARD.encode(der).chars().enumerate() {
        if place > 0 && place.is_multiple_of(64) {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_identity_reads_back_and_nobody_else_may_read_it() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir(temp.path().to_owned());
        assert!(matches!(
            Identity::load(&dir),
            Err(IdentityError::NotJoined(_))
        ));
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        let own = certificate.der().clone();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let identity = Identity::new(private, vec![own.clone(), own.clone()]).unwrap();
        identity.store(&dir).unwrap();
        let mode = fs::metadata(dir.identity()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = Identity::load(&dir).unwrap();
        assert_eq!((read.chain, read.authority), (vec![own.clone()], own));
        assert_eq!(read.key.secret_der(), key.serialize_der());
        fs::write(dir.identity(), "rubbish").unwrap();
        assert!(matches!(Identity::load(&dir), Err(IdentityError::Pem(_))));
    }

    #[test]
    fn the_description_reads_back_and_its_damage_is_said() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir(temp.path().to_owned());
        let about = About {
            schema: About::SCHEMA.to_owned(),
            controller: "[::1]:7443".parse().unwrap(),
            sessions: "c.example:7444".parse().unwrap(),
            agent: "local-1".parse().unwrap(),
            environment: "local".parse().unwrap(),
        };
        about.store(&dir).unwrap();
        assert_eq!(About::load(&dir).unwrap(), about);
        fs::write(dir.about(), "{}").unwrap();
        assert!(matches!(
            About::load(&dir),
            Err(IdentityError::About { .. })
        ));
    }
}
