//! What was seen of a request that failed: what a cause is found from.
//!
//! Outcomes say how often something went wrong; a symptom says, once for each target of a stage and
//! each way to fail, what that looked like. It holds the target's own words, so whoever shows it takes
//! them for hostile.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::time::Nanos;

/// The most characters that are kept of what was said.
pub const SAID_MAX: usize = 300;
/// The most listeners that one symptom names.
pub const LISTENERS_MAX: usize = 32;

/// What was seen of a request that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symptom {
    /// Where it was sent; `None` when it came to no address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What is wrong with the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateFault>,
    /// Who listens at that address, by the host of the agent; `None` when the address is not one of
    /// its own, or the host does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Vec<Listener>>,
    /// In words, the target's or our libraries'; may be empty. See [`plain`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateFault {
    /// It ended so long ago.
    Expired(Nanos),
    /// It begins in so long.
    NotYet(Nanos),
    /// It names others.
    Name,
    /// Nobody whom the agent's host trusts has signed it.
    Issuer,
}

/// Somebody who listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The program; `None` when the host does not let the agent see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// What may be kept of words that came from elsewhere: the first [`SAID_MAX`] characters, with a
/// space in the place of whatever steers a terminal or the direction of writing.
#[must_use]
pub fn plain(words: &str) -> String {
    let clean = words.chars().map(|c| if steers(c) { ' ' } else { c });
    let text: String = clean.take(SAID_MAX).collect();
    text.trim().to_owned()
}

/// Control characters, marks of direction (UAX #9), and what has no width at all.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

/// Whether a program's name and a service's name speak of the same: one begins with the other. The
/// kernel keeps 15 characters of a program's name.
#[must_use]
pub fn resembles(program: &str, service: &str) -> bool {
    let kept: String = service.chars().take(15).collect();
    let least = kept.len().min(program.len()) >= 3;
    least && (program.starts_with(&kept) || kept.starts_with(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_can_not_steer_what_shows_them() {
        assert_eq!(plain("\u{1b}[2Jall\u{202e}good\r\n"), "[2Jall good");
        assert_eq!(plain(&"x".repeat(1000)).len(), SAID_MAX);
        assert_eq!(plain("三环境 ok"), "三环境 ok");
    }
}
