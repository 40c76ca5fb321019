//! Questions and answers over UDP and TCP.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    names::Names,
    reply::{Over, reply},
};

/// A question has 300 bytes at most, and some more with its extensions.
const MOST_QUESTION_BYTES: usize = 4096;
/// A client of TCP that asks nothing, or takes no answer, for so long is left (RFC 7766 §6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// A failed receive means that we are out of memory; trying again at once would spin.
const RECEIVE_PAUSE: Duration = Duration::from_millis(50);

/// What there is to be answered, and for how many seconds an answer may be kept.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) names: Names,
    pub(super) ttl: u32,
}

/// Answers datagrams, one after the other.
#[expect(
    clippy::infinite_loop,
    reason = "dropped by whoever awaits the signals that end us"
)]
pub(super) async fn answer_datagrams(known: &Known, socket: &UdpSocket) -> Infallible {
    let mut buffer = vec![0; MOST_QUESTION_BYTES];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, client)) => {
                let question = buffer.get(..length).unwrap_or_default();
                if let Some(answer) = reply(&known.names, known.ttl, question, Over::Udp)
                    && let Err(error) = socket.send_to(&answer, client).await
                {
                    tracing::debug!(%error, %client, "no way to the client");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "receive failed");
                sleep(RECEIVE_PAUSE).await;
            }
        }
    }
}

/// Answers one connection to its end.
pub(super) async fn answer_connection(
    known: Arc<Known>,
    mut stream: TcpStream,
    mut end: watch::Receiver<bool>,
) {
    loop {
        let answered = tokio::select! {
            _ = end.changed() => return,
            answered = timeout(IDLE, answer_one(&known, &mut stream)) => answered,
        };
        match answered {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::debug!(%error, "connection ended");
                return;
            }
        }
    }
}

/// Whether there may be more questions: who sends what has no answer is no client.
async fn answer_one(known: &Known, stream: &mut TcpStream) -> io::Result<bool> {
    let length = usize::from(stream.read_u16().await?);
    if length > MOST_QUESTION_BYTES {
        return Ok(false);
    }
    let mut question = vec![0; length];
    stream.read_exact(&mut question).await?;
    let Some(answer) = reply(&known.names, known.ttl, &question, Over::Tcp) else {
        return Ok(false);
    };
    let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
    stream.write_all(&framed).await?;
    Ok(true)
}
