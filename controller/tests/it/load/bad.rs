//! Targets that break the rules: typed failures, bounded memory, an end.

use super::{Light, command, load};
use crate::process::{said, took};

#[test]
fn bad_targets_are_told_by_how_they_fail() {
    let _took = took("bad targets");
    for (kind, outcome) in [
        ("closes-after-head", "reset"),
        ("drip", "timeout"),
        ("bad-chunks", "protocol"),
        ("huge-header", "protocol"),
        ("many-headers", "protocol"),
        ("silent", "timeout"),
        ("h2-resets", "reset"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let light = Light::start(dir.path(), &["--hostile", kind]);
        let words = [
            &light.url,
            "--rate",
            "20/s",
            "-d",
            "3s",
            "--timeout",
            "1s",
            "-c",
            "16",
        ];
        let summary = load(&words, 10);
        let errors = summary["errors"].as_object().unwrap();
        println!("{kind}: {errors:?}");
        assert!(errors.contains_key(outcome), "{kind}: {summary:#}");
        assert_eq!(summary["succeeded"], 0, "{kind}");
        let all: u64 = errors.values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(summary["offered"], all, "{kind}: each was told once");
    }
}

#[test]
fn a_body_without_an_end_takes_no_memory() {
    let _took = took("a huge body");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &["--hostile", "huge-body"]);
    let words = [
        &light.url,
        "--rate",
        "4/s",
        "-d",
        "2s",
        "--timeout",
        "5s",
        "-c",
        "8",
    ];
    // GNU time would do; the kernel says the same of every child that was waited for.
    let mut python = std::process::Command::new("python3");
    let script = "import resource,subprocess,sys\nsubprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL)\n\
                  print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    python
        .arg("-c")
        .arg(script)
        .arg(crate::process::program("nepho"));
    let nepho = command(&words);
    let printed = said(python.args(nepho.get_args())).with(0);
    let kilobytes: u64 = printed.trim().parse().unwrap();
    println!("the largest of nepho and its generator took {kilobytes} kB");
    assert!(kilobytes < 120_000, "{kilobytes} kB");
}

#[test]
fn a_redirect_is_not_followed_and_nobody_is_a_clear_error() {
    let _took = took("redirects, and nobody");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &["--hostile", "redirect-to-metadata"]);
    let summary = load(&[&light.url, "--rate", "20/s", "-d", "1s"], 0);
    assert_eq!(
        summary["offered"], summary["succeeded"],
        "302 is an answer: {summary:#}"
    );
    drop(light);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = format!("http://{nobody}/");
    for (url, why) in [
        (nobody.as_str(), "no connection to"),
        ("http://169.254.169.254/latest", "forbidden"),
        ("ftp://a/", "neither http://HOST nor https://HOST"),
    ] {
        let ended = said(&mut command(&[url, "--rate", "1/s", "-d", "1s"]));
        assert_eq!(ended.code, Some(7), "{url}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{url}: {}", ended.stderr);
    }
}
