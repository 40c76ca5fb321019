//! What a controller says, read from bytes: for recorded fixtures and fuzzing.

use prost::Message as _;

use super::{Ack, ControllerMessage};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    wire,
};

/// One message of the control stream.
///
/// # Errors
/// The bytes are none.
pub fn controller_message_from_bytes(bytes: &[u8]) -> Result<ControllerMessage, BadMessage> {
    let wire = wire::ControllerMessage::decode(bytes).map_err(Wrong::from);
    wire.within("message")?.try_into()
}

/// One acknowledgement.
///
/// # Errors
/// The bytes are none.
pub fn ack_from_bytes(bytes: &[u8]) -> Result<Ack, BadMessage> {
    let wire = wire::Ack::decode(bytes).map_err(Wrong::from);
    wire.within("ack")?.try_into()
}
