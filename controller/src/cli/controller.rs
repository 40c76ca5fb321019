//! `nepho controller`: listens for agents and for the command line, until a signal.

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use clap::Args;
use nepho_common::time::Nanos;
use nepho_controller_core::scenario::parse_duration;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    Context, Failure, Signals,
    context::{SOCKET, data_dir},
};
use crate::{
    exit::Exit,
    identity::certificate::VALID,
    service::{self, Config},
};

const EXAMPLES: &str = "\
Examples:
  nepho controller
  nepho controller --data-dir ./data --enrolment 10.0.0.2:7443 --sessions 10.0.0.2:7444
  nepho controller --advertise controller.example:7443
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
    /// Where agents reach the enrolment address from their hosts, when that is not this host's own
    /// name; `nepho enroll` prints it.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    advertise: Option<String>,
    /// For tests: how long agents' certificates are good for.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = life, hide = true)]
    certificate_life: Nanos,
}

/// As an agent reads it after `--controller`: an IPv6 address stands in brackets.
fn address(text: &str) -> Result<String, String> {
    let bad = || format!("{text:?} is not HOST:PORT, for example controller.example:7443");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let host_is_good = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.len() <= 253 && host.chars().all(is_name),
    };
    let port_is_good = port.parse::<u16>().is_ok_and(|port| port > 0);
    if host_is_good && port_is_good {
        Ok(text.to_owned())
    } else {
        Err(bad())
    }
}

/// Certificates count in seconds: one of less than two would end before it is used.
const LIFE_MIN: Nanos = Nanos::from_secs(2);

fn life(text: &str) -> Result<Nanos, String> {
    let life = parse_duration(text).map_err(|why| why.to_string())?;
    if life < LIFE_MIN || life.duration() > VALID {
        return Err(format!("a certificate lives from {LIFE_MIN} to 24h"));
    }
    Ok(life)
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments {
        data_dir: given,
        enrolment,
        sessions,
        advertise,
        certificate_life,
    } = arguments;
    let mut signals = Signals::listen()?;
    raise_descriptors();
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
        advertise,
        certificate_life: certificate_life.duration(),
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

/// Each agent takes two descriptors, and many systems begin with 1,024: that would be the end at 500
/// agents. Up to the hard limit a process may help itself.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        let (soft, hard) = (limit.current, limit.maximum);
        tracing::warn!(%error, soft, hard, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advertised_is_an_address_that_an_agent_takes() {
        for good in ["controller.example:7443", "10.0.0.2:1", "[::1]:7443"] {
            assert_eq!(address(good), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "host",
            ":1",
            "host:0",
            "host:65536",
            "::1:80",
            "a b:1",
            "h;x:1",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_life_is_between_two_seconds_and_a_day() {
        assert_eq!(life("2s"), Ok(LIFE_MIN));
        assert!(life("24h").is_ok());
        for bad in ["1s", "25h", "long"] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }
}
