//! `nepho enroll`: a join token for one agent.

use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use clap::Args;
use nepho_common::{
    id::{AgentId, EnvironmentName},
    time::Nanos,
};
use nepho_controller_core::scenario::parse_duration;

use super::{Context, Failure, artifacts::unwritten, out::Format};
use crate::{
    exit::Exit,
    web::document::{Document, EnrolmentRequest},
};

const EXAMPLES: &str = "\
Examples:
  nepho enroll --environment aliyun
  nepho enroll --environment aliyun --name aliyun-1 --ttl 15m --out token
  nepho enroll --environment aliyun --quiet | ssh HOST nepho-agent join --controller ADDR:7443 \\
      --token-file -";

/// Makes a join token, which lets one agent in, once.
///
/// The token alone goes to stdout, or into a file that only you can read; what to type on the
/// agent's host goes to stderr.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where the agent is: an environment of the fleet.
    #[arg(short, long, value_name = "NAME")]
    environment: EnvironmentName,
    /// What the agent is called; else the controller chooses.
    #[arg(short, long, value_name = "NAME")]
    name: Option<AgentId>,
    /// How long the token can be used.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = ttl)]
    ttl: Nanos,
    /// Write the token into this new file instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn ttl(text: &str) -> Result<Nanos, String> {
    parse_duration(text).map_err(|why| why.to_string())
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments {
        environment,
        name,
        ttl,
        out,
    } = arguments;
    let request = EnrolmentRequest {
        environment,
        agent: name,
        ttl_s: ttl.duration().as_secs(),
    };
    let client = context.client()?;
    // The file first: a token that can't be written down would be lost.
    let file = match &out {
        Some(path) => {
            let mut new = std::fs::OpenOptions::new();
            let new = new.write(true).create_new(true).mode(0o600).open(path);
            Some((path, new.map_err(unwritten(path))?))
        }
        None => None,
    };
    let enrolment = match client.enroll(&request).await {
        Ok(enrolment) => enrolment,
        Err(error) => {
            if let Some((path, _)) = file {
                // It is ours, new and empty; what went wrong matters more than that it stays.
                std::fs::remove_file(path).ok();
            }
            return Err(error.into());
        }
    };
    context.out.say(&format!(
        "on the agent's host, until {}:\n  {}",
        enrolment.expires, enrolment.command
    ));
    match (file, context.out.format()) {
        (Some((path, mut file)), _) => {
            writeln!(file, "{}", enrolment.token).map_err(unwritten(path))?;
            context
                .out
                .say(&format!("the token is in {}", path.display()));
        }
        (None, Format::Text) => context.out.data(&enrolment.token)?,
        (None, Format::Json | Format::Ndjson) => context.out.json(&Document::of(enrolment))?,
    }
    Ok(Exit::Passed)
}
