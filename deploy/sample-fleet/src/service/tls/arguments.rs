//! What is said of TLS on the command line, and what comes of it before the service listens.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::SanType;

use super::{authority::Authority, handshake::Handshakes};

/// Ten years: further ends are not worth the years that a certificate can't write.
const DAYS_MAX: i64 = 3650;

#[derive(Debug, clap::Args)]
pub(crate) struct TlsArguments {
    /// Speak HTTPS with a certificate that ends in so many days, or ended so many ago: --tls=-3.
    ///
    /// It is for localhost, 127.0.0.1 and the address of --listen, and starts 90 days before its
    /// end, but never later than an hour ago. Only for `http`.
    #[arg(
        long,
        value_name = "DAYS",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-DAYS_MAX..=DAYS_MAX),
    )]
    tls: Option<i32>,
    /// Sign with this authority (PEM), not with one that is made at the start.
    #[arg(long, value_name = "CERT.pem", requires_all = ["tls", "ca_key"])]
    ca: Option<PathBuf>,
    /// The key of the authority (PEM, PKCS #8).
    #[arg(long, value_name = "KEY.pem", requires = "ca")]
    ca_key: Option<PathBuf>,
    /// Write the authority's certificate here (PEM), for whoever is to trust it.
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_out: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} holds no certificate: give a file with a block that begins a CERTIFICATE")]
    NoCertificate(PathBuf),
    #[error("the certificate in {0} is not that of an authority: give one that may sign others")]
    NotAnAuthority(PathBuf),
    #[error("{0} holds no key that can sign: give a key in PKCS #8, in a block PRIVATE KEY")]
    NoKey(PathBuf),
    #[error(
        "the key in {key} is not that of the certificate in {ca}: give the two of one authority"
    )]
    OtherKey { ca: PathBuf, key: PathBuf },
    #[error("make a certificate")]
    Make(#[source] rcgen::Error),
    #[error("write the authority's certificate to {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("set TLS up")]
    Config(#[source] rustls::Error),
}

impl TlsError {
    /// Whether another argument would help.
    pub(crate) fn is_wrong_argument(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::NoCertificate(_)
            | Self::NotAnAuthority(_)
            | Self::NoKey(_)
            | Self::OtherKey { .. } => true,
            Self::Make(_) | Self::Write { .. } | Self::Config(_) => false,
        }
    }
}

impl TlsArguments {
    pub(crate) fn is_asked_for(&self) -> bool {
        self.tls.is_some()
    }

    /// Makes the certificate for a service at `address`, `now` being the time since 1970, and
    /// writes that of its authority if that was asked for.
    pub(crate) fn handshakes(
        &self,
        address: IpAddr,
        now: Duration,
    ) -> Result<Option<Handshakes>, TlsError> {
        let Some(days) = self.tls else {
            return Ok(None);
        };
        let authority = match self.ca.as_deref().zip(self.ca_key.as_deref()) {
            Some((ca, key)) => given(ca, key)?,
            None => Authority::made().map_err(TlsError::Make)?,
        };
        let localhost = "localhost".try_into().expect("it is ASCII");
        let mut names = vec![
            SanType::DnsName(localhost),
            SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        ];
        if address != IpAddr::from(Ipv4Addr::LOCALHOST) {
            names.push(SanType::IpAddress(address));
        }
        let signed = authority.sign(names, now, days).map_err(TlsError::Make)?;
        if let Some(path) = &self.ca_out {
            std::fs::write(path, authority.pem()).map_err(|source| TlsError::Write {
                path: path.clone(),
                source,
            })?;
        }
        Handshakes::with(signed).map(Some).map_err(TlsError::Config)
    }
}

fn given(ca: &Path, key: &Path) -> Result<Authority, TlsError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|source| TlsError::Read {
            path: path.to_owned(),
            source,
        })
    };
    Authority::given(&read(ca)?, &read(key)?).map_err(|refused| refused.at(ca, key))
}
