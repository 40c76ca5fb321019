//! A body in chunks (RFC 9112 §7.1), read as its bytes come.

use super::{BadResponse, body::Sink};

/// The most bytes of a line with a chunk's size, line end included. The size takes 16 of them;
/// extensions are rare, and the longest in use are signatures of some hundred bytes.
pub(super) const LINE_MAX: u32 = 4 << 10;
/// The most bytes of all trailers, with the empty line at their end. They carry checksums and states
/// of calls; nobody needs as much as for a head.
pub(super) const TRAILERS_MAX: u32 = 16 << 10;

/// Where in such a body we are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chunked {
    /// In the line with the size of a chunk, after so many bytes of it.
    Size(Size, u32),
    /// In a chunk, of which so many bytes are still to come.
    Data(u64),
    /// Behind a chunk, where a line ends.
    DataEnd,
    /// The same, and a carriage return came.
    DataEndReturn,
    /// Behind the last chunk, after so many bytes of trailers.
    Trailers(Trailer, u32),
}

/// A line with the size of a chunk, as far as it came.
#[derive(Debug, Clone, Copy)]
pub(super) enum Size {
    /// No digit came yet.
    Start,
    /// Digits.
    Digits(u64),
    /// White space after them: some servers fill the size up to a width.
    Gap(u64),
    /// Extensions, which are for nobody (§7.1.1).
    Extension(u64),
    /// A carriage return.
    Return(u64),
    /// All of it.
    Whole(u64),
}

/// A line behind the last chunk, as far as it came.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trailer {
    /// Nothing of it.
    Start,
    /// Of its name.
    Name,
    /// Of its value.
    Value,
    /// A carriage return after the value.
    Return,
    /// A carriage return and nothing before it.
    LastReturn,
    /// The empty line: the body is over.
    Last,
}

impl Default for Chunked {
    fn default() -> Self {
        Self::Size(Size::Start, 0)
    }
}

impl Chunked {
    /// Takes what came. Says how many bytes of it lie behind the end, once that is reached.
    pub(super) fn read(
        &mut self,
        mut came: &[u8],
        sink: &mut Sink,
    ) -> Result<Option<usize>, BadResponse> {
        while let Some((&byte, rest)) = came.split_first() {
            (*self, came) = match *self {
                Self::Data(left) => {
                    let taken = came.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    sink.take(&came[..taken])?;
                    let left = left - taken as u64;
                    let next = if left > 0 {
                        Self::Data(left)
                    } else {
                        Self::DataEnd
                    };
                    (next, &came[taken..])
                }
                Self::DataEnd if byte == b'\r' => (Self::DataEndReturn, rest),
                Self::DataEndReturn if byte == b'\n' => (Self::default(), rest),
                Self::DataEnd | Self::DataEndReturn => return Err(BadResponse::BadChunk),
                Self::Size(_, LINE_MAX) => return Err(BadResponse::ChunkLineTooLong),
                Self::Size(size, length) => match size.after(byte) {
                    None => return Err(BadResponse::BadChunk),
                    Some(Size::Whole(0)) => (Self::Trailers(Trailer::Start, 0), rest),
                    Some(Size::Whole(size)) => (Self::Data(size), rest),
                    Some(size) => (Self::Size(size, length + 1), rest),
                },
                Self::Trailers(_, TRAILERS_MAX) => return Err(BadResponse::TrailersTooLong),
                Self::Trailers(trailer, length) => match trailer.after(byte) {
                    None => return Err(BadResponse::BadTrailers),
                    Some(Trailer::Last) => return Ok(Some(rest.len())),
                    Some(trailer) => (Self::Trailers(trailer, length + 1), rest),
                },
            };
        }
        Ok(None)
    }
}

impl Size {
    /// With this byte; `None` when it may not come here. The end of the line is `\r\n`: who takes less
    /// for one sees other chunks than a proxy before it.
    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Start, _) => digit(byte).map(Self::Digits),
            (Self::Digits(size) | Self::Gap(size) | Self::Extension(size), b'\r') => {
                Some(Self::Return(size))
            }
            (Self::Digits(size) | Self::Gap(size), b' ' | b'\t') => Some(Self::Gap(size)),
            (Self::Digits(size) | Self::Gap(size), b';') => Some(Self::Extension(size)),
            (Self::Digits(size), _) => {
                let size = size.checked_mul(16)?.checked_add(digit(byte)?)?;
                Some(Self::Digits(size))
            }
            (Self::Extension(size), _) => is_text(byte).then_some(Self::Extension(size)),
            (Self::Return(size), b'\n') => Some(Self::Whole(size)),
            (Self::Gap(_) | Self::Return(_) | Self::Whole(_), _) => None,
        }
    }
}

impl Trailer {
    /// With this byte; `None` when it may not come here. As in a head a single `\n` ends a line too
    /// (§2.2).
    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Start, b'\r') => Some(Self::LastReturn),
            (Self::Start | Self::LastReturn, b'\n') => Some(Self::Last),
            (Self::Start | Self::Name, _) if is_token(byte) => Some(Self::Name),
            (Self::Name, b':') => Some(Self::Value),
            (Self::Value, b'\r') => Some(Self::Return),
            (Self::Value | Self::Return, b'\n') => Some(Self::Start),
            (Self::Value, _) => is_text(byte).then_some(Self::Value),
            (Self::Start | Self::Name | Self::Return | Self::LastReturn | Self::Last, _) => None,
        }
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

/// What a name is made of (RFC 9110 §5.6.2).
const fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

/// What a value is made of (RFC 9110 §5.5).
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}
