//! The bytes of a connection, with a note of when they passed and how many there were.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{super::stream::Stream, QUIET_MAX, Seen};
use crate::clock;

pub(super) struct Wire {
    stream: Stream,
    seen: Rc<Seen>,
}

impl Wire {
    pub(super) const fn new(stream: Stream, seen: Rc<Seen>) -> Self {
        Self { stream, seen }
    }

    /// Notes whether the kernel takes more.
    fn noted<T>(&self, poll: Poll<T>) -> Poll<T> {
        self.seen.is_blocked.set(poll.is_pending());
        poll
    }
}

impl AsyncRead for Wire {
    /// One look at the clock for all answers that come in one piece.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(this.stream.poll_fill(cx, into))?;
        let seen = &this.seen;
        seen.came.set(clock::now());
        let came = (into.filled().len() - before) as u64;
        seen.read.set(seen.read.get() + came);
        seen.quiet.set(seen.quiet.get() + came);
        if seen.quiet.get() > QUIET_MAX {
            let what = "the target says much, and answers nobody";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = this.stream.poll_write(cx, bytes);
        if let Poll::Ready(Ok(wrote)) = wrote {
            let seen = &this.seen;
            seen.written.set(seen.written.get() + wrote as u64);
        }
        this.noted(wrote)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.stream.poll_flush(cx);
        this.noted(flushed)
    }

    /// Whoever drops it closes it; nobody waits for the target to agree.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
