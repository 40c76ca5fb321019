//! Who drives a run. A controller holds a lease on each of its runs and renews it; another one
//! takes the run up only after the lease has ended, with a higher fence, and what the earlier one
//! still writes is refused from then on.

use nepho_common::{
    id::{Fence, RunId},
    time::WallMillis,
};
use sqlx::{Row as _, SqliteConnection};

use super::{error::StoreError, sql, store::read, writer::failed};

/// A controller asks for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which.
    pub run: RunId,
    /// Who asks: this start of its process.
    pub holder: String,
    /// The boot of its host: monotonic clocks of one boot agree.
    pub clock: String,
    /// Until when, if it is not renewed.
    pub until: WallMillis,
    /// Whether nobody else can be alive on this store, because its lock was free: then a lease of
    /// somebody else has ended with its process.
    pub alone: bool,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is the asker's.
    Taken {
        /// What its commands carry from here on.
        fence: Fence,
        /// Whether the last holder's monotonic clock is the asker's.
        same_clock: bool,
    },
    /// Somebody else has it.
    Held {
        /// Who.
        holder: String,
        /// Until when, if it is not renewed.
        until: WallMillis,
    },
}

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    claim: Claim,
    now: WallMillis,
) -> Result<Claimed, StoreError> {
    let row = sqlx::query(sql::LEASE)
        .bind(claim.run.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let mut fence = Fence(1);
    let mut same_clock = true;
    if let Some(row) = row {
        let holder: String = row.try_get(0).map_err(failed)?;
        let clock: String = row.try_get(1).map_err(failed)?;
        let until = WallMillis(row.try_get(3).map_err(failed)?);
        if holder != claim.holder && !claim.alone && now < until {
            return Ok(Claimed::Held { holder, until });
        }
        let before: i64 = row.try_get(2).map_err(failed)?;
        fence = Fence(before.cast_unsigned() + u64::from(holder != claim.holder));
        same_clock = clock == claim.clock;
    }
    sqlx::query(sql::LEASE_PUT)
        .bind(claim.run.as_str())
        .bind(claim.holder)
        .bind(claim.clock)
        .bind(fence.0.cast_signed())
        .bind(claim.until.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(Claimed::Taken { fence, same_clock })
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    holder: &str,
    until: WallMillis,
) -> Result<(), StoreError> {
    let renewed = sqlx::query(sql::LEASE_RENEW)
        .bind(holder)
        .bind(until.0)
        .execute(connection)
        .await;
    renewed.map(drop).map_err(failed)
}

/// Whether this fence is still the run's; a run without a lease has none to break.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    run: &RunId,
    fence: Fence,
) -> Result<(), StoreError> {
    let row = sqlx::query(sql::LEASE)
        .bind(run.as_str())
        .fetch_optional(connection)
        .await
        .map_err(read("a lease"))?;
    let Some(row) = row else { return Ok(()) };
    let holds: i64 = row.try_get(2).map_err(failed)?;
    if fence.0 < holds.cast_unsigned() {
        return Err(StoreError::Fenced(run.clone()));
    }
    Ok(())
}
