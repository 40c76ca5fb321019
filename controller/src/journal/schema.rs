//! Migrations: numbered, forward only, each in a transaction of its own.

use std::sync::Arc;

use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::{error::StoreError, sql};

/// In order; the number of one is its place, from 1. `migrations/postgres` has the same numbers.
const MIGRATIONS: [&str; 5] = [
    include_str!("../../migrations/sqlite/0001_start.sql"),
    include_str!("../../migrations/sqlite/0002_renewal.sql"),
    include_str!("../../migrations/sqlite/0003_leases.sql"),
    include_str!("../../migrations/sqlite/0004_revisions.sql"),
    include_str!("../../migrations/sqlite/0005_rollups.sql"),
];

/// The version that this release writes.
pub(super) const fn known() -> i64 {
    MIGRATIONS.len() as i64
}

/// Brings the schema to what this release knows.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let failed = |version| {
        move |source| StoreError::Migrate {
            version,
            source: Arc::new(source),
        }
    };
    sqlx::query(sql::SCHEMA_TABLE)
        .execute(&mut *connection)
        .await
        .map_err(failed(0))?;
    let found: i64 = sqlx::query(sql::SCHEMA_VERSION)
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed(0))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, text) in (1..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        apply(connection, version, text)
            .await
            .map_err(failed(version))?;
    }
    Ok(())
}

async fn apply(
    connection: &mut SqliteConnection,
    version: i64,
    text: &'static str,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with(sql::BEGIN).await?;
    sqlx::raw_sql(text).execute(&mut *transaction).await?;
    sqlx::query(sql::SCHEMA_APPLIED)
        .bind(version)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use sqlx::{Executor as _, SqlSafeStr as _};

    use super::*;

    async fn in_memory() -> SqliteConnection {
        SqliteConnection::connect("sqlite::memory:").await.unwrap()
    }

    #[tokio::test]
    async fn every_statement_can_be_prepared_on_sqlite() {
        let mut connection = in_memory().await;
        migrate(&mut connection).await.unwrap();
        for text in sql::ALL {
            connection
                .prepare(text.into_sql_str())
                .await
                .unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[tokio::test]
    async fn a_statement_on_a_table_that_is_not_there_would_be_found() {
        let mut connection = in_memory().await;
        assert!(connection.prepare(sql::RUNS.into_sql_str()).await.is_err());
    }

    #[tokio::test]
    async fn migrating_twice_changes_nothing() {
        let mut connection = in_memory().await;
        migrate(&mut connection).await.unwrap();
        migrate(&mut connection).await.unwrap();
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused_with_what_to_do() {
        let mut connection = in_memory().await;
        migrate(&mut connection).await.unwrap();
        sqlx::query(sql::SCHEMA_APPLIED)
            .bind(99_i64)
            .execute(&mut connection)
            .await
            .unwrap();
        let error = migrate(&mut connection).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }));
        assert!(error.to_string().contains("newer nepho"), "{error}");
    }

    #[test]
    fn both_engines_have_the_same_numbers_tables_and_columns() {
        let postgres = [
            include_str!("../../migrations/postgres/0001_start.sql"),
            include_str!("../../migrations/postgres/0002_renewal.sql"),
            include_str!("../../migrations/postgres/0003_leases.sql"),
            include_str!("../../migrations/postgres/0004_revisions.sql"),
            include_str!("../../migrations/postgres/0005_rollups.sql"),
        ];
        assert_eq!(postgres.len(), MIGRATIONS.len());
        let plain = |text: &str| {
            text.replace("BYTEA", "BLOB")
                .replace(" COLLATE \"C\"", "")
                .lines()
                .filter(|line| !line.starts_with("--"))
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        for (ours, theirs) in MIGRATIONS.iter().zip(postgres) {
            assert_eq!(plain(ours), plain(theirs));
        }
    }
}
