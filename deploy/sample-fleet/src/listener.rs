//! Accepting connections, never more than a bounded number at a time; and the service that only
//! accepts.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{child::GRACE, counts::Counts};

/// A connection beyond this is reset at once: it must not look like one that is served.
pub(crate) const MOST_CONNECTIONS: usize = 1024;
/// A failed accept means that we are out of files or memory; trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A connection on which nothing was received for so long is closed.
const SILENT_IDLE: Duration = Duration::from_secs(60);

/// A connection over TCP, whatever protects it.
pub(crate) trait OverTcp: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn tcp(&self) -> &TcpStream;
}

impl OverTcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// Serves until `end`, then drains for [`GRACE`]. `serve` gets the news of the end, to hang up
/// what only idles.
pub(crate) async fn accept<Serving>(
    listener: TcpListener,
    counts: Arc<Mutex<Counts>>,
    end: impl Future<Output = ()>,
    serve: impl Fn(TcpStream, watch::Receiver<bool>) -> Serving,
) where
    Serving: Future<Output = ()> + Send + 'static,
{
    let (ending, news) = watch::channel(false);
    let mut end = pin!(end);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut end => break,
            Some(_) = open.join_next() => (),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if open.len() < MOST_CONNECTIONS => {
                    stream.set_nodelay(true).ok(); // Fails only on a connection that is gone.
                    locked(&counts).connections.accepted += 1;
                    open.spawn(serve(stream, news.clone()));
                }
                Ok((stream, _)) => {
                    locked(&counts).connections.refused += 1;
                    reset(&stream);
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
        locked(&counts).connections.open = open.len();
    }
    drop(listener);
    ending.send_replace(true);
    let drained = timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = open.len(), "cut what was still open");
    }
}

/// Accepts, reads and forgets: never a byte back, as from a database that speaks no protocol.
pub(crate) async fn stay_silent(mut stream: TcpStream, mut end: watch::Receiver<bool>) {
    let mut forgotten = [0; 512];
    loop {
        tokio::select! {
            _ = end.changed() => return,
            read = timeout(SILENT_IDLE, stream.read(&mut forgotten)) => match read {
                Ok(Ok(1..)) => (),
                Ok(Ok(0) | Err(_)) | Err(_) => return,
            },
        }
    }
}

/// Makes the close that follows a reset instead of a goodbye.
pub(crate) fn reset(stream: &TcpStream) {
    stream.set_zero_linger().ok(); // Fails only on a connection that is gone already.
}

/// Locks counts: leaf data, never held across an await, so that poison means a bug.
pub(crate) fn locked<T>(data: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    data.lock().expect("no one panics while holding leaf data")
}
