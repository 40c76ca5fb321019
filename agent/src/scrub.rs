//! Takes secrets out of every text that leaves this process: its log, its last words, its answers
//! to the controller.
//!
//! One list for the process, because its log, its panics and its standard error are the process's.
//! A value is learned where it is read, before anybody can say it.

use std::{
    borrow::Cow,
    cmp::Reverse,
    io::{self, Write},
    sync::{PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use nepho_common::control::{Phase, Refusal, Status};

/// What stands in a secret's place.
pub const MARK: &str = "<secret>";

/// Every form of every secret that was read, the longest first. As many as the policy names, and
/// more only when an owner changes one.
static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// From now on no text leaves with this value.
pub fn learn(value: &str) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for form in forms(value) {
        if !known.contains(&form) {
            known.push(form);
        }
    }
    // A secret may hold another one.
    known.sort_by_key(|form| Reverse(form.len()));
}

/// As it is, as a debugger or JSON escapes it, as a URL does, and as base64 of the whole.
fn forms(value: &str) -> Vec<String> {
    let encoded = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    let mut forms = vec![
        value.to_owned(),
        value.escape_debug().to_string(),
        value.replace('\\', "\\\\").replace('"', "\\\""),
        value.bytes().map(encoded).collect(),
        STANDARD_NO_PAD.encode(value),
    ];
    forms.sort();
    forms.dedup();
    forms
}

/// The text without any secret.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = Cow::Borrowed(text);
    for form in known.iter() {
        if text.contains(form.as_str()) {
            text = Cow::Owned(text.replace(form.as_str(), MARK));
        }
    }
    text
}

/// What the controller is told, without any secret. Every text in it is one of ours, so this is
/// the second lock on the door.
#[must_use]
pub fn status(status: Status) -> Status {
    let Status { key, phase } = status;
    let phase = match phase {
        Phase::Refused(Refusal::Policy(why)) => {
            Phase::Refused(Refusal::Policy(clean(&why).into_owned()))
        }
        Phase::Refused(Refusal::Invalid(why)) => {
            Phase::Refused(Refusal::Invalid(clean(&why).into_owned()))
        }
        other @ (Phase::Refused(
            Refusal::Busy(_) | Refusal::Unsupported(_) | Refusal::Fenced | Refusal::Late(_),
        )
        | Phase::Unknown
        | Phase::Prepared
        | Phase::Armed(_)
        | Phase::Scheduled(_)
        | Phase::Running(_)
        | Phase::Draining(_)
        | Phase::Sealed { .. }
        | Phase::Stopped) => other,
    };
    Status { key, phase }
}

/// Standard error without any secret. A text that must be searched as a whole is one write.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(clean(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Says one line on standard error. Nothing is left to be told if that is closed.
pub fn say(line: &str) {
    drop(Stderr.write_all(format!("{line}\n").as_bytes()));
}

/// Lets a panic speak without secrets: its message is made of whatever went wrong.
pub fn panics() {
    std::panic::set_hook(Box::new(|info| say(&info.to_string())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_in_every_form() {
        let secret = "p\"a\\s s/wörd";
        let texts = [
            secret.to_owned(),
            format!("{secret:?}"),
            serde_json::to_string(secret).unwrap(),
            "x=p%22a%5Cs%20s%2Fw%C3%B6rd&y".to_owned(),
            format!("Basic {}==", STANDARD_NO_PAD.encode(secret)),
        ];
        for text in &texts {
            assert_eq!(clean(text), text.as_str(), "it is not known yet");
        }
        learn(secret);
        learn("p\"a");
        for text in &texts {
            let cleaned = clean(text);
            assert!(cleaned.contains(MARK), "{text}: {cleaned}");
            assert!(!cleaned.contains("rd"), "{text}: {cleaned}");
        }
        assert_eq!(clean("nothing in it"), "nothing in it");
    }
}
