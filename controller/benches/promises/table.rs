//! The output: a Markdown table for `docs/benchmarks.md`, with the machine above it.

use std::fs;

/// Rows of what, promise, found.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<[String; 3]>,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// What was measured, what is promised of it (empty: nothing), and what was found.
    pub(crate) fn row(&mut self, what: &str, promise: &str, found: String) {
        eprintln!("{what}: {found}");
        self.rows.push([what.to_owned(), promise.to_owned(), found]);
    }

    pub(crate) fn print(&self, title: &str) {
        print_columns(title, &["what", "promise", "measured"], &self.rows);
    }
}

/// A table of any columns.
pub(crate) fn print_columns(title: &str, head: &[&str], rows: &[impl AsRef<[String]>]) {
    println!("\n### {title}\n\n{}\n", machine());
    println!("| {} |", head.join(" | "));
    println!("|{}", "---|".repeat(head.len()));
    for row in rows {
        println!("| {} |", row.as_ref().join(" | "));
    }
}

/// Whether a promise is kept, in a word beside the figure. A figure never fails a benchmark.
pub(crate) fn kept(kept: bool) -> &'static str {
    if kept { "kept" } else { "NOT kept" }
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let uname = rustix::system::uname();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |rest| {
        rest.trim_start_matches([' ', '\t', ':'])
    });
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(3).collect();
    format!(
        "{cpus} × {model}, {} {}, load average at the end {}.",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        load.join(" "),
    )
}

/// Least, median, largest of some figures.
pub(crate) fn spread(values: &[f64], unit: &str, digits: usize) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
        return "nothing".to_owned();
    };
    let median = quantile(&sorted, 0.5);
    format!(
        "median {median:.digits$} {unit} ({least:.digits$} to {most:.digits$}, n = {})",
        sorted.len()
    )
}

/// Of sorted figures, by nearest rank; zero of none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Sorted, as quantiles of milliseconds.
pub(crate) fn quantiles(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let [median, p99, most] = [0.5, 0.99, 1.0].map(|share| quantile(values, share));
    format!(
        "median {median:.0} ms, p99 {p99:.0} ms, most {most:.0} ms (n = {})",
        values.len()
    )
}
