//! Runs beside their journal: enough to list them without reading it.

use nepho_common::id::RunId;
use sqlx::SqliteConnection;

use super::{
    error::StoreError,
    row::{Ending, RunRow, RunState},
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
    ending: Ending,
) -> Result<(), StoreError> {
    let Ending {
        state,
        verdict,
        made,
        at,
    } = ending;
    let done = sqlx::query(sql::RUN_END)
        .bind(run.as_str())
        .bind(state.as_str())
        .bind(verdict)
        .bind(at.0)
        .bind(made.map(|made| i64::from(made.revision)))
        .bind(made.map(|made| made.records.cast_signed()))
        .execute(connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Err(StoreError::NoRun(run));
    }
    Ok(())
}
