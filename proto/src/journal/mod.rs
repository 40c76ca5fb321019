//! Records to bytes and back, and what their payloads hold.
//!
//! - [`payload()`], [`version`] and [`decode`]: a body as a record's payload, and checked back.
//! - [`Reader`]: the same for many records, with what they have in common read once.
//! - [`to_bytes`] and [`from_bytes`]: a whole record, as spools and tests keep it.
//! - [`fit()`]: recordings in portions that one payload may hold.

mod author;
mod fit;
mod frugal;
mod payload;
mod reader;
mod record;

pub use fit::fit;
pub use payload::{decode, payload, version};
pub use reader::Reader;
pub use record::{from_bytes, to_bytes};
