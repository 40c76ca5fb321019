//! A scenario with every file that it names, read from disk: the only place that knows paths.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use nepho_controller_core::scenario::{self, Bundle, Loaded, Source};

use super::Failure;

/// The most that is read of a file. One byte more than is allowed, so that the parser can say so.
const READ_MAX: u64 = (256 << 10) + 1;

/// Reads a scenario and what it names, and checks all of it.
pub(super) fn load(path: &Path) -> Result<(Bundle, Loaded), Failure> {
    let scenario = source(path)?;
    let mistakes = |found| Failure::Mistakes(Box::new(found));
    let references = scenario::references(&scenario).map_err(mistakes)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let read = |reference: String| {
        let file = source(&folder.join(&reference))?;
        Ok::<_, Failure>((reference, file))
    };
    let files = references
        .into_iter()
        .map(read)
        .collect::<Result<_, Failure>>()?;
    let bundle = Bundle { scenario, files };
    let loaded = scenario::load(&bundle).map_err(mistakes)?;
    Ok((bundle, loaded))
}

/// A file as text; at most a byte more than may be parsed.
pub(super) fn source(path: &Path) -> Result<Source, Failure> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(READ_MAX).read_to_end(&mut bytes)?;
        // A character that the limit cut in two is beyond it anyway.
        let whole = bytes.len() as u64 == READ_MAX;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) if whole => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is not UTF-8 text",
            )),
        }
    };
    let text = read().map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })?;
    let name = path.display().to_string();
    Ok(Source { name, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn written(scenario: &[u8], fleet: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("scenarios")).unwrap();
        std::fs::write(dir.path().join("fleet.yaml"), fleet).unwrap();
        let path = dir.path().join("scenarios/s.yaml");
        std::fs::write(&path, scenario).unwrap();
        (dir, path)
    }

    const SCENARIO: &str = "\
api: nepho/v1
name: s
fleet: ../fleet.yaml
stages:
  - name: one
    lasts: 10s
    steps: {reach: {probe: {health: {}}}}
";
    const FLEET: &str = "\
api: nepho/v1
environments: {local: {}}
services:
  - {name: a, environment: local, http: {}, address: {inside: '127.0.0.1:7500'}}
";

    #[test]
    fn the_fleet_is_found_relative_to_the_scenario() {
        let (_dir, path) = written(SCENARIO.as_bytes(), FLEET);
        let (bundle, loaded) = load(&path).unwrap();
        assert_eq!(loaded.fleet.instances.len(), 1);
        assert_eq!(bundle.files["../fleet.yaml"].text, FLEET);
    }

    #[test]
    fn mistakes_of_both_files_are_found() {
        let (_dir, path) = written(
            SCENARIO.replace("lasts", "lats").as_bytes(),
            &FLEET.replace("http", "htp"),
        );
        let failure = load(&path).unwrap_err();
        assert_eq!(failure.exit(), Exit::Invalid);
        let text = failure.text(false);
        assert!(text.contains("lats") && text.contains("htp"), "{text}");
    }

    #[test]
    fn a_file_that_is_missing_not_text_or_too_large_is_the_users() {
        let (_dir, path) = written(b"\xff\xfe", FLEET);
        assert_eq!(load(&path).unwrap_err().exit(), Exit::Invalid);
        let huge = "é".repeat(200 << 10);
        let (_dir, path) = written(huge.as_bytes(), FLEET);
        assert!(matches!(load(&path), Err(Failure::Mistakes(_))));
        let gone = Path::new("/nowhere/s.yaml");
        assert_eq!(load(gone).unwrap_err().exit(), Exit::Invalid);
    }
}
