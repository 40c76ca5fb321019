//! The first minutes of a user: two servers of their own, a fleet file, a scenario, one command.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use nepho_controller_core::report::Verdict;

use crate::{
    fleet::{scenario, write_fleet},
    found::{dimension, findings, report},
    process::{Running, command, eventually, exists, nothing_is_left, said, skip, took},
};

struct Nginx {
    running: Running,
    address: SocketAddr,
    log: PathBuf,
}

impl Nginx {
    fn start(program: &Path, dir: &Path, name: &str) -> Self {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        // Free a moment ago: nginx can't be told to take any port.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temp = temp.map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display()));
        // One process, so that killing it leaves nothing.
        let config = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;\n\
             events {{}}\nhttp {{ access_log {dir}/access.log; {}\n\
             server {{ listen {address}; location / {{ return 200; }} }} }}\n",
            temp.join(" "),
            dir = dir.display(),
        );
        std::fs::write(dir.join("nginx.conf"), config).unwrap();
        let mut nginx = Command::new(program);
        nginx
            .arg("-p")
            .arg(&dir)
            .arg("-e")
            .arg(dir.join("error.log"));
        nginx.arg("-c").arg(dir.join("nginx.conf"));
        let mut running = Running::start(&mut nginx, &dir, name);
        eventually("nginx listens", || {
            assert!(running.is_alive(), "{}", running.errors());
            TcpStream::connect(address).ok()
        });
        Self {
            running,
            address,
            log: dir.join("access.log"),
        }
    }

    fn requests(&self) -> u64 {
        std::fs::read_to_string(&self.log).unwrap().lines().count() as u64
    }
}

#[test]
fn two_nginx_servers_are_measured_and_the_one_that_is_stopped_is_named() {
    let _took = took("nginx");
    let Some(program) = exists("nginx") else {
        return skip("two_nginx_servers…", "there is no nginx");
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (one, two) = (
        Nginx::start(&program, dir, "one"),
        Nginx::start(&program, dir, "two"),
    );
    write_fleet(
        dir,
        &[("local", "one", one.address), ("local", "two", two.address)],
    );
    std::fs::write(
        dir.join("my.yaml"),
        scenario("my", &["steady"], "4s", "500ms"),
    )
    .unwrap();
    // What a private controller leaves behind would be here.
    let temp = dir.join("temp");
    std::fs::create_dir(&temp).unwrap();
    let run = |out: &str| {
        let mut run = command("nepho");
        run.args(["run", "my.yaml", "--local", "--out", out]);
        said(run.current_dir(dir).env("TMPDIR", &temp))
    };

    let stdout = run("good").with(0);
    assert!(stdout.contains("pass"), "{stdout}");
    let good = report(&dir.join("good"));
    assert_eq!(good.verdict, Verdict::Pass);
    for file in [
        "report.json",
        "report.md",
        "manifest.json",
        "journal.ndjson",
    ] {
        assert!(dir.join("good").join(file).is_file(), "{file}");
    }
    for (name, server) in [("one", &one), ("two", &two)] {
        let of_server = findings(&good, |finding| dimension(finding, "service") == name);
        let [finding] = of_server[..] else {
            panic!("{of_server:?}")
        };
        assert_eq!(finding.samples.observed, 8, "{finding:?}");
        let logged = server.requests();
        assert!(
            logged >= finding.samples.observed,
            "{name}: nginx logged {logged}"
        );
    }

    two.running.kill();
    let stdout = run("bad").with(10);
    let bad = report(&dir.join("bad"));
    let finding = |name| findings(&bad, move |f| dimension(f, "service") == name)[0];
    assert_eq!(finding("one").verdict, Verdict::Pass);
    assert_eq!(finding("two").verdict, Verdict::Fail);
    let cause = finding("two").cause.clone().unwrap();
    assert!(cause.contains(&two.address.to_string()), "{cause}");
    assert!(cause.to_lowercase().contains("listens"), "{cause}");
    assert!(
        stdout.contains("two") && stdout.contains(&cause),
        "{cause}\n{stdout}"
    );

    nothing_is_left(&temp);
}
