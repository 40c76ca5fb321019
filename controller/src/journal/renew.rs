//! The certificate after this one: offered, then taken on when it is first shown.

use nepho_common::id::AgentId;
use sqlx::SqliteConnection;

use super::{
    admit,
    error::StoreError,
    row::{Offer, Offered},
    sql,
    writer::failed,
};

/// Writes an offer down beside the current certificate. An earlier offer that nobody showed is
/// replaced: its reply was lost.
pub(super) async fn offer(
    connection: &mut SqliteConnection,
    agent: &AgentId,
    shown: &str,
    offer: &Offer,
) -> Result<Offered, StoreError> {
    let Some(row) = admit::stored(connection, agent).await? else {
        return Ok(Offered::Unknown);
    };
    if row.revoked.is_some() {
        return Ok(Offered::Revoked);
    }
    let next = row.next.as_ref().map(|next| next.serial.as_str());
    if next == Some(shown) {
        // Its holder has it, so it is the current one from here on.
        promote(connection, agent, shown).await?;
    } else if row.serial != shown {
        return Ok(Offered::Stale);
    }
    sqlx::query(sql::AGENT_OFFER)
        .bind(agent.as_str())
        .bind(offer.serial.as_str())
        .bind(offer.key.bytes().as_slice())
        .bind(offer.not_after.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(Offered::Stored(row.environment))
}

/// What was offered under this serial number becomes the current certificate.
pub(super) async fn promote(
    connection: &mut SqliteConnection,
    agent: &AgentId,
    serial: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query(sql::AGENT_PROMOTE)
        .bind(agent.as_str())
        .bind(serial)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}
