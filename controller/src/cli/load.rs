//! `nepho load URL`: the agent's load engine on one address, without a scenario and a controller.

pub(super) mod generator;
mod live;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use nepho_common::{
    load::{BODY_MAX, Model, Order, Pool, SPIN_MAX, Sent, Told},
    plan::{Arrivals, Carried, Rate, Schedule},
    time::{Mono, Nanos, WallMillis},
};
use nepho_controller_core::{
    load::{Summary, Tally, Verdict},
    scenario::parse_duration,
};

use self::{generator::Generator, live::Live};
use super::{Context, Failure, Signals, out::Format};
use crate::{clock, exit::Exit};

const EXAMPLES: &str = "\
Examples:
  nepho load http://127.0.0.1:8080/ --rate 500/s             open: due whatever the answers do
  nepho load http://127.0.0.1:8080/ --rate 2000/s -c 64 -d 30s --warm-up 5s
  nepho load http://127.0.0.1:8080/ --closed -c 64           as fast as 64 users who wait
  nepho load http://127.0.0.1:8080/ --rate 500/s --http2 -c 2  requests share two connections
  nepho load http://127.0.0.1:8080/ --rate 500/s --new-connections
  nepho load http://127.0.0.1:8080/ --rate 500/s --requests-per-connection 100
  nepho load http://127.0.0.1:8080/ --rate 20000/s --spin 100us
  nepho load https://10.0.0.5/api -X POST -H 'content-type: application/json' --body '{\"a\":1}' \\
      --rate 50/s --ca-file ca.pem
  nepho load http://127.0.0.1:8080/ --rate 500/s -o json     the summary as nepho.load/v1
  nepho load http://127.0.0.1:8080/ --rate 500/s --out today
      # today/response.hgrm and service.hgrm for HdrHistogram's plotter, load.hlog for its log tools

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
    /// Speak HTTP/2: requests share connections, as many as --in-flight and the target let.
    #[arg(long)]
    http2: bool,
    /// Open a connection for each request, at most --connections at a time.
    #[arg(long, conflicts_with = "requests_per_connection")]
    new_connections: bool,
    /// Close a connection that carried so many requests, and open another one.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 0,
        hide_default_value = true
    )]
    requests_per_connection: u64,
    /// Look at the clock all the time for so long before each request is due, 10ms at most, in place of
    /// being woken: costs a core, and saves what a timer is late.
    #[arg(long, value_name = "DURATION", default_value = "0s", hide_default_value = true, value_parser = duration, conflicts_with = "closed")]
    spin: Nanos,
    /// Give each request its number in the header x-nepho-slot.
    #[arg(long)]
    number: bool,
    /// Write response.hgrm and service.hgrm (percentiles in milliseconds, as wrk2 prints them) and
    /// load.hlog (HdrHistogram's log 1.3: a histogram for each second) there, of what succeeded.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
    let (policy, out) = (arguments.policy.clone(), arguments.out.clone());
    let order = order(arguments)?;
    if let Some(dir) = &out {
        // Rather now than when it is measured.
        std::fs::create_dir_all(dir).map_err(|source| unwritten(dir, source))?;
    }
    let program = context.siblings().find("nepho-agent").await?;
    let mut signals = Signals::listen()?;
    let mut generator = Generator::start(&program, policy.as_deref())?;
    generator.tell(&order).await?;
    let mut live = Live::new(&context.out, order.lasts);
    let mut tally = Tally::new(&order);
    if out.is_some() {
        tally.keep_seconds();
    }
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
                // It says so with its exit code, too.
                generator.finish().await.ok();
                return Err(Failure::Refused(vec![why]));
            }
            Told::Ready { connections, to } => {
                let to = to.join(", ");
                let text = match order.carried.pool {
                    Pool::New => format!("each request opens a connection to {to}"),
                    Pool::Shared | Pool::PerUser => {
                        format!("{connections} connections open to {to}")
                    }
                };
                live.say(&context.out, &text);
            }
            Told::Counted(counted) => {
                tally.add(&counted).map_err(Failure::Generator)?;
                live.show(&context.out, &tally);
            }
            Told::Ended {
                began,
                took,
                withheld,
            } => {
                tally.withheld(withheld.unwrap_or_default());
                break (began, took);
            }
        }
    };
    live.end();
    let finished = generator.finish().await;
    let summary = tally.summary(&order, began, took);
    match context.out.format() {
        Format::Text => context.out.data(&summary.to_string())?,
        Format::Json | Format::Ndjson => context.out.json(&summary)?,
    }
    if let Some(dir) = &out {
        let about = format!("nepho load {}", order.url);
        let files = tally.exported(&order, &about, started(began));
        for (name, bytes) in files.map_err(|source| unwritten(dir, source))? {
            let path = dir.join(name);
            std::fs::write(&path, bytes).map_err(|source| unwritten(&path, source))?;
        }
        context.out.say(&format!("histograms: {}", dir.display()));
    }
    // What was measured is said either way.
    finished?;
    Ok(asked.unwrap_or_else(|| exit(&summary)))
}

fn unwritten(path: &Path, source: std::io::Error) -> Failure {
    Failure::Write {
        path: path.to_owned(),
        source,
    }
}

/// When that was, for people and their logs.
fn started(began: Mono) -> WallMillis {
    let ago = clock::now().since(began).0 / 1_000_000;
    WallMillis(clock::wall().0 - i64::try_from(ago).unwrap_or(0))
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
    times(&arguments).map_err(Failure::Usage)?;
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
            rise: None,
        },
    };
    let body = arguments.body.as_deref().map(body).transpose()?;
    let method = arguments.method.unwrap_or_else(|| {
        let method = if body.is_some() { "POST" } else { "GET" };
        method.to_owned()
    });
    Ok(Order {
        calls: vec![Sent {
            method,
            headers: arguments.headers,
            body: body.unwrap_or_default(),
            ..Sent::get()
        }],
        connections: arguments.connections,
        lanes: arguments.threads,
        warm_up: arguments.warm_up,
        timeout: arguments.timeout,
        in_flight_max: arguments.in_flight,
        number: arguments.number,
        authorities: arguments.ca_file.as_deref().map(text).transpose()?,
        carried: Carried {
            http2: arguments.http2,
            pool: if arguments.new_connections {
                Pool::New
            } else {
                Pool::Shared
            },
            requests_per_connection: arguments.requests_per_connection,
            pin: false,
            spin: arguments.spin,
        },
        ..Order::plain(arguments.url, model, lasts)
    })
}

/// Times that leave nothing to send, to measure or to wait for.
fn times(arguments: &Arguments) -> Result<(), String> {
    let Arguments {
        duration,
        warm_up,
        timeout,
        spin,
        ..
    } = *arguments;
    if spin > SPIN_MAX {
        return Err(format!(
            "--spin {spin} is more than {SPIN_MAX}: no timer is so late, as --spin 100us"
        ));
    }
    if duration.0 == 0 {
        return Err("--duration 0s sends nothing: say how long, as --duration 10s".to_owned());
    }
    if timeout.0 == 0 {
        let why = "--timeout 0s waits for no answer: say how late one may come, as --timeout 10s";
        return Err(why.to_owned());
    }
    // What is told apart is told by the second.
    if Nanos::from_secs(warm_up.0.div_ceil(1_000_000_000)) >= duration {
        return Err(format!(
            "--warm-up {warm_up} leaves nothing of --duration {duration} to measure: make it \
             shorter by a second at least, or the duration longer"
        ));
    }
    Ok(())
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
