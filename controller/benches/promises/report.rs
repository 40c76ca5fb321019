//! The report of an hour: forty services in each of three environments, each asked once a second from
//! all three, and gauges every ten seconds. From records to a page.

use std::time::Instant;

use nepho_common::time::{Nanos, WallMillis};
use nepho_controller::{journal::Store, scribe};
use nepho_controller_core::report::render::{Lang, html, json, markdown};

use crate::{
    hour,
    merge::forget_peak,
    table::{Table, kept, spread},
    usage::Usage,
};

const SERVICES: u64 = 40;
const HOUR: Nanos = Nanos::from_secs(3_600);
/// What the promise says of the page.
const PAGE_MAX: usize = 3_000_000;

pub(crate) fn measure(repetitions: usize) {
    let mut table = Table::new();
    let records = hour::records(SERVICES, HOUR);
    let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
    let samples = SERVICES * 3 * 3 * 3_600;
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let count = records.len();
    let store = runtime.block_on(async {
        let store = Store::open(&dir.path().join("nepho.sqlite")).await.unwrap();
        for some in records.chunks(16) {
            store.append(some.to_vec(), WallMillis(0)).await.unwrap();
        }
        store.roll_up().await.unwrap();
        store
    });
    drop(records);
    let mut rolling = Vec::new();
    for _ in 0..repetitions {
        let begin = Usage::of(std::process::id());
        runtime.block_on(store.roll_up_again()).unwrap();
        let end = Usage::of(std::process::id());
        rolling.push(end.cpu_since(&begin).as_secs_f64() * 1e6 / count as f64);
    }
    let run = hour::run();
    let (mut folds, mut from_rolled, mut pages) = (Took::default(), Took::default(), Vec::new());
    let mut sizes = (0, 0, 0, 0);
    // In turns, because a machine is not as quick at all times.
    for _ in 0..repetitions {
        let report = folds.measure(|| {
            let records = runtime.block_on(store.run_records(&run)).unwrap();
            scribe::refold(records)
        });
        let rolled = from_rolled.measure(|| {
            let kept = runtime.block_on(store.run_kept(&run)).unwrap();
            assert!(kept.records.len() < count);
            scribe::fold_kept(Lang::En, kept).unwrap()
        });
        assert_eq!(json::render(&rolled), json::render(&report));
        let seen: u64 = report.agents.iter().map(|agent| agent.samples).sum();
        assert_eq!(seen, samples, "nothing is lost in folding");
        let charts = report.charts.as_ref().unwrap();
        assert_eq!(charts.plots.len(), 9);
        assert!(!charts.gauges.is_empty());
        let begin = Instant::now();
        let page = html::render(&report, Lang::En);
        pages.push(begin.elapsed().as_secs_f64());
        let chinese = html::render(&report, Lang::ZhCn);
        let text = markdown::render(&report, Lang::En);
        sizes = (
            page.len(),
            chinese.len(),
            text.len(),
            json::render(&report).len(),
        );
    }
    let what = format!(
        "report from records of the store: {count} ({:.1} MiB), {samples} samples",
        bytes as f64 / f64::from(1 << 20)
    );
    folds.rows(&mut table, &what, "");
    let what = "report from roll-ups of the store, the same byte for byte";
    from_rolled.rows(&mut table, what, "≤ 1 s");
    let figure = spread(&rolling, "µs", 0);
    table.row("processor to roll up a record", "", figure);
    table.row("the page from the report", "", spread(&pages, "s", 3));
    let largest = sizes.0.max(sizes.1);
    let figure = format!(
        "{:.2} MB in English, {:.2} MB in Chinese: {}",
        sizes.0 as f64 / 1e6,
        sizes.1 as f64 / 1e6,
        kept(largest <= PAGE_MAX)
    );
    table.row("size of the HTML", "≤ 3 MB", figure);
    let figure = format!(
        "{:.2} MB and {:.2} MB",
        sizes.2 as f64 / 1e6,
        sizes.3 as f64 / 1e6
    );
    table.row("size of Markdown and JSON", "", figure);
    table.print(
        "The report of 40 services in each of 3 environments, asked from all three for 1 h \
         (`scripts/bench report`)",
    );
}

/// How long something took, and how much of everything.
#[derive(Debug, Default)]
struct Took {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    memory: Vec<f64>,
}

impl Took {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        forget_peak();
        let before = Usage::of(std::process::id());
        let begin = Instant::now();
        let made = work();
        self.wall.push(begin.elapsed().as_secs_f64());
        let after = Usage::of(std::process::id());
        self.cpu.push(after.cpu_since(&before).as_secs_f64());
        self.memory.push((after.peak - before.resident) / 1024.0);
        made
    }

    fn rows(&self, table: &mut Table, what: &str, promise: &str) {
        let worst = self.wall.iter().copied().fold(0.0, f64::max);
        let mut figure = spread(&self.wall, "s", 2);
        if !promise.is_empty() {
            figure = format!("{figure}: {}", kept(worst <= 1.0));
        }
        table.row(what, promise, figure);
        let cpu = spread(&self.cpu, "s", 2);
        let memory = spread(&self.memory, "MiB", 0);
        table.row(
            "its processor time, and memory on top",
            "",
            format!("{cpu}; {memory}"),
        );
    }
}
