//! One request and its answer, on a connection that carries one after the other.

use std::{
    io,
    task::{Context, Poll, ready},
};

use nepho_common::{recording::Outcome, time::Mono};

use super::{
    super::probe::Failure,
    http1::{Asked, Limits, Method, Progress, Reader, Response},
    request::Request,
    stream::Stream,
};
use crate::clock;

/// A connection, or the place of one.
pub(super) struct Exchange {
    request: Request,
    reader: Reader,
    stream: Option<Stream>,
    /// How much of the request is with the kernel.
    written: usize,
    /// When the first byte of the answer was here.
    first: Option<Mono>,
}

/// An answer that is complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    /// Bytes on the wire.
    pub(super) received: u64,
    /// When the first of them was here.
    pub(super) first: Option<Mono>,
    /// When the last one was.
    pub(super) done: Mono,
}

impl Exchange {
    pub(super) fn new(request: Request, stream: Option<Stream>) -> Self {
        Self {
            request,
            reader: Reader::new(Limits::default()),
            stream,
            written: 0,
            first: None,
        }
    }

    /// Whether there is a connection.
    pub(super) const fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// There is one now.
    pub(super) fn opens(&mut self, stream: Stream) {
        self.stream = Some(stream);
        self.reader.reset();
    }

    /// Nothing more can be read on it.
    pub(super) fn closes(&mut self) {
        self.stream = None;
    }

    /// When the first byte of the answer was here that is under way.
    pub(super) const fn first(&self) -> Option<Mono> {
        self.first
    }

    /// How many bytes a request has.
    pub(super) const fn request_len(&self) -> u64 {
        self.request.len()
    }

    /// A connection that the target closes while nobody uses it is not used again. It is watched
    /// from now on.
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) {
        if let Some(stream) = &mut self.stream
            && stream.poll_read(cx, self.reader.spare()).is_ready()
        {
            self.closes();
        }
    }

    /// From here on it is this request.
    pub(super) fn begins(&mut self, number: u64) {
        self.request.number(number);
        (self.written, self.first) = (0, None);
        self.reader.begin(Asked {
            method: if self.request.is_head {
                Method::Head
            } else {
                Method::Other
            },
            kept: 0,
        });
    }

    /// Hands the request to the kernel.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Outcome>> {
        let stream = self.stream.as_mut().ok_or(Outcome::OurSide)?;
        loop {
            let rest = &self.request.bytes()[self.written..];
            if rest.is_empty() {
                return stream.poll_flush(cx).map_err(failed);
            }
            match ready!(stream.poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(Outcome::Reset)),
                Ok(more) => self.written += more,
                Err(error) => return Poll::Ready(Err(failed(error))),
            }
        }
    }

    /// Reads its answer. The clock is read when something came, before anything is made of it.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Outcome>> {
        let stream = self.stream.as_mut().ok_or(Outcome::OurSide)?;
        loop {
            let read = ready!(stream.poll_read(cx, self.reader.spare()));
            let now = clock::now();
            let progress = match read.map_err(failed)? {
                0 => self.reader.closed().map(Progress::Done),
                more => {
                    self.first.get_or_insert(now);
                    self.reader.filled(more)
                }
            };
            match progress.map_err(|bad| bad.outcome())? {
                Progress::More => {}
                Progress::Done(response) => return Poll::Ready(Ok(self.answer(response, now))),
            }
        }
    }

    fn answer(&mut self, response: Response, done: Mono) -> Answer {
        if !response.keeps_alive || !self.reader.is_clean() {
            self.closes();
        }
        Answer {
            outcome: if (200..400).contains(&response.status) {
                Outcome::Success
            } else {
                Outcome::Status
            },
            received: response.wire_bytes,
            first: self.first,
            done,
        }
    }
}

fn failed(error: io::Error) -> Outcome {
    Failure::Talk(error).outcome()
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use http::HeaderValue;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::{super::request, *};

    async fn pair() -> (Exchange, TcpStream) {
        let order = request::order("GET", &[], "");
        let request = Request::new(&order, &HeaderValue::from_static("a"), "/x").unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (peer, _) = listener.accept().await.unwrap();
        let exchange = Exchange::new(request, Some(Stream::Plain(stream.unwrap())));
        (exchange, peer)
    }

    async fn sends(exchange: &mut Exchange, peer: &mut TcpStream) {
        exchange.begins(0);
        let sent = poll_fn(|cx| exchange.poll_send(cx)).await;
        assert_eq!(sent, Ok(()));
        let mut came = vec![0; exchange.request_len() as usize];
        peer.read_exact(&mut came).await.unwrap();
        assert!(came.ends_with(b"\r\n\r\n"));
    }

    #[tokio::test]
    async fn an_answer_in_one_piece_begins_and_ends_at_one_instant_and_else_it_does_not() {
        let (mut exchange, mut peer) = pair().await;
        for pieces in [
            &["HTTP/1.1 204 No Content\r\n\r\n"][..],
            &["HTTP/1.1 2", "04 x\r\n\r\n"],
        ] {
            sends(&mut exchange, &mut peer).await;
            let before = clock::now();
            let writes = async {
                for piece in pieces {
                    peer.write_all(piece.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let (answer, ()) = tokio::join!(poll_fn(|cx| exchange.poll_answer(cx)), writes);
            let answer = answer.unwrap();
            let first = answer.first.unwrap();
            assert!(before <= first && first <= answer.done && answer.done <= clock::now());
            assert_eq!(first == answer.done, pieces.len() == 1);
            assert_eq!(
                (answer.outcome, exchange.is_open()),
                (Outcome::Success, true)
            );
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_while_nobody_uses_it_is_not_used_again() {
        let (mut exchange, mut peer) = pair().await;
        sends(&mut exchange, &mut peer).await;
        peer.write_all(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        let answer = poll_fn(|cx| exchange.poll_answer(cx)).await.unwrap();
        assert_eq!(
            (answer.outcome, exchange.is_open()),
            (Outcome::Status, true)
        );
        drop(peer);
        poll_fn(|cx| {
            exchange.watch(cx);
            if exchange.is_open() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        assert_eq!(
            poll_fn(|cx| exchange.poll_send(cx)).await,
            Err(Outcome::OurSide)
        );
    }
}
