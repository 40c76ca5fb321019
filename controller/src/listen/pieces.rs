//! Requests in small pieces, because tonic makes room for a message once more when its head is read:
//! for all of it beside what has already come. In one piece that is twice the message, rounded up to
//! the next power of two, and it stays with the stream: 32 KiB for records of 10 kB, for each agent.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::body::{Bytes, Frame, SizeHint};
use tonic::{Status, body::Body};
use tower::util::MapRequestLayer;

/// The most that comes before the room is made: with a record of 10 kB it is 16 KiB in all.
const PIECE: usize = 1 << 10;

/// A layer of a server.
pub(super) type InPieces = MapRequestLayer<fn(http::Request<Body>) -> http::Request<Body>>;

/// Gives a server the bodies of its requests in pieces.
pub(super) fn in_pieces() -> InPieces {
    MapRequestLayer::new(|request| request.map(|body| Body::new(Pieces::of(body))))
}

/// A body, and what of its last frame is still to be handed on.
#[derive(Debug)]
struct Pieces {
    body: Body,
    left: Bytes,
}

impl Pieces {
    const fn of(body: Body) -> Self {
        Self {
            body,
            left: Bytes::new(),
        }
    }
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.left.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.left = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.left.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let left = u64::try_from(self.left.len()).unwrap_or(u64::MAX);
        let (lower, upper) = (hint.lower(), hint.upper());
        // In this order: the lower one never exceeds the upper one.
        if let Some(upper) = upper {
            hint.set_upper(upper.saturating_add(left));
        }
        hint.set_lower(lower.saturating_add(left));
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn frames() -> Vec<Frame<Bytes>> {
        let data = |bytes: usize| Frame::data(Bytes::from(vec![7; bytes]));
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        vec![
            data(0),
            data(1),
            data(PIECE),
            data(PIECE + 1),
            data(10 * PIECE),
            Frame::trailers(trailers),
        ]
    }

    fn body() -> Body {
        let frames = frames().into_iter().map(Ok::<_, Status>);
        Body::new(StreamBody::new(stream::iter(frames)))
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_the_same_body() {
        let whole = body().collect().await.unwrap();
        let pieces = Pieces::of(body()).collect().await.unwrap();
        assert_eq!(whole.trailers(), pieces.trailers());
        assert!(pieces.trailers().is_some());
        assert_eq!(whole.to_bytes(), pieces.to_bytes());
    }

    #[tokio::test]
    async fn no_piece_is_larger_than_a_piece() {
        let mut pieces = Pieces::of(body());
        let mut largest = 0;
        while let Some(frame) = pieces.frame().await {
            if let Ok(data) = frame.unwrap().into_data() {
                largest = largest.max(data.len());
            }
        }
        assert_eq!(largest, PIECE);
    }

    #[tokio::test]
    async fn an_error_ends_it_after_what_came_before() {
        let data = Frame::data(Bytes::from(vec![7; 3 * PIECE]));
        let frames = [Ok(data), Err(Status::cancelled("cut"))];
        let mut pieces = Pieces::of(Body::new(StreamBody::new(stream::iter(frames))));
        for _ in 0..3 {
            assert!(pieces.frame().await.unwrap().unwrap().is_data());
        }
        let end = pieces.frame().await.unwrap().unwrap_err();
        assert_eq!(end.code(), tonic::Code::Cancelled);
    }
}
