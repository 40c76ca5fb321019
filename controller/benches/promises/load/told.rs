//! The tables, and a line of them.

use super::{
    CONNECTIONS, RATE,
    client::Client,
    ours::{Percentiles, Times},
    target::Target,
    trial::{Open, Trial},
};
use crate::table::{Table, kept, print_columns, quantile};

/// Every client once on one target.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) target: &'static str,
    /// Whom the others are compared with.
    pub(crate) measure: Client,
    pub(crate) trials: Vec<(Client, Trial)>,
}

impl Round {
    fn of(&self, client: Client) -> Option<&Trial> {
        let mut trials = self.trials.iter();
        trials.find_map(|(other, trial)| (*other == client).then_some(trial))
    }
}

/// Least, median, largest.
struct Spread([f64; 3]);

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        Self([0.0, 0.5, 1.0].map(|share| quantile(&values, share)))
    }

    fn median(&self) -> f64 {
        self.0[1]
    }

    fn text(&self, digits: usize) -> String {
        let [least, median, most] = self.0;
        format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}

/// One client on one target, over all rounds.
struct Compared {
    per_second: Spread,
    /// Its requests per second by those of the measure in the same round.
    faster: Spread,
    cpu: Spread,
    /// Its processor time for a request by that of the measure in the same round.
    dearer: Spread,
    peak: Spread,
    target_cpu: Spread,
    target_core: Spread,
}

impl Compared {
    fn of(client: Client, target: &str, rounds: &[Round]) -> Option<Self> {
        let rounds = rounds.iter().filter(|round| round.target == target);
        let pairs: Vec<(&Trial, &Trial)> = rounds
            .filter_map(|round| round.of(client).zip(round.of(round.measure)))
            .collect();
        let spread = |figure: fn(&(&Trial, &Trial)) -> f64| Spread::of(pairs.iter().map(figure));
        (!pairs.is_empty()).then(|| Self {
            per_second: spread(|(one, _)| one.per_second),
            faster: spread(|(one, wrk)| one.per_second / wrk.per_second),
            cpu: spread(|(one, _)| one.cpu),
            dearer: spread(|(one, wrk)| one.cpu / wrk.cpu),
            peak: spread(|(one, _)| one.peak),
            target_cpu: spread(|(one, _)| one.target_cpu),
            target_core: spread(|(one, _)| one.target_core),
        })
    }
}

const ALL: [Client; 6] = [
    Client::Ours,
    Client::Wrk,
    Client::H2load,
    Client::Oha,
    Client::Ours2,
    Client::H2load2,
];

/// What every client made of every target.
pub(crate) fn closed(rounds: &[Round], targets: &[Target], count: u32, seconds: u32) {
    let head = [
        "target",
        "client",
        "requests/s",
        "× wrk or h2load",
        "CPU s per million",
        "× wrk or h2load",
        "peak MiB",
        "target's CPU s per million",
        "its core %",
    ];
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    for target in targets.iter().map(Target::name) {
        let mut line = Vec::new();
        for client in ALL {
            let Some(compared) = Compared::of(client, target, rounds) else {
                continue;
            };
            let (faster, dearer) = (compared.faster.text(2), compared.dearer.text(2));
            if !matches!(client, Client::Wrk | Client::H2load2) {
                line.push(format!("{} {faster}, CPU {dearer}", client.name()));
            }
            rows.push(vec![
                target.to_owned(),
                client.name().to_owned(),
                compared.per_second.text(0),
                faster,
                compared.cpu.text(2),
                dearer,
                format!("{:.1}", compared.peak.median()),
                compared.target_cpu.text(2),
                format!("{:.0}", compared.target_core.median()),
            ]);
        }
        lines.push(format!("{target}: {}", line.join("; ")));
    }
    let title = format!(
        "Closed loop, {CONNECTIONS} connections, one core each, {count} rounds of {seconds} s (`scripts/bench load`)"
    );
    print_columns(&title, &head, &rows);
    let lines = lines.join(". ");
    println!(
        "\nTimes wrk (in HTTP/2, h2load) in the same round, median (least to most), n = {count}. {lines}."
    );
}

/// What is promised of `nepho load` without a rate.
pub(crate) fn promises(rounds: &[Round]) {
    let mut table = Table::new();
    for (target, client, measure, least, most) in [
        ("light", Client::Ours, "wrk", 1.15, 0.85),
        ("nginx", Client::Ours, "wrk", 1.0, 0.85),
        ("nginx, HTTP/2", Client::Ours2, "h2load", 1.0, 1.0),
        (
            "nginx, HTTP/2, 10 streams",
            Client::Ours2,
            "h2load",
            1.0,
            1.0,
        ),
    ] {
        let Some(compared) = Compared::of(client, target, rounds) else {
            continue;
        };
        let (faster, dearer) = (compared.faster, compared.dearer);
        let what = format!("requests/s on {target}");
        let figure = format!("{} ×: {}", faster.text(2), kept(faster.median() >= least));
        table.row(&what, &format!("≥ {least} × {measure}"), figure);
        let what = format!("processor per request on {target}");
        let figure = format!("{} ×: {}", dearer.text(2), kept(dearer.median() <= most));
        table.row(&what, &format!("≤ {most} × {measure}"), figure);
    }
    table.print("Closed loop against wrk and h2load (`scripts/bench load`)");
}

/// What is promised of it at a rate: each figure of every round, by its median.
pub(crate) fn open(found: &[(&str, Open)], rounds: u32, seconds: u32) {
    let mut table = Table::new();
    let mut targets: Vec<&str> = Vec::new();
    for (target, _) in found {
        if !targets.contains(target) {
            targets.push(target);
        }
    }
    for target in targets {
        let of_target = || found.iter().filter(|(one, _)| *one == target);
        let spread =
            |figure: &dyn Fn(&Open) -> f64| Spread::of(of_target().map(|(_, open)| figure(open)));
        let mut row = |what: &str, promise: &str, figure: String| {
            table.row(&format!("{what}, {target}"), promise, figure);
        };
        let achieved = spread(&|open| open.per_second);
        row(
            "achieved",
            "",
            format!("{}/s of {RATE}/s", achieved.text(0)),
        );
        let names = ["p50", "p99", "p99.9", "most"];
        for (what, times) in [
            (
                "response time",
                (|times| times.response) as fn(&Times) -> Percentiles,
            ),
            ("service time", |times| times.service),
            ("send lag", |times| times.lag),
        ] {
            let mut figures = Vec::new();
            for (nth, name) in names.into_iter().enumerate() {
                let one = spread(&|open| times(&open.times).0[nth]);
                figures.push(format!("{name} {} µs", one.text(0)));
            }
            let p99 = spread(&|open| times(&open.times).0[1]).median();
            let (promise, ends) = match what {
                "send lag" => ("p99 ≤ 100 µs", format!(": {}", kept(p99 <= 100.0))),
                _ => ("", String::new()),
            };
            row(what, promise, figures.join(", ") + &ends);
        }
        let core = spread(&|open| open.core);
        let figure = format!(
            "{} of the core: {}",
            core.text(2),
            kept(core.median() <= 0.75)
        );
        row("processor", "≤ 0.75 of the core", figure);
        let peak = spread(&|open| open.peak);
        row("peak memory", "", format!("{} MiB", peak.text(1)));
    }
    table.print(&format!(
        "Open loop at {RATE}/s, {CONNECTIONS} connections, {rounds} rounds of {seconds} s, no idle loops (`scripts/bench load`)"
    ));
}
