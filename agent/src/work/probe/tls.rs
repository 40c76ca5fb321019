//! Shakes hands and looks at the certificate. Its chain and its name are judged by the handshake
//! itself: what is wrong there is a failure of TLS; names, time left and version are content.

use nepho_common::{plan::TlsCheck, policy::Endpoint, recording::Outcome, time::Nanos};
use rustls::{
    ProtocolVersion,
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};

use super::{Failure, means::Means, roots::Spoken};

#[derive(Debug)]
pub(super) struct TlsQuestion {
    to: Endpoint,
    name: ServerName<'static>,
    names: Vec<ServerName<'static>>,
    left: Nanos,
    only_1_3: bool,
}

impl TlsQuestion {
    pub(super) fn new(check: &TlsCheck, to: Endpoint) -> Result<Self, String> {
        let named = |name: &String| {
            let named = ServerName::try_from(name.clone());
            named.map_err(|_| format!("no certificate can name {name:?}"))
        };
        let name = if check.name.is_empty() {
            to.host.to_string()
        } else {
            check.name.clone()
        };
        let names: Result<_, String> = check.names.iter().map(named).collect();
        Ok(Self {
            name: named(&name)?,
            names: names?,
            left: check.left,
            only_1_3: check.only_1_3,
            to,
        })
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>) -> Result<(), Failure> {
        let stream = means.connect(&self.to).await?;
        let shaken = means.shake(stream, &self.name, Spoken::Unnamed).await?;
        let content = |what: &str| Err(Failure::answer(Outcome::Content, what.to_owned()));
        let (_, session) = shaken.get_ref();
        if self.only_1_3 && session.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return content("the target speaks TLS 1.2 at the most");
        }
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let Some(shown) = shown else {
            return content("the target showed no certificate");
        };
        if let Some(name) = self.missing(shown) {
            return content(&format!("the certificate is not for {}", name.to_str()));
        }
        let needed = i64::try_from(self.left.0).unwrap_or(i64::MAX);
        match means.certificate() {
            Some(certificate) if certificate.left >= needed => Ok(()),
            Some(_) => content("the certificate ends sooner than was asked for"),
            None => content("the certificate can't be read"),
        }
    }

    fn missing(&self, shown: &CertificateDer<'_>) -> Option<&ServerName<'static>> {
        let parsed = ParsedCertificate::try_from(shown).ok();
        let holds = |name: &ServerName<'static>| {
            let parsed = parsed.as_ref();
            parsed.is_some_and(|parsed| verify_server_name(parsed, name).is_ok())
        };
        self.names.iter().find(|name| !holds(name))
    }
}
