//! A run's events until it is over, whatever breaks between: a view is whole, so the next
//! connection simply goes on.

use std::time::Duration;

use nepho_common::id::RunId;
use tokio::time::{Instant, sleep};

use super::{
    answer::Answer,
    client::{Client, ClientError},
};
use crate::view::RunView;

/// The server says something at least every second, and a comment every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// A controller that is restarted is back within this, or something is wrong with it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// Between two tries.
const RETRY: Duration = Duration::from_millis(500);
/// A view is a few kilobytes; 20 lines of text bound it.
const EVENT_MAX: usize = 1 << 20;

/// Follows one run. Dropping [`Self::next`] midway loses nothing.
#[derive(Debug)]
pub struct Follow {
    client: Client,
    run: RunId,
    connection: Option<Answer>,
    buffer: Vec<u8>,
    broken: Option<Instant>,
    over: bool,
}

impl Follow {
    /// Follows this run.
    #[must_use]
    pub const fn new(client: Client, run: RunId) -> Self {
        Self {
            client,
            run,
            connection: None,
            buffer: Vec::new(),
            broken: None,
            over: false,
        }
    }

    /// Since when there is no connection.
    #[must_use]
    pub fn lost_for(&self) -> Option<Duration> {
        self.broken.map(|since| since.elapsed())
    }

    /// The next view; `None` after the one that says that the run is over.
    ///
    /// # Errors
    /// When the controller refuses, or can't be reached for a minute.
    pub async fn next(&mut self) -> Result<Option<RunView>, ClientError> {
        if self.over {
            return Ok(None);
        }
        loop {
            match self.attempt().await {
                Ok(view) => {
                    self.broken = None;
                    self.over = view.is_over();
                    return Ok(Some(view));
                }
                Err(error) => {
                    self.connection = None;
                    self.buffer.clear();
                    let since = *self.broken.get_or_insert_with(Instant::now);
                    if !error.may_pass() || since.elapsed() > GIVE_UP_AFTER {
                        return Err(error);
                    }
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<RunView, ClientError> {
        loop {
            if let Some(data) = take_event(&mut self.buffer) {
                return serde_json::from_slice(&data).map_err(ClientError::Answer);
            }
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => self.connection.insert(self.client.events(&self.run).await?),
            };
            let ended = || ClientError::Broken("the stream of events ended early".into());
            let piece = connection.piece(SILENCE_MAX).await?.ok_or_else(ended)?;
            if self.buffer.len() + piece.len() > EVENT_MAX {
                return Err(ClientError::Broken("an event is too large".into()));
            }
            self.buffer.extend_from_slice(&piece);
        }
    }
}

/// Takes the first complete event that has data out of `buffer`; comments are dropped.
fn take_event(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let event: Vec<u8> = buffer.drain(..end + 2).collect();
        let lines = event.split(|byte| *byte == b'\n');
        let data: Vec<&[u8]> = lines
            .filter_map(|line| line.strip_prefix(b"data:"))
            .map(|line| line.strip_prefix(b" ").unwrap_or(line))
            .collect();
        if !data.is_empty() {
            return Some(data.join(&b'\n'));
        }
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        id::{Digest, PlanId},
        time::WallMillis,
    };
    use nepho_controller_core::report::Verdict;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixListener,
    };

    use super::*;

    fn view(said: &str, verdict: Option<Verdict>) -> String {
        let view = RunView {
            schema: RunView::SCHEMA.to_owned(),
            run: "r".parse().unwrap(),
            plan: PlanId(Digest::of(b"")),
            scenario: "s".parse().unwrap(),
            title: "s".to_owned(),
            created: WallMillis(0),
            progress: None,
            tally: None,
            stages: Vec::new(),
            said: vec![said.to_owned()],
            verdict,
            revision: None,
            exit_code: None,
        };
        format!("data: {}\n\n", serde_json::to_string(&view).unwrap())
    }

    #[tokio::test]
    async fn a_connection_that_breaks_in_the_midst_of_an_event_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = async move {
            let whole = view("second", Some(Verdict::Pass));
            for part in [format!("{}data: {{\"sch", view("first", None)), whole] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                            transfer-encoding: chunked\r\n\r\n";
                let answer = format!("{head}{:x}\r\n{part}\r\n", part.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            drop(dir);
        };
        let client = async {
            let mut follow = Follow::new(Client::new(socket), "r".parse().unwrap());
            let mut said = Vec::new();
            while let Some(view) = follow.next().await.unwrap() {
                said.extend(view.said);
            }
            assert_eq!(said, ["first", "second"]);
            assert!(follow.next().await.unwrap().is_none());
        };
        tokio::join!(server, client);
    }

    #[tokio::test]
    async fn a_refusal_is_not_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let body = r#"{"schema":"nepho.error/v1","code":"not-found","message":"no run r"}"#;
            let head = format!(
                "HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream
                .write_all(format!("{head}{body}").as_bytes())
                .await
                .unwrap();
        };
        let mut follow = Follow::new(Client::new(&socket), "r".parse().unwrap());
        let (error, ()) = tokio::join!(follow.next(), server);
        assert_eq!(error.unwrap_err().to_string(), "no run r");
    }

    #[test]
    fn events_are_taken_one_by_one_wherever_they_were_cut() {
        let stream = b": alive\n\ndata: {\"a\":\ndata: 1}\n\nevent: x\ndata:2\n\ndata: half";
        for cut in 0..stream.len() {
            let mut buffer = stream[..cut].to_vec();
            let mut found = Vec::new();
            found.extend(take_event(&mut buffer));
            buffer.extend_from_slice(&stream[cut..]);
            while let Some(event) = take_event(&mut buffer) {
                found.push(event);
            }
            assert_eq!(found, [b"{\"a\":\n1}".to_vec(), b"2".to_vec()]);
            assert_eq!(buffer, b"data: half");
        }
    }
}
