//! Why there is no response.

use nepho_common::recording::Outcome;

use super::{INTERIM_MAX, chunked, head};

/// What came is no response, or not the one that was asked for. Nothing of what came is repeated: it
/// may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// It does not begin as HTTP/1.0 or HTTP/1.1 do.
    #[error("what came is no HTTP/1 response")]
    NotHttp,
    /// The head can't be read. A value that goes on in the next line is refused as well: nobody may
    /// send that any more (RFC 9112 §5.2).
    #[error("read the head")]
    Head(#[source] httparse::Error),
    /// The head is longer than is read.
    #[error("the head is longer than {} bytes", head::HEAD_MAX)]
    HeadTooLong,
    /// There are more headers than are read.
    #[error("there are more than {} headers", head::HEADERS_MAX)]
    TooManyHeaders,
    /// Interim responses come, and no final one.
    #[error("there are more than {INTERIM_MAX} interim responses")]
    TooManyInterim,
    /// The target goes over to another protocol (101), and nobody asked it to.
    #[error("the target switched protocols unasked")]
    Switched,
    /// The length of the body is no number, too large for one, or said twice and differently.
    #[error("the content length is none")]
    BadContentLength,
    /// A transfer encoding without a coding, with two of `chunked`, with a parameter of it, or in
    /// HTTP/1.0.
    #[error("the transfer encoding is none")]
    BadTransferEncoding,
    /// The body has a length and a transfer encoding.
    #[error("the body has a length and a transfer encoding")]
    TwoLengths,
    /// A chunk has no size, too large a one, or no end where it should.
    #[error("the body is not chunked as it should")]
    BadChunk,
    /// The line with the size of a chunk is longer than is read.
    #[error("the line of a chunk is longer than {} bytes", chunked::LINE_MAX)]
    ChunkLineTooLong,
    /// What follows the last chunk are no headers.
    #[error("the trailers are none")]
    BadTrailers,
    /// The trailers are longer than is read.
    #[error("the trailers are longer than {} bytes", chunked::TRAILERS_MAX)]
    TrailersTooLong,
    /// The body is longer than it may be.
    #[error("the body is longer than it may be")]
    BodyTooLong,
    /// Something came that no request asked for, before a request or behind a response.
    #[error("something came that nobody asked for")]
    Unasked,
    /// The target closed the connection.
    #[error("the target closed the connection {} it answered", if *begun { "while" } else { "before" })]
    Closed {
        /// Something of a response had come. If not, the target may just have grown tired of an
        /// idle connection.
        begun: bool,
    },
}

impl BadResponse {
    /// The outcome that this is.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::NotHttp
            | Self::Head(_)
            | Self::HeadTooLong
            | Self::TooManyHeaders
            | Self::TooManyInterim
            | Self::Switched
            | Self::BadContentLength
            | Self::BadTransferEncoding
            | Self::TwoLengths
            | Self::BadChunk
            | Self::ChunkLineTooLong
            | Self::BadTrailers
            | Self::TrailersTooLong
            | Self::Unasked => Outcome::Protocol,
            // As with a probe: it speaks HTTP well, and says more than it was to say.
            Self::BodyTooLong => Outcome::Content,
            Self::Closed { .. } => Outcome::Reset,
        }
    }
}

impl From<httparse::Error> for BadResponse {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::Version => Self::NotHttp,
            httparse::Error::TooManyHeaders => Self::TooManyHeaders,
            httparse::Error::HeaderName
            | httparse::Error::HeaderValue
            | httparse::Error::NewLine
            | httparse::Error::Status
            | httparse::Error::Token => Self::Head(error),
        }
    }
}
