//! `nepho controller`: listens for agents and for the command line, until a signal.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{
    Context, Failure, Signals,
    context::{SOCKET, data_dir},
};
use crate::{
    exit::Exit,
    service::{self, Config},
};

const EXAMPLES: &str = "\
Examples:
  nepho controller
  nepho controller --data-dir ./data --enrolment 10.0.0.2:7443 --sessions 10.0.0.2:7444
  nepho --controller unix://$PWD/data/nepho.sock agents ls";

/// Runs a controller in the foreground.
///
/// It keeps its authority and the journal of every run in its data directory. SIGTERM and Ctrl-C
/// end it cleanly.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where it keeps its data; /var/lib/nepho for root, else the user's state directory.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where new agents come to enrol.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7443")]
    enrolment: SocketAddr,
    /// Where enrolled agents come to work.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7444")]
    sessions: SocketAddr,
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments {
        data_dir: given,
        enrolment,
        sessions,
    } = arguments;
    let mut signals = Signals::listen()?;
    let default = given.is_none();
    let data_dir = given.map_or_else(data_dir, Ok)?;
    let data_dir = std::path::absolute(&data_dir).map_err(|source| Failure::Read {
        path: data_dir,
        source,
    })?;
    let socket = data_dir.join(SOCKET);
    let config = Config {
        data_dir,
        enrolment,
        sessions,
        socket,
    };
    let controller = service::start(config).await?;
    let socket = controller.socket.display().to_string();
    let named = if default {
        String::new()
    } else {
        format!(" --controller unix://{socket}")
    };
    context.out.say(&format!(
        "controller listens: enrolment {}, sessions {}, API unix://{socket}\n\
         next: nepho{named} enroll --environment NAME",
        controller.enrolment, controller.sessions
    ));
    signals.next().await;
    context.out.say("ending");
    Box::pin(controller.shutdown()).await;
    Ok(Exit::Passed)
}
