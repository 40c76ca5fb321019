//! What comes after the head: counted, and its start kept where that was asked for.

use super::{BadResponse, chunked::Chunked, head::Framing};

/// The most that is kept of a body, as much as a probe reads of an answer.
pub const KEPT_MAX: usize = 1 << 20;

/// What of a body is still to come.
#[derive(Debug)]
pub(super) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// Whatever comes before the end of the connection.
    UntilClose,
}

impl Body {
    pub(super) fn of(framing: Framing, sink: &Sink) -> Result<Self, BadResponse> {
        match framing {
            // Nobody has to wait for the bytes to know that there are too many.
            Framing::Length(length) if length > sink.most => Err(BadResponse::BodyTooLong),
            Framing::Length(length) => Ok(Self::Length(length)),
            Framing::Chunked => Ok(Self::Chunked(Chunked::default())),
            Framing::UntilClose => Ok(Self::UntilClose),
        }
    }

    /// Takes what came. Says how many bytes of it lie behind the end, once that is reached.
    pub(super) fn read(
        &mut self,
        came: &[u8],
        sink: &mut Sink,
    ) -> Result<Option<usize>, BadResponse> {
        match self {
            Self::Length(left) => {
                let taken = came.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                sink.take(&came[..taken])?;
                *left -= taken as u64;
                Ok((*left == 0).then(|| came.len() - taken))
            }
            Self::Chunked(chunked) => chunked.read(came, sink),
            Self::UntilClose => sink.take(came).map(|()| None),
        }
    }
}

/// Where a body goes.
#[derive(Debug)]
pub(super) struct Sink {
    /// The most bytes that it may have.
    most: u64,
    count: u64,
    keep: usize,
    kept: Vec<u8>,
}

impl Sink {
    pub(super) const fn new(most: u64) -> Self {
        Self {
            most,
            count: 0,
            keep: 0,
            kept: Vec::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        self.count = 0;
        self.keep = 0;
        self.kept.clear();
    }

    /// So many bytes of what comes now are kept.
    pub(super) fn keeps(&mut self, keep: usize) {
        self.keep = keep.min(KEPT_MAX);
    }

    pub(super) fn take(&mut self, data: &[u8]) -> Result<(), BadResponse> {
        let room = usize::try_from(self.most - self.count).unwrap_or(usize::MAX);
        let fits = data.len().min(room);
        self.count += fits as u64;
        let wanted = fits.min(self.keep - self.kept.len());
        if wanted > 0 {
            self.keep(&data[..wanted]);
        }
        if fits < data.len() {
            return Err(BadResponse::BodyTooLong);
        }
        Ok(())
    }

    /// Grows by doubling, as vectors do, but never beyond what may be kept.
    fn keep(&mut self, data: &[u8]) {
        let length = self.kept.len() + data.len();
        if length > self.kept.capacity() {
            let doubled = self.kept.capacity().saturating_mul(2).min(self.keep);
            self.kept
                .reserve_exact(doubled.max(length) - self.kept.len());
        }
        self.kept.extend_from_slice(data);
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// What is held for it.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) const fn room(&self) -> usize {
        self.kept.capacity()
    }

    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }
}
