//! The HTML report in a real browser: nothing is asked for, nothing complains, nothing is cut off,
//! charts are painted, the keyboard does it too. In both languages, light and dark, on a telephone
//! and on a desk. The pictures are kept in the folder for temporary files of the build.

mod devtools;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nepho_common::{
    journal::Record,
    recording::Unit,
    time::{Nanos, RunTime},
};
use nepho_controller::{export::read_run_dir, scribe};
use nepho_controller_core::report::{
    Report,
    charts::{GaugePoint, GaugeSeries},
    render::{Lang, html},
};
use serde_json::{Value, json};

use self::devtools::Browser;
use crate::{
    fleet::{Service, scenario, write_fleet},
    process::{skip, took},
    site::{Place, Site},
};

/// A telephone and a desk, in pixels.
const WIDTHS: [u32; 2] = [360, 1_440];

#[test]
fn the_page_is_whole_in_a_browser() {
    let _took = took("browser");
    let Some(program) = devtools::found() else {
        skip(
            "the_page_is_whole_in_a_browser",
            "no chromium on this machine",
        );
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let site = Site::start();
    let records = run(&site);
    let mut browser = Browser::start(&program, temp.path());
    for lang in Lang::ALL {
        let page = temp.path().join(format!("{}.html", lang.tag()));
        let report = report(lang, records.clone());
        std::fs::write(&page, html::render(&report, lang)).unwrap();
        for width in WIDTHS {
            for scheme in ["light", "dark"] {
                let place = format!("{} {width} {scheme}", lang.tag());
                browser.look(width, scheme, "screen");
                let events = browser.open(&page);
                assert_eq!(
                    requests(&events),
                    1,
                    "{place}: the page itself, {events:#?}"
                );
                assert_eq!(complaints(&events), Vec::<&Value>::new(), "{place}");
                assert_eq!(browser.value("document.documentElement.lang"), lang.tag());
                assert_eq!(overflow(&mut browser), 0, "{place}: sideways");
                let shapes = browser.value("document.querySelectorAll('figure svg path').length");
                assert!(shapes.as_u64().unwrap() > 50, "{place}: {shapes} shapes");
                charts_are_painted(&mut browser, &place);
                is_of_its_scheme(&mut browser, scheme);
                keep(&mut browser, &place);
            }
        }
    }
    opens_by_the_keyboard(&mut browser);
    is_open_on_paper(&mut browser);
    what_is_looked_for_would_be_seen(&mut browser, temp.path());
}

/// A real run, in which one service refuses.
fn run(site: &Site) -> Vec<Record> {
    let dir = site.dir();
    let (a, b) = (
        Service::start(dir, "a", "svc-a"),
        Service::start(dir, "b", "svc-b"),
    );
    // Bound and given back: nobody listens there.
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let services = [
        ("a", "svc-a", a.address),
        ("b", "svc-b", b.address),
        ("b", "svc-dead", dead),
    ];
    write_fleet(dir, &services);
    let text = scenario("browser", &["both"], "3s", "50ms");
    std::fs::write(dir.join("s.yaml"), text).unwrap();
    let _agents =
        [("a-1", "a"), ("b-1", "b")].map(|(agent, at)| site.agent(&Place::new(agent, at)));
    site.ask(&["run", "s.yaml", "--out", "out"]).with(10);
    let page = std::fs::read_to_string(dir.join("out/report.html")).unwrap();
    let (_, records) = read_run_dir(&dir.join("out")).unwrap();
    assert_eq!(
        page,
        html::render(&scribe::refold(records.clone()), Lang::En),
        "a run leaves this very page"
    );
    records
}

/// With gauges as a watch would send them.
fn report(lang: Lang, records: Vec<Record>) -> Report {
    let mut report = scribe::refold_in(lang, None, records).unwrap();
    let charts = report.charts.as_mut().unwrap();
    let point = |n: i64| GaugePoint {
        at_ns: RunTime(n * 100_000_000),
        min: 100_000 + n * 3_000,
        max: 200_000 + n * 9_000,
    };
    charts.gauges.push(GaugeSeries {
        name: "host.cpu".to_owned(),
        unit: Unit::Ratio,
        agent: "a-1".parse().unwrap(),
        from: "a".parse().unwrap(),
        of: None,
        thing: None,
        values: 60,
        every_ns: Nanos(100_000_000),
        points: (0..30).map(point).collect(),
    });
    report
}

fn requests(events: &[Value]) -> usize {
    let asked = |event: &&Value| event["method"] == "Network.requestWillBeSent";
    events.iter().filter(asked).count()
}

/// Whatever a console would show.
fn complaints(events: &[Value]) -> Vec<&Value> {
    let kinds = [
        "Runtime.exceptionThrown",
        "Runtime.consoleAPICalled",
        "Log.entryAdded",
    ];
    let complains = |event: &&Value| kinds.iter().any(|kind| event["method"] == *kind);
    events.iter().filter(complains).collect()
}

/// By how much the page is wider than the window.
fn overflow(browser: &mut Browser) -> i64 {
    let root = "document.documentElement";
    let beyond = browser.value(&format!("{root}.scrollWidth - {root}.clientWidth"));
    beyond.as_i64().unwrap()
}

/// A picture of a chart takes several times as many bytes as one of the same place without it.
fn charts_are_painted(browser: &mut Browser, place: &str) {
    let all = browser.value(
        "[...document.querySelectorAll('figure > svg')].map(svg => {
            const box = svg.getBoundingClientRect();
            return {x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height};
        })",
    );
    let all = all.as_array().unwrap().clone();
    // Two environments that ask, four pairs over time, one gauge.
    assert_eq!(all.len(), 7, "{place}");
    for clip in [&all[0], &all[2], &all[6]] {
        let painted = picture(browser, Some(clip)).len();
        browser.value("document.body.style.visibility = 'hidden'");
        let blank = picture(browser, Some(clip)).len();
        browser.value("document.body.style.visibility = ''");
        assert!(
            painted > 3 * blank,
            "{place}: {painted} against {blank} of {clip}"
        );
    }
}

fn picture(browser: &mut Browser, clip: Option<&Value>) -> Vec<u8> {
    let mut asked = json!({"format": "png", "captureBeyondViewport": true});
    if let Some(clip) = clip {
        asked["clip"] = clip.clone();
        asked["clip"]["scale"] = json!(1);
    }
    let answer = browser.ask("Page.captureScreenshot", asked);
    STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
}

fn is_of_its_scheme(browser: &mut Browser, scheme: &str) {
    let paper = browser.value("getComputedStyle(document.body).backgroundColor");
    let bright = paper.as_str().unwrap().contains("255");
    assert_eq!(bright, scheme == "light", "{paper}");
}

/// For whoever wants to look.
fn keep(browser: &mut Browser, name: &str) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let size = browser.value(
        "({x: 0, y: 0, width: document.documentElement.clientWidth,
           height: document.documentElement.scrollHeight})",
    );
    let file = format!("{}.png", name.replace(' ', "-"));
    std::fs::write(folder.join(file), picture(browser, Some(&size))).unwrap();
}

fn opens_by_the_keyboard(browser: &mut Browser) {
    let summary = "document.querySelector('#latency summary')";
    browser.value(&format!("{summary}.focus()"));
    assert_eq!(
        browser.value(&format!("{summary}.parentElement.open")),
        false
    );
    for kind in ["keyDown", "keyUp"] {
        let key = json!({"type": kind, "key": "Enter", "code": "Enter", "text": "\r",
            "windowsVirtualKeyCode": 13});
        browser.ask("Input.dispatchKeyEvent", key);
    }
    assert_eq!(
        browser.value(&format!("{summary}.parentElement.open")),
        true
    );
}

/// What is folded away on a screen is printed.
fn is_open_on_paper(browser: &mut Browser) {
    let visible = "document.querySelector('#scenario pre').checkVisibility()";
    browser.look(800, "dark", "screen");
    assert_eq!(browser.value(visible), false, "folded away");
    browser.look(800, "dark", "print");
    assert_eq!(browser.value(visible), true, "on paper");
    is_of_its_scheme(browser, "light");
}

/// The control: a page that does all of what is forbidden.
fn what_is_looked_for_would_be_seen(browser: &mut Browser, dir: &Path) {
    let page = dir.join("bad.html");
    let bad = "<!doctype html><body><div style='width:5000px'>x</div>\
        <img src='http://127.0.0.1:9/x.png'><script>console.error('x')</script>";
    std::fs::write(&page, bad).unwrap();
    browser.look(360, "light", "screen");
    let events = browser.open(&page);
    assert_eq!(requests(&events), 2, "{events:#?}");
    assert!(complaints(&events).len() >= 2, "{events:#?}");
    assert!(overflow(browser) > 4_000);
    // The report's own policy stops both the picture and the script.
    let policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">";
    std::fs::write(&page, bad.replace("<body>", &format!("{policy}<body>"))).unwrap();
    let events = browser.open(&page);
    let ran = complaints(&events)
        .iter()
        .any(|event| event["method"] == "Runtime.consoleAPICalled");
    assert!(!ran, "{events:#?}");
}
