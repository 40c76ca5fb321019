//! A look at a store from outside: opened for reading only, while a controller may have it.

use std::{path::Path, sync::Arc};

use sqlx::{ConnectOptions as _, Connection as _, Row as _, sqlite::SqliteConnectOptions};

use super::{error::StoreError, schema, sql, store::read};

/// The version of a store's schema, and the one that this release writes.
///
/// # Errors
/// The file can't be opened, or is no store.
pub async fn version(path: &Path) -> Result<(i64, i64), StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .disable_statement_logging();
    let connected = options.connect().await;
    let mut connection = connected.map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    let found = sqlx::query(sql::SCHEMA_VERSION)
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(read("the version of its schema"))?;
    // It was read; how the connection ends says nothing more.
    connection.close().await.ok();
    Ok((found, schema::known()))
}

#[cfg(test)]
mod tests {
    use super::{super::Store, *};

    #[tokio::test]
    async fn a_store_is_looked_at_while_it_is_in_use_and_anything_else_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("nepho.sqlite");
        assert!(version(&path).await.is_err(), "it is not there");
        assert!(!path.exists(), "and was not made");
        let store = Store::open(&path).await.unwrap();
        let known = schema::known();
        assert_eq!(version(&path).await.unwrap(), (known, known));
        store.close().await;
        assert_eq!(version(&path).await.unwrap(), (known, known));
        let other = temp.path().join("other");
        std::fs::write(
            &other,
            "this is no database, and long enough to be read as one",
        )
        .unwrap();
        assert!(version(&other).await.is_err());
    }
}
