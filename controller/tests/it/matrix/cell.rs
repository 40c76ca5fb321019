//! One cell: a run, somebody held at a point, somebody killed there and started again.

use std::{path::Path, process::Command, time::Duration};

use nepho_controller_core::report::Report;

use super::{
    check::{Evidence, check},
    list::{Cell, Dies, Holds},
};
use crate::{
    fleet::{Service, scenario, write_fleet_of},
    found::{journal, numbers, parsed},
    process::{Running, clean, eventually, program},
    site::{Place, Site},
};

const AGENTS: [(&str, &str); 2] = [("a-1", "a"), ("b-1", "b")];
/// The agent that is held and killed.
const VICTIM: &str = "a-1";
/// Preparing, a stage of 3 s, and every deadline that a death may cost; a run that needs longer
/// hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(100);

/// What is shown of a cell that kept every promise.
#[derive(Debug)]
pub(super) struct Lived {
    pub(super) acked: u64,
    pub(super) stored: u64,
    pub(super) received: u64,
    pub(super) counted: u64,
    pub(super) verdict: String,
}

pub(super) fn live(cell: &Cell) -> Lived {
    lived(cell).0
}

/// The same, with what it left.
pub(super) fn lived(cell: &Cell) -> (Lived, Evidence) {
    let Cell { holds, point, dies } = *cell;
    let name = format!("{point}, {dies:?} dies");
    let hold = |held: &Path| format!("{point}:{}", held.display());
    let mut site = Site::start_held(|dir| match holds {
        Holds::Controller => Some(hold(&dir.join("held"))),
        Holds::Agent => None,
    });
    let dir = site.dir().to_owned();
    let held = dir.join("held");
    let services = AGENTS.map(|(_, env)| Service::start(&dir, env, &format!("svc-{env}")));
    write_fleet_of(&dir, &services);
    std::fs::write(dir.join("s.yaml"), scenario("s", &["only"], "3s", "250ms")).unwrap();
    let mut agents: Vec<Running> = AGENTS
        .iter()
        .map(|&(agent, environment)| {
            site.enrol(&Place::new(agent, environment));
            let mut starter = clean(Command::new(program("nepho-agent")));
            if holds == Holds::Agent && agent == VICTIM {
                starter.env("NEPHO_HOLD", hold(&held));
            }
            site.run_agent(agent, &mut starter)
        })
        .collect();

    let mut run = site.nepho(&["run", "s.yaml", "--anyway", "--out", "out"]);
    let run = Running::start(&mut run, &dir, "run");
    eventually(&format!("{name}: the point is reached"), || {
        held.exists().then_some(())
    });
    // From here on everything may be gone but what is on disks.
    let victim = agents.remove(0);
    if dies != Dies::Agent {
        site.kill_controller();
    }
    if dies != Dies::Controller {
        victim.kill();
    } else {
        agents.insert(0, victim);
    }
    let acked = AGENTS.map(|(agent, _)| acked(&site, agent));
    std::fs::remove_file(&held).unwrap();
    if dies != Dies::Agent {
        site.start_controller();
    }
    if dies != Dies::Controller {
        agents.push(site.run_agent(VICTIM, &mut clean(Command::new(program("nepho-agent")))));
    }
    let said = run.said(ENDS_WITHIN);

    let out = dir.join("exported");
    let runs = site.ask(&["runs", "-o", "json"]).with(0);
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    let found = runs["runs"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    let run = found[0]["run"].as_str().unwrap();
    // The run has a verdict, whether somebody was there to be told or not.
    let verdict = found[0]["verdict"].as_str();
    let verdict = verdict
        .unwrap_or_else(|| panic!("{name}: no verdict: {said:?}"))
        .to_owned();
    site.ask(&["export", run, "--out", &out.display().to_string()])
        .with(0);
    let report: Report = parsed(&site.ask(&["report", run, "--format", "json"]).stdout);
    let stored = AGENTS.map(|(agent, _)| numbers(&out, agent));
    let evidence = Evidence {
        acked,
        stored: stored.clone(),
        received: services.each_ref().map(Service::requests),
        services: services.each_ref().map(|service| service.name.clone()),
        journal: journal(&out),
        report,
        verdict: verdict.clone(),
    };
    check(&evidence).unwrap_or_else(|why| panic!("{name}: {why}\n{said:?}\n{}", site.log()));
    let lived = Lived {
        acked: acked.iter().sum(),
        stored: stored.iter().map(|all| all.len() as u64).sum(),
        received: evidence.received.iter().sum(),
        counted: evidence.counted(),
        verdict,
    };
    (lived, evidence)
}

/// Up to where the agent knows its records to be stored.
fn acked(site: &Site, agent: &str) -> u64 {
    let ack = std::fs::read_to_string(site.data(agent).join("spool/ack"));
    // The number, then its checksum.
    let number = |text: String| text.split_whitespace().next().map(str::parse);
    ack.map_or(0, |text| number(text).unwrap().unwrap())
}
