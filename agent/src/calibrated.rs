//! What `nepho calibrate --save` found of this host.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use nepho_common::calibrated::Calibrated;

/// What was found; `None` when nobody looked, or when this host has another number of processors now.
/// What can't be read is as if it was not there, and the log says why.
#[must_use]
pub fn read(path: &Path, cores: u32) -> Option<Calibrated> {
    let found = match open(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "this is no calibration; measure anew with nepho calibrate --save");
            return None;
        }
    };
    if found.cores() != cores {
        let was = found.cores();
        tracing::warn!(path = %path.display(), was, cores, "this host was calibrated with another number of processors; measure anew with nepho calibrate --save");
        return None;
    }
    Some(found)
}

fn open(path: &Path) -> io::Result<Calibrated> {
    let mut text = Vec::new();
    let file = File::open(path)?;
    file.take(Calibrated::BYTES_MAX).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_was_measured_on_this_host_as_it_is_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(Calibrated::FILE);
        assert_eq!(read(&path, 2), None, "nobody looked");
        let found = Calibrated::new(30_000, 1, 2).unwrap();
        fs::write(&path, serde_json::to_vec(&found).unwrap()).unwrap();
        assert_eq!(read(&path, 2), Some(found));
        assert_eq!(read(&path, 4), None, "it has more processors now");
        for bad in [
            "",
            "{",
            r#"{"rate": 0, "threads": 1, "cores": 2}"#,
            r#"{"rate": -1, "threads": 1, "cores": 2}"#,
        ] {
            fs::write(&path, bad).unwrap();
            assert_eq!(read(&path, 2), None, "{bad}");
        }
        fs::write(&path, vec![b' '; 1 << 20]).unwrap();
        assert_eq!(read(&path, 2), None, "no more than a page of it is read");
    }
}
