//! Opens a TCP connection, says and hears what was asked for, and closes it.

use nepho_common::{plan::TcpCheck, policy::Endpoint, recording::Outcome};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Failure, answer::holds, means::Means};
use crate::clock;

/// The most that is heard while waiting for a text. A banner is a line.
const HEARD_MAX: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct TcpQuestion {
    to: Endpoint,
    banner: String,
    send: String,
    expect: String,
}

impl TcpQuestion {
    pub(super) fn new(check: &TcpCheck, to: Endpoint) -> Self {
        Self {
            to,
            banner: check.banner.clone(),
            send: check.send.clone(),
            expect: check.expect.clone(),
        }
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>) -> Result<(), Failure> {
        let mut stream = means.connect(&self.to).await?;
        if !self.banner.is_empty() {
            hear(means, &mut stream, &self.banner).await?;
        }
        if !self.send.is_empty() {
            let sent = stream.write_all(self.send.as_bytes()).await;
            sent.map_err(Failure::Talk)?;
        }
        if !self.expect.is_empty() {
            hear(means, &mut stream, &self.expect).await?;
        }
        Ok(())
    }
}

/// Reads until the text was heard. A target that ends before it, or says too much without it, said
/// something else; one that is silent runs into the time-out.
async fn hear(means: &mut Means<'_>, stream: &mut TcpStream, text: &str) -> Result<(), Failure> {
    let begin = clock::now();
    let mut heard = Vec::new();
    while !holds(&heard, text) {
        let before = heard.len();
        let read = stream.read_buf(&mut heard).await;
        let read = read.map_err(Failure::Talk)?;
        if before == 0 && read > 0 {
            means.heard(begin);
        }
        if read == 0 || heard.len() > HEARD_MAX {
            let what = if before == 0 && read == 0 {
                return Err(Failure::Ended);
            } else {
                "what the target said does not hold what was asked for"
            };
            return Err(Failure::answer(Outcome::Content, what.to_owned()));
        }
    }
    Ok(())
}
