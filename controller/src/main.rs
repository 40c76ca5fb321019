//! `nepho`: the command line, the controller, the demo. Parses, wires, ends with a documented code.

use std::process::ExitCode;

use nepho_controller::{cli::Cli, exit::Exit};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::read();
    let log = EnvFilter::try_from_env("NEPHO_LOG").unwrap_or_else(|_| EnvFilter::new(cli.log()));
    tracing_subscriber::fmt()
        .with_env_filter(log)
        .with_writer(std::io::stderr)
        .with_ansi(cli.log_color())
        .init();
    // Fails only if somebody installed one before, which is as good.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    // Children are started on this thread: the kernel takes its end for their parent's.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(cli.perform()).into(),
        Err(error) => {
            tracing::error!(%error, "can't start the event loop");
            Exit::Internal.into()
        }
    }
}
