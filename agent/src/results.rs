//! The results connection: what is on disk goes out in order, what the controller's store has
//! committed comes back as acknowledgements.

use std::{ops::ControlFlow, time::Duration};

use futures_util::StreamExt as _;
use nepho_agent_core::outbox::Outbox;
use nepho_common::{id::Seq, journal::Record};
use nepho_proto::session::{Ack, Incoming, SessionError, SessionsClient};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    backoff::Backoff,
    chain::Chain,
    dial::{DialError, Dialer},
    hold,
    spool::{Spool, SpoolError},
};

/// The store commits within milliseconds. A connection over which nothing was acknowledged for so
/// long although something is owed is given up, and everything sent again.
const ACK_MAX: Duration = Duration::from_secs(30);
/// Records between us and the connection's own buffers. The outbox's window counts their bytes as
/// on their way, so they are few only to keep order simple at a reconnect.
const OUT: usize = 4;

/// Why a results connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no connection")]
    Dial(#[from] DialError),
    #[error("no session")]
    Session(#[from] SessionError),
    #[error("nothing was acknowledged for {ACK_MAX:?}")]
    Silent,
    #[error("the controller closed the connection")]
    Closed,
}

/// Carries records from the spool to the controller.
#[derive(Debug)]
pub struct Courier {
    dialer: Dialer,
    spool: Spool,
    outbox: Outbox,
    /// What is on disk, as the driver last said.
    written: watch::Receiver<Seq>,
    /// To whoever waits for the last acknowledgement.
    acked: watch::Sender<Seq>,
    /// The driver has ended: nothing more will be written.
    is_last: bool,
}

impl Courier {
    /// A courier of a spool of which everything up to `acked` is acknowledged.
    #[must_use]
    pub fn new(dialer: Dialer, spool: Spool, acked: Seq, written: watch::Receiver<Seq>) -> Self {
        let outbox = Outbox::new(acked, *written.borrow());
        Self {
            dialer,
            spool,
            outbox,
            written,
            acked: watch::Sender::new(acked),
            is_last: false,
        }
    }

    /// Up to where the controller's store has everything.
    #[must_use]
    pub fn acked(&self) -> watch::Receiver<Seq> {
        self.acked.subscribe()
    }

    /// Carries until the driver has ended and everything is acknowledged.
    ///
    /// # Errors
    /// The spool can't be read.
    pub async fn carry(mut self) -> Result<(), SpoolError> {
        let mut backoff = Backoff::new();
        let mut latest = self.dialer.tls.clone();
        loop {
            latest.mark_unchanged();
            let opened = Instant::now();
            let lost = match self.session().await? {
                ControlFlow::Break(()) => return Ok(()),
                ControlFlow::Continue(lost) => lost,
            };
            backoff.lasted(opened.elapsed());
            let wait = backoff.next_wait();
            let owed = self.outbox.owed();
            tracing::warn!(error = %Chain(&lost), ?wait, owed, "results connection lost");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // With a new certificate there is nothing to wait for.
                Ok(()) = latest.changed() => backoff.reset(),
            }
        }
    }

    async fn session(&mut self) -> Result<ControlFlow<(), Lost>, SpoolError> {
        match open(self.dialer.clone()).await {
            Ok((out, incoming)) => self.serve(out, incoming).await,
            Err(lost) => Ok(ControlFlow::Continue(lost)),
        }
    }

    async fn serve(
        &mut self,
        out: mpsc::Sender<Record>,
        mut incoming: Incoming<Ack>,
    ) -> Result<ControlFlow<(), Lost>, SpoolError> {
        self.outbox.reconnected();
        let mut next: Option<Record> = None;
        let mut heard = Instant::now();
        loop {
            // While nothing is owed nothing is waited for: the wait begins with the next record,
            // however long the agent was idle before it.
            if self.outbox.owed() == 0 {
                heard = Instant::now();
            }
            self.outbox.wrote(*self.written.borrow_and_update());
            if next.is_none() {
                next = self.next().await?;
            }
            if self.outbox.owed() == 0 && self.is_last {
                return Ok(ControlFlow::Break(()));
            }
            tokio::select! {
                ack = incoming.next() => match ack {
                    Some(Ok(ack)) => {
                        heard = Instant::now();
                        self.acknowledged(ack).await;
                    }
                    Some(Err(error)) => return Ok(ControlFlow::Continue(error.into())),
                    None => return Ok(ControlFlow::Continue(Lost::Closed)),
                },
                place = out.reserve(), if next.is_some() => {
                    let Ok(place) = place else {
                        return Ok(ControlFlow::Continue(Lost::Closed));
                    };
                    if let Some(record) = next.take() {
                        hold::at("results.before-send").await;
                        place.send(record);
                        hold::at("results.after-send").await;
                    }
                }
                changed = self.written.changed(), if !self.is_last => {
                    self.is_last = changed.is_err();
                }
                () = tokio::time::sleep_until(heard + ACK_MAX), if self.outbox.owed() > 0 => {
                    return Ok(ControlFlow::Continue(Lost::Silent));
                }
            }
        }
    }

    /// The next record. In the place of one that is lost the spool gives one that says so; where it
    /// has not even that, the seal of the stage will not be met.
    async fn next(&mut self) -> Result<Option<Record>, SpoolError> {
        while let Some(seq) = self.outbox.next_to_send() {
            if let Some(record) = self.spool.read(seq).await? {
                self.outbox.goes_out(record.payload.len() as u64);
                return Ok(Some(record));
            }
            tracing::error!(%seq, "a record is lost: it can't be read from the spool");
        }
        Ok(None)
    }

    async fn acknowledged(&mut self, ack: Ack) {
        if ack.spool != self.spool.id() {
            tracing::warn!(spool = %ack.spool, "an acknowledgement of another spool");
        } else if self.outbox.acknowledged(ack.seq) {
            hold::at("results.acked").await;
            self.spool.acknowledged(ack.seq).await;
            self.acked.send_replace(ack.seq);
        }
    }
}

async fn open(dialer: Dialer) -> Result<(mpsc::Sender<Record>, Incoming<Ack>), Lost> {
    let client = SessionsClient::new(dialer.channel().await?);
    let (out, queue) = mpsc::channel(OUT);
    let opened = timeout(ACK_MAX, client.results(ReceiverStream::new(queue).boxed())).await;
    Ok((out, opened.map_err(|_| Lost::Silent)??))
}
