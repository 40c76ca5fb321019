//! What must hold for any text as a scenario and its fleet. `scripts/fuzz` makes the texts; the
//! test here replays what it kept.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    id::{AgentId, Feature},
    plan::Plan,
};
use nepho_controller_core::{
    diagnose::Diagnostics,
    planner::{self, Available, Choices, Inventory},
    scenario::{self, Bundle, Loaded, Source},
};

/// More lines than this for a person to read would be a flood, whatever the file holds.
const RENDERED_MAX: usize = 4 << 20;

/// A scenario, a zero byte, and the fleet that it names. Says whether it could be loaded.
///
/// # Panics
/// When loading or planning it twice differs, when what is said of it would play tricks on a
/// terminal, or when a plan does not read back.
#[must_use]
pub fn bundle(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let (scenario, fleet) = text.split_once('\0').unwrap_or((text, ""));
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let scenario = source("scenario.yaml", scenario);
    let references = match scenario::references(&scenario) {
        Ok(references) => references,
        Err(found) => {
            said(&found);
            return false;
        }
    };
    // Whatever else it names has the same text: no rows, or some.
    let files = references
        .into_iter()
        .map(|one| (one, source("fleet.yaml", fleet)));
    let files = files.collect();
    let bundle = Bundle { scenario, files };
    let loaded = scenario::load(&bundle);
    assert_eq!(
        scenario::load(&bundle),
        loaded,
        "it depends on nothing else"
    );
    match loaded {
        Ok(loaded) => {
            plan(&bundle, &loaded);
            true
        }
        Err(found) => {
            said(&found);
            false
        }
    }
}

fn said(found: &Diagnostics) {
    assert!(!found.is_empty(), "what is refused has a reason");
    let text = found.render(false);
    assert!(text.len() <= RENDERED_MAX);
    harmless(&text);
    assert!(found.json().is_array() || found.json().is_object());
}

/// No escape sequences, no text that runs backwards.
fn harmless(text: &str) {
    let tricks = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.chars().any(tricks), "{text:?}");
}

fn plan(bundle: &Bundle, loaded: &Loaded) {
    let features: BTreeSet<Feature> = ["probe.http", "probe.tcp"]
        .into_iter()
        .map(|name| name.parse().expect("it is a name"))
        .collect();
    let agents: BTreeMap<AgentId, Available> = loaded
        .fleet
        .environments
        .keys()
        .map(|environment| {
            let available = Available {
                environment: environment.clone(),
                features: features.clone(),
                policy: None,
                host: String::new(),
                calibrated: None,
            };
            (
                environment.as_str().parse().expect("the same grammar"),
                available,
            )
        })
        .collect();
    let inventory = Inventory { agents };
    let choices = Choices::default();
    let draw = || planner::plan(loaded, bundle.digests(), &inventory, choices);
    let drawn = draw();
    assert_eq!(draw(), drawn, "it depends on nothing else");
    match drawn {
        Ok(planned) => {
            harmless(&planner::render(&planned));
            let canonical = planned.plan.canonical();
            let read = Plan::read(&canonical, planned.id).expect("we wrote it");
            assert_eq!(read, planned.plan);
            for agent in inventory.agents.keys() {
                drop(planned.plan.slice(agent));
            }
        }
        Err(impossible) => harmless(&impossible.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::replay;

    fn seeds() -> Vec<Vec<u8>> {
        let first = concat!(
            include_str!("../../../deploy/scenarios/first.yaml"),
            "\0",
            include_str!("../../../deploy/scenarios/cluster-config.yaml"),
        );
        vec![first.as_bytes().to_vec()]
    }

    #[test]
    fn every_bundle_that_the_fuzzer_kept_is_explained_or_planned() {
        replay("bundle", &seeds(), bundle);
    }
}
