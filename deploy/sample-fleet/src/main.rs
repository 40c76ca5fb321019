//! `nepho-sample-fleet`: the services that demo and tests measure, and the distance between them.
//!
//! `service` is one service of the fleet in a process of its own, `proxy` gives a set of addresses
//! their distance, `name-server` answers for names, `light` is what a load generator is measured
//! against, `balancer` spreads requests over services. All say on one line of stdout where they listen, and nothing else there.
//!
//! Deliberately absent: real databases. A service of kind `mysql` only holds the port open.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;

mod balancer;
mod child;
mod counts;
mod light;
mod listener;
mod name_server;
mod proxy;
mod service;

const EXAMPLES: &str = r#"Examples:
  nepho-sample-fleet service --environment local --name api-gateway --listen 127.0.0.1:4000
  nepho-sample-fleet service --environment local --name orders-db --kind mysql
  nepho-sample-fleet service --environment local --name billing --switch '{"delay_ms":200}'
  nepho-sample-fleet service --environment local --name orders --without /version
  nepho-sample-fleet service --environment local --name payments --tls=-3 --ca-out ca.pem
  curl -X POST http://127.0.0.1:4000/admin/switch -d '{"status":500}'
  curl -X POST http://127.0.0.1:4000/admin/switch -d '{"flap_ms":2000}'
  curl -X POST http://127.0.0.1:4000/admin/switch -d '{"burn":true}'
  nepho-sample-fleet proxy --config proxy.json
  nepho-sample-fleet name-server --answer orders.test=127.0.0.1 --answer api.test=127.0.0.2,::1
  nepho-sample-fleet light --delay 10ms --stamps stamps
  nepho-sample-fleet light --hostile drip
  nepho-sample-fleet balancer --to a=127.0.0.1:4000*2 --to b=127.0.0.1:4001
  curl http://127.0.0.1:4002/-/counts"#;

/// The services that Nephoscope's demo and tests measure.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    /// How much to log on stderr: off, error, warn, info, debug or trace.
    #[arg(long, global = true, default_value = "warn")]
    log: LevelFilter,
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Be one service: HTTP, or a port that accepts and stays silent.
    Service(Box<service::Arguments>),
    /// Be the distance between environments: forward TCP with a fixed delay per direction.
    Proxy(proxy::Arguments),
    /// Be a name server, over UDP and TCP, that knows the names it is given and no others.
    NameServer(name_server::Arguments),
    /// Be a light HTTP target that knows when each request came and went, or a hostile one.
    Light(Box<light::Arguments>),
    /// Be a balancer in front of services: plain HTTP/1.1, connections kept on both sides.
    Balancer(balancer::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_max_level(cli.log)
        .with_writer(std::io::stderr)
        .init();
    let ended = match cli.role {
        Role::Service(arguments) => service::run(*arguments).map_err(child::Failure::from_error),
        Role::Proxy(arguments) => proxy::run(arguments).map_err(child::Failure::from_error),
        Role::NameServer(arguments) => {
            name_server::run(arguments).map_err(child::Failure::from_error)
        }
        Role::Light(arguments) => light::run(*arguments).map_err(child::Failure::from_error),
        Role::Balancer(arguments) => balancer::run(arguments).map_err(child::Failure::from_error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}
