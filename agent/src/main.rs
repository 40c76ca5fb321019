//! `nepho-agent`: see `nepho-agent --help`.

use std::{
    error::Error,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser as _;
use nepho_agent::{
    agent::Agent,
    chain::Chain,
    config::{Cli, Format, Task},
    doctor, host,
    identity::DataDir,
    join,
    leave::{Ending, Leave},
    log,
    policy::{self, PolicyError},
    scrub,
    work::load::{null, one_shot},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    log::start();
    let done = match cli.verb.into() {
        Task::Join(join) => joined(join).await.map(|()| ExitCode::SUCCESS),
        Task::InitPolicy(path) => init_policy(&path).map(|()| ExitCode::SUCCESS),
        Task::CheckPolicy(path) => check_policy(&path).map(|()| ExitCode::SUCCESS),
        Task::Run {
            dir,
            drain,
            policy,
            die_with_parent,
        } => Box::pin(run(dir, policy, drain, die_with_parent)).await,
        Task::Load { policy } => match Box::pin(one_shot::run(&policy)).await {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Ok(ExitCode::FAILURE),
            Err(error) => Err(error.into()),
        },
        Task::Null => match null::run().await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error.into()),
        },
        Task::Doctor {
            dir,
            policy,
            output,
        } => match Box::pin(examined(&dir, policy, output)).await {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Ok(ExitCode::from(FOUND_FAILURES)),
            Err(error) => Err(error.into()),
        },
    };
    done.unwrap_or_else(|error| {
        scrub::say(&format!("error: {}", Chain(&*error)));
        ExitCode::FAILURE
    })
}

/// `EX_TEMPFAIL` of sysexits: what is missing comes with the next start.
const INCOMPLETE: u8 = 75;
/// What a shell makes of the two signals.
const BY_INTERRUPT: u8 = 130;
const BY_TERMINATE: u8 = 143;

async fn joined(join: join::Join) -> Result<(), Box<dyn Error>> {
    let dir = join.dir.clone();
    let about = join::join(join).await?;
    let (agent, environment) = (about.agent, about.environment);
    let dir = dir.0.display();
    Ok(writeln!(
        io::stdout(),
        "joined as {agent} in {environment}; identity in {dir}"
    )?)
}

fn init_policy(path: &Path) -> Result<(), Box<dyn Error>> {
    let said = if policy::write_careful(path)? {
        "the careful default is written"
    } else {
        "there is a policy already; it stays as it is"
    };
    Ok(writeln!(io::stdout(), "{}: {said}", path.display())?)
}

fn check_policy(path: &Path) -> Result<(), Box<dyn Error>> {
    let policy = match policy::read(path) {
        Err(PolicyError::Mistakes { path, mistakes }) => {
            for mistake in &mistakes {
                scrub::say(&format!(
                    "{}:{}: {}",
                    path.display(),
                    mistake.line,
                    mistake.what
                ));
            }
            return Err(
                format!("{} is no policy, so every work is refused", path.display()).into(),
            );
        }
        read => read?,
    };
    Ok(writeln!(
        io::stdout(),
        "{}: policy {}",
        path.display(),
        policy::summary(&policy)
    )?)
}

/// As `nepho` has it: the doctor found failures.
const FOUND_FAILURES: u8 = 6;

/// Whether nothing failed.
async fn examined(dir: &DataDir, policy: Option<PathBuf>, output: Format) -> io::Result<bool> {
    let policy = policy.unwrap_or_else(|| dir.policy());
    let examination = doctor::examine(dir, &policy).await;
    let mut out = io::stdout();
    match output {
        Format::Text => write!(out, "{examination}")?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&examination)?)?,
    }
    Ok(examination.fail == 0)
}

async fn run(
    dir: DataDir,
    policy: Option<PathBuf>,
    drain: Duration,
    die_with_parent: bool,
) -> Result<ExitCode, Box<dyn Error>> {
    if die_with_parent && !host::end_with_parent()? {
        return Ok(ExitCode::SUCCESS);
    }
    host::no_core()?;
    let agent = Agent::open(&dir, policy.as_deref())?;
    let reload = agent.reload();
    let ready_line = serde_json::json!({ "schema": "nepho.agent-ready/v1", "agent": agent.name() });
    let mut term = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut int = signal(SignalKind::interrupt())?;
    let (stop, stopped) = watch::channel(Leave::Stay);
    let (ready, welcomed) = oneshot::channel();
    let running = agent.run(stopped, ready);
    tokio::pin!(running, welcomed);
    let mut is_ready = false;
    let mut by = ExitCode::SUCCESS;
    // A second signal means now.
    let more = |leave: &mut Leave| {
        *leave = match leave {
            Leave::Stay => Leave::Drain(drain),
            Leave::Drain(_) | Leave::Now => Leave::Now,
        };
    };
    loop {
        tokio::select! {
            ended = &mut running => return Ok(match ended? {
                Ending::Complete => ExitCode::SUCCESS,
                Ending::Incomplete => INCOMPLETE.into(),
                Ending::Aborted => by,
            }),
            answer = &mut welcomed, if !is_ready => {
                is_ready = true;
                if answer.is_ok() {
                    // Whoever started us may have closed our output.
                    drop(writeln!(io::stdout(), "{ready_line}"));
                }
            }
            Some(()) = term.recv() => {
                by = BY_TERMINATE.into();
                stop.send_modify(more);
            }
            Some(()) = int.recv() => {
                by = BY_INTERRUPT.into();
                stop.send_modify(more);
            }
            Some(()) = hang_up.recv() => reload.notify_one(),
        }
    }
}
