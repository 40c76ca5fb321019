//! A granted request's answer, and the connection that it comes over.

use std::{path::PathBuf, time::Duration};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use serde::de::DeserializeOwned;
use tokio::{task::JoinHandle, time::timeout};

use super::client::{ANSWER_WITHIN, ClientError, broken};

/// A report of 40 services, 3 environments and an hour is some 10 MB.
const ANSWER_MAX: usize = 256 << 20;

/// A granted request's answer, whole or piece by piece.
#[derive(Debug)]
pub struct Answer {
    pub(super) body: Incoming,
    pub(super) socket: PathBuf,
    pub(super) _connection: Connection,
}

impl Answer {
    pub(super) async fn whole<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let body = Limited::new(self.body, ANSWER_MAX).collect();
        let body = timeout(ANSWER_WITHIN, body)
            .await
            .map_err(|_| ClientError::Late(self.socket))?
            .map_err(ClientError::Broken)?;
        serde_json::from_slice(&body.to_bytes()).map_err(ClientError::Answer)
    }

    /// The next piece, if it comes `within`; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks or nothing comes.
    pub async fn piece(&mut self, within: Duration) -> Result<Option<Bytes>, ClientError> {
        loop {
            let frame = timeout(within, self.body.frame())
                .await
                .map_err(|_| ClientError::Late(self.socket.clone()))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(error)),
                // Trailers say nothing here.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// The task that moves bytes; it ends with the answer.
#[derive(Debug)]
pub(super) struct Connection(pub(super) JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
