//! A gRPC client whose messages are bytes, as they are.

use bytes::{Buf as _, BufMut as _};
use futures_util::StreamExt as _;
use nepho_proto::session::{ControllerMessage, Welcome};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use crate::site::soon;

/// Bytes in, bytes out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;
    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

/// An open stream of one of the two methods.
pub(crate) struct Stream {
    pub(crate) out: mpsc::Sender<Vec<u8>>,
    pub(crate) incoming: Streaming<Vec<u8>>,
}

/// Opens `/nepho.v1.Sessions/` and this method, and says these messages at once.
pub(crate) async fn open(
    channel: Channel,
    method: &str,
    first: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Stream, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    soon(grpc.ready()).await.unwrap();
    let (out, queue) = mpsc::channel(64); // More than any test says before it listens.
    for message in first {
        out.try_send(message).unwrap();
    }
    let path = format!("/nepho.v1.Sessions/{method}").parse().unwrap();
    let request = Request::new(ReceiverStream::new(queue));
    let reply = soon(grpc.streaming(request, path, Bytes)).await?;
    let incoming = reply.into_inner();
    Ok(Stream { out, incoming })
}

impl Stream {
    /// The next message; `None` at an orderly end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Status> {
        soon(self.incoming.next()).await.transpose()
    }

    /// The next message on the control stream.
    pub(crate) async fn hear(&mut self) -> ControllerMessage {
        let bytes = self.next().await.unwrap().expect("one more");
        nepho_proto::session::controller_message_from_bytes(&bytes).unwrap()
    }

    pub(crate) async fn welcome(&mut self) -> Welcome {
        match self.hear().await {
            ControllerMessage::Welcome(welcome) => welcome,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn say(&self, message: Vec<u8>) {
        soon(self.out.send(message)).await.unwrap();
    }

    /// What the end of the stream says.
    pub(crate) async fn end(&mut self) -> Code {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    }
}
