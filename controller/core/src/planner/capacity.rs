//! Whether hosts can send what is planned, by what `nepho calibrate` found on them.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    calibrated::Calibrated,
    id::AgentId,
    plan::{Plan, PlannedStage},
};

use super::Inventory;

/// From this on a host that nobody calibrated is worth a word, in requests per second: any host sends
/// less than that on time.
const WORTH_KNOWING: u64 = 2_000;

/// What one host sends in the busiest second of a stage.
#[derive(Default)]
struct Sends<'a> {
    agents: BTreeSet<&'a AgentId>,
    rate: u64,
    lanes: u32,
    calibrated: Option<Calibrated>,
}

/// A sentence for each stage and host that is asked for more than it should be, and one for hosts of
/// which nobody knows.
pub(super) fn notes(plan: &Plan, inventory: &Inventory) -> Vec<String> {
    let mut notes = Vec::new();
    let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
    for stage in &plan.stages {
        for (host, sends) in hosts(stage, inventory) {
            let Some(found) = sends.calibrated else {
                let most = unknown.entry(host).or_default();
                *most = sends.rate.max(*most);
                continue;
            };
            notes.extend(too_much(stage, host, &sends, found));
        }
    }
    unknown.retain(|_, rate| *rate >= WORTH_KNOWING);
    notes.extend(unknown.into_iter().map(|(host, rate)| {
        format!(
            "nobody knows whether {host} can send {rate}/s on time; `nepho calibrate --save` on it \
             finds out, and plans are held to that from then on"
        )
    }));
    notes
}

/// By the names of hosts: agents on one share what it can send.
fn hosts<'a>(stage: &'a PlannedStage, inventory: &'a Inventory) -> BTreeMap<&'a str, Sends<'a>> {
    let mut hosts: BTreeMap<&str, Sends<'_>> = BTreeMap::new();
    let loads = stage.steps.iter().filter_map(|step| step.act.load());
    // Of users nobody knows how much they will ask.
    for load in loads.filter(|load| load.model.is_open()) {
        for share in &load.shares {
            let Some(available) = inventory.agents.get(&share.agent) else {
                continue;
            };
            let sends = hosts.entry(&available.host).or_default();
            sends.agents.insert(&share.agent);
            sends.rate = sends.rate.saturating_add(load.peak(share));
            sends.lanes = sends.lanes.saturating_add(share.lanes);
            // The lower one, should two agents of a host disagree.
            let both = sends.calibrated.into_iter().chain(available.calibrated);
            sends.calibrated = both.min_by_key(|found| found.rate());
        }
    }
    hosts
}

fn too_much(
    stage: &PlannedStage,
    host: &str,
    sends: &Sends<'_>,
    found: Calibrated,
) -> Option<String> {
    let (rate, most) = (sends.rate, found.plan_with());
    if rate <= most {
        return None;
    }
    let agents: Vec<_> = sends.agents.iter().map(ToString::to_string).collect();
    let threads = match found.threads() {
        1 => "one thread".to_owned(),
        more => format!("{more} threads"),
    };
    let more = if sends.lanes > found.threads() {
        format!(
            ", or calibrate it with `--threads {}`, as many as would send here",
            sends.lanes
        )
    } else {
        String::new()
    };
    Some(format!(
        "stage {}: {host} ({}) would send {rate}/s, which is more than {}% of the {}/s that it was \
         found to send on time with {threads}: {most}/s; send less, or from more hosts{more}",
        stage.name,
        agents.join(", "),
        Calibrated::PLANNED_MAX,
        found.rate(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::{Available, tests::loading};

    /// Notes of a load over two hosts that are as `tune` says.
    fn notes(rate: &str, threads: &str, tune: impl Fn(&mut Available)) -> Vec<String> {
        let stages = format!(
            "  - name: one
    lasts: 30s
    steps:
      many:
        load: {{open: {{rate: {rate}}}, {threads}requests: [{{get: /}}], to: {{service: [web]}}}}
"
        );
        let planned = loading(&stages, tune);
        let mut notes = planned.notes;
        notes.retain(|note| note.contains("on time"));
        notes
    }

    fn found(rate: u64) -> impl Fn(&mut Available) {
        move |available| available.calibrated = Calibrated::new(rate, 1, 2).ok()
    }

    #[test]
    fn a_host_that_would_send_more_than_seven_tenths_of_what_it_can_is_named() {
        // Two agents send half each.
        let told = notes("1401/s", "", found(1_000));
        assert_eq!(told.len(), 2, "{told:#?}");
        assert_eq!(
            told[0],
            "stage one: cloud-1 (cloud-1) would send 701/s, which is more than 70% of the 1000/s \
             that it was found to send on time with one thread: 700/s; send less, or from more hosts"
        );
        assert_eq!(notes("1400/s", "", found(1_000)), [""; 0], "the control");
    }

    #[test]
    fn agents_on_one_host_share_what_it_can_send() {
        let shared = |available: &mut Available| {
            found(1_000)(available);
            "one".clone_into(&mut available.host);
        };
        let told = notes("1000/s", "", shared);
        assert!(
            told[0].contains("one (cloud-1, local-1) would send 1000/s"),
            "{told:#?}"
        );
        assert_eq!(notes("1000/s", "", found(1_000)), [""; 0], "the control");
    }

    #[test]
    fn more_threads_than_were_calibrated_are_worth_a_calibration() {
        let told = notes("1500/s", "threads: 2, ", found(1_000));
        assert!(
            told[0].ends_with("or calibrate it with `--threads 2`, as many as would send here"),
            "{told:#?}"
        );
    }

    #[test]
    fn of_a_host_that_nobody_calibrated_it_is_said_where_that_matters() {
        let told = notes("9000/s", "", |_| {});
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(
            told[0].starts_with("nobody knows whether cloud-1 can send 4550/s on time"),
            "{told:#?}"
        );
        assert_eq!(notes("900/s", "", |_| {}), [""; 0], "any host does that");
    }
}
