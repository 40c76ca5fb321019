//! Asks a name server one question, over UDP, and over TCP when the answer does not fit.

use std::{collections::BTreeSet, io, net::SocketAddr};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use nepho_common::{
    plan::{DnsCheck, DnsRecord},
    policy::Endpoint,
    recording::Outcome,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use super::{Failure, means::Means};
use crate::{clock, random};

/// The largest answer over UDP without an extension (RFC 1035 §4.2.1), and room for servers that
/// send more all the same.
const DATAGRAM_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct DnsQuestion {
    to: Endpoint,
    name: Name,
    record: DnsRecord,
    answers: BTreeSet<String>,
}

impl DnsQuestion {
    pub(super) fn new(check: &DnsCheck, to: Endpoint) -> Result<Self, String> {
        let name = Name::from_ascii(&check.name);
        let mut name = name.map_err(|_| format!("{:?} is no DNS name", check.name))?;
        // No search list: what is written is asked for.
        name.set_fqdn(true);
        let answers = check.answers.iter();
        Ok(Self {
            to,
            name,
            record: check.record,
            answers: answers.map(|text| normal(check.record, text)).collect(),
        })
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>) -> Result<(), Failure> {
        let id = u16::from_le_bytes(random::bytes().map_err(Failure::Random)?);
        let mut question = Message::new(id, MessageType::Query, OpCode::Query);
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(self.name.clone(), kind(self.record)));
        let bytes = question.to_vec();
        let bytes = bytes.map_err(|error| Failure::Talk(io::Error::other(error)))?;
        let addresses = means.addresses(&self.to).await?;
        let address = *addresses.first().ok_or(Failure::NoAddress)?;
        let mut answer = self.over_udp(means, address, &bytes, id).await?;
        if answer.metadata.truncation {
            answer = self.over_tcp(means, address, &bytes, id).await?;
        }
        self.judge(&answer)
    }

    /// A datagram that is no answer to this question may be from anybody: it is passed over.
    async fn over_udp(
        &self,
        means: &mut Means<'_>,
        address: SocketAddr,
        question: &[u8],
        id: u16,
    ) -> Result<Message, Failure> {
        let any: SocketAddr = if address.is_ipv4() {
            (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any).await.map_err(Failure::Connect)?;
        socket.connect(address).await.map_err(Failure::Connect)?;
        let begin = clock::now();
        socket.send(question).await.map_err(Failure::Talk)?;
        let mut buffer = [0; DATAGRAM_MAX];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(Failure::Talk)?;
            let bytes = buffer.get(..length).unwrap_or_default();
            // Whoever can't even give the id back did not hear the question.
            if bytes.get(..2) != Some(&id.to_be_bytes()) {
                continue;
            }
            let answer = parsed(bytes)?;
            if self.is_mine(&answer, id) {
                means.heard(begin);
                return Ok(answer);
            }
        }
    }

    async fn over_tcp(
        &self,
        means: &mut Means<'_>,
        address: SocketAddr,
        question: &[u8],
        id: u16,
    ) -> Result<Message, Failure> {
        means.enter_next()?;
        let stream = TcpStream::connect(address).await;
        let mut stream = stream.map_err(Failure::Connect)?;
        let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
        let framed = [&length.to_be_bytes(), question].concat();
        stream.write_all(&framed).await.map_err(Failure::Talk)?;
        let length = stream.read_u16().await.map_err(Failure::Talk)?;
        let mut bytes = vec![0; length.into()];
        stream.read_exact(&mut bytes).await.map_err(Failure::Talk)?;
        let answer = parsed(&bytes)?;
        if self.is_mine(&answer, id) && !answer.metadata.truncation {
            Ok(answer)
        } else {
            let what = "over TCP came no answer to the question".to_owned();
            Err(Failure::answer(Outcome::Protocol, what))
        }
    }

    fn is_mine(&self, answer: &Message, id: u16) -> bool {
        let same = |query: &Query| {
            query.name().to_lowercase() == self.name.to_lowercase()
                && query.query_type() == kind(self.record)
        };
        // A refusal may come without the question.
        answer.metadata.id == id
            && answer.metadata.message_type == MessageType::Response
            && answer.queries.iter().all(same)
    }

    fn judge(&self, answer: &Message) -> Result<(), Failure> {
        let wrong = |outcome, what: String| Err(Failure::answer(outcome, what));
        match answer.metadata.response_code {
            ResponseCode::NoError => {}
            ResponseCode::NXDomain => {
                return wrong(Outcome::Resolve, "the server knows no such name".to_owned());
            }
            code => return wrong(Outcome::Status, format!("the server says {code}")),
        }
        let all = answer.answers.iter();
        let mine = all.filter(|record| record.record_type() == kind(self.record));
        let found: BTreeSet<_> = mine
            .filter_map(|record| text(&record.data))
            .map(|text| normal(self.record, &text))
            .collect();
        if found.is_empty() {
            let what = format!("there is no {} record of this name", self.record.word());
            return wrong(Outcome::Content, what);
        }
        if !self.answers.is_empty() && found != self.answers {
            let what = format!(
                "{} came, and {} was asked for",
                some(&found),
                some(&self.answers)
            );
            return wrong(Outcome::Content, what);
        }
        Ok(())
    }
}

/// Of a few all, of many how many more.
fn some(answers: &BTreeSet<String>) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<_> = answers.iter().take(SHOWN).cloned().collect();
    if answers.len() > SHOWN {
        shown.push(format!("{} more", answers.len() - SHOWN));
    }
    shown.join(", ")
}

fn parsed(bytes: &[u8]) -> Result<Message, Failure> {
    Message::from_vec(bytes).map_err(|_| {
        let what = "what came back is no DNS message".to_owned();
        Failure::answer(Outcome::Protocol, what)
    })
}

const fn kind(record: DnsRecord) -> RecordType {
    match record {
        DnsRecord::A => RecordType::A,
        DnsRecord::Aaaa => RecordType::AAAA,
        DnsRecord::Cname => RecordType::CNAME,
        DnsRecord::Mx => RecordType::MX,
        DnsRecord::Txt => RecordType::TXT,
        DnsRecord::Ns => RecordType::NS,
        DnsRecord::Srv => RecordType::SRV,
        DnsRecord::Ptr => RecordType::PTR,
    }
}

/// A record as a scenario writes it; `None` for a kind that can't be asked for.
fn text(data: &RData) -> Option<String> {
    Some(match data {
        RData::A(a) => a.0.to_string(),
        RData::AAAA(a) => a.0.to_string(),
        RData::CNAME(name) => name.0.to_ascii(),
        RData::NS(name) => name.0.to_ascii(),
        RData::PTR(name) => name.0.to_ascii(),
        RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange.to_ascii()),
        RData::SRV(srv) => format!(
            "{} {} {} {}",
            srv.priority,
            srv.weight,
            srv.port,
            srv.target.to_ascii()
        ),
        RData::TXT(txt) => String::from_utf8_lossy(&txt.txt_data.concat()).into_owned(),
        _ => return None,
    })
}

/// Names come in any case, with and without their last dot; texts are compared as they are, and
/// addresses in their one form.
fn normal(record: DnsRecord, text: &str) -> String {
    match record {
        DnsRecord::Txt => text.to_owned(),
        DnsRecord::A | DnsRecord::Aaaa => text
            .parse::<std::net::IpAddr>()
            .map_or_else(|_| text.to_owned(), |ip| ip.to_string()),
        DnsRecord::Cname | DnsRecord::Mx | DnsRecord::Ns | DnsRecord::Srv | DnsRecord::Ptr => {
            let lower = text.to_ascii_lowercase();
            lower.strip_suffix('.').unwrap_or(&lower).to_owned()
        }
    }
}
