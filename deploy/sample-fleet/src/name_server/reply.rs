//! The answer to one message, whatever it is.

use std::net::IpAddr;

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, ResponseCode},
    rr::{DNSClass, RData, Record, RecordType},
};

use super::names::Names;

const HEADER_BYTES: usize = 12;
/// What a datagram may have without an extension (RFC 1035 §4.2.1).
const PLAIN_DATAGRAM: u16 = 512;
/// What a datagram may have with it: fits into the packets of any network (DNS flag day 2020).
const MOST_DATAGRAM: u16 = 1232;

/// What a message came over, and its answer goes back over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// An answer that does not fit is cut, for the client to come again over TCP.
    Udp,
    Tcp,
}

/// The answer to `bytes`; records may be kept for `ttl` seconds. `None` if there is none to be
/// given: to an answer, lest two servers talk to each other for ever, and to what has no header.
pub(super) fn reply(names: &Names, ttl: u32, bytes: &[u8], over: Over) -> Option<Vec<u8>> {
    let header: [u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
    let [_, _, flags, ..] = header;
    let (is_answer, op_code) = (flags & 0b1000_0000 != 0, (flags >> 3) & 0b1111);
    if is_answer {
        return None;
    }
    if op_code != 0 {
        return Some(bare(header, ResponseCode::NotImp));
    }
    let Ok(asked) = Message::from_vec(bytes) else {
        return Some(bare(header, ResponseCode::FormErr));
    };
    let answer = answer(names, ttl, &asked);
    let encoded = answer.to_vec().and_then(|whole| match over {
        Over::Udp if whole.len() > room(&asked) => answer.truncate().to_vec(),
        Over::Udp | Over::Tcp => Ok(whole),
    });
    // A question of theirs that we can read but not write.
    Some(encoded.unwrap_or_else(|_| bare(header, ResponseCode::ServFail)))
}

/// Only the header, for what can't be read or is no question.
fn bare(asked: [u8; HEADER_BYTES], code: ResponseCode) -> Vec<u8> {
    let [id_high, id_low, flags, ..] = asked;
    // The kind of question and whether recursion is wanted come back as they came.
    let flags = 0b1000_0000 | (flags & 0b0111_1001);
    let mut bytes = vec![id_high, id_low, flags, code.low()];
    bytes.resize(HEADER_BYTES, 0);
    bytes
}

fn answer(names: &Names, ttl: u32, asked: &Message) -> Message {
    let mut answer = Message::new(
        asked.metadata.id,
        MessageType::Response,
        asked.metadata.op_code,
    );
    answer.metadata = Metadata::response_from_request(&asked.metadata);
    answer.add_queries(asked.queries.iter().cloned());
    if let Some(theirs) = &asked.edns {
        let mut ours = Edns::new();
        ours.set_max_payload(MOST_DATAGRAM)
            .set_dnssec_ok(theirs.flags().dnssec_ok);
        answer.set_edns(ours);
    }
    answer.metadata.response_code = match asked.queries.as_slice() {
        _ if asked.version() > 0 => ResponseCode::BADVERS,
        [query] if query.query_class() != DNSClass::IN => ResponseCode::Refused,
        [query] if is_transfer(query.query_type()) => ResponseCode::Refused,
        [query] => {
            answer.metadata.authoritative = true;
            let known = names.addresses(query.name());
            let data = known
                .unwrap_or_default()
                .iter()
                .map(|address| data(*address));
            let wanted =
                |data: &RData| [data.record_type(), RecordType::ANY].contains(&query.query_type());
            // The name goes back in the case in which it came: some clients check that.
            let record = |data| Record::from_rdata(query.name().clone(), ttl, data);
            answer.add_answers(data.filter(wanted).map(record));
            match known {
                Some(_) => ResponseCode::NoError,
                None => ResponseCode::NXDomain,
            }
        }
        _ => ResponseCode::FormErr,
    };
    answer
}

fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    }
}

fn is_transfer(kind: RecordType) -> bool {
    matches!(kind, RecordType::AXFR | RecordType::IXFR)
}

/// How many bytes a datagram to this client may have.
fn room(asked: &Message) -> usize {
    let most = match &asked.edns {
        Some(edns) => edns.max_payload().clamp(PLAIN_DATAGRAM, MOST_DATAGRAM),
        None => PLAIN_DATAGRAM,
    };
    most.into()
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::{OpCode, Query},
        rr::Name,
    };
    use proptest::prelude::*;

    use super::*;

    const TTL: u32 = 30;

    fn names() -> Names {
        let many: Vec<_> = (1..=60).map(|last| format!("127.0.0.{last}")).collect();
        let many = format!("many.test={}", many.join(","));
        let given = ["orders.test=127.0.0.2,::2,127.0.0.1", &many];
        Names::of(given.iter().map(|text| text.parse().unwrap()).collect()).unwrap()
    }

    fn question(name: &str, kind: RecordType) -> Message {
        let mut question = Message::new(7, MessageType::Query, OpCode::Query);
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        question
    }

    fn replied(question: &Message, over: Over) -> Message {
        let bytes = reply(&names(), TTL, &question.to_vec().unwrap(), over).unwrap();
        Message::from_vec(&bytes).unwrap()
    }

    fn asked(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
        let answer = replied(&question(name, kind), Over::Udp);
        assert_eq!(answer.metadata.id, 7);
        assert_eq!(answer.queries.len(), 1);
        let data = answer.answers.iter().map(|record| record.data.to_string());
        (answer.metadata.response_code, data.collect())
    }

    fn found(addresses: &[&str]) -> (ResponseCode, Vec<String>) {
        let addresses = addresses.iter().map(|address| (*address).to_owned());
        (ResponseCode::NoError, addresses.collect())
    }

    #[test]
    fn each_kind_of_address_is_answered_by_itself_and_all_to_any() {
        assert_eq!(
            asked("orders.test.", RecordType::A),
            found(&["127.0.0.2", "127.0.0.1"])
        );
        assert_eq!(asked("orders.test.", RecordType::AAAA), found(&["::2"]));
        let all = found(&["127.0.0.2", "::2", "127.0.0.1"]);
        assert_eq!(asked("orders.test.", RecordType::ANY), all);
    }

    #[test]
    fn a_known_name_without_such_records_is_not_an_unknown_one() {
        assert_eq!(asked("orders.test.", RecordType::MX), found(&[]));
        assert_eq!(asked("many.test.", RecordType::AAAA), found(&[]));
        let unknown = (ResponseCode::NXDomain, Vec::new());
        assert_eq!(asked("nothing.test.", RecordType::A), unknown);
        assert_eq!(
            asked("orders.test.", RecordType::AXFR).0,
            ResponseCode::Refused
        );
    }

    #[test]
    fn an_answer_has_authority_and_no_recursion_and_the_case_of_the_question() {
        let answer = replied(&question("oRdErS.test.", RecordType::AAAA), Over::Tcp);
        assert!(answer.metadata.authoritative && answer.metadata.recursion_desired);
        assert!(!answer.metadata.recursion_available);
        let record = &answer.answers[0];
        assert_eq!(
            (record.name.to_ascii().as_str(), record.ttl),
            ("oRdErS.test.", TTL)
        );
    }

    #[test]
    fn what_does_not_fit_into_a_datagram_is_cut_there_and_whole_over_tcp() {
        let mut question = question("many.test.", RecordType::A);
        let cut = replied(&question, Over::Udp);
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        let whole = replied(&question, Over::Tcp);
        assert_eq!(
            (whole.metadata.truncation, whole.answers.len()),
            (false, 60)
        );
        let mut large = Edns::new();
        large.set_max_payload(4096);
        question.set_edns(large);
        let whole = replied(&question, Over::Udp);
        assert_eq!(
            (whole.metadata.truncation, whole.answers.len()),
            (false, 60)
        );
        assert_eq!(whole.edns.unwrap().max_payload(), MOST_DATAGRAM);
    }

    #[test]
    fn a_later_extension_is_refused_as_such() {
        let mut question = question("orders.test.", RecordType::A);
        let mut later = Edns::new();
        later.set_version(1);
        question.set_edns(later);
        let answer = replied(&question, Over::Udp);
        // In a message, BADVERS and BADSIG have the same number.
        let [code, expected] =
            [answer.metadata.response_code, ResponseCode::BADVERS].map(u16::from);
        assert_eq!((code, answer.answers.len()), (expected, 0));
        assert_eq!(answer.edns.unwrap().version(), 0);
    }

    #[test]
    fn another_class_is_refused() {
        let mut question = question("orders.test.", RecordType::A);
        question.queries[0].set_query_class(DNSClass::CH);
        let answer = replied(&question, Over::Udp);
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    }

    fn code(bytes: &[u8]) -> Option<u8> {
        let answer = reply(&names(), TTL, bytes, Over::Udp)?;
        assert_eq!(answer[..2], bytes[..2]);
        assert_eq!(answer[2] >> 7, 1, "it is an answer");
        Some(answer[3] & 0b1111)
    }

    #[test]
    fn what_is_malformed_or_no_question_is_told_so() {
        let good = question("orders.test.", RecordType::A).to_vec().unwrap();
        assert_eq!(code(&good), Some(0));
        let (malformed, unknown) = (Some(1), Some(4));
        assert_eq!(code(&good[..good.len() - 1]), malformed, "cut");
        assert_eq!(code(&good[..12]), malformed, "without its question");
        let changed = |place: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[place] = value;
            bytes
        };
        assert_eq!(code(&changed(5, 0)), malformed, "no question");
        assert_eq!(code(&changed(12, 0xc0)), malformed, "a name that points on");
        let mut two = question("orders.test.", RecordType::A);
        two.add_query(two.queries[0].clone());
        assert_eq!(code(&two.to_vec().unwrap()), malformed, "two questions");
        for op_code in 1..16 {
            assert_eq!(code(&changed(2, op_code << 3)), unknown, "{op_code}");
        }
    }

    #[test]
    fn neither_an_answer_nor_a_scrap_is_answered() {
        let mut answer = question("orders.test.", RecordType::A).to_vec().unwrap();
        assert!(code(&answer).is_some());
        assert_eq!(code(&answer[..11]), None);
        assert_eq!(code(&[]), None);
        answer[2] |= 0b1000_0000;
        assert_eq!(code(&answer), None);
        assert_eq!(code(&answer[..12]), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_has_an_answer_that_fits_or_none(
            mut bytes in prop::collection::vec(any::<u8>(), 0..600),
            plain in any::<bool>(),
        ) {
            // Half of them as far as the question, where random bytes seldom come.
            if plain && bytes.len() >= HEADER_BYTES {
                bytes[2..HEADER_BYTES].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            let is_question = bytes.len() >= HEADER_BYTES && bytes[2] >> 7 == 0;
            let answer = reply(&names(), TTL, &bytes, Over::Udp);
            prop_assert_eq!(answer.is_some(), is_question);
            if let Some(answer) = answer {
                prop_assert!(answer.len() <= usize::from(MOST_DATAGRAM));
                prop_assert_eq!(&answer[..2], &bytes[..2]);
                prop_assert_eq!(answer[2] >> 7, 1);
            }
        }

        #[test]
        fn a_question_with_a_byte_changed_is_answered(
            place in 0_usize..29, value in any::<u8>(), tcp in any::<bool>(),
        ) {
            let mut bytes = question("orders.test.", RecordType::A).to_vec().unwrap();
            prop_assert_eq!(bytes.len(), 29);
            bytes[place] = value;
            let over = if tcp { Over::Tcp } else { Over::Udp };
            let answer = reply(&names(), TTL, &bytes, over);
            prop_assert_eq!(answer.is_some(), bytes[2] >> 7 == 0);
        }
    }
}
