//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{address::Address, agent::DRAIN_WITHIN, identity::DataDir, join::Join};

/// What is done with a policy.
#[derive(Debug, Clone, Subcommand)]
pub enum PolicyVerb {
    /// Write the careful default, unless there is a file: probes of private targets, no secret.
    Init {
        #[command(flatten)]
        place: PolicyPlace,
    },
    /// Say every mistake with its line, or what the policy allows.
    Check {
        #[command(flatten)]
        place: PolicyPlace,
    },
}

/// Which policy.
#[derive(Debug, Clone, clap::Args)]
pub struct PolicyPlace {
    /// The file, if not policy.yaml in the data directory.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
}

impl PolicyPlace {
    fn path(self) -> PathBuf {
        let Self { policy, data } = self;
        policy.unwrap_or_else(|| DataDir(data.data_dir).policy())
    }
}

/// Measures services from where it stands, as a controller tells it to.
///
/// The agent dials its controller and listens on nothing.
#[derive(Debug, Parser)]
#[command(name = "nepho-agent", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  nepho-agent join --controller controller.example:7443 --token-file ./token
  nepho enroll --environment local | nepho-agent join --controller localhost:7443 --token-file -
  nepho-agent run";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Trade a join token for an identity; once for each agent.
    #[command(after_help = "\
Example:
  nepho-agent join --controller controller.example:7443 --token-file ./token \\
      --data-dir /var/lib/nepho-agent")]
    Join {
        /// The controller's address for enrolment.
        #[arg(long, value_name = "HOST:PORT")]
        controller: Address,
        /// A file with the join token, or - for standard input. A token on the command line would
        /// be seen by everybody on this host.
        #[arg(long, value_name = "FILE|-")]
        token_file: PathBuf,
        /// The controller's address for sessions, if not the host of --controller with the port
        /// that the controller tells.
        #[arg(long, value_name = "HOST:PORT")]
        sessions: Option<Address>,
        /// Replace an identity that is there already.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Look at what this agent may do, whoever asks. It reads that when it starts and at SIGHUP.
    #[command(after_help = "\
Example:
  nepho-agent policy check && kill -HUP $(pidof nepho-agent)")]
    Policy {
        /// What to do.
        #[command(subcommand)]
        verb: PolicyVerb,
    },
    /// Keep in touch with the controller and do what it asks, until SIGTERM.
    ///
    /// SIGTERM and Ctrl-C drain it: it takes on nothing new, finishes the stage that is under way
    /// or cuts it at the deadline, and waits up to 5 s more until the controller has everything. A
    /// second signal ends it at once.
    #[command(after_help = "\
Exit codes:
  0   ended as asked: nothing was cut, and the controller has everything
  1   it could not start or go on; standard error says why
  2   the command line is wrong
  75  ended as asked, but a stage was cut at the deadline or results wait on disk
  130, 143  ended at once by a second Ctrl-C or SIGTERM; what was written is on disk

Example:
  NEPHO_LOG=nepho_agent=debug nepho-agent run --data-dir /var/lib/nepho-agent")]
    Run {
        /// How long a stage that is under way may go on after the first SIGTERM, in seconds.
        #[arg(long, value_name = "SECONDS", env = "NEPHO_AGENT_DRAIN", default_value_t = DRAIN_WITHIN.as_secs())]
        drain: u64,
        /// End when the process that started this one ends.
        #[arg(long)]
        die_with_parent: bool,
        /// What this agent may do; else policy.yaml in the data directory. Owned by root or by
        /// the agent's own user, writable by nobody else.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// Send load to one address: `nepho load` starts this, and says what to do on standard input.
    #[command(hide = true)]
    Load {
        #[command(flatten)]
        place: PolicyPlace,
    },
    /// Answer on loopback and do nothing: `nepho calibrate` starts this, and sends load to it.
    #[command(hide = true)]
    Null,
    /// Look for what keeps this agent from working, with the command that mends it.
    ///
    /// Changes nothing and may be called while the agent runs. Ends with 6 if something is wrong.
    #[command(after_help = "\
Example:
  nepho-agent doctor --data-dir /var/lib/nepho-agent")]
    Doctor {
        /// How it is written to stdout.
        #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "text")]
        output: Format,
        /// As for `run`.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
}

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One document.
    Json,
}

/// Where the agent keeps what it needs.
#[derive(Debug, Clone, clap::Args)]
pub struct Data {
    /// Identity and spool.
    #[arg(
        long,
        value_name = "DIR",
        env = "NEPHO_AGENT_DATA",
        default_value = "/var/lib/nepho-agent"
    )]
    pub data_dir: PathBuf,
}

/// A verb, ready to be done.
#[derive(Debug)]
pub enum Task {
    /// Join.
    Join(Join),
    /// Write the careful policy.
    InitPolicy(PathBuf),
    /// Say what is wrong with a policy.
    CheckPolicy(PathBuf),
    /// Run.
    Run {
        /// From where.
        dir: DataDir,
        /// How long to drain.
        drain: Duration,
        /// The policy file, if not the one in there.
        policy: Option<PathBuf>,
        /// End with the parent.
        die_with_parent: bool,
    },
    /// Send load as standard input says.
    Load {
        /// The policy file of this host's agent.
        policy: PathBuf,
    },
    /// Be a target that does nothing.
    Null,
    /// Look for what is wrong.
    Doctor {
        /// Where.
        dir: DataDir,
        /// The policy file, if not the one in there.
        policy: Option<PathBuf>,
        /// How it is said.
        output: Format,
    },
}

impl From<Verb> for Task {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Join {
                controller,
                token_file,
                sessions,
                force,
                data,
            } => Self::Join(Join {
                controller,
                sessions,
                token: token_file,
                dir: DataDir(data.data_dir),
                force,
            }),
            Verb::Policy {
                verb: PolicyVerb::Init { place },
            } => Self::InitPolicy(place.path()),
            Verb::Policy {
                verb: PolicyVerb::Check { place },
            } => Self::CheckPolicy(place.path()),
            Verb::Run {
                drain,
                policy,
                die_with_parent,
                data,
            } => Self::Run {
                dir: DataDir(data.data_dir),
                drain: Duration::from_secs(drain),
                policy,
                die_with_parent,
            },
            Verb::Load { place } => Self::Load {
                policy: place.path(),
            },
            Verb::Null => Self::Null,
            Verb::Doctor {
                output,
                policy,
                data,
            } => Self::Doctor {
                dir: DataDir(data.data_dir),
                policy,
                output,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_names_its_version() {
        Cli::command().debug_assert();
        let version = Cli::command().render_version();
        assert_eq!(version.trim(), "nepho-agent 0.1.0");
    }

    #[test]
    fn a_join_is_read_as_written() {
        let line = "nepho-agent join --controller h:1 --token-file - --data-dir d --sessions s:2";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Task::Join(join) = cli.verb.into() else {
            panic!("a join was asked for");
        };
        assert_eq!(join.controller.to_string(), "h:1");
        assert_eq!(join.sessions.unwrap().to_string(), "s:2");
        assert_eq!(
            (join.token, join.dir, join.force),
            ("-".into(), DataDir("d".into()), false)
        );
    }
}
