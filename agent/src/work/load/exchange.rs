//! One request and its answer, on a connection that carries one after the other.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use nepho_common::{recording::Outcome, time::Mono};

use super::{
    super::probe::Failure,
    carrier::{Answer, Carrier, Took, Untouched},
    fill::Filling,
    http1::{Asked, Limits, Method, Progress, Reader, Response},
    request::{Own, Request},
    stream::{Door, Stream},
    traced::{Name, Names},
};
use crate::clock;

/// A connection, or the place of one.
pub(super) struct Exchange {
    requests: Arc<[Request]>,
    /// Which of them is under way.
    call: usize,
    /// The one that is under way, when it is not like others.
    own: Own,
    /// How many requests this connection carried, the one that is under way with them.
    carried: u64,
    /// How many one carries; any number when 0.
    carries: u64,
    /// Whom it leads to.
    peer: String,
    reader: Reader,
    stream: Option<Stream>,
    /// How much of the request is with the kernel.
    written: usize,
    sent: Option<Mono>,
    first: Option<Mono>,
}

impl Exchange {
    pub(super) fn new(requests: Arc<[Request]>, stream: Option<Stream>, carries: u64) -> Self {
        Self {
            requests,
            call: 0,
            own: Own::default(),
            carried: 0,
            carries,
            peer: peer(stream.as_ref()),
            reader: Reader::new(Limits::default()),
            stream,
            written: 0,
            sent: None,
            first: None,
        }
    }

    fn answer(&mut self, response: Response, done: Mono) -> Answer {
        let judge = &self.requests[self.call].judge;
        let outcome = judge.outcome(&self.reader, response.status, response.body_bytes);
        let is_spent = self.carried == self.carries;
        if is_spent || !response.keeps_alive || !self.reader.is_clean() {
            self.closes();
        }
        Answer {
            outcome,
            is_whole: true,
            received: response.wire_bytes,
            done,
        }
    }
}

impl Carrier for Exchange {
    fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    async fn connect(&mut self, door: &Door, turn: usize) -> Result<Option<Took>, Failure> {
        let opened = door.open(turn).await?;
        self.peer = peer(Some(&opened.stream));
        self.carried = 0;
        self.stream = Some(opened.stream);
        self.reader.reset();
        Ok(Some(opened.took))
    }

    /// A connection that the target closes while nobody uses it is not used again.
    fn watch(&mut self, cx: &mut Context<'_>) {
        if let Some(stream) = &mut self.stream
            && stream.poll_read(cx, self.reader.spare()).is_ready()
        {
            self.closes();
        }
    }

    fn begins(&mut self, call: u16, of: Filling<'_>) {
        self.call = usize::from(call);
        let request = &self.requests[self.call];
        if request.is_own() {
            request.write(of, &mut self.own);
        }
        (self.written, self.sent, self.first) = (0, None, None);
        self.reader.begin(Asked {
            method: if request.is_head {
                Method::Head
            } else {
                Method::Other
            },
            kept: request.judge.kept(),
        });
        self.carried += 1;
    }

    /// The connection is its own.
    fn poll_slot(&mut self, _: &mut Context<'_>) -> Poll<Result<bool, Outcome>> {
        Poll::Ready(Ok(false))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Outcome>> {
        let stream = self.stream.as_mut().ok_or(Outcome::OurSide)?;
        loop {
            let request = &self.requests[self.call];
            let bytes = if request.is_own() {
                self.own.bytes()
            } else {
                request.bytes()
            };
            let rest = &bytes[self.written..];
            if rest.is_empty() {
                ready!(stream.poll_flush(cx)).map_err(failed)?;
                self.sent = Some(clock::now());
                return Poll::Ready(Ok(()));
            }
            match ready!(stream.poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(Outcome::Reset)),
                Ok(more) => self.written += more,
                Err(error) => return Poll::Ready(Err(failed(error))),
            }
        }
    }

    /// The clock is read when something came, before anything is made of it.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Outcome>> {
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

    fn sent(&self) -> Option<Mono> {
        self.sent
    }

    fn first(&self) -> Option<Mono> {
        self.first
    }

    fn is_first(&self) -> bool {
        self.carried == 1
    }

    fn told(&self, names: &mut Names) -> Option<Name> {
        let judge = &self.requests[self.call].judge;
        judge.name(&self.reader, &self.peer, names)
    }

    fn take(&self, taken: &mut [String]) {
        self.requests[self.call].judge.take(&self.reader, taken);
    }

    fn written(&mut self) -> u64 {
        std::mem::take(&mut self.written) as u64
    }

    /// Nothing more can be told apart on it.
    fn closes(&mut self) {
        self.stream = None;
    }

    /// What a target looked at, and what it did not, can't be told apart.
    fn untouched(&self) -> Untouched {
        Untouched::No
    }
}

/// Whom a connection leads to, as text.
pub(super) fn peer(stream: Option<&Stream>) -> String {
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

    use http::{HeaderValue, uri::PathAndQuery};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::{
        super::{fill::Filler, request},
        *,
    };

    async fn pair() -> (Exchange, TcpStream) {
        let order = request::order("GET", &[], "");
        let filler = Arc::new(Filler::new(&order));
        let request = Request::new(
            &order,
            &filler,
            &order.calls[0],
            &HeaderValue::from_static("a"),
            &PathAndQuery::from_static("/x"),
        )
        .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (peer, _) = listener.accept().await.unwrap();
        let exchange = Exchange::new(Arc::new([request]), Some(Stream::Plain(stream.unwrap())), 0);
        (exchange, peer)
    }

    async fn sends(exchange: &mut Exchange, peer: &mut TcpStream) {
        exchange.begins(0, Filling::default());
        let sent = poll_fn(|cx| exchange.poll_send(cx)).await;
        assert_eq!(sent, Ok(()));
        let mut came = vec![0; exchange.written() as usize];
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
            let first = exchange.first().unwrap();
            assert!(exchange.sent().unwrap() <= before);
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
