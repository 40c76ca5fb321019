//! Runs beside their journal: enough to list them without reading it.

use nepho_common::{id::RunId, time::WallMillis};
use sqlx::SqliteConnection;

use super::{
    error::StoreError,
    row::{RunRow, RunState},
    sql,
    writer::failed,
};

pub(super) async fn create(
    connection: &mut SqliteConnection,
    run: RunRow,
) -> Result<(), StoreError> {
    let done = sqlx::query(sql::RUN_INSERT)
        .bind(run.run.as_str())
        .bind(run.plan.to_string())
        .bind(run.scenario.as_str())
        .bind(run.state.as_str())
        .bind(run.verdict)
        .bind(run.created.0)
        .bind(run.ended.map(|at| at.0))
        .bind(run.requested_by)
        .execute(connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Err(StoreError::RunExists(run.run));
    }
    Ok(())
}

pub(super) async fn set_state(
    connection: &mut SqliteConnection,
    run: RunId,
    state: RunState,
) -> Result<(), StoreError> {
    let done = sqlx::query(sql::RUN_SET_STATE)
        .bind(run.as_str())
        .bind(state.as_str())
        .execute(connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Err(StoreError::NoRun(run));
    }
    Ok(())
}

pub(super) async fn end(
    connection: &mut SqliteConnection,
    run: RunId,
    state: RunState,
    verdict: Option<String>,
    ended: WallMillis,
) -> Result<(), StoreError> {
    let done = sqlx::query(sql::RUN_END)
        .bind(run.as_str())
        .bind(state.as_str())
        .bind(verdict)
        .bind(ended.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Err(StoreError::NoRun(run));
    }
    Ok(())
}
