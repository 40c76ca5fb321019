//! What a run leaves on disk: the report for people and for programs, and the run directory, from
//! which the report can be made again.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nepho_common::id::RunId;
use nepho_controller_core::report::render::{html, json, markdown};
use tempfile::NamedTempFile;
use tokio::{
    fs::File,
    io::{AsyncWriteExt as _, BufWriter},
};

use super::{Failure, found::Found};
use crate::{
    export::{self, JOURNAL, MANIFEST, Manifest},
    web::Client,
};

/// Where runs leave their files when nothing else is said.
pub(super) const DEFAULT: &str = "nepho-runs";
/// The server reads from its disk.
const PIECE_WITHIN: std::time::Duration = std::time::Duration::from_secs(60);

/// A folder that exists and can be written to.
#[derive(Debug)]
pub(crate) enum Folder {
    /// This one.
    Given(PathBuf),
    /// One of the run's name in here.
    Under(PathBuf),
}

impl Folder {
    /// The folder that was asked for, else one under [`DEFAULT`].
    ///
    /// # Errors
    /// When it can't be made or written to: better now than after the run.
    pub(crate) fn open(given: Option<PathBuf>) -> Result<Self, Failure> {
        let (path, folder): (_, fn(PathBuf) -> Self) = match given {
            Some(path) => (path, Self::Given),
            None => (PathBuf::from(DEFAULT), Self::Under),
        };
        make(&path)?;
        Ok(folder(path))
    }

    pub(super) fn of_run(self, run: &RunId) -> Result<PathBuf, Failure> {
        match self {
            Self::Given(path) => Ok(path),
            Self::Under(path) => {
                let path = path.join(run.as_str());
                make(&path)?;
                Ok(path)
            }
        }
    }
}

/// Makes a folder and proves that it can be written to.
pub(crate) fn make(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path)
        .and_then(|()| NamedTempFile::new_in(path))
        .map(drop)
        .map_err(unwritten(path))
}

pub(crate) fn unwritten(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_owned();
    |source| Failure::Write { path, source }
}

/// Writes a file of a folder of ours whole, in the place of whatever has its name: a reader sees the
/// old one or the new one, and a link that somebody put there is replaced, never followed.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    let beside = beside(path)?;
    std::fs::write(beside.path(), text).map_err(unwritten(path))?;
    give_name(beside, path)
}

/// A file without its name yet, in the folder where it will be.
fn beside(path: &Path) -> Result<NamedTempFile, Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // Reports are for others too; the temporary file's own 0600 is not what was asked for.
    let made = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder.unwrap_or(Path::new(".")));
    made.map_err(unwritten(path))
}

fn give_name(beside: NamedTempFile, path: &Path) -> Result<(), Failure> {
    let named = beside.persist(path).map_err(|error| error.error);
    named.map(drop).map_err(unwritten(path))
}

/// The reports that a run leaves, the one to open first.
pub(super) const REPORTS: [&str; 3] = ["report.html", "report.md", "report.json"];

/// Writes [`REPORTS`] and the run directory.
pub(super) async fn write(
    client: &Client,
    run: &RunId,
    found: &Found,
    folder: &Path,
) -> Result<(), Failure> {
    let [page, text, data] = REPORTS.map(|name| folder.join(name));
    let (told, lang) = (found.told(), found.lang());
    write_text(&page, &html::render(told, lang))?;
    write_text(&text, &markdown::render(told, lang))?;
    write_text(&data, &json::render(found.data()))?;
    export(client, run, folder).await.map(drop)
}

/// Writes the run directory, and reads it back: what was damaged on the way is found now.
pub(super) async fn export(
    client: &Client,
    run: &RunId,
    folder: &Path,
) -> Result<Manifest, Failure> {
    let mut answer = client.export(run).await?;
    let path = folder.join(JOURNAL);
    let whole = beside(&path)?;
    let file = whole.reopen().map_err(unwritten(&path))?;
    let mut journal = BufWriter::new(File::from_std(file));
    let mut manifest: Option<Vec<u8>> = None;
    let mut first = Vec::new();
    while let Some(piece) = answer.piece(PIECE_WITHIN).await? {
        let mut rest: &[u8] = &piece;
        if manifest.is_none() {
            let end = piece.iter().position(|byte| *byte == b'\n');
            let (line, journal) = piece.split_at(end.map_or(piece.len(), |end| end + 1));
            first.extend_from_slice(line);
            manifest = end.map(|_| std::mem::take(&mut first));
            rest = journal;
        }
        journal.write_all(rest).await.map_err(unwritten(&path))?;
    }
    journal.flush().await.map_err(unwritten(&path))?;
    journal
        .get_ref()
        .sync_all()
        .await
        .map_err(unwritten(&path))?;
    give_name(whole, &path)?;
    let path = folder.join(MANIFEST);
    let whole = beside(&path)?;
    std::fs::write(whole.path(), manifest.unwrap_or(first)).map_err(unwritten(&path))?;
    give_name(whole, &path)?;
    let folder = folder.to_owned();
    let read = tokio::task::spawn_blocking(move || export::read_run_dir(&folder));
    let (manifest, _) = read.await.expect("reading does not panic")?;
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_link_in_the_folder_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, report) = (dir.path().join("victim"), dir.path().join("report.json"));
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &report).unwrap();
        write_text(&report, "ours").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&report).unwrap(), "ours");
        let kind = std::fs::symlink_metadata(&report).unwrap();
        assert!(kind.is_file());
        assert_eq!(kind.permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_known_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let failure = Folder::open(Some(file.join("below"))).unwrap_err();
        assert_eq!(failure.exit(), Exit::Internal);
        let given = Folder::open(Some(dir.path().join("a/b"))).unwrap();
        let path = given.of_run(&"r".parse().unwrap()).unwrap();
        assert_eq!(path, dir.path().join("a/b"));
        assert!(
            path.read_dir().unwrap().next().is_none(),
            "nothing is left of the proof"
        );
    }
}
