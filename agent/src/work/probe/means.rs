//! What every kind of request needs: connections that the policy judged, TLS, and the trail of what
//! took place.

use nepho_agent_core::recorder::{Certificate, Phases};
use nepho_common::{
    id::Feature,
    policy::{Endpoint, TargetHost},
    time::{Mono, Nanos},
};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{
    super::guard::{Guard, Leave},
    Failure,
    exchange::Replied,
    roots::{Spoken, Tls, certificate},
    symptom::Trail,
};
use crate::clock;

/// The means of one request.
pub(super) struct Means<'a> {
    guard: &'a Guard,
    tls: Option<&'a Tls>,
    action: &'a Feature,
    leaves: Vec<Leave>,
    phases: Phases,
    certificate: Option<Certificate>,
    trail: Trail,
}

impl<'a> Means<'a> {
    pub(super) fn new(guard: &'a Guard, tls: Option<&'a Tls>, action: &'a Feature) -> Self {
        Self {
            guard,
            tls,
            action,
            leaves: Vec::new(),
            phases: Phases {
                resolve: None,
                connect: None,
                handshake: None,
                first_byte: None,
            },
            certificate: None,
            trail: Trail::default(),
        }
    }

    pub(super) const fn guard(&self) -> &Guard {
        self.guard
    }

    pub(super) const fn phases(&self) -> Phases {
        self.phases
    }

    pub(super) const fn certificate(&self) -> Option<Certificate> {
        self.certificate
    }

    /// Leave for one more request and connection, beside those that are open.
    pub(super) fn enter(&mut self) -> Result<(), Failure> {
        self.leaves
            .push(self.guard.enter(self.action, clock::now())?);
        Ok(())
    }

    /// Leave for the next request, when the connection before it is closed.
    pub(super) fn enter_next(&mut self) -> Result<(), Failure> {
        self.leaves.clear();
        self.enter()
    }

    /// The addresses of a target: resolved once, each judged.
    pub(super) async fn addresses(
        &mut self,
        to: &Endpoint,
    ) -> Result<Vec<std::net::SocketAddr>, Failure> {
        let begin = clock::now();
        let addresses = self.guard.addresses(to).await?;
        match to.host {
            TargetHost::Name(_) => add(&mut self.phases.resolve, begin),
            TargetHost::Ip(_) => {}
        }
        Ok(addresses)
    }

    /// A connection to the first address that takes one, in the resolver's order. Each was judged,
    /// and the name is not asked for again.
    pub(super) async fn connect(&mut self, to: &Endpoint) -> Result<TcpStream, Failure> {
        let addresses = self.addresses(to).await?;
        let begin = clock::now();
        let mut last = Failure::NoAddress;
        for address in addresses {
            self.trail.address = Some(address);
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    add(&mut self.phases.connect, begin);
                    // Without it a request that is written in two parts waits for an answer to the
                    // first.
                    stream.set_nodelay(true).map_err(Failure::Connect)?;
                    return Ok(stream);
                }
                Err(error) => last = Failure::Connect(error),
            }
        }
        Err(last)
    }

    /// Shakes hands over a connection.
    pub(super) async fn shake(
        &mut self,
        stream: TcpStream,
        name: &ServerName<'static>,
        spoken: Spoken,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        // The asker was made ready for this question.
        let tls = self.tls.ok_or(Failure::NoRoots)?;
        let begin = clock::now();
        let shaken = tls.connector(spoken).connect(name.clone(), stream).await;
        let shaken = shaken.map_err(Failure::Handshake)?;
        add(&mut self.phases.handshake, begin);
        let shown = shaken.get_ref().1.peer_certificates();
        self.certificate = shown.and_then(|chain| certificate(chain.first()?));
        Ok(shaken)
    }

    /// What an answer looked like.
    pub(super) fn reply(&mut self, replied: &Replied) {
        self.trail.reply(replied);
    }

    pub(super) const fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The first byte of an answer came to a request that was sent at `begin`.
    pub(super) fn heard(&mut self, begin: Mono) {
        add(&mut self.phases.first_byte, begin);
    }
}

/// Of a request that follows redirects, a phase is the sum over all its connections.
fn add(phase: &mut Option<Nanos>, begin: Mono) {
    let Nanos(before) = phase.unwrap_or_default();
    let Nanos(took) = clock::now().since(begin);
    *phase = Some(Nanos(before.saturating_add(took)));
}
