//! `nepho calibrate`: what this host can send, measured against a target of its own that does nothing.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use clap::Args;
use nepho_common::{
    calibrated::Calibrated,
    load::{Model, Order, Told, Withheld},
    plan::{Arrivals, Rate, Schedule},
    time::Nanos,
};
use nepho_controller_core::load::{
    Summary, Tally,
    calibration::{Calibration, Search, Trial},
};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{Context, Failure, Signals, load::generator::Generator, out::Format};
use crate::{exit::Exit, local::calibrated};

const EXAMPLES: &str = "\
Examples:
  nepho calibrate                 how much this host can send, and how much of it on time
  nepho calibrate --threads 2     with two threads of the generator, as `nepho load --threads 2`
  nepho calibrate --save          the same, and plans are held to it from then on
  nepho calibrate -o json         the same as nepho.calibration/v1

Exit codes: 0 measured, 7 this host's policy forbids load, 11 no rate was kept up with.";

/// Says how much load this host can send, and how much of it on time. Takes half a minute at most.
///
/// It sends to a target that does nothing, on this host alone: first as fast as answers come, then at
/// rates that are due whatever becomes of them, a second each, until the highest one is known that is
/// sent on time. Let nothing else run meanwhile: what this host does beside it is missing in the rates.
/// A real target takes part of what this one leaves, and the way to it adds to that: plan with less than
/// what is said here.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Connections in all.
    #[arg(short, long, value_name = "COUNT", default_value_t = 64)]
    connections: u32,
    /// Threads of the generator.
    #[arg(short, long, value_name = "COUNT", default_value_t = 1)]
    threads: u32,
    /// What may be done, where an agent's policy is not in the default place.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Leave what was found for this host's agent: plans that ask for more than 70 % of it say so
    /// from its next session on, and those with --local at once.
    #[arg(long)]
    save: bool,
    /// Where this host's agent keeps its data, for --save.
    #[arg(
        long,
        value_name = "DIR",
        env = "NEPHO_AGENT_DATA",
        default_value = "/var/lib/nepho-agent"
    )]
    data_dir: PathBuf,
}

/// How long the closed loop runs, and how long each rate is tried.
const CLOSED_FOR: Nanos = Nanos::from_secs(2);
const TRIED_FOR: Nanos = Nanos::from_secs(1);
/// A loopback that takes longer than this answers nobody.
const TIMEOUT: Nanos = Nanos::from_secs(2);
/// When nothing new is tried, so that all of it takes half a minute at most.
const SEARCH_WITHIN: Duration = Duration::from_secs(25);
/// How often it is said what is tried.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// The target only binds a port.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// The line in which the target says where it listens.
const READY_MAX: u64 = 4096;

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let program = context.siblings().find("nepho-agent").await?;
    if arguments.save && !arguments.data_dir.is_dir() {
        let dir = arguments.data_dir.display();
        return Err(Failure::Usage(format!(
            "{dir} does not exist, and no agent keeps its data there; say where with --data-dir, or \
             leave --save out"
        )));
    }
    let mut signals = Signals::listen()?;
    let voice = context.out.voice();
    let say = |text: &str| voice.say(text);
    let work = Box::pin(calibrate(&program, &arguments, say));
    // What was started ends with this value, and the target with its standard input.
    let calibration = signals.unless(work).await?;
    match context.out.format() {
        Format::Text => context.out.data(&calibration.to_string())?,
        Format::Json | Format::Ndjson => context.out.json(&calibration)?,
    }
    if arguments.save
        && let Some(found) = calibration.calibrated()
    {
        let saved = calibrated::save(&arguments.data_dir, found);
        let path = saved.map_err(|source| Failure::Write {
            path: arguments.data_dir.join(Calibrated::FILE),
            source,
        })?;
        let path = path.display();
        say(&format!(
            "{path}: plans are held to {}/s",
            found.plan_with()
        ));
    }
    let found = calibration.on_time.iter().any(|one| one.rate.is_some());
    Ok(if found {
        Exit::Passed
    } else {
        Exit::Inconclusive
    })
}

async fn calibrate(
    program: &Path,
    arguments: &Arguments,
    say: impl Fn(&str),
) -> Result<Calibration, Failure> {
    let began = Instant::now();
    let target = Target::start(program).await?;
    let bench = Bench {
        program,
        policy: arguments.policy.as_deref(),
        url: format!("http://{}/", target.listen),
        connections: arguments.connections,
        threads: arguments.threads,
    };
    say("as fast as answers come, for 2 s");
    let closed = Model::Closed {
        think: Nanos(0),
        rise: None,
    };
    let closed = bench.load(closed, CLOSED_FOR).await?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is never negative, and far below 2^53"
    )]
    let mut search = Search::up_to(closed.summary.rate as u64);
    say(&format!(
        "{:.0}/s; now looking for the highest rate that is sent on time, up to 25 s",
        closed.summary.rate
    ));
    let mut withheld = closed.withheld;
    let mut said = Instant::now();
    while let Some(rate) = search
        .next_rate()
        .filter(|_| began.elapsed() < SEARCH_WITHIN)
    {
        let tried = bench.load(open(rate)?, TRIED_FOR).await?;
        withheld = worse(withheld, tried.withheld);
        let trial = Trial::of(rate.0 / 1_000, &tried.summary);
        if said.elapsed() >= SAY_EVERY {
            say(&format!(
                "{rate}: late by {} at p99",
                Nanos(trial.lag_p99_ns)
            ));
            said = Instant::now();
        }
        search.note(trial);
    }
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    let took = Nanos(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    Ok(Calibration::new(
        (cores, arguments.threads),
        &closed.summary,
        closed.used,
        &search,
        withheld,
        took,
    ))
}

fn open(rate: Rate) -> Result<Model, Failure> {
    // As people come who know nothing of each other: the harder of the two for a generator.
    let schedule = Schedule::constant(Arrivals::Poisson, rate, TRIED_FOR);
    Ok(Model::Open {
        schedule: schedule.map_err(|why| Failure::Usage(why.to_string()))?,
        seed: 1,
    })
}

/// The worst of both.
fn worse(one: Withheld, other: Withheld) -> Withheld {
    Withheld {
        stolen_ppm: one.stolen_ppm.max(other.stolen_ppm),
        throttled: one
            .throttled
            .into_iter()
            .chain(other.throttled)
            .max_by_key(|held| held.lasted),
    }
}

/// Everything that all loads have in common.
struct Bench<'a> {
    program: &'a Path,
    policy: Option<&'a Path>,
    url: String,
    connections: u32,
    threads: u32,
}

/// What one load came to.
struct Done {
    summary: Summary,
    /// Processor time of the generator's threads.
    used: Nanos,
    withheld: Withheld,
}

impl Bench<'_> {
    async fn load(&self, model: Model, lasts: Nanos) -> Result<Done, Failure> {
        let order = Order {
            connections: self.connections,
            lanes: self.threads,
            timeout: TIMEOUT,
            ..Order::plain(self.url.clone(), model, lasts)
        };
        let mut generator = Generator::start(self.program, self.policy)?;
        generator.tell(&order).await?;
        let mut tally = Tally::new(&order);
        loop {
            match generator.next().await? {
                Told::Refused { why } => {
                    // It says so with its exit code, too.
                    generator.finish().await.ok();
                    return Err(Failure::Refused(vec![why]));
                }
                Told::Ready { .. } => {}
                Told::Counted(counted) => tally.add(&counted).map_err(Failure::Generator)?,
                Told::Ended {
                    began,
                    took,
                    withheld,
                } => {
                    generator.finish().await?;
                    return Ok(Done {
                        summary: tally.summary(&order, began, took),
                        used: tally.used(),
                        withheld: withheld.unwrap_or_default(),
                    });
                }
            }
        }
    }
}

/// The target that does nothing. It ends when its standard input does, that is, with this value.
struct Target {
    listen: std::net::SocketAddr,
    _process: Child,
}

/// The line in which it says where it listens.
#[derive(Deserialize)]
struct Ready {
    listen: std::net::SocketAddr,
}

impl Target {
    async fn start(program: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        let process = command
            .arg("null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut process = process.map_err(Failure::Pipe)?;
        let output = process.stdout.take().expect("it was piped");
        let mut line = String::new();
        let mut output = BufReader::new(output.take(READY_MAX));
        let read = timeout(READY_WITHIN, output.read_line(&mut line)).await;
        let late = |_| Failure::GeneratorEnded("its target says nothing".to_owned());
        read.map_err(late)?.map_err(Failure::Pipe)?;
        let ready: Result<Ready, _> = serde_json::from_str(&line);
        let nonsense = |_| Failure::GeneratorEnded("its target said nonsense".to_owned());
        Ok(Self {
            listen: ready.map_err(nonsense)?.listen,
            _process: process,
        })
    }
}
