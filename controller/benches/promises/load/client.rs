//! The clients: how each is called, and what it says at its end.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde_json::Value;

use super::{CLIENT_CORE, CONNECTIONS, ours, target::Target};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Ours,
    Wrk,
    H2load,
    Oha,
    /// The same two in HTTP/2.
    Ours2,
    H2load2,
}

/// Whom the others are compared with.
pub(crate) const fn measure_of(target: &Target) -> Client {
    match target.streams {
        None => Client::Wrk,
        Some(_) => Client::H2load2,
    }
}

/// What a client says that it did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    /// Requests that were answered with 200.
    pub(crate) requests: f64,
    /// How long that took, as the client measured it.
    pub(crate) seconds: f64,
}

impl Client {
    /// Those that this machine has. What is missing is said; without wrk there is nothing to tell.
    pub(crate) fn here(bin: &Path) -> Vec<Self> {
        let all = [Self::Ours, Self::Wrk, Self::H2load, Self::Oha];
        let both = [Self::Ours2, Self::H2load2];
        let is_here = |client: &Self| {
            let here = match client {
                Self::Ours | Self::Ours2 => ours::is_here(bin),
                Self::Wrk => starts("wrk"),
                Self::H2load | Self::H2load2 => starts("h2load"),
                Self::Oha => starts("oha"),
            };
            if !here {
                eprintln!("!! skipped: {} is not here", client.name());
            }
            here
        };
        let mut here: Vec<_> = all.into_iter().filter(is_here).collect();
        if both.iter().all(is_here) {
            here.extend(both);
        }
        assert!(
            here.contains(&Self::Wrk),
            "no wrk to compare with: apt install wrk"
        );
        here
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "nepho load",
            Self::Wrk => "wrk",
            Self::H2load => "h2load --h1",
            Self::Oha => "oha",
            Self::Ours2 => "nepho load --http2",
            Self::H2load2 => "h2load",
        }
    }

    /// Whether it speaks what this target does.
    pub(crate) const fn speaks_to(self, target: &Target) -> bool {
        matches!(self, Self::Ours2 | Self::H2load2) == target.streams.is_some()
    }

    /// As many requests as it can for so long, on the client's core, in one thread where one says so.
    pub(crate) fn command(self, bin: &Path, target: &Target, seconds: u32) -> Command {
        let url = &target.url();
        let connections = CONNECTIONS.to_string();
        let lasts = format!("{seconds}s");
        match self {
            Self::Ours | Self::Ours2 => ours::closed(bin, url, target.streams, seconds),
            Self::Wrk => {
                let mut wrk = on_core(CLIENT_CORE, "wrk");
                wrk.args(["-t", "1", "-c", &connections, "-d", &lasts, url]);
                wrk
            }
            Self::H2load | Self::H2load2 => {
                let mut h2load = on_core(CLIENT_CORE, "h2load");
                match target.streams {
                    None => h2load.arg("--h1"),
                    Some(streams) => h2load.args(["-m", &streams.to_string()]),
                };
                h2load.args(["-t", "1", "-c", &connections, "-D", &seconds.to_string()]);
                h2load.arg(url);
                h2load
            }
            Self::Oha => {
                let mut oha = on_core(CLIENT_CORE, "oha");
                oha.args(["-z", &lasts, "-c", &connections, "--no-tui"]);
                oha.args(["--output-format", "json", url]);
                oha
            }
        }
    }

    /// Reads what it printed; nothing if a request failed, because then something else was measured.
    pub(crate) fn answered(self, said: &str) -> Option<Answered> {
        match self {
            Self::Ours | Self::Ours2 => ours::answered(said),
            Self::Wrk => wrk(said),
            Self::H2load | Self::H2load2 => h2load(said),
            Self::Oha => oha(said),
        }
    }
}

/// A program that may run on this core only, before all others where we may say so: what else runs
/// on this machine is not what is measured.
pub(crate) fn on_core(core: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let core = core.to_string();
    let mut command = if *FIRST {
        let mut command = Command::new("chrt");
        command.args(["-r", "1", "taskset"]);
        command
    } else {
        Command::new("taskset")
    };
    command.args(["-c", &core]).arg(program);
    command
}

/// Whether we may.
static FIRST: LazyLock<bool> = LazyLock::new(|| {
    let mut tried = Command::new("chrt");
    tried.args(["-r", "1", "true"]).stderr(Stdio::null());
    let may = tried.status().is_ok_and(|status| status.success());
    if !may {
        eprintln!("!! skipped: no real-time priority here, what else runs disturbs");
    }
    may
});

/// Whether there is such a program, whatever it thinks of the question.
pub(crate) fn starts(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// `  42995 requests in 2.07s, 6.60MB read`
fn wrk(said: &str) -> Option<Answered> {
    if said.contains("Socket errors") || said.contains("Non-2xx") {
        return None;
    }
    let line = said.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let (lasted, _) = rest.split_once(',')?;
    Some(Answered {
        requests: requests.parse().ok()?,
        seconds: wrk_time(lasted)?,
    })
}

fn wrk_time(text: &str) -> Option<f64> {
    match text.strip_suffix('m') {
        Some(minutes) => Some(minutes.parse::<f64>().ok()? * 60.0),
        None => text.strip_suffix('s')?.parse().ok(),
    }
}

/// `finished in 3.00s, 98765.33 req/s, 9.14MB/s` and
/// `requests: 296296 total, …, 296296 succeeded, 0 failed, 0 errored, 0 timeout`
fn h2load(said: &str) -> Option<Answered> {
    let line = |prefix| {
        said.lines()
            .find_map(|line: &str| line.strip_prefix(prefix))
    };
    let counts = line("requests: ")?;
    let count = |what: &str| {
        let mut counts = counts.split(", ");
        counts.find_map(|one| one.strip_suffix(what)?.trim().parse::<f64>().ok())
    };
    let failed = count("failed")? + count("errored")? + count("timeout")?;
    let per_second = line("finished in ")?.split(", ").nth(1)?;
    let per_second: f64 = per_second.strip_suffix(" req/s")?.parse().ok()?;
    let requests = count("succeeded")?;
    (failed == 0.0).then_some(Answered {
        requests,
        seconds: requests / per_second,
    })
}

/// What was under way at the end is neither answered nor failed.
fn oha(said: &str) -> Option<Answered> {
    let said: Value = serde_json::from_str(said).ok()?;
    let statuses = said["statusCodeDistribution"].as_object()?;
    let errors = said["errorDistribution"].as_object()?;
    let fine = statuses.keys().all(|status| status == "200")
        && errors.keys().all(|error| error.contains("deadline"));
    fine.then_some(Answered {
        requests: statuses.get("200")?.as_f64()?,
        seconds: said["summary"]["total"].as_f64()?,
    })
}
