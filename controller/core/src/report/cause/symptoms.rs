//! Rules over what an agent saw of a failure. Each looks at evidence of one sort, and says nothing
//! when that is not there; the first that speaks is believed, and without one the cause is told by the
//! outcome alone.
//!
//! The rules know nothing of any fleet: programs are told by what listens at the addresses that the
//! plan names, versions by what instances of the same service say elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use nepho_common::{
    event::Subject,
    plan::{Plan, PlannedPath, PlannedStage, PlannedStep, Route},
    policy::{Endpoint, TargetHost},
    recording::Outcome,
    symptom::{CertificateFault, Listener, Symptom, resembles},
    time::Nanos,
};

use super::{Told, answer::wrong_answer};
use crate::report::{
    measured::Measurements,
    said::{Said, said},
    witnessed::Witnessed,
};

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

const fn told(cause: Said, remedy: Said) -> Option<Told> {
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

    /// Programs that look like this service and listen where the plan has nobody, with their ports.
    fn strays<'a>(
        &self,
        address: SocketAddr,
        listeners: &'a [Listener],
    ) -> impl Iterator<Item = (u16, &'a str)> {
        let claimed = self.claimed(&TargetHost::Ip(address.ip()));
        let service = self.path.to.service.as_str();
        let stray = move |one: &'a Listener| {
            let program = one.program.as_deref()?;
            let is_stray = !claimed.contains(&one.port) && resembles(program, service);
            is_stray.then_some((one.port, program))
        };
        listeners.iter().filter_map(stray)
    }

    /// Whether a program may as well be another service of the plan: `shop-db` may be `shop-db-1` and
    /// `shop-db-2`. One that bears this service's whole name is its own.
    fn is_anothers(&self, program: &str) -> bool {
        if program == self.path.to.service.as_str() {
            return false;
        }
        let steps = self.plan.stages.iter().flat_map(|stage| &stage.steps);
        let mut paths = steps.flat_map(|step| step.act.to());
        paths.any(|path| {
            let other = &path.to.service;
            *other != self.path.to.service && resembles(program, other.as_str())
        })
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
        CertificateFault::Expired(ago) => {
            let ago = long(ago);
            told(
                said!(
                    "The certificate of {target} ended {ago} ago.",
                    "{target} 的证书已过期 {ago}。";
                    ago
                ),
                said!(
                    "Renew the certificate of {to}, and find out why it was not renewed in time.",
                    "请更新 {to} 的证书，并查明为何没有及时更新。"
                ),
            )
        }
        CertificateFault::NotYet(until) => {
            let until = long(until);
            told(
                said!(
                    "The certificate of {target} is not valid yet: it begins in {until}.",
                    "{target} 的证书尚未生效：还要 {until}。";
                    until
                ),
                said!(
                    "Compare the clocks of {to} and of the agent's host; if both are right, {to} \
                     has the wrong certificate.",
                    "请比较 {to} 与探针所在主机的时钟；如果都正确，就是 {to} 用错了证书。"
                ),
            )
        }
        CertificateFault::Name => told(
            said!(
                "The certificate of {target} names other hosts than this one.",
                "{target} 的证书上写的是其他主机的名称。"
            ),
            said!(
                "Let {to} show a certificate for the name by which it is asked, or correct that \
                 name in the fleet file.",
                "请让 {to} 使用与访问名称一致的证书，或更正服务清单中的名称。"
            ),
        ),
        CertificateFault::Issuer => told(
            said!(
                "Nobody whom the agent's host trusts has signed the certificate of {target}.",
                "{target} 的证书不是由探针所在主机信任的机构签发的。"
            ),
            said!(
                "Let {to} show its whole chain, or add its authority to the certificates that the \
                 agent's host trusts.",
                "请让 {to} 出示完整的证书链，或在探针所在主机上信任其签发机构。"
            ),
        ),
    }
}

/// Days, where hours would have to be counted.
fn long(span: Nanos) -> Said {
    let days = span.0 / (86_400 * 1_000_000_000);
    if days < 2 {
        Said::as_is(span)
    } else {
        said!("{days} days", "{days} 天")
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
    let (to, port) = (&scene.path.to, address.port());
    let held = said!(
        "Port {port} is held by another program, {holder}, which is not {service}.",
        "端口 {port} 被另一个程序 {holder} 占用，它不是 {service}。"
    );
    let elsewhere = own.map_or_else(Said::default, |one| {
        let other = one.port;
        said!(
            "{service} itself listens on port {other}.",
            "{service} 自己监听在端口 {other} 上。"
        )
    });
    told(
        Said::sentences([held, elsewhere]),
        said!(
            "Stop {holder} or give it another port, then start {to} on port {port}.",
            "请停止 {holder} 或给它换一个端口，再让 {to} 使用端口 {port} 启动。"
        ),
    )
}

/// Nobody listens there, but somebody listens at the same address on a port that nobody speaks of.
fn wrong_port(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    let listeners = refused_among(scene, symptom)?;
    let address = symptom.address?;
    let (port, program) = scene
        .strays(address, listeners)
        .find(|(_, program)| !scene.is_anothers(program))?;
    let (to, target, declared) = (&scene.path.to, scene.target, address.port());
    told(
        said!(
            "Nothing listens at {target}, but {program} does at the same address on port {port}: \
             the port is wrong.",
            "{target} 无人监听，但 {program} 在同一地址的端口 {port} 上监听：端口写错了。"
        ),
        said!(
            "Correct the port of {to} in the fleet file to {port}, or let it listen on port \
             {declared}.",
            "请把服务清单中 {to} 的端口改为 {port}，或让它监听端口 {declared}。"
        ),
    )
}

/// Nobody listens there, and the host shows nobody who could be meant.
fn stopped(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    let listeners = refused_among(scene, symptom)?;
    if scene.strays(symptom.address?, listeners).next().is_some() {
        return None;
    }
    let (to, target) = (&scene.path.to, scene.target);
    let service = &to.service;
    told(
        said!(
            "Nothing listens at {target}, and no program there looks like {service}: it is not \
             running.",
            "{target} 无人监听，那里也没有像 {service} 的程序：它没有运行。"
        ),
        said!(
            "Start {to}, and read its log for why it ended.",
            "请启动 {to}，并从它的日志中查明为何退出。"
        ),
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
    let (to, target, status) = (&scene.path.to, scene.target, symptom.status?);
    let asked = &scene.path.operation;
    told(
        said!(
            "{target} answered {status} to {asked}: {to} runs version {mine}, while {peer} runs \
             {theirs}.",
            "{target} 对 {asked} 应答 {status}：{to} 运行的版本是 {mine}，而 {peer} 是 {theirs}。"
        ),
        said!(
            "Bring {to} to version {theirs}, or ask for what version {mine} offers.",
            "请把 {to} 换成版本 {theirs}，或改为请求版本 {mine} 提供的内容。"
        ),
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
    let version = same.map(|(mine, _)| {
        said!(
            "It runs the same version as elsewhere, {mine}",
            "它运行的版本与别处相同，为 {mine}"
        )
    });
    let elsewhere = other.map(|path| {
        let (peer, asked) = (&path.to, &path.operation);
        said!("{peer} is asked {asked}", "对 {peer} 请求的是 {asked}")
    });
    let why = Said::clauses([version, elsewhere].into_iter().flatten());
    let why = if why.is_empty() {
        why
    } else {
        said!("{why}.", "{why}。"; why)
    };
    let (target, status, asked) = (scene.target, symptom.status?, &scene.path.operation);
    let unknown = said!(
        "{target} does not know this path: it answered {status} to {asked}.",
        "{target} 没有这个路径：它对 {asked} 应答 {status}。"
    );
    told(
        Said::sentences([unknown, why]),
        said!(
            "Compare the path that the fleet file declares for {to} with what the service offers.",
            "请核对服务清单中 {to} 的路径与服务实际提供的是否一致。"
        ),
    )
}

/// It says itself that it is broken.
fn broken_inside(scene: &Scene<'_>, symptom: &Symptom) -> Option<Told> {
    let status = symptom.status.filter(|status| *status >= 500)?;
    let (to, target) = (&scene.path.to, scene.target);
    let fails = said!(
        "{target} answered {status}: the service itself fails.",
        "{target} 应答 {status}：服务自身出错。"
    );
    let said = match symptom.said.as_str() {
        "" => Said::default(),
        words => said!("It said: \"{words}\".", "它的说法是：“{words}”。"),
    };
    told(
        Said::sentences([fails, said]),
        said!(
            "Read the log of {to}, and look at what it depends on: its databases and its \
             configuration.",
            "请查看 {to} 的日志，并检查它的依赖：数据库和配置。"
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
