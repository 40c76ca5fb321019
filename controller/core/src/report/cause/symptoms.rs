//! Rules over what an agent saw of a failure. Each looks at evidence of one sort, and says nothing
//! when that is not there; the first that speaks is believed, and without one the cause is told by the
//! outcome alone.
//!
//! The rules know nothing of any fleet: programs are told by what listens at the addresses that the
//! plan names, versions by what instances of the same service say elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    event::Subject,
    plan::{Plan, PlannedPath, PlannedStage, PlannedStep, Route},
    policy::{Endpoint, TargetHost},
    recording::Outcome,
    symptom::{CertificateFault, Listener, Symptom, resembles},
    time::Nanos,
};

use super::{Told, answer::wrong_answer};
use crate::report::{measured::Measurements, witnessed::Witnessed};

/// What is asked of the rules.
pub(super) struct Scene<'a> {
    pub(super) plan: &'a Plan,
    pub(super) witnessed: &'a Witnessed,
    pub(super) measurements: &'a Measurements,
    pub(super) stage: &'a PlannedStage,
    pub(super) step: &'a PlannedStep,
    /// The path that failed most.
    pub(super) path: &'a PlannedPath,
    /// How it failed most often.
    pub(super) outcome: Outcome,
    /// Where it was sent, as the plan writes it.
    pub(super) target: &'a str,
}

fn told(cause: impl Into<String>, remedy: impl Into<String>) -> Option<Told> {
    let (cause, remedy) = (cause.into(), remedy.into());
    Some(Told { cause, remedy })
}

type Rule = fn(&Scene<'_>, &Symptom) -> Option<Told>;

/// In this order.
const RULES: [Rule; 8] = [
    wrong_answer,
    certificate,
    held_by_another,
    wrong_port,
    stopped,
    old_version,
    wrong_path,
    broken_inside,
];

/// What the evidence says is behind it.
pub(super) fn cause(scene: &Scene<'_>) -> Option<Told> {
    let of = scene.of(scene.path);
    let mut all = scene.witnessed.symptoms_of(&scene.path.agent, &of);
    let (_, symptom) = all.find(|(outcome, _)| *outcome == scene.outcome)?;
    RULES.iter().find_map(|rule| rule(scene, symptom))
}

impl Scene<'_> {
    fn of(&self, path: &PlannedPath) -> Subject {
        Subject {
            stage: self.stage.name.clone(),
            step: self.step.name.clone(),
            to: path.to.clone(),
        }
    }

    /// The ports at this address that the plan names, for whatever step.
    fn claimed(&self, host: &TargetHost) -> BTreeSet<u16> {
        let steps = self.plan.stages.iter().flat_map(|stage| &stage.steps);
        let paths = steps.flat_map(|step| step.act.to());
        let port = |path: &PlannedPath| match &path.route {
            Route::Ask { check, .. } => Endpoint::of(check)
                .ok()
                .filter(|endpoint| endpoint.host == *host)
                .map(|endpoint| endpoint.port),
            Route::NoPath => None,
        };
        paths.filter_map(port).collect()
    }

    /// The same service elsewhere: its other instances, and those that bear its name in other
    /// environments, as long as somebody measured them in this step.
    fn peers(&self) -> impl Iterator<Item = &PlannedPath> {
        let all = self.step.act.to().iter();
        all.filter(|path| self.is_peer(path))
    }

    /// What this instance said of its version, and what its peers said of theirs, whenever in the run
    /// they were asked.
    fn versions(&self) -> Option<(String, BTreeMap<String, String>)> {
        let of = |subject: &Subject, path: &PlannedPath| {
            let said = self.witnessed.fact_of(&path.agent, subject, "version");
            said.map(ToString::to_string)
        };
        let mine = of(&self.of(self.path), self.path)?;
        let mut peers = BTreeMap::new();
        for stage in &self.plan.stages {
            for step in &stage.steps {
                for path in step.act.to().iter().filter(|path| self.is_peer(path)) {
                    let subject = Subject {
                        stage: stage.name.clone(),
                        step: step.name.clone(),
                        to: path.to.clone(),
                    };
                    if let Some(theirs) = of(&subject, path) {
                        peers.insert(path.to.to_string(), theirs);
                    }
                }
            }
        }
        Some((mine, peers))
    }

    fn is_peer(&self, path: &PlannedPath) -> bool {
        path.to.service == self.path.to.service && path.to != self.path.to
    }

    const fn is_answer(&self) -> bool {
        match self.outcome {
            Outcome::Status | Outcome::Content | Outcome::Protocol | Outcome::Reset => true,
            Outcome::Success
            | Outcome::Refused
            | Outcome::Timeout
            | Outcome::Unreachable
            | Outcome::Resolve
            | Outcome::Tls
            | Outcome::OurSide => false,
        }
    }
}

fn certificate(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    let (to, target) = (&scene.path.to, scene.target);
    match symptom.certificate? {
        CertificateFault::Expired(ago) => told(
            format!("The certificate of {target} ended {} ago.", long(ago)),
            format!("Renew the certificate of {to}, and find out why it was not renewed in time."),
        ),
        CertificateFault::NotYet(until) => told(
            format!(
                "The certificate of {target} is not valid yet: it begins in {}.",
                long(until)
            ),
            format!(
                "Compare the clocks of {to} and of the agent's host; if both are right, {to} has the wrong certificate."
            ),
        ),
        CertificateFault::Name => told(
            format!("The certificate of {target} names other hosts than this one."),
            format!(
                "Let {to} show a certificate for the name by which it is asked, or correct that name in the fleet file."
            ),
        ),
        CertificateFault::Issuer => told(
            format!("Nobody whom the agent's host trusts has signed the certificate of {target}."),
            format!(
                "Let {to} show its whole chain, or add its authority to the certificates that the agent's host trusts."
            ),
        ),
    }
}

/// Days, where hours would have to be counted.
fn long(span: Nanos) -> String {
    let days = span.0 / (86_400 * 1_000_000_000);
    if days < 2 {
        span.to_string()
    } else {
        format!("{days} days")
    }
}

/// Somebody answers there, but not the program that listens for the other instances.
fn held_by_another(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    if !scene.is_answer() {
        return None;
    }
    let (address, listeners) = (symptom.address?, symptom.listeners.as_ref()?);
    let holder = listeners.iter().find(|one| one.port == address.port())?;
    let holder = holder.program.as_deref()?;
    let service = scene.path.to.service.as_str();
    if resembles(holder, service) {
        return None;
    }
    let own = listeners
        .iter()
        .find(|one| program_resembles(one, service) && one.port != address.port());
    // On the same host the program of the service is known by the ports of its neighbours.
    let claimed = scene.claimed(&TargetHost::Ip(address.ip()));
    let usual = listeners.iter().any(|one| {
        one.port != address.port()
            && claimed.contains(&one.port)
            && one.program.as_deref() == Some(holder)
    });
    if usual {
        return None;
    }
    let to = &scene.path.to;
    let elsewhere = own.map_or_else(String::new, |one| {
        format!(" {service} itself listens on port {}.", one.port)
    });
    told(
        format!(
            "Port {} is held by another program, {holder}, which is not {service}.{elsewhere}",
            address.port()
        ),
        format!(
            "Stop {holder} or give it another port, then start {to} on port {}.",
            address.port()
        ),
    )
}

/// Nobody listens there, but somebody listens at the same address on a port that nobody speaks of.
fn wrong_port(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    let listeners = refused_among(scene, symptom)?;
    let address = symptom.address?;
    let claimed = scene.claimed(&TargetHost::Ip(address.ip()));
    let service = scene.path.to.service.as_str();
    let own = listeners
        .iter()
        .find(|one| !claimed.contains(&one.port) && program_resembles(one, service))?;
    let (to, port) = (&scene.path.to, own.port);
    told(
        format!(
            "Nothing listens at {}, but {} does at the same address on port {port}: the port is wrong.",
            scene.target,
            own.program.as_deref().unwrap_or(service)
        ),
        format!(
            "Correct the port of {to} in the fleet file to {port}, or let it listen on port {}.",
            address.port()
        ),
    )
}

/// Nobody listens there, and the host shows nobody who could be meant.
fn stopped(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    refused_among(scene, symptom)?;
    let to = &scene.path.to;
    told(
        format!(
            "Nothing listens at {}, and no program there looks like {}: it is not running.",
            scene.target, to.service
        ),
        format!("Start {to}, and read its log for why it ended."),
    )
}

fn refused_among<'a>(scene: &Scene<'_>, symptom: &'a Symptom) -> Option<&'a [Listener]> {
    let listeners = symptom.listeners.as_deref()?;
    // A host that shows no program at all can't say that one is absent.
    let shown = listeners.is_empty() || listeners.iter().any(|one| one.program.is_some());
    (scene.outcome == Outcome::Refused && shown).then_some(listeners)
}

/// Not found, by an instance of another version than its peers.
fn old_version(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    if !is_not_found(symptom) {
        return None;
    }
    let (mine, peers) = scene.versions()?;
    let (peer, theirs) = peers.iter().find(|(_, theirs)| **theirs != mine)?;
    let to = &scene.path.to;
    told(
        format!(
            "{} answered {} to {}: {to} runs version {mine}, while {peer} runs {theirs}.",
            scene.target, symptom.status?, scene.path.operation
        ),
        format!("Bring {to} to version {theirs}, or ask for what version {mine} offers."),
    )
}

/// Not found, although the version is that of the peers, or nothing is known of versions.
fn wrong_path(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    if !is_not_found(symptom) {
        return None;
    }
    let to = &scene.path.to;
    let same = scene.versions().filter(|(_, peers)| !peers.is_empty());
    let other = scene
        .peers()
        .find(|path| path.operation != scene.path.operation);
    let why = match (&same, other) {
        (Some((mine, _)), Some(path)) => format!(
            " It runs the same version as elsewhere, {mine}; {} is asked {}.",
            path.to, path.operation
        ),
        (Some((mine, _)), None) => format!(" It runs the same version as elsewhere, {mine}."),
        (None, Some(path)) => format!(" {} is asked {}.", path.to, path.operation),
        (None, None) => String::new(),
    };
    told(
        format!(
            "{} does not know this path: it answered {} to {}.{why}",
            scene.target, symptom.status?, scene.path.operation
        ),
        format!(
            "Compare the path that the fleet file declares for {to} with what the service offers."
        ),
    )
}

/// It says itself that it is broken.
fn broken_inside(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    let status = symptom.status.filter(|status| *status >= 500)?;
    let to = &scene.path.to;
    let said = if symptom.said.is_empty() {
        String::new()
    } else {
        format!(" It said: \"{}\".", symptom.said)
    };
    told(
        format!(
            "{} answered {status}: the service itself fails.{said}",
            scene.target
        ),
        format!(
            "Read the log of {to}, and look at what it depends on: its databases and its configuration."
        ),
    )
}

fn is_not_found(symptom: &Symptom) -> bool {
    symptom
        .status
        .is_some_and(|status| status == 404 || status == 405 || status == 410)
}

fn program_resembles(listener: &Listener, service: &str) -> bool {
    let program = listener.program.as_deref();
    program.is_some_and(|program| resembles(program, service))
}
