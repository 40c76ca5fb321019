//! A container engine as far as agents ask it: answers as a real one gives them, over a Unix socket,
//! with counters that grow. It says what a test tells it to, which a real one can't be made to.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

/// What it says of its one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// It runs and uses half a core.
    Runs,
    /// No container runs.
    Empty,
    /// It answers, and it is no answer.
    Garbled,
    /// It listens, takes every question, and never answers.
    Silent,
}

/// An engine that listens until it is dropped.
pub(super) struct Engine {
    mood: Arc<Mutex<Mood>>,
    ends: Arc<AtomicBool>,
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    pub(super) fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let mood = Arc::new(Mutex::new(Mood::Runs));
        let ends = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let thread = std::thread::spawn({
            let (mood, ends) = (Arc::clone(&mood), Arc::clone(&ends));
            move || {
                // Kept open: whoever is hung up on knows more than one who waits.
                let mut silent = Vec::new();
                for stream in listener.incoming().flatten() {
                    if ends.load(Ordering::SeqCst) {
                        break;
                    }
                    let mood = *mood.lock().unwrap();
                    if mood == Mood::Silent {
                        silent.push(stream);
                        continue;
                    }
                    // An agent that hangs up is its own business.
                    serve(&stream, mood, begun).ok();
                }
            }
        });
        Self {
            mood,
            ends,
            socket: socket.to_owned(),
            thread: Some(thread),
        }
    }

    pub(super) fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let heard = UnixStream::connect(&self.socket).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| heard) {
            thread.join().ok();
        }
    }
}

/// Answers one question after the other until the other side hangs up.
fn serve(stream: &UnixStream, mood: Mood, begun: Instant) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next() {
        let line = line?;
        for head in lines.by_ref() {
            if head?.is_empty() {
                break;
            }
        }
        let body = answer(&line, mood, begun);
        let length = body.len();
        let mut out = stream;
        write!(
            out,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
    }
    Ok(())
}

fn answer(line: &str, mood: Mood, begun: Instant) -> String {
    let path = line
        .strip_prefix("GET ")
        .and_then(|rest| rest.split(' ').next());
    let used = begun.elapsed().as_nanos() / 2;
    let periods = begun.elapsed().as_millis() / 100;
    match (mood, path) {
        (_, None) => panic!("agents only ask, and this changes something: {line}"),
        (Mood::Garbled, _) => "<html>".to_owned(),
        (Mood::Empty, Some("/containers/json?all=true")) => "[]".to_owned(),
        (_, Some("/containers/json?all=true")) => "[{\"Id\":\"0123abcd\",\"Names\":[\"/web-1\"],\
             \"Labels\":{\"role\":\"web\"},\"State\":\"running\"}]"
            .to_owned(),
        (_, Some("/containers/0123abcd/json")) => "{\"Id\":\"0123abcd\",\"RestartCount\":0,\
             \"State\":{\"Running\":true,\"StartedAt\":\"2026-01-01T00:00:00.5Z\"}}"
            .to_owned(),
        (_, Some(_)) => format!(
            "{{\"cpu_stats\":{{\"cpu_usage\":{{\"total_usage\":{used}}},\"throttling_data\":\
             {{\"periods\":{periods},\"throttled_periods\":{},\"throttled_time\":1}}}},\
             \"memory_stats\":{{\"usage\":104857600,\"stats\":{{\"inactive_file\":52428800}}}},\
             \"pids_stats\":{{\"current\":3}},\"networks\":{{\"eth0\":{{\"rx_bytes\":{used},\
             \"tx_bytes\":0}}}},\"blkio_stats\":{{\"io_service_bytes_recursive\":null}}}}",
            periods / 4
        ),
    }
}
