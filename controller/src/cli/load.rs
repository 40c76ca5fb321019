//! `nepho load URL`: the agent's load engine on one address, without a scenario and a controller.

use std::{
    io::{IsTerminal as _, stderr},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use clap::{ArgGroup, Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use nepho_common::{
    load::{BODY_MAX, Model, Order, Sent, Told},
    plan::{Arrivals, Rate, Schedule, Stripe},
    time::Nanos,
};
use nepho_controller_core::{
    load::{Summary, Tally, Verdict},
    scenario::parse_duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{Context, Failure, Out, Signals, out::Format};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  nepho load http://127.0.0.1:8080/ --rate 500/s             open: due whatever the answers do
  nepho load http://127.0.0.1:8080/ --rate 2000/s -c 64 -d 30s --warm-up 5s
  nepho load http://127.0.0.1:8080/ --closed -c 64           as fast as 64 users who wait
  nepho load https://10.0.0.5/api -X POST -H 'content-type: application/json' --body '{\"a\":1}' \\
      --rate 50/s --ca-file ca.pem
  nepho load http://127.0.0.1:8080/ --rate 500/s -o json     the summary as nepho.load/v1

Exit codes: 0 measured, 7 nobody is there or it is forbidden, 10 nothing succeeded, 11 the figures
are not the target's (verdict invalid).";

/// Sends load to one address and says how it answered.
///
/// With --rate requests are due when a schedule says so, whatever becomes of those before, and each
/// one's response time counts from that instant. With --closed each connection waits for an answer
/// before it asks again: a target that is slow is asked less, which hides how slow it was.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("model").required(true).args(["rate", "closed"]))]
pub(super) struct Arguments {
    /// http:// or https://, with path and query.
    url: String,
    /// Requests that are due: 500/s, 0.5/s, 30/m.
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// Each connection asks again as soon as it is answered.
    #[arg(long)]
    closed: bool,
    /// Connections in all.
    #[arg(short, long, value_name = "COUNT", default_value_t = 64)]
    connections: u32,
    /// How long requests are due, the warm-up with it.
    #[arg(short, long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    duration: Nanos,
    /// The first so long is sent and not judged; whole seconds.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    warm_up: Nanos,
    /// How requests are spread: as independent people come, or evenly.
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "poisson",
        conflicts_with = "closed"
    )]
    arrivals: Spacing,
    /// Draws the instants; the same number draws the same ones.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        conflicts_with = "closed"
    )]
    seed: u64,
    /// From an answer to the next request of the same connection.
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "rate")]
    think: Option<Nanos>,
    /// An answer that comes later, from when it was due, has failed.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    timeout: Nanos,
    /// The method; GET, or POST with a body.
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,
    /// A header, as 'name: value'; may be given again.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,
    /// What is sent with each request; @FILE reads it from a file.
    #[arg(long, value_name = "TEXT|@FILE")]
    body: Option<String>,
    /// Threads, each with its share of schedule and connections.
    #[arg(short, long, value_name = "COUNT", default_value_t = 1)]
    threads: u32,
    /// While so many requests wait or are open, one that is due is shed, and counted.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    in_flight: u64,
    /// Trust these authorities, in PEM, in place of this host's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Give each request its number in the header x-nepho-slot.
    #[arg(long)]
    number: bool,
    /// What may be done, where an agent's policy is not in the default place.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// How requests are spread over time.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Spacing {
    /// As independent people come.
    Poisson,
    /// Evenly.
    Constant,
}

fn duration(text: &str) -> Result<Nanos, String> {
    parse_duration(text).map_err(|why| why.to_string())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("a header is written as 'name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let policy = arguments.policy.clone();
    let order = order(arguments)?;
    let program = context.siblings().find("nepho-agent").await?;
    let mut signals = Signals::listen()?;
    let mut generator = Generator::start(&program, policy.as_deref())?;
    generator.tell(&order).await?;
    let mut live = Live::new(&context.out, order.lasts);
    let mut tally = Tally::new(&order);
    let mut asked = None;
    let (began, took) = loop {
        let told = tokio::select! {
            told = generator.next() => told?,
            exit = signals.next() => {
                // The first one ends what is sent, the next one what is waited for.
                generator.end(asked.is_some());
                asked = Some(exit);
                continue;
            }
        };
        match told {
            Told::Refused { why } => {
                live.end();
                return Err(Failure::Refused(vec![why]));
            }
            Told::Ready { connections, to } => {
                live.say(
                    &context.out,
                    &format!("{connections} connections open to {}", to.join(", ")),
                );
            }
            Told::Counted(counted) => {
                tally.add(&counted).map_err(Failure::Generator)?;
                live.show(&context.out, &tally);
            }
            Told::Ended { began, took } => break (began, took),
        }
    };
    live.end();
    let summary = tally.summary(&order, began, took);
    match context.out.format() {
        Format::Text => context.out.data(&summary.to_string())?,
        Format::Json | Format::Ndjson => context.out.json(&summary)?,
    }
    Ok(asked.unwrap_or_else(|| exit(&summary)))
}

fn exit(summary: &Summary) -> Exit {
    match summary.verdict {
        _ if summary.succeeded == 0 => Exit::Failed,
        Verdict::Invalid => Exit::Inconclusive,
        Verdict::Suspect | Verdict::Valid => Exit::Passed,
    }
}

fn order(arguments: Arguments) -> Result<Order, Failure> {
    let lasts = arguments.duration;
    if arguments.warm_up >= lasts {
        let why = "--warm-up leaves nothing of --duration to measure";
        return Err(Failure::Usage(why.to_owned()));
    }
    let model = match arguments.rate {
        Some(rate) => {
            let arrivals = match arguments.arrivals {
                Spacing::Poisson => Arrivals::Poisson,
                Spacing::Constant => Arrivals::Constant,
            };
            let schedule = Schedule::constant(arrivals, rate, lasts);
            Model::Open {
                schedule: schedule.map_err(|why| Failure::Usage(why.to_string()))?,
                seed: arguments.seed,
            }
        }
        None => Model::Closed {
            think: arguments.think.unwrap_or_default(),
        },
    };
    let body = arguments.body.as_deref().map(body).transpose()?;
    let method = arguments.method.unwrap_or_else(|| {
        let method = if body.is_some() { "POST" } else { "GET" };
        method.to_owned()
    });
    Ok(Order {
        schema: Order::SCHEMA.to_owned(),
        url: arguments.url,
        calls: vec![Sent {
            method,
            headers: arguments.headers,
            body: body.unwrap_or_default(),
            ..Sent::get()
        }],
        told_by: None,
        model,
        stripe: Stripe::WHOLE,
        connections: arguments.connections,
        lanes: arguments.threads,
        lasts,
        warm_up: arguments.warm_up,
        timeout: arguments.timeout,
        in_flight_max: arguments.in_flight,
        number: arguments.number,
        authorities: arguments.ca_file.as_deref().map(text).transpose()?,
    })
}

fn body(given: &str) -> Result<Vec<u8>, Failure> {
    let body = match given.strip_prefix('@') {
        Some(path) => read(Path::new(path))?,
        None => given.as_bytes().to_vec(),
    };
    if body.len() > BODY_MAX {
        let why = format!("--body has {} bytes, {BODY_MAX} is the most", body.len());
        return Err(Failure::Usage(why));
    }
    Ok(body)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })
}

fn text(path: &Path) -> Result<String, Failure> {
    let bytes = read(path)?;
    let why = || Failure::Usage(format!("{} is no text", path.display()));
    String::from_utf8(bytes).map_err(|_| why())
}

/// A line of a lane in whose second every bin of every histogram was hit.
const LINE_MAX: u64 = 64 << 20;

/// The agent in its one-shot mode.
struct Generator {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Generator {
    fn start(program: &Path, policy: Option<&Path>) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.arg("load");
        if let Some(policy) = policy {
            command.arg("--policy").arg(policy);
        }
        let process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What it says of itself is read beside what we say.
            .stderr(Stdio::inherit())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut process = process.map_err(Failure::Pipe)?;
        let input = process.stdin.take();
        let output = process.stdout.take().expect("it was piped");
        Ok(Self {
            process,
            input,
            output: BufReader::new(output),
        })
    }

    async fn tell(&mut self, order: &Order) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(order).expect("an order has only string keys");
        line.push(b'\n');
        if let Some(input) = &mut self.input {
            input.write_all(&line).await.map_err(Failure::Pipe)?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Told, Failure> {
        let mut line = String::new();
        let read = (&mut self.output).take(LINE_MAX).read_line(&mut line).await;
        if read.map_err(Failure::Pipe)? == 0 {
            let status = self.process.wait().await.map_err(Failure::Pipe)?;
            return Err(Failure::GeneratorEnded(status.to_string()));
        }
        serde_json::from_str(&line).map_err(|_| Failure::GeneratorEnded("it said nonsense".into()))
    }

    /// Asks it to end: to send no more, or, when it was asked before, at once.
    fn end(&mut self, again: bool) {
        self.input = None;
        if again {
            // It is killed if it was closed already and still waits.
            self.process.start_kill().ok();
        }
    }
}

/// What is shown while it is under way.
struct Live {
    bar: Option<ProgressBar>,
    spoke: Instant,
}

/// Elsewhere than on a terminal.
const SAY_EVERY: Duration = Duration::from_secs(10);

impl Live {
    fn new(out: &Out, lasts: Nanos) -> Self {
        let redrawn = !out.is_quiet() && stderr().is_terminal();
        let bar = redrawn.then(|| {
            let style = ProgressStyle::with_template("[{bar:24}] {wide_msg}")
                .expect("the template is a constant")
                .progress_chars("=> ");
            let bar = ProgressBar::new(lasts.0.div_ceil(1_000_000_000)).with_style(style);
            bar.set_message("opening connections");
            bar
        });
        Self {
            bar,
            spoke: Instant::now(),
        }
    }

    fn say(&mut self, out: &Out, text: &str) {
        self.spoke = Instant::now();
        match &self.bar {
            Some(bar) => bar.println(text),
            None => out.say(text),
        }
    }

    fn show(&mut self, out: &Out, tally: &Tally) {
        let line = tally.line();
        if let Some(bar) = &self.bar {
            bar.set_position(tally.seconds());
            bar.set_message(line);
        } else if self.spoke.elapsed() >= SAY_EVERY {
            self.say(out, &line);
        }
    }

    fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
