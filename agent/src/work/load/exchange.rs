//! One request and its answer, on a connection that carries one after the other.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use nepho_common::{recording::Outcome, time::Mono};

use super::{
    super::probe::Failure,
    http1::{Asked, Limits, Method, Progress, Reader, Response},
    request::Request,
    stream::Stream,
    traced::{Name, Names},
};
use crate::clock;

/// A connection, or the place of one.
pub(super) struct Exchange {
    requests: Arc<[Request]>,
    /// Which of them is under way.
    call: usize,
    /// The one that is under way, when it has a number of its own.
    numbered: Option<Request>,
    /// Nothing was sent on this connection yet.
    is_fresh: bool,
    /// Whom it leads to.
    peer: String,
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
    /// It came to its end.
    pub(super) is_whole: bool,
    /// Bytes on the wire.
    pub(super) received: u64,
    /// When the first of them was here.
    pub(super) first: Option<Mono>,
    /// When the last one was.
    pub(super) done: Mono,
}

impl Exchange {
    pub(super) fn new(requests: Arc<[Request]>, stream: Option<Stream>) -> Self {
        Self {
            requests,
            call: 0,
            numbered: None,
            is_fresh: true,
            peer: peer(stream.as_ref()),
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
        self.peer = peer(Some(&stream));
        self.is_fresh = true;
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
    pub(super) fn request_len(&self) -> u64 {
        self.request().len()
    }

    fn request(&self) -> &Request {
        self.numbered.as_ref().unwrap_or(&self.requests[self.call])
    }

    /// Whoever answered last, by name.
    pub(super) fn told(&self, names: &mut Names) -> Option<Name> {
        let judge = &self.requests[self.call].judge;
        if judge.is_by_address() {
            return names.of(self.peer.as_bytes());
        }
        judge.told(&self.reader, |name| names.of(name)).flatten()
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

    /// From here on it is this request; says whether it is the first on its connection.
    pub(super) fn begins(&mut self, call: u16, number: u64) -> bool {
        self.call = usize::from(call);
        let request = &self.requests[self.call];
        if request.has_number() {
            let mut own = self.numbered.take().unwrap_or_else(|| request.clone());
            if self.requests.len() > 1 {
                own.clone_from(request);
            }
            own.number(number);
            self.numbered = Some(own);
        }
        let request = &self.requests[self.call];
        (self.written, self.first) = (0, None);
        self.reader.begin(Asked {
            method: if request.is_head {
                Method::Head
            } else {
                Method::Other
            },
            kept: request.judge.kept(),
        });
        std::mem::take(&mut self.is_fresh)
    }

    /// Hands the request to the kernel.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Outcome>> {
        let stream = self.stream.as_mut().ok_or(Outcome::OurSide)?;
        loop {
            let request = self.numbered.as_ref();
            let request = request.unwrap_or(&self.requests[self.call]);
            let rest = &request.bytes()[self.written..];
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
        let judge = &self.requests[self.call].judge;
        let outcome = judge.outcome(&self.reader, response);
        if !response.keeps_alive || !self.reader.is_clean() {
            self.closes();
        }
        Answer {
            outcome,
            is_whole: true,
            received: response.wire_bytes,
            first: self.first,
            done,
        }
    }
}

/// Whom a connection leads to, as text.
fn peer(stream: Option<&Stream>) -> String {
    let address = stream.and_then(|stream| stream.peer().ok());
    address
        .map(|address| address.to_string())
        .unwrap_or_default()
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
        let request = Request::new(
            &order,
            &order.calls[0],
            &HeaderValue::from_static("a"),
            "/x",
        )
        .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (peer, _) = listener.accept().await.unwrap();
        let exchange = Exchange::new(Arc::new([request]), Some(Stream::Plain(stream.unwrap())));
        (exchange, peer)
    }

    async fn sends(exchange: &mut Exchange, peer: &mut TcpStream) {
        exchange.begins(0, 0);
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
