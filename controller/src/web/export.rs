//! A run directory as a stream: the manifest on the first line, then the journal's lines.

use std::io;

use axum::{
    body::Body,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::header::CONTENT_TYPE;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, BufReader},
    task::spawn_blocking,
};

use super::{
    refusal::{Blame, Refusal, chain},
    server::run_id,
};
use crate::{
    driver::Handle,
    export::{self, JOURNAL},
};

/// Large enough that the stream costs little, small enough for many of them.
const CHUNK: usize = 64 * 1024;

/// It is written to disk first: a run directory is then exactly what `nepho` writes elsewhere, and
/// a slow reader holds a file and not the journal in memory.
pub(super) async fn export(
    State(handle): State<Handle>,
    Path(run): Path<String>,
) -> Result<Response, Refusal> {
    let broken = |why: String| Refusal::new(Blame::Internal, format!("can't export: {why}"));
    let (row, records) = handle.records(&run_id(&run)?).await?;
    let (dir, manifest) = spawn_blocking(move || {
        let dir = tempfile::tempdir().map_err(|error| chain(&error))?;
        let manifest =
            export::write_run_dir(dir.path(), &row, &records).map_err(|error| chain(&error))?;
        Ok((dir, manifest))
    })
    .await
    .map_err(|error| broken(error.to_string()))?
    .map_err(broken)?;
    let journal = File::open(dir.path().join(JOURNAL))
        .await
        .map_err(|error| broken(error.to_string()))?;
    let mut first = serde_json::to_vec(&manifest).expect("a manifest has string keys");
    first.push(b'\n');
    // The directory goes away with the stream that reads from it.
    let lines = stream::try_unfold((BufReader::new(journal), dir), |(mut file, dir)| async {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, io::Error>((read > 0).then_some((chunk, (file, dir))))
    });
    let body = stream::once(async { Ok(first) }).chain(lines.into_stream());
    let headers = [(CONTENT_TYPE, "application/x-ndjson")];
    Ok((headers, Body::from_stream(body)).into_response())
}
