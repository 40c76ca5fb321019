//! A headless Chromium, asked over the DevTools protocol. Its messages go through two named pipes
//! (`--remote-debugging-pipe`: JSON, each ended by a zero byte), so no port is opened and no
//! WebSocket is needed.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::process::{PATIENCE, Running, clean, exists};

/// Where a browser is on this machine.
pub(super) fn found() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find_map(exists)
}

/// A browser with one page.
#[derive(Debug)]
pub(super) struct Browser {
    _running: Running,
    ask: File,
    answers: Receiver<Value>,
    session: String,
    last: u64,
    /// What it said unasked since somebody looked.
    events: Vec<Value>,
}

impl Browser {
    pub(super) fn start(program: &Path, dir: &Path) -> Self {
        let [asked, answered] = ["asked", "answered"].map(|name| {
            let path = dir.join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            path
        });
        // The shell opens the pipes where the browser looks for them, and becomes the browser.
        let mut command = clean(Command::new("/bin/sh"));
        command
            .arg("-c")
            .arg("exec \"$0\" \"$@\" 3<\"$ASKED\" 4>\"$ANSWERED\"");
        command
            .arg(program)
            .env("ASKED", &asked)
            .env("ANSWERED", &answered);
        let profile = format!("--user-data-dir={}", dir.join("profile").display());
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            &profile,
        ]);
        let running = Running::start(&mut command, dir, "browser");
        // Each open waits for the other side.
        let ask = OpenOptions::new().write(true).open(&asked).unwrap();
        let answered = BufReader::new(File::open(&answered).unwrap());
        let (heard, answers) = channel();
        std::thread::spawn(move || {
            for message in answered.split(0) {
                let Ok(message) = message else { break };
                let message = serde_json::from_slice(&message).unwrap();
                if heard.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            _running: running,
            ask,
            answers,
            session: String::new(),
            last: 0,
            events: Vec::new(),
        };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.ask("Target.attachToTarget", target);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Network", "Runtime", "Log"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Does something; what came of it.
    pub(super) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.ask.write_all(&bytes).unwrap();
        loop {
            let heard = self.heard(method);
            if heard["id"] == self.last {
                assert!(heard.get("error").is_none(), "{method}: {heard}");
                return heard["result"].clone();
            }
            self.events.push(heard);
        }
    }

    fn heard(&mut self, what: &str) -> Value {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout) => panic!("{what}: no answer within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("{what}: the browser ended"),
        }
    }

    /// Opens a page; everything that happened until it was loaded.
    pub(super) fn open(&mut self, page: &Path) -> Vec<Value> {
        self.events.clear();
        let url = format!("file://{}", page.display());
        let opened = self.ask("Page.navigate", json!({"url": url}));
        assert!(opened.get("errorText").is_none(), "{opened}");
        let loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(loaded) {
            let heard = self.heard("load");
            self.events.push(heard);
        }
        // What was said before this answer has been heard.
        self.value("1");
        std::mem::take(&mut self.events)
    }

    /// The value of a JavaScript expression: ours, not the page's, whose policy forbids it any.
    pub(super) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// How wide it is, and whether it is dark.
    pub(super) fn look(&mut self, width: u32, scheme: &str, medium: &str) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let media = json!({"media": medium, "features": features});
        self.ask("Emulation.setEmulatedMedia", media);
    }
}
