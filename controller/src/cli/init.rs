//! `nepho init`: a fleet and a first scenario to begin with, and their schemas for the editor.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use nepho_controller_core::{
    compose::{self, Imported, Note},
    scenario::{FileKind, schema_json},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, Failure, bundle, out::Format};
use crate::{
    exit::Exit,
    web::document::{Body, Document},
};

const EXAMPLES: &str = "\
Examples:
  nepho init my-scenarios && cd my-scenarios
  nepho validate first.yaml
  nepho run first.yaml --local
  nepho init --from-compose compose.yaml shop     the fleet is what a Compose file publishes";

/// Writes a fleet, a first scenario and their schemas for the editor into a folder.
///
/// The scenario runs as it is once the fleet's addresses are those of two services of yours.
/// Nothing that is there is overwritten.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where to write; made if it is not there.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Make the fleet from what this Compose file publishes on its host: services, ports, health
    /// checks that ask a URL. What can't be used is said with its line.
    #[arg(long, value_name = "FILE")]
    from_compose: Option<PathBuf>,
}

/// What was written: `nepho.init/v1`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Written {
    /// The files, as they can be opened from here.
    written: Vec<String>,
    /// What of a Compose file could not be used.
    notes: Vec<CouldNot>,
    /// What to type next.
    next: Vec<String>,
}

impl Body for Written {
    const SCHEMA: &'static str = "nepho.init/v1";
}

/// Something in a Compose file that could not be used.
#[derive(Debug, Serialize, JsonSchema)]
struct CouldNot {
    /// Its line, from 1.
    line: usize,
    /// What, and why.
    text: String,
}

const FLEET: &str = "cluster-config.yaml";
const SCENARIO: &str = "first.yaml";
const EXAMPLE_FLEET: &str = include_str!("../../../deploy/scenarios/cluster-config.yaml");
const EXAMPLE_SCENARIO: &str = include_str!("../../../deploy/scenarios/first.yaml");
/// Beside the files, and out of the way: editors find it by the first line of each.
const SCHEMAS: &str = ".nepho";

/// A file of the folder, by its name in there.
#[derive(Debug)]
struct File {
    name: String,
    text: String,
}

pub(super) fn perform(context: &mut Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let dir = &arguments.dir;
    let imported = match &arguments.from_compose {
        Some(path) => Some((path, import(path)?)),
        None => None,
    };
    let files = match &imported {
        Some((_, imported)) => files(&imported.fleet, compose::SCENARIO),
        None => files(EXAMPLE_FLEET, EXAMPLE_SCENARIO),
    };
    write(dir, &files)?;
    let path = |name: &str| shown(dir, name);
    let written: Vec<_> = files.iter().map(|file| path(&file.name)).collect();
    let (scenario, fleet) = (path(SCENARIO), path(FLEET));
    let next = ["validate", "plan", "run"].map(|verb| match verb {
        "validate" => format!("nepho validate {scenario}"),
        verb => format!("nepho {verb} {scenario} --local"),
    });
    match context.out.format() {
        Format::Text => {
            for path in &written {
                context.out.data(path)?;
            }
            let first = match &imported {
                Some((path, imported)) => {
                    told(context, path, imported);
                    format!("look through {fleet}")
                }
                None => format!("put the addresses of your own services into {fleet}"),
            };
            let next = next.join("\n  ");
            context.out.say(&format!("next: {first}, then\n  {next}"));
        }
        Format::Json | Format::Ndjson => context.out.json(&Document::of(Written {
            written,
            notes: imported.map_or_else(Vec::new, |(_, imported)| notes(imported)),
            next: next.to_vec(),
        }))?,
    }
    Ok(Exit::Passed)
}

fn import(path: &Path) -> Result<Imported, Failure> {
    let mistakes = |found| Failure::Mistakes(Box::new(found));
    compose::import(&bundle::source(path)?).map_err(mistakes)
}

/// What of the Compose file is measured now, and what is not.
fn told(context: &Context, path: &Path, imported: &Imported) {
    let path = path.display();
    for note in &imported.notes {
        context.out.say(&format!("{path}:{note}"));
    }
    if imported.hidden > 0 {
        context
            .out
            .say(&format!("{path}: and {} notes more", imported.hidden));
    }
    let (services, left_out) = (imported.services, imported.left_out);
    let all = services + left_out;
    context.out.say(&format!(
        "{services} of {all} services of {path} can be measured from here"
    ));
}

fn notes(imported: Imported) -> Vec<CouldNot> {
    let note = |Note { line, text }| CouldNot { line, text };
    imported.notes.into_iter().map(note).collect()
}

/// The two files, each with its schema on the first line, and the schemas.
fn files(fleet: &str, scenario: &str) -> Vec<File> {
    let file = |name: &str, text: String| File {
        name: name.to_owned(),
        text,
    };
    vec![
        file(FLEET, beside_schemas(fleet)),
        file(SCENARIO, beside_schemas(scenario)),
        file(
            &format!("{SCHEMAS}/fleet.schema.json"),
            schema_json(FileKind::Fleet),
        ),
        file(
            &format!("{SCHEMAS}/scenario.schema.json"),
            schema_json(FileKind::Scenario),
        ),
    ]
}

/// The examples name the published schemas from where they lie; what is written names its own.
fn beside_schemas(text: &str) -> String {
    text.replacen(
        "$schema=../../docs/schema/",
        &format!("$schema={SCHEMAS}/"),
        1,
    )
}

/// As it can be typed from here.
fn shown(dir: &Path, name: &str) -> String {
    match dir {
        here if here == Path::new(".") => name.to_owned(),
        dir => dir.join(name).display().to_string(),
    }
}

/// Writes all of them or none.
fn write(dir: &Path, files: &[File]) -> Result<(), Failure> {
    let paths: Vec<_> = files.iter().map(|file| dir.join(&file.name)).collect();
    let in_the_way = |path: &&PathBuf| fs::symlink_metadata(path).is_ok();
    let there: Vec<_> = paths.iter().filter(in_the_way).cloned().collect();
    if !there.is_empty() {
        return Err(Failure::InTheWay(there));
    }
    for folder in [dir.to_owned(), dir.join(SCHEMAS)] {
        fs::create_dir_all(&folder).map_err(|source| Failure::Write {
            path: folder,
            source,
        })?;
    }
    for (nth, (path, file)) in paths.iter().zip(files).enumerate() {
        if let Err(source) = create(path, &file.text) {
            // Ours, and new: half of a beginning is worse than none.
            for path in paths.iter().take(nth) {
                fs::remove_file(path).ok();
            }
            return Err(match source.kind() {
                io::ErrorKind::AlreadyExists => Failure::InTheWay(vec![path.clone()]),
                _ => Failure::Write {
                    path: path.clone(),
                    source,
                },
            });
        }
    }
    Ok(())
}

/// A new file, or an error: what came in between is not overwritten either, nor a link followed.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<File> {
        files(EXAMPLE_FLEET, EXAMPLE_SCENARIO)
    }

    #[test]
    fn a_compose_file_becomes_a_fleet_that_loads_with_its_scenario() {
        let dir = tempfile::tempdir().unwrap();
        let compose = dir.path().join("compose.yaml");
        let text = "services: {web: {ports: ['8080:80'], healthcheck: {test: curl localhost/up}}}";
        fs::write(&compose, text).unwrap();
        let imported = import(&compose).unwrap();
        write(dir.path(), &files(&imported.fleet, compose::SCENARIO)).unwrap();
        let (_, loaded) = bundle::load(&dir.path().join(SCENARIO)).unwrap();
        assert_eq!(loaded.fleet.instances.len(), 1);
        fs::write(&compose, "x".repeat(1 << 20)).unwrap();
        let failure = import(&compose).unwrap_err();
        assert_eq!(failure.exit(), Exit::Invalid, "{failure}");
        assert!(import(Path::new("/nowhere/compose.yaml")).is_err());
    }

    #[test]
    fn what_is_written_is_valid_and_names_its_schemas() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new/folder");
        write(&folder, &examples()).unwrap();
        let (_, loaded) = bundle::load(&folder.join(SCENARIO)).unwrap();
        assert_eq!(loaded.fleet.instances.len(), 2);
        for name in [FLEET, SCENARIO] {
            let text = fs::read_to_string(folder.join(name)).unwrap();
            let line = text.lines().next().unwrap();
            let schema = line
                .strip_prefix("# yaml-language-server: $schema=")
                .unwrap();
            let schema = fs::read_to_string(folder.join(schema)).unwrap();
            assert!(schema.contains("draft-07"), "{line}");
        }
    }

    #[test]
    fn what_is_in_the_way_stays_as_it_is_and_nothing_else_is_written() {
        for name in [FLEET, SCENARIO, ".nepho/fleet.schema.json"] {
            let dir = tempfile::tempdir().unwrap();
            let mine = dir.path().join(name);
            fs::create_dir_all(mine.parent().unwrap()).unwrap();
            fs::write(&mine, "mine").unwrap();
            let failure = write(dir.path(), &examples()).unwrap_err();
            assert_eq!(failure.exit(), Exit::Refused);
            let text = failure.text(false);
            assert!(text.contains(name) && text.contains("hint:"), "{text}");
            assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
            let yaml = [FLEET, SCENARIO].map(|name| dir.path().join(name));
            let written = yaml.iter().filter(|path| **path != mine && path.exists());
            assert_eq!(written.count(), 0, "{name}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::os::unix::fs::symlink(&victim, dir.path().join(FLEET)).unwrap();
        let failure = write(dir.path(), &examples()).unwrap_err();
        assert!(matches!(failure, Failure::InTheWay(_)), "{failure}");
        assert!(!victim.exists());
    }
}
