//! What the fuzzer kept, as ordinary tests.

use std::{fs, path::PathBuf};

/// Checks the seeds and the committed corpus of a target. Seeds are written down when that is
/// asked for: `scripts/soak fuzz` starts from them.
pub(crate) fn replay(target: &str, seeds: &[Vec<u8>], check: impl Fn(&[u8]) -> bool) {
    if let Some(dir) = std::env::var_os("NEPHO_FUZZ_SEEDS") {
        let dir = PathBuf::from(dir).join(target);
        fs::create_dir_all(&dir).unwrap();
        for (n, seed) in seeds.iter().enumerate() {
            fs::write(dir.join(format!("seed-{n:03}")), seed).unwrap();
        }
    }
    for (n, seed) in seeds.iter().enumerate() {
        assert!(check(seed), "seed {n} is not believed");
    }
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/fuzz/corpus");
    let (mut believed, mut refused) = (0, 0);
    for entry in fs::read_dir(PathBuf::from(corpus).join(target)).unwrap() {
        match check(&fs::read(entry.unwrap().path()).unwrap()) {
            true => believed += 1,
            false => refused += 1,
        }
    }
    // A corpus of one kind only would show nothing.
    assert!(believed > 5 && refused > 5, "{believed} {refused}");
}
