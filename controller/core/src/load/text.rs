//! The summary as a person reads it.

use std::fmt;

use nepho_common::time::Nanos;

use super::{Spread, Summary, Verdict};

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts = Nanos(self.lasts_ns);
        writeln!(
            f,
            "{}  {} model, {} connections, {lasts} measured",
            self.url, self.model, self.connections
        )?;
        if self.spin_ns > 0 {
            writeln!(
                f,
                "  its threads did not sleep in the last {} before a request was due",
                Nanos(self.spin_ns)
            )?;
        }
        writeln!(f)?;
        let failed: u64 = self.errors.values().sum();
        writeln!(
            f,
            "  requests  {} due, {} sent, {} succeeded, {failed} failed, {} shed",
            grouped(self.offered),
            grouped(self.sent),
            grouped(self.succeeded),
            grouped(self.shed)
        )?;
        for (error, count) in &self.errors {
            writeln!(f, "            {} {error}", grouped(*count))?;
        }
        if self.cut > 0 {
            writeln!(f, "            {} cut at the end", grouped(self.cut))?;
        }
        writeln!(
            f,
            "  rate      {:.1}/s succeeded, {}/s received",
            self.rate,
            bytes(self.bytes, lasts)
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "  {:<24}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (name, spread) in [
            ("response (since due)", self.response_ns),
            (
                "  failures as never",
                self.response_with_failures_ns
                    .filter(|with| Some(*with) != self.response_ns),
            ),
            ("service (since sent)", self.service_ns),
            ("first byte", self.first_byte_ns),
            ("wait for a connection", self.pool_wait_ns.filter(notable)),
            (
                "send lag",
                self.send_lag_ns.filter(|_| self.model == "open"),
            ),
            ("connect", self.connect_ns),
            ("TLS handshake", self.handshake_ns),
        ] {
            if let Some(spread) = spread {
                row(f, name, &spread)?;
            }
        }
        writeln!(f)?;
        match self.verdict {
            Verdict::Valid => writeln!(f, "  valid: the generator kept up")?,
            Verdict::Suspect => writeln!(f, "  suspect:")?,
            Verdict::Invalid => writeln!(f, "  invalid:")?,
        }
        for doubt in &self.doubts {
            writeln!(f, "    {doubt}")?;
        }
        Ok(())
    }
}

/// Nobody who waited less than this is told of.
fn notable(wait: &Spread) -> bool {
    wait.p999.is_some_and(|wait| wait > 10_000)
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, spread: &Spread) -> fmt::Result {
    write!(f, "  {name:<24}")?;
    for value in [spread.p50, spread.p90, spread.p99, spread.p999, spread.max] {
        let text = value.map_or_else(|| "never".to_owned(), |value| Nanos(value).to_string());
        write!(f, "{text:>10}")?;
    }
    writeln!(f)
}

/// 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(count: u64, over: Nanos) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people, to one place")]
    let mut rest = count as f64 * 1e9 / over.0.max(1) as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB"] {
        if rest < 1_024.0 {
            break;
        }
        rest /= 1_024.0;
        unit = larger;
    }
    format!("{rest:.1} {unit}")
}
