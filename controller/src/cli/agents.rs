//! `nepho agents`: who is there, and who may no longer be.

mod show;

use clap::{Args, Subcommand};
use nepho_common::{
    control::PolicyReport,
    id::{AgentId, Feature},
};
use nepho_controller_core::planner;

use super::{Context, Failure, out::Format, table::table};
use crate::{
    exit::Exit,
    view::AgentView,
    web::document::{Document, Revoked},
};

const EXAMPLES: &str = "\
Examples:
  nepho agents ls
  nepho agents ls -o json
  nepho agents show aliyun-1
  nepho agents revoke aliyun-1";

const SHOW_EXAMPLES: &str = "\
Examples:
  nepho agents show aliyun-1
  nepho agents show aliyun-1 -o json";

const REVOKE_EXAMPLES: &str = "\
Examples:
  nepho agents revoke aliyun-1
  nepho agents revoke aliyun-1 -o json";

/// Shows the agents of the controller.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists every agent that was admitted, connected or not.
    #[command(after_help = EXAMPLES)]
    Ls,
    /// Shows one agent in full: identity, certificates, sessions, clock, spools.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The agent.
        #[arg(value_name = "AGENT")]
        agent: AgentId,
    },
    /// Takes an agent's right away, for good: what it has open is cut, and it is not let in again.
    ///
    /// Its name is not given again; a host that is to come back gets a token with another one.
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// The agent.
        #[arg(value_name = "AGENT")]
        agent: AgentId,
    },
}

pub(super) async fn perform(context: &mut Context, arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.verb {
        Verb::Ls => ls(context).await,
        Verb::Show { agent } => show::perform(context, agent).await,
        Verb::Revoke { agent } => revoke(context, agent).await,
    }
}

async fn revoke(context: &mut Context, agent: &AgentId) -> Result<Exit, Failure> {
    let revoked = context.client()?.revoke(agent).await?;
    match context.out.format() {
        Format::Text => {
            let Revoked {
                agent, connections, ..
            } = revoked;
            context.out.say(&format!(
                "agent {agent} is revoked; {connections} connections of it were cut"
            ));
        }
        Format::Json | Format::Ndjson => context.out.json(&Document::of(revoked))?,
    }
    Ok(Exit::Passed)
}

async fn ls(context: &mut Context) -> Result<Exit, Failure> {
    let agents = context.client()?.agents().await?;
    match context.out.format() {
        Format::Json => context.out.json(&Document::of(agents))?,
        Format::Ndjson => {
            for agent in &agents.agents {
                context.out.json(&Document::of(agent.clone()))?;
            }
        }
        Format::Text => {
            context.out.data(&list(&agents.agents))?;
            if agents.agents.is_empty() {
                context
                    .out
                    .say("no agent yet; next: nepho enroll --environment NAME");
            }
        }
    }
    Ok(Exit::Passed)
}

fn list(agents: &[AgentView]) -> String {
    let header = [
        "AGENT",
        "ENVIRONMENT",
        "STATE",
        "SEEN",
        "CLOCK",
        "ROUND TRIP",
        "VERSION",
        "HOST",
        "CAN",
        "POLICY",
        "RUN",
    ];
    let rows: Vec<_> = agents.iter().map(row).collect();
    table(&header, &rows)
}

/// An agent that never said who it is says nothing of a policy either.
fn policy(agent: &AgentView) -> Option<String> {
    match (&agent.policy, &agent.host) {
        (None, None) => None,
        (Some(PolicyReport::Refusing(why)), _) => Some(format!("refuses all work: {why}")),
        (report @ (Some(PolicyReport::InForce { .. }) | None), _) => {
            Some(planner::in_a_word(report.as_ref()))
        }
    }
}

/// In a word.
fn state(agent: &AgentView) -> &'static str {
    match (agent.connected, agent.runs.is_empty()) {
        _ if agent.revoked.is_some() => "revoked",
        // Two hosts have its key: whether a copy was made or stolen is for a person to find out.
        _ if agent.cloned => "cloned?",
        (true, true) => "ready",
        (true, false) => "busy",
        (false, _) => "away",
    }
}

fn row(agent: &AgentView) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let can: Vec<_> = agent.features.iter().map(Feature::as_str).collect();
    let runs: Vec<_> = agent.runs.iter().map(ToString::to_string).collect();
    vec![
        agent.agent.to_string(),
        agent.environment.to_string(),
        state(agent).to_owned(),
        or_dash(agent.silent_for.map(|silent| silent.to_string())),
        or_dash(
            agent
                .clock
                .map(|clock| format!("±{}", clock.width().half())),
        ),
        or_dash(agent.round_trip.map(|time| time.to_string())),
        or_dash(agent.host.as_ref().map(|host| host.version.clone())),
        or_dash(agent.host.as_ref().map(|host| host.name.clone())),
        or_dash(Some(can.join(" ")).filter(|can| !can.is_empty())),
        or_dash(policy(agent)),
        or_dash(Some(runs.join(" ")).filter(|runs| !runs.is_empty())),
    ]
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        control::Host,
        time::{ClockOffset, Nanos, WallMillis},
    };

    use super::*;

    #[test]
    fn agents_are_listed() {
        let here = AgentView {
            calibrated: None,
            agent: "local-1".parse().unwrap(),
            environment: "local".parse().unwrap(),
            connected: true,
            silent_for: Some(Nanos::from_millis(1200)),
            host: Some(Host {
                name: "笔记本".to_owned(),
                os: "Linux".to_owned(),
                kernel: "6".to_owned(),
                arch: "x86_64".to_owned(),
                cpus: 2,
                memory: 1 << 30,
                version: "0.1.0".to_owned(),
            }),
            features: vec!["probe.http".parse().unwrap(), "probe.tcp".parse().unwrap()],
            policy: Some(PolicyReport::of(
                &nepho_common::policy::Policy::careful(),
                Vec::new(),
            )),
            clock: Some(ClockOffset {
                lo: -40_000,
                hi: 60_000,
            }),
            round_trip: Some(Nanos(100_000)),
            runs: vec!["r1".parse().unwrap()],
            revoked: None,
            cloned: false,
        };
        let copied = AgentView {
            agent: "local-2".parse().unwrap(),
            cloned: true,
            ..here.clone()
        };
        let away = AgentView {
            calibrated: None,
            agent: "aliyun-1".parse().unwrap(),
            environment: "aliyun".parse().unwrap(),
            connected: false,
            silent_for: None,
            host: None,
            features: Vec::new(),
            policy: Some(PolicyReport::Refusing("no policy.yaml".to_owned())),
            clock: None,
            round_trip: None,
            runs: Vec::new(),
            revoked: None,
            cloned: false,
        };
        let gone = AgentView {
            agent: "aliyun-2".parse().unwrap(),
            revoked: Some(WallMillis(1)),
            ..away.clone()
        };
        insta::assert_snapshot!(list(&[here, copied, away, gone]));
    }
}
