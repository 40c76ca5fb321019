//! A secret in a header: it arrives where the agent's policy lets it go, and is nowhere else.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
};

use crate::{
    fleet::write_fleet,
    process::{clean, program, took},
    site::{Place, Site},
};

const CANARY: &str = "canary-c0ffee-51";

/// Answers every request with its own head, and passes the head on.
fn echo() -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (heads, seen) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<_> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let head = head.join("\n");
            let length = head.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{head}"
            )
            .ok();
            heads.send(head).ok();
        }
    });
    (address, seen)
}

fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_secret_arrives_at_its_target_and_stands_nowhere_else() {
    let _took = took("secret");
    let site = Site::start();
    let dir = site.dir();
    let (address, seen) = echo();
    write_fleet(dir, &[("a", "echo", address)]);
    let scenario = "api: nepho/v1\nname: s\nfleet: fleet.yaml\nstages:\n  - name: one\n    \
        lasts: 2s\n    steps:\n      ask: {probe: {http: {path: /, headers: \
        {authorization: \"Bearer ${env:CANARY}\"}}, every: 250ms, timeout: 1s}}\n    expect:\n      \
        - {on: ask, failures: {max: 0}}\n";
    std::fs::write(dir.join("s.yaml"), scenario).unwrap();
    let start = |site: &Site| {
        let mut agent = clean(Command::new(program("nepho-agent")));
        agent.env("CANARY", CANARY).env("NEPHO_LOG", "trace");
        site.run_agent("a-1", &mut agent)
    };

    // The careful default lets no secret go anywhere, and that is said before anything runs.
    site.enrol(&Place::new("a-1", "a"));
    let agent = start(&site);
    for verb in ["plan", "run"] {
        let said = site.ask(&[verb, "s.yaml"]);
        assert_eq!(said.code, Some(7), "{}{}", said.stdout, said.stderr);
        assert!(
            said.stderr.contains("secret env:CANARY may not go to"),
            "{}",
            said.stderr
        );
    }
    assert!(seen.try_recv().is_err(), "nothing was sent");
    agent.kill();

    let policy = site.data("a-1").join("policy.yaml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let port = address.port();
    let allowed = format!("secrets:\n  env:CANARY: [{{network: 127.0.0.1/32, ports: {port}}}]\n");
    let changed = text.replace("secrets: {}\n", &allowed);
    assert_ne!(changed, text);
    std::fs::write(&policy, changed).unwrap();
    let agent = start(&site);
    let plan = site.ask(&["plan", "s.yaml"]).with(0);
    let radius = "blast radius: the policies of 1 connected agent allow 500 requests/s over 2000 \
                  connections in all; this plan makes up to 4";
    assert!(plan.contains(radius), "{plan}");
    let digest = site.seen("a-1")["policy"]["in-force"]["digest"].to_string();
    let short = digest.get(1..9).unwrap();
    assert!(plan.contains(&format!("policy {short}: a-1")), "{plan}");
    std::fs::write(dir.join("plan.txt"), plan).unwrap();
    let said = site.ask(&["run", "s.yaml", "--out", "out"]);
    std::fs::write(
        dir.join("run.txt"),
        format!("{}{}", said.stdout, said.stderr),
    )
    .unwrap();
    said.with(0);
    drop(agent);
    let heads: Vec<_> = seen.try_iter().collect();
    let header = format!("authorization: Bearer {CANARY}");
    assert!(
        heads.len() == 8 && heads.iter().all(|head| head.contains(&header)),
        "{heads:?}"
    );
    let none: [PathBuf; 0] = [];
    assert_eq!(holding(dir, CANARY), none);
    let found = holding(dir, "${env:CANARY}");
    println!("the reference is in {}, its value in none", list(&found));
    let holds = |name: &str| found.iter().any(|path| path.ends_with(name));
    assert!(holds("s.yaml") && found.len() >= 2, "the search finds");
    // What must not hold it is there to be searched.
    for (file, text) in [
        ("out/report.json", "\"ask\""),
        ("out/report.md", "ask"),
        ("a-1.stderr", "an assignment was taken on"),
        ("controller.stderr", "listens"),
    ] {
        let said = std::fs::read_to_string(dir.join(file)).unwrap_or_default();
        assert!(said.contains(text), "{file}: {said}");
    }
    std::fs::write(dir.join("planted"), format!("x{CANARY}y")).unwrap();
    assert_eq!(holding(dir, CANARY), [dir.join("planted")]);
}

fn list(paths: &[PathBuf]) -> String {
    let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
    names.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_secret_that_the_host_can_not_give_stops_the_run_before_anything_is_sent() {
    let _took = took("no secret");
    let site = Site::start();
    let dir = site.dir();
    let (address, seen) = echo();
    write_fleet(dir, &[("a", "echo", address)]);
    let token = dir.join("token");
    std::fs::write(&token, CANARY).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&token, open).unwrap();
    let file = format!("file:{}", token.display());
    site.enrol(&Place::new("a-1", "a"));
    let policy = site.data("a-1").join("policy.yaml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let allowed = format!(
        "secrets:\n  env:CANARY: [{{network: 127.0.0.1/32, ports: all}}]\n  {file}: \
         [{{network: 127.0.0.1/32, ports: all}}]\n"
    );
    std::fs::write(&policy, text.replace("secrets: {}\n", &allowed)).unwrap();
    let agent = site.run_agent("a-1", &mut clean(Command::new(program("nepho-agent"))));
    for (reference, why) in [
        ("env:CANARY".to_owned(), "the variable is not set"),
        (file.clone(), "others may read the file, its mode is 644"),
    ] {
        let scenario = format!(
            "api: nepho/v1\nname: s\nfleet: fleet.yaml\nstages:\n  - name: one\n    lasts: 2s\n    \
             steps:\n      ask: {{probe: {{http: {{path: /, headers: {{x-key: \"${{{reference}}}\"}}}}, \
             every: 250ms, timeout: 1s}}}}\n    expect:\n      - {{on: ask, failures: {{max: 0}}}}\n"
        );
        std::fs::write(dir.join("s.yaml"), scenario).unwrap();
        site.ask(&["plan", "s.yaml"]).with(0);
        let said = site.ask(&["run", "s.yaml"]);
        let all = format!("{}{}", said.stdout, said.stderr);
        assert_eq!(said.code, Some(7), "{all}");
        assert!(all.contains(&reference) && all.contains(why), "{all}");
        assert!(agent.errors().contains(why), "{}", agent.errors());
    }
    assert!(seen.try_recv().is_err(), "nothing was sent");
    assert_eq!(holding(dir, CANARY), [token]);
}
