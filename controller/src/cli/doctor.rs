//! `nepho doctor`: what keeps a controller on this host from working, with the commands that mend it.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use nepho_common::doctor::Examination;
use nepho_controller_core::doctor;

use super::{
    Context, Failure,
    context::{SOCKET, data_dir},
    out::Format,
};
use crate::{
    doctor::Subject,
    exit::Exit,
    web::{Client, document::Document},
};

const EXAMPLES: &str = "\
Examples:
  nepho doctor
  nepho doctor --data-dir ./data --enrolment 10.0.0.2:7443 --sessions 10.0.0.2:7444
  nepho doctor -o json
  nepho-agent doctor                      the same on an agent's host";

/// Looks for what keeps a controller on this host from working.
///
/// Each check that is not well comes with the command that mends it. Changes nothing, and may be
/// called before the first start and while the controller runs. Ends with 6 if something is wrong.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The controller's data directory; as for `nepho controller`.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where it listens, or will, for new agents.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7443")]
    enrolment: SocketAddr,
    /// Where it listens, or will, for enrolled agents.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7444")]
    sessions: SocketAddr,
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments {
        data_dir: given,
        enrolment,
        sessions,
    } = arguments;
    let (start, nepho, client) = match &given {
        None => (
            "nepho controller".to_owned(),
            "nepho".to_owned(),
            context.client()?,
        ),
        Some(dir) => {
            let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
            let socket = dir.join(SOCKET);
            (
                format!("nepho controller --data-dir {}", dir.display()),
                format!("nepho --controller unix://{}", socket.display()),
                Client::new(socket),
            )
        }
    };
    let subject = Subject {
        data_dir: given.map_or_else(data_dir, Ok)?,
        enrolment,
        sessions,
        client,
    };
    let facts = crate::doctor::facts(&subject).await;
    let examination = Examination::new("controller", doctor::judge(&facts, &start, &nepho));
    match context.out.format() {
        Format::Text => context.out.data(&examination.to_string())?,
        Format::Json => context.out.json(&examination)?,
        Format::Ndjson => {
            for check in &examination.checks {
                context.out.json(&Document::of(check.clone()))?;
            }
        }
    }
    Ok(if examination.fail > 0 {
        Exit::Doctor
    } else {
        Exit::Passed
    })
}
