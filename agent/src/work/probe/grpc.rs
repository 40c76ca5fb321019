//! Asks the health service of gRPC. The two messages are a handful of bytes, written and read here:
//! a channel of tonic would resolve and connect by itself, past the guard.

use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{CONTENT_TYPE, TE},
};
use hyper::body::Bytes;
use nepho_common::{plan::GrpcCheck, recording::Outcome};

use super::{
    Failure,
    exchange::{Asked, Http, Replied, exchange},
    means::Means,
    site::Site,
};

const PATH: &str = "/grpc.health.v1.Health/Check";
/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u64 = 1;

#[derive(Debug)]
pub(super) struct GrpcQuestion {
    site: Site,
    body: Bytes,
}

impl GrpcQuestion {
    pub(super) fn new(check: &GrpcCheck) -> Result<Self, String> {
        let (site, _) = Site::of(&check.url)?;
        let service = check.service.as_bytes();
        let mut message = Vec::new();
        if !service.is_empty() {
            // Field 1, a text.
            message.push(0x0a);
            varint(&mut message, service.len() as u64);
            message.extend_from_slice(service);
        }
        let length = u32::try_from(message.len());
        let length = length.map_err(|_| "the service's name is too long")?;
        let mut body = vec![0];
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&message);
        Ok(Self {
            site,
            body: body.into(),
        })
    }

    pub(super) const fn needs_tls(&self) -> bool {
        self.site.tls.is_some()
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let asked = Asked {
            method: Method::POST,
            path: Uri::from_static(PATH),
            headers,
            body: self.body.clone(),
        };
        judge(&exchange(means, &self.site, Http::Two, asked).await?)
    }
}

fn judge(replied: &Replied) -> Result<(), Failure> {
    let wrong = |outcome, what: String| Err(Failure::answer(outcome, what));
    if replied.status != 200 {
        let status = replied.status.as_u16();
        return wrong(Outcome::Status, format!("the HTTP status is {status}"));
    }
    // An answer without a message has it among the headers.
    let status = replied.trailers.get("grpc-status");
    let status = status.or_else(|| replied.headers.get("grpc-status"));
    let Some(status) = status.and_then(|value| value.to_str().ok()?.parse::<u32>().ok()) else {
        return wrong(Outcome::Protocol, "the answer is none of gRPC".to_owned());
    };
    if status != 0 {
        let what = match status {
            5 => "the health service does not know the service".to_owned(),
            12 => "the target has no health service".to_owned(),
            code => format!("the gRPC status is {code}"),
        };
        return wrong(Outcome::Status, what);
    }
    match serving(&replied.body) {
        Some(SERVING) => Ok(()),
        Some(other) => wrong(
            Outcome::Content,
            format!("the service is not serving, its status is {other}"),
        ),
        None => wrong(Outcome::Protocol, "the answer can't be read".to_owned()),
    }
}

/// Field 1 of the one message in the body; what is not sent is zero.
fn serving(body: &[u8]) -> Option<u64> {
    let (prefix, message) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes(prefix.get(1..)?.try_into().ok()?);
    if prefix.first() != Some(&0) || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    match message {
        [] => Some(0),
        [0x08, value @ ..] => {
            let mut number = 0u64;
            for (place, byte) in value.iter().take(9).enumerate() {
                number |= u64::from(byte & 0x7f) << (7 * place);
                if byte & 0x80 == 0 {
                    return (value.len() == place + 1).then_some(number);
                }
            }
            None
        }
        _ => None,
    }
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_serving_is_serving() {
        assert_eq!(serving(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(serving(&[0, 0, 0, 0, 2, 8, 2]), Some(2));
        assert_eq!(serving(&[0, 0, 0, 0, 0]), Some(0), "unknown is not sent");
        for bad in [
            &[][..],
            &[0, 0, 0, 0],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 3, 8, 1],
            &[0, 0, 0, 0, 2, 8, 0x81],
            &[0, 0, 0, 0, 2, 9, 1],
            &[0, 0, 0, 0, 3, 8, 1, 1],
        ] {
            assert_eq!(serving(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_long_name_has_its_length() {
        let mut bytes = Vec::new();
        varint(&mut bytes, 300);
        assert_eq!(bytes, [0xac, 0x02]);
    }
}
