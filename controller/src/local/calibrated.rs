//! What this host was found to send, where its agent reads it: `calibration.json` in the agent's data
//! directory.

use std::{
    env,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nepho_common::calibrated::Calibrated;

/// Where an agent of this host keeps its data when nothing else is said.
const AGENT: &str = "/var/lib/nepho-agent";

/// The data directory of this host's agent, as `nepho-agent` finds it itself.
#[must_use]
pub fn dir() -> PathBuf {
    env::var_os("NEPHO_AGENT_DATA").map_or_else(|| AGENT.into(), PathBuf::from)
}

/// What was found in there. What can't be read is as if it was not there.
#[must_use]
pub fn read(dir: &Path) -> Option<Calibrated> {
    let text = std::fs::read(dir.join(Calibrated::FILE)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Leaves it in there for everybody to read; the file.
///
/// # Errors
/// There is no such directory, or it is not ours.
pub fn save(dir: &Path, found: Calibrated) -> io::Result<PathBuf> {
    let path = dir.join(Calibrated::FILE);
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    serde_json::to_writer(&mut file, &found)?;
    file.write_all(b"\n")?;
    let readable = std::fs::Permissions::from_mode(0o644);
    file.as_file().set_permissions(readable)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|failed| failed.error)?;
    Ok(path)
}
