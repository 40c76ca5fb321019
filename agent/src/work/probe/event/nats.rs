//! A message through a subject of NATS: one connection listens, another one publishes.

use nepho_common::{
    plan::NatsCheck,
    policy::{Endpoint, Policy},
    recording::Outcome,
    secret::SecretRef,
};
use serde_json::{Value, json};

use super::{
    super::{Failure, means::Means, reference},
    line::Line,
};
use crate::clock;

pub(in super::super) struct Nats {
    to: Endpoint,
    subject: String,
    token: String,
    secrets: Vec<SecretRef>,
}

impl std::fmt::Debug for Nats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nats")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

impl Nats {
    pub(super) fn new(check: &NatsCheck, to: Endpoint, policy: &Policy) -> Result<Self, String> {
        let token = reference::reveal(&check.token, &to, policy);
        let token = token.map_err(|why| format!("token of {to}: {why}"))?;
        // It stands between spaces in a line of its own.
        if check
            .subject
            .contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err("a subject of NATS holds no spaces".to_owned());
        }
        Ok(Self {
            to,
            subject: check.subject.clone(),
            token: token.text,
            secrets: token.secrets,
        })
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>, id: &str) -> Result<(), Failure> {
        reference::admitted(&self.secrets, &self.to, &means.guard().policy())?;
        let mut listener = self.connect(means).await?;
        listener
            .say(format!("SUB {} 1\r\nPING\r\n", self.subject).as_bytes())
            .await?;
        pong(&mut listener).await?;
        means.enter()?;
        let mut publisher = self.connect(means).await?;
        let begin = clock::now();
        let message = format!("PUB {} {}\r\n{id}\r\nPING\r\n", self.subject, id.len());
        publisher.say(message.as_bytes()).await?;
        // A message that may not be published is answered here, and never comes there.
        pong(&mut publisher).await?;
        loop {
            let line = listener.hear().await?;
            if message_of(&mut listener, &line).await?.as_deref() == Some(id.as_bytes()) {
                means.heard(begin);
                return Ok(());
            }
        }
    }

    async fn connect(&self, means: &mut Means<'_>) -> Result<Line, Failure> {
        let mut line = Line::new(means.connect(&self.to).await?);
        let info = line.hear().await?;
        let info = info.strip_prefix("INFO ").ok_or_else(Line::strange)?;
        let info: Value = serde_json::from_str(info).map_err(|_| Line::strange())?;
        if info.get("tls_required").and_then(Value::as_bool) == Some(true) {
            let what = "this NATS wants TLS, which this probe does not speak";
            return Err(Failure::answer(Outcome::Protocol, what.to_owned()));
        }
        let mut hello = json!({
            "verbose": false,
            "pedantic": false,
            "tls_required": false,
            "name": "nepho-agent",
            "lang": "rust",
            "version": env!("CARGO_PKG_VERSION"),
        });
        if let (false, Some(hello)) = (self.token.is_empty(), hello.as_object_mut()) {
            hello.insert("auth_token".to_owned(), Value::from(self.token.as_str()));
        }
        line.say(format!("CONNECT {hello}\r\nPING\r\n").as_bytes())
            .await?;
        pong(&mut line).await?;
        Ok(line)
    }
}

/// Waits for the answer to our own PING: everything before it was heard, and taken.
async fn pong(line: &mut Line) -> Result<(), Failure> {
    loop {
        let said = line.hear().await?;
        if said == "PONG" {
            return Ok(());
        }
        message_of(line, &said).await?;
    }
}

/// The content of a message that this line announces; `None` of what needs none.
async fn message_of(line: &mut Line, said: &str) -> Result<Option<Vec<u8>>, Failure> {
    let mut words = said.split_ascii_whitespace();
    match words.next() {
        Some("MSG") => {
            let length = words.next_back().and_then(|length| length.parse().ok());
            let length = length.ok_or_else(Line::strange)?;
            line.hear_exactly(length).await.map(Some)
        }
        Some("PING") => line.say(b"PONG\r\n").await.map(|()| None),
        Some("PONG" | "+OK" | "INFO") => Ok(None),
        Some("-ERR") => {
            let what = if said.contains("uthorization") {
                "NATS does not take the token"
            } else if said.contains("ermissions") {
                "NATS does not permit the subject"
            } else {
                "NATS answers with an error"
            };
            Err(Failure::answer(Outcome::Status, what.to_owned()))
        }
        Some(_) | None => Err(Line::strange()),
    }
}
