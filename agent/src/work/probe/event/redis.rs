//! A message through a stream of Redis: one connection adds it, another one reads it, and the first
//! takes it out again. What others wrote is never touched.

use nepho_common::{
    plan::RedisCheck,
    policy::{Endpoint, Policy},
    recording::Outcome,
    secret::SecretRef,
};

use super::{
    super::{Failure, means::Means, reference},
    line::Line,
};
use crate::clock;

/// The deepest answer: a list of entries, each a list of an id and a list of fields.
const DEPTH_MAX: usize = 4;
/// The longest list: one entry with one field.
const LIST_MAX: u64 = 8;

pub(in super::super) struct Redis {
    to: Endpoint,
    stream: String,
    password: String,
    secrets: Vec<SecretRef>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

impl Redis {
    pub(super) fn new(check: &RedisCheck, to: Endpoint, policy: &Policy) -> Result<Self, String> {
        let password = reference::reveal(&check.password, &to, policy);
        let password = password.map_err(|why| format!("password of {to}: {why}"))?;
        Ok(Self {
            to,
            stream: check.stream.clone(),
            password: password.text,
            secrets: password.secrets,
        })
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>, id: &str) -> Result<(), Failure> {
        reference::admitted(&self.secrets, &self.to, &means.guard().policy())?;
        let mut writer = self.connect(means).await?;
        means.enter()?;
        let mut reader = self.connect(means).await?;
        let begin = clock::now();
        let added = call(&mut writer, &["XADD", &self.stream, "*", "nepho", id]).await?;
        let Reply::Text(place) = added else {
            return Err(Line::strange());
        };
        let read = call(&mut reader, &["XRANGE", &self.stream, &place, &place]).await?;
        means.heard(begin);
        // Whatever became of it, what was added is taken out.
        call(&mut writer, &["XDEL", &self.stream, &place]).await?;
        if read.holds(id) {
            return Ok(());
        }
        let what = "the message was added to the stream, and another connection does not see it";
        Err(Failure::answer(Outcome::Content, what.to_owned()))
    }

    async fn connect(&self, means: &mut Means<'_>) -> Result<Line, Failure> {
        let mut line = Line::new(means.connect(&self.to).await?);
        if !self.password.is_empty() {
            call(&mut line, &["AUTH", &self.password]).await?;
        }
        Ok(line)
    }
}

/// An answer, as far as one is expected.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Text(String),
    Number,
    List(Vec<Reply>),
    Nothing,
}

impl Reply {
    fn holds(&self, id: &str) -> bool {
        match self {
            Self::Text(text) => text == id,
            Self::List(all) => all.iter().any(|one| one.holds(id)),
            Self::Number | Self::Nothing => false,
        }
    }
}

/// A command in RESP, and its answer. An error of Redis is an answer that was not asked for; its
/// words are not repeated, for they may repeat ours.
async fn call(line: &mut Line, words: &[&str]) -> Result<Reply, Failure> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    line.say(command.as_bytes()).await?;
    Box::pin(reply(line, DEPTH_MAX)).await
}

async fn reply(line: &mut Line, depth: usize) -> Result<Reply, Failure> {
    let head = line.hear().await?;
    let Some((kind, rest)) = head.split_at_checked(1) else {
        return Err(Line::strange());
    };
    let number = || rest.parse::<i64>().map_err(|_| Line::strange());
    match kind {
        "+" => Ok(Reply::Text(rest.to_owned())),
        ":" => number().map(|_| Reply::Number),
        "$" => match u64::try_from(number()?) {
            Ok(length) => {
                let bytes = line.hear_exactly(length).await?;
                String::from_utf8(bytes)
                    .map(Reply::Text)
                    .map_err(|_| Line::strange())
            }
            Err(_) => Ok(Reply::Nothing),
        },
        "*" => match u64::try_from(number()?) {
            Ok(length) if length <= LIST_MAX && depth > 0 => {
                let mut all = Vec::new();
                for _ in 0..length {
                    all.push(Box::pin(reply(line, depth - 1)).await?);
                }
                Ok(Reply::List(all))
            }
            Ok(_) => Err(Line::strange()),
            Err(_) => Ok(Reply::Nothing),
        },
        "-" => {
            let what = match rest.split(' ').next() {
                Some("NOAUTH") => "Redis wants a password",
                Some("WRONGPASS") => "Redis does not take the password",
                Some("NOPERM") => "Redis does not permit it to this user",
                Some("WRONGTYPE") => "the key holds no stream",
                Some("READONLY") => "this Redis is a replica and takes no message",
                _ => "Redis answers with an error",
            };
            Err(Failure::answer(Outcome::Status, what.to_owned()))
        }
        _ => Err(Line::strange()),
    }
}
