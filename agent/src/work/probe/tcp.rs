//! Opens a TCP connection and closes it.

use nepho_common::{policy::Endpoint, recording::Outcome};

use super::{super::guard::Guard, Failure, connect};

#[derive(Debug)]
pub(super) struct TcpQuestion(pub(super) Endpoint);

impl TcpQuestion {
    pub(super) async fn ask(&self, guard: &Guard) -> Result<Outcome, Failure> {
        drop(connect(&self.0, guard).await?);
        Ok(Outcome::Success)
    }
}
