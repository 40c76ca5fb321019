//! How a run begins: planned with the agents that are there, written down, handed to the driver.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    id::{AgentId, Attempt, Operation, PlanId, RunId, RunKey, SpoolId},
    recording::{EXHIBIT_MAX, Exhibit},
    time::WallMillis,
};
use nepho_controller_core::{
    diagnose::Diagnostics,
    planner::{self, Available, Choices, Inventory, Planned},
    run::Participant,
    scenario::{self, Bundle},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{
    Input,
    handle::{Failure, Handle},
    live::Opening,
};
use crate::{
    clock, hold,
    journal::{RunRow, RunState},
    scribe::Scribe,
};

/// What the operator decides beside the scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOptions {
    /// Draws whatever the scenario leaves to chance.
    pub seed: u64,
    /// Later stages start although an earlier one failed.
    pub keep_going: bool,
    /// The plan that was nodded at; another one is refused.
    pub expect_plan: Option<PlanId>,
    /// Run even what can't be decided.
    pub anyway: bool,
    /// For people: who asks.
    pub requested_by: String,
}

/// Why there is no plan or no run.
#[derive(Debug, thiserror::Error)]
pub enum PlanFailure {
    /// The files have mistakes.
    #[error("the scenario or its fleet has mistakes")]
    Diagnostics(Diagnostics),
    /// It can't be done with these agents, or not as it is; a sentence each.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// Our own failure.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Handle {
    /// Plans with the agents that are connected now. Starts nothing.
    ///
    /// # Errors
    /// [`PlanFailure`] with every reason.
    pub async fn plan(
        &self,
        bundle: &Bundle,
        options: &RunOptions,
    ) -> Result<Planned, PlanFailure> {
        self.plan_with(bundle, options)
            .await
            .map(|(planned, _)| planned)
    }

    async fn plan_with(
        &self,
        bundle: &Bundle,
        options: &RunOptions,
    ) -> Result<(Planned, BTreeMap<AgentId, Participant>), PlanFailure> {
        let loaded = scenario::load(bundle).map_err(PlanFailure::Diagnostics)?;
        let views = self.ask(Input::Agents).await?;
        let mut inventory = Inventory::default();
        let mut participants = BTreeMap::new();
        for view in views.into_iter().filter(|view| view.connected) {
            let Some(host) = view.host else { continue };
            let environment = view.environment;
            let features: BTreeSet<_> = view.features.into_iter().collect();
            let available = Available {
                environment: environment.clone(),
                features: features.clone(),
                policy: view.policy,
                host: host.name.clone(),
                calibrated: view.calibrated,
            };
            inventory.agents.insert(view.agent.clone(), available);
            participants.insert(
                view.agent,
                Participant {
                    environment,
                    host,
                    features,
                },
            );
        }
        let choices = Choices {
            seed: options.seed,
            keep_going: options.keep_going,
        };
        let planned = planner::plan(&loaded, bundle.digests(), &inventory, choices);
        let planned = planned.map_err(|impossible| PlanFailure::Refused(impossible.0))?;
        participants.retain(|agent, _| planned.plan.agents.contains_key(agent));
        Ok((planned, participants))
    }

    /// Plans, and begins the run.
    ///
    /// # Errors
    /// [`PlanFailure`]; nothing was started then.
    pub async fn start(&self, bundle: Bundle, options: RunOptions) -> Result<RunId, PlanFailure> {
        let (planned, participants) = self.plan_with(&bundle, &options).await?;
        refuse(&planned, &options)?;
        let exhibits = exhibits(&planned, &bundle)?;
        let created = clock::wall();
        let run = run_id(created)?;
        let row = RunRow {
            run: run.clone(),
            plan: planned.id,
            scenario: planned.plan.scenario.clone(),
            state: RunState::Running,
            verdict: None,
            made: None,
            created,
            ended: None,
            requested_by: options.requested_by,
        };
        self.store.create_run(row).await.map_err(Failure::from)?;
        hold::at("begin.after-row").await;
        let fence = self
            .holder
            .claim(&self.store, &run)
            .await
            .map_err(Failure::from)?;
        let key = RunKey {
            run: run.clone(),
            attempt: Attempt(1),
            fence,
        };
        let mut scribe = Scribe::new(self.store.clone(), key.clone(), SpoolId::new(random()?));
        scribe.exhibit(exhibits).await.map_err(Failure::from)?;
        hold::at("begin.after-exhibits").await;
        let plan = planned.plan;
        let host = self.host.clone();
        let opening = Opening {
            key,
            plan,
            host,
            participants,
            scribe,
            created,
        };
        self.ask(|begun| Input::Begin(Box::new(opening), begun))
            .await?;
        Ok(run)
    }
}

/// A plan that is not the one that was nodded at, or that can't decide what it was made for.
fn refuse(planned: &Planned, options: &RunOptions) -> Result<(), PlanFailure> {
    if let Some(nodded) = options.expect_plan.filter(|nodded| *nodded != planned.id) {
        return Err(PlanFailure::Refused(vec![format!(
            "the plan is {} now, not {}: scenario, fleet or agents have changed; look at it again \
             with `nepho plan`",
            planned.id.0.short(),
            nodded.0.short()
        )]));
    }
    let undecidable = planned
        .estimates
        .iter()
        .filter(|estimate| !estimate.is_enough());
    let told: Vec<_> = undecidable
        .map(|e| {
            let would = e.remedy().map_or_else(String::new, |n| format!("; {n}"));
            format!(
                "stage {}: {} of {} needs {} samples and gets {}{would}; lengthen the stage, \
                 or run it with --anyway",
                e.stage, e.expected, e.on, e.needed, e.planned
            )
        })
        .collect();
    if told.is_empty() || options.anyway {
        Ok(())
    } else {
        Err(PlanFailure::Refused(told))
    }
}

/// The plan and the files it came from, as evidence.
fn exhibits(planned: &Planned, bundle: &Bundle) -> Result<Vec<Exhibit>, PlanFailure> {
    let files = std::iter::once((scenario::SCENARIO, &bundle.scenario))
        .chain(
            bundle
                .files
                .iter()
                .map(|(reference, source)| (reference.as_str(), source)),
        )
        .map(|(reference, source)| {
            let name: String = format!("file:{reference}").chars().take(120).collect();
            (name, source.text.clone().into_bytes())
        });
    let all = std::iter::once(("plan".to_owned(), planned.plan.canonical())).chain(files);
    all.map(|(name, content)| {
        let size = content.len();
        let named = Operation::try_from(name.clone()).ok();
        named
            .and_then(|named| Exhibit::new(named, content))
            .ok_or_else(|| {
                let why =
                    format!("{name} takes {size} bytes, {EXHIBIT_MAX} are the most; split it");
                PlanFailure::Refused(vec![why])
            })
    })
    .collect()
}

/// `YYYYMMDD-HHMMSS-xxxx`: sorts by time, and two of one second differ.
fn run_id(created: WallMillis) -> Result<RunId, Failure> {
    let digits: String = created
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let (date, time) = digits.split_at_checked(8).unwrap_or_default();
    let [a, b] = random::<2>()?;
    let id = format!("{date}-{time}-{a:02x}{b:02x}");
    Ok(id
        .parse()
        .expect("digits, dashes and hexadecimal make a name"))
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::Random)?;
    Ok(bytes)
}
