//! Asks a Prometheus server for one number and holds it against bounds. No number is a failure: a
//! series that is gone must not look well.

use http::{Method, Uri};
use hyper::body::Bytes;
use nepho_common::{plan::PrometheusCheck, policy::Policy, recording::Outcome};
use serde_json::Value;

use super::{
    Failure,
    exchange::{Asked, Http, exchange},
    means::Means,
    reference::Headers,
    site::Site,
};

#[derive(Debug)]
pub(super) struct PrometheusQuestion {
    site: Site,
    path: Uri,
    headers: Headers,
    min: Option<i64>,
    max: Option<i64>,
}

impl PrometheusQuestion {
    pub(super) fn new(check: &PrometheusCheck, policy: &Policy) -> Result<Self, String> {
        let (site, _) = Site::of(&check.url)?;
        let path = format!("/api/v1/query?query={}", encoded(&check.query));
        let path = path.parse();
        Ok(Self {
            headers: Headers::reveal(&check.headers, &check.url, &site.to, policy)?,
            path: path.map_err(|_| "the query is too long".to_owned())?,
            min: check.min,
            max: check.max,
            site,
        })
    }

    pub(super) const fn needs_tls(&self) -> bool {
        self.site.tls.is_some()
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>) -> Result<(), Failure> {
        self.headers
            .admitted(&self.site.to, &means.guard().policy())?;
        let asked = Asked {
            method: Method::GET,
            path: self.path.clone(),
            headers: self.headers.map.clone(),
            body: Bytes::new(),
        };
        let replied = exchange(means, &self.site, Http::One, asked).await?;
        if replied.status != 200 {
            let what = match replied.status.as_u16() {
                400 | 422 => "Prometheus can't evaluate the query".to_owned(),
                status => format!("the status is {status}"),
            };
            return Err(Failure::answer(Outcome::Status, what));
        }
        self.judge(&replied.body)
    }

    fn judge(&self, body: &[u8]) -> Result<(), Failure> {
        let number = number(body).map_err(|(outcome, what)| {
            let what = what.to_owned();
            Failure::answer(outcome, what)
        })?;
        // Millionths are exact in a float up to 9e9.
        #[expect(
            clippy::cast_precision_loss,
            reason = "bounds beyond it are as coarse as the number"
        )]
        let bound = |millionths: i64| millionths as f64 / 1e6;
        let low = self.min.is_some_and(|min| number < bound(min));
        let high = self.max.is_some_and(|max| number > bound(max));
        if low || high {
            let which = if low {
                "below the least"
            } else {
                "above the most"
            };
            let what = format!("the number {number} is {which} that was asked for");
            return Err(Failure::answer(Outcome::Content, what));
        }
        Ok(())
    }
}

/// The finite number of a scalar, or of a vector of one.
fn number(body: &[u8]) -> Result<f64, (Outcome, &'static str)> {
    let wrong = (Outcome::Protocol, "the answer is none of Prometheus");
    let document: Value = serde_json::from_slice(body).map_err(|_| wrong)?;
    if document.get("status").and_then(Value::as_str) != Some("success") {
        return Err(wrong);
    }
    let data = document.get("data").ok_or(wrong)?;
    let kind = data.get("resultType").and_then(Value::as_str);
    let result = data.get("result").and_then(Value::as_array).ok_or(wrong)?;
    let sample = match (kind, result.as_slice()) {
        (Some("scalar"), pair) => pair,
        (Some("vector"), []) => {
            return Err((Outcome::Content, "the query found no data"));
        }
        (Some("vector"), [one]) => {
            let pair = one.get("value").and_then(Value::as_array);
            pair.map(Vec::as_slice).ok_or(wrong)?
        }
        (Some("vector"), _) => {
            return Err((Outcome::Content, "the query found more than one series"));
        }
        _ => return Err((Outcome::Content, "the query gives no number")),
    };
    let [_, value] = sample else {
        return Err(wrong);
    };
    let value: f64 = value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or(wrong)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err((Outcome::Content, "the query gives no finite number"))
    }
}

/// RFC 3986 §2.3: what is not unreserved is written as a percent sign and two digits.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_finite_number_and_no_data_is_none() {
        let answer = |kind: &str, result: &str| {
            let text = format!(
                r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#
            );
            number(text.as_bytes()).map_err(|(outcome, _)| outcome)
        };
        assert_eq!(answer("scalar", r#"[1,"2.5"]"#), Ok(2.5));
        let one = r#"{"metric":{},"value":[1,"1"]}"#;
        assert_eq!(answer("vector", &format!("[{one}]")), Ok(1.0));
        for (kind, result, outcome) in [
            ("vector", "[]", Outcome::Content),
            ("vector", &format!("[{one},{one}]"), Outcome::Content),
            ("matrix", "[]", Outcome::Content),
            ("scalar", r#"[1,"NaN"]"#, Outcome::Content),
            ("scalar", r#"[1,"+Inf"]"#, Outcome::Content),
            ("scalar", r#"[1,"x"]"#, Outcome::Protocol),
            ("scalar", "[1]", Outcome::Protocol),
            ("vector", "[{}]", Outcome::Protocol),
            ("vector", "3", Outcome::Protocol),
        ] {
            assert_eq!(answer(kind, result), Err(outcome), "{kind} {result}");
        }
        assert!(number(br#"{"status":"error"}"#).is_err() && number(b"ok").is_err());
    }

    #[test]
    fn bounds_are_part_of_what_is_allowed() {
        let ask = |min, max| PrometheusQuestion {
            min,
            max,
            ..PrometheusQuestion::new(
                &PrometheusCheck {
                    url: "http://127.0.0.1:1".to_owned(),
                    headers: Vec::new(),
                    query: "up{a=\"b\"}".to_owned(),
                    min: None,
                    max: None,
                },
                &Policy::careful(),
            )
            .unwrap()
        };
        let body = br#"{"status":"success","data":{"resultType":"scalar","result":[1,"0.5"]}}"#;
        for (min, max, passes) in [
            (Some(500_000), Some(500_000), true),
            (Some(500_001), None, false),
            (None, Some(499_999), false),
            (Some(-1_000_000), Some(1_000_000), true),
        ] {
            assert_eq!(ask(min, max).judge(body).is_ok(), passes, "{min:?} {max:?}");
        }
        let path = ask(None, None).path.to_string();
        assert_eq!(path, "/api/v1/query?query=up%7Ba%3D%22b%22%7D");
    }
}
