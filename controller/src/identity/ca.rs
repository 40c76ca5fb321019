//! The controller's own authority: one key, made on first start, that signs agents and the
//! controller itself.

use std::{
    fmt,
    fs::{File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use nepho_common::{
    id::{AgentId, Digest},
    time::WallMillis,
};
use nepho_proto::tls;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    certificate::{Serial, VALID, assert_agent, leaf, name, not_after, set_validity},
    csr::ProvenKey,
};

/// The file of key and certificate in the controller's data directory.
pub const FILE: &str = "ca.pem";

/// The authority itself: ten years, because replacing it means enrolling every agent again.
const CA_VALID: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Key and certificate have 500 bytes together.
const FILE_MAX: u64 = 64 * 1024;

/// The authority, ready to sign.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    /// How long an agent's certificate is good for.
    agent_life: Duration,
}

/// A certificate for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// In DER: the agent's own, then the authority's.
    pub chain: Vec<Vec<u8>>,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its end.
    pub not_after: WallMillis,
}

/// A certificate of the controller and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Why the authority can't do something.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read the key.
    #[error("others may read the key in {0}: run `chmod 600 {0}`", path.display())]
    Open {
        /// Which.
        path: PathBuf,
    },
    /// The file is there but is not a key and a certificate.
    #[error("{} holds no authority: put it back from a backup, or move it away and enrol every agent again", path.display())]
    NotAnAuthority {
        /// Which.
        path: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// A certificate can't be made.
    #[error("can't make a certificate")]
    Make(#[from] rcgen::Error),
    /// The certificate that was made is not the one that was meant: a fault of ours.
    #[error("the certificate that was made is wrong: {0}")]
    Wrong(&'static str),
}

impl Authority {
    /// Loads the authority of a data directory, or makes one if there is none.
    ///
    /// # Errors
    /// When the file can't be read or written, or others may read it.
    pub fn open(dir: &Path, now: WallMillis) -> Result<Self, AuthorityError> {
        let path = dir.join(FILE);
        match File::open(&path) {
            Ok(file) => Self::load(&path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(&path, now),
            Err(source) => Err(AuthorityError::Read { path, source }),
        }
    }

    /// Its certificate in DER.
    #[must_use]
    pub const fn ca_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The same with another life for agents' certificates.
    #[must_use]
    pub fn with_agent_life(self, agent_life: Duration) -> Self {
        Self { agent_life, ..self }
    }

    /// The end of an agent's certificate that is issued now.
    #[must_use]
    pub fn not_after(&self, now: WallMillis) -> WallMillis {
        not_after(now, self.agent_life)
    }

    /// SHA-256 of its certificate, for join tokens.
    #[must_use]
    pub fn pin(&self) -> Digest {
        Digest::of(&self.certificate)
    }

    /// A new key and certificate for the controller's own listeners, good for
    /// [`VALID`].
    ///
    /// # Errors
    /// When it can't be made.
    pub fn controller_identity(&self, now: WallMillis) -> Result<Identity, AuthorityError> {
        let key = KeyPair::generate()?;
        let uri = tls::controller_uri();
        let params = leaf(
            uri,
            ExtendedKeyUsagePurpose::ServerAuth,
            &Serial::random()?,
            now,
            VALID,
        )?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok((chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }

    /// A certificate for an agent, good for [`VALID`] if nothing else
    /// was said. Its name is the whole of what it says.
    ///
    /// # Errors
    /// When it can't be made, or is not what was meant.
    pub fn issue_agent(
        &self,
        agent: &AgentId,
        key: &ProvenKey,
        serial: &Serial,
        now: WallMillis,
    ) -> Result<Issued, AuthorityError> {
        let uri = tls::agent_uri(agent);
        let params = leaf(
            &uri,
            ExtendedKeyUsagePurpose::ClientAuth,
            serial,
            now,
            self.agent_life,
        )?;
        let certificate = params.signed_by(&key.key, &self.issuer)?;
        assert_agent(certificate.der(), &uri, serial, &key.key)?;
        Ok(Issued {
            chain: vec![certificate.der().to_vec(), self.certificate.to_vec()],
            serial: serial.to_string(),
            not_after: self.not_after(now),
        })
    }

    fn load(path: &Path, file: File) -> Result<Self, AuthorityError> {
        let read = |source| AuthorityError::Read {
            path: path.to_owned(),
            source,
        };
        if file.metadata().map_err(read)?.mode() & 0o077 != 0 {
            return Err(AuthorityError::Open {
                path: path.to_owned(),
            });
        }
        let mut text = String::new();
        file.take(FILE_MAX)
            .read_to_string(&mut text)
            .map_err(read)?;
        Self::from_pem(&text).ok_or_else(|| AuthorityError::NotAnAuthority {
            path: path.to_owned(),
        })
    }

    fn from_pem(text: &str) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
        let key = KeyPair::from_pem(text).ok()?;
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        if !parsed.is_ca() || parsed.public_key().raw != key.subject_public_key_info() {
            return None;
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).ok()?;
        Some(Self {
            certificate,
            issuer,
            agent_life: VALID,
        })
    }

    fn make(path: &Path, now: WallMillis) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("Nephoscope authority");
        // No name constraints: verifiers differ in how they read those on URIs.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(Serial::random()?.number());
        set_validity(&mut params, now, CA_VALID);
        let certificate = params.self_signed(&key)?;
        let text = format!("{}{}", key.serialize_pem(), certificate.pem());
        write_private(path, text.as_bytes()).map_err(|source| AuthorityError::Write {
            path: path.to_owned(),
            source,
        })?;
        tracing::info!(path = %path.display(), "made an authority");
        Self::from_pem(&text).ok_or(AuthorityError::Wrong("it can't be read back"))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("pin", &self.pin())
            .finish_non_exhaustive()
    }
}

/// Mode 0600 from the first byte on, flushed before it gets its name, never in place of another.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir)?;
    temp.write_all(content)?;
    temp.as_file().sync_all()?;
    drop(temp.persist_noclobber(path).map_err(|error| error.error)?);
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, SanType};

    use super::*;

    const NOW: WallMillis = WallMillis(1_795_393_620_000);

    fn authority() -> (tempfile::TempDir, Authority) {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), NOW).unwrap();
        (dir, authority)
    }

    fn request(change: impl FnOnce(&mut CertificateParams)) -> ProvenKey {
        let mut params = CertificateParams::default();
        change(&mut params);
        let request = params.serialize_request(&KeyPair::generate().unwrap());
        ProvenKey::from_request(request.unwrap().der()).unwrap()
    }

    #[test]
    fn the_authority_is_made_once_and_kept() {
        let (dir, first) = authority();
        let again = Authority::open(dir.path(), NOW).unwrap();
        assert_eq!(first.pin(), again.pin());
        assert_eq!(first.pin(), Digest::of(first.ca_der()));
        let mode = dir.path().join(FILE).metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_remedy() {
        let (dir, _) = authority();
        let path = dir.path().join(FILE);
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = Authority::open(dir.path(), NOW).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_damaged_file_is_never_replaced() {
        let (dir, _) = authority();
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, other) = authority();
        let (_, certificate) = text.split_once("-----END PRIVATE KEY-----").unwrap();
        let foreign = other.issuer.key().serialize_pem() + certificate;
        for bad in ["", "nonsense", &text.replace("CERTIFICATE", "C"), &foreign] {
            std::fs::write(&path, bad).unwrap();
            let error = Authority::open(dir.path(), NOW).unwrap_err();
            assert!(matches!(error, AuthorityError::NotAnAuthority { .. }));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    fn an_agents_certificate_names_it_and_nothing_else() {
        let (_dir, authority) = authority();
        let agent: AgentId = "aliyun-1".parse().unwrap();
        let serial = Serial::random().unwrap();
        let key = request(|_| {});
        let issued = authority.issue_agent(&agent, &key, &serial, NOW).unwrap();
        let [leaf, ca] = issued.chain.as_slice() else {
            panic!("{} certificates", issued.chain.len());
        };
        assert_eq!(ca, &authority.ca_der().to_vec());
        let identity = tls::peer_identity(&leaf.as_slice().into()).unwrap();
        assert_eq!(identity, tls::Identity::Agent(agent));
        let (_, parsed) = X509Certificate::from_der(leaf).unwrap();
        let validity = parsed.validity();
        assert_eq!(validity.not_before.timestamp(), NOW.0 / 1000 - 60);
        assert_eq!(validity.not_after.timestamp(), NOW.0 / 1000 + 24 * 3600);
        assert_eq!(issued.not_after.0, NOW.0 + 24 * 3600 * 1000);
        assert_eq!(hex::encode(parsed.raw_serial()), issued.serial);
    }

    #[test]
    fn a_request_for_more_gets_no_more() {
        let (_dir, authority) = authority();
        let key = request(|params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names = vec![
                SanType::URI("spiffe://nephoscope/controller".try_into().unwrap()),
                SanType::DnsName("controller".try_into().unwrap()),
            ];
            let name = DnValue::Utf8String("controller".to_owned());
            params.distinguished_name.push(DnType::CommonName, name);
        });
        let agent: AgentId = "a".parse().unwrap();
        let serial = Serial::random().unwrap();
        let issued = authority.issue_agent(&agent, &key, &serial, NOW).unwrap();
        let leaf = issued.chain[0].as_slice();
        let identity = tls::peer_identity(&leaf.into()).unwrap();
        assert_eq!(identity, tls::Identity::Agent(agent));
        let (_, parsed) = X509Certificate::from_der(leaf).unwrap();
        assert!(!parsed.is_ca());
        assert!(
            !parsed
                .extended_key_usage()
                .unwrap()
                .unwrap()
                .value
                .server_auth
        );
        assert!(!parsed.subject().to_string().contains("controller"));
    }

    #[test]
    fn the_controller_gets_a_server_certificate_of_its_own_name() {
        let (_dir, authority) = authority();
        let (chain, key) = authority.controller_identity(NOW).unwrap();
        let identity = tls::peer_identity(&chain[0]).unwrap();
        assert_eq!(identity, tls::Identity::Controller);
        tls::server_config_mutual(authority.ca_der(), chain, key).unwrap();
    }
}
