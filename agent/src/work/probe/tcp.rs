//! Opens a TCP connection and closes it.

use nepho_common::{plan::TcpCheck, recording::Outcome};

use super::{Failure, connect, resolved};

#[derive(Debug)]
pub(super) struct TcpQuestion(TcpCheck);

impl TcpQuestion {
    pub(super) fn new(check: &TcpCheck) -> Result<Self, String> {
        resolved(&check.host)?;
        Ok(Self(check.clone()))
    }

    pub(super) async fn ask(&self) -> Result<Outcome, Failure> {
        drop(connect(&self.0.host, self.0.port).await?);
        Ok(Outcome::Success)
    }
}
