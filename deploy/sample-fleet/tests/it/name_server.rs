use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};
use rustix::process::Signal;

use crate::running::{PATIENCE, Running, binary, connect};

fn name_server(more: &[&str]) -> Running {
    let answers = [
        "--answer",
        "orders.test=127.0.0.1,127.0.0.2,::1",
        "--answer",
    ];
    let many: Vec<_> = (1..=60).map(|last| format!("127.0.0.{last}")).collect();
    let many = format!("many.test={}", many.join(","));
    Running::start(&[&["name-server"], &answers[..], &[&many], more].concat())
}

fn question(id: u16, name: &str, kind: RecordType) -> Vec<u8> {
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(name).expect("a name");
    question.add_query(Query::query(name, kind));
    question.to_vec().expect("a question")
}

fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(server).expect("loopback");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a patience above zero");
    socket
}

fn answer(socket: &UdpSocket) -> Message {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("an answer");
    Message::from_vec(&buffer[..length]).expect("a message")
}

fn over_udp(server: SocketAddr, bytes: &[u8]) -> Message {
    let socket = client(server);
    socket.send(bytes).expect("loopback");
    answer(&socket)
}

/// The answers to all questions on one connection.
fn over_tcp(server: SocketAddr, questions: &[Vec<u8>]) -> Vec<Message> {
    let mut stream = connect(server);
    let mut ask = |question: &Vec<u8>| {
        let length = u16::try_from(question.len()).expect("a short question");
        let framed = [&length.to_be_bytes(), question.as_slice()].concat();
        stream.write_all(&framed).expect("someone reads");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("an answer");
        let mut bytes = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut bytes).expect("a whole answer");
        Message::from_vec(&bytes).expect("a message")
    };
    questions.iter().map(&mut ask).collect()
}

fn data(answer: &Message) -> BTreeSet<String> {
    let records = answer.answers.iter();
    records.map(|record| record.data.to_string()).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_name_is_answered_over_udp_and_tcp_on_the_same_port() {
    let server = name_server(&["--ttl", "5"]);
    assert_eq!(server.ready["schema"], "nepho.sample-name-server/v1");
    let a = question(1, "ORDERS.test.", RecordType::A);
    let aaaa = question(2, "orders.test.", RecordType::AAAA);
    let answers = over_tcp(server.address(), &[a.clone(), aaaa.clone()]);
    for (question, over_tcp, addresses) in [
        (a, &answers[0], set(&["127.0.0.1", "127.0.0.2"])),
        (aaaa, &answers[1], set(&["::1"])),
    ] {
        let answer = over_udp(server.address(), &question);
        assert_eq!(data(&answer), addresses);
        assert!(answer.metadata.authoritative);
        assert!(answer.answers.iter().all(|record| record.ttl == 5));
        assert_eq!(answer, *over_tcp);
    }
}

#[test]
fn a_name_that_is_not_given_is_unknown_and_one_without_such_records_is_not() {
    let server = name_server(&[]);
    for (name, kind, code) in [
        ("nothing.test.", RecordType::A, ResponseCode::NXDomain),
        ("orders.test.", RecordType::MX, ResponseCode::NoError),
    ] {
        let answer = over_udp(server.address(), &question(3, name, kind));
        assert_eq!(
            (answer.metadata.response_code, answer.answers.len()),
            (code, 0)
        );
        assert!(answer.metadata.authoritative, "{name}");
    }
}

#[test]
fn an_answer_too_large_for_a_datagram_is_had_over_tcp() {
    let server = name_server(&[]);
    let question = question(4, "many.test.", RecordType::A);
    let cut = over_udp(server.address(), &question);
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let whole = over_tcp(server.address(), &[question]);
    assert_eq!(whole[0].answers.len(), 60);
}

#[test]
fn an_answer_is_not_answered_and_what_is_malformed_is_told_so() {
    let server = name_server(&[]);
    let socket = client(server.address());
    let mut no_question = question(5, "orders.test.", RecordType::A);
    no_question[2] |= 0b1000_0000;
    let good = question(6, "orders.test.", RecordType::A);
    let cut = &good[..good.len() - 2];
    let mut notify = good.clone();
    notify[2] = 4 << 3;
    for bytes in [&no_question, cut, &notify, &good] {
        socket.send(bytes).unwrap();
    }
    // Datagrams over loopback keep their order: an answer to the first would come first.
    for code in [
        ResponseCode::FormErr,
        ResponseCode::NotImp,
        ResponseCode::NoError,
    ] {
        let answer = answer(&socket);
        assert_eq!(
            (answer.metadata.id, answer.metadata.response_code),
            (6, code)
        );
    }
}

#[test]
fn a_connection_that_brings_no_question_is_closed() {
    let server = name_server(&[]);
    let mut answered = question(7, "orders.test.", RecordType::A);
    answered[2] |= 0b1000_0000;
    let framed = [&[0, 29], answered.as_slice()].concat();
    for bytes in [&framed[..], &[0xff, 0xff]] {
        let mut stream = connect(server.address());
        stream.write_all(bytes).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    let mut idle = connect(server.address());
    idle.set_read_timeout(Some(Duration::from_millis(150)))
        .unwrap();
    let open = idle.read(&mut [0]).unwrap_err();
    assert_eq!(
        open.kind(),
        ErrorKind::WouldBlock,
        "one that may ask yet is not"
    );
}

#[test]
fn a_name_server_ends_when_asked_to_with_a_client_that_idles() {
    let mut server = name_server(&[]);
    let _idle = connect(server.address());
    let (status, took, rest) = server.end(Signal::TERM);
    assert!(
        status.success() && took < Duration::from_secs(1),
        "{status} after {took:?}"
    );
    assert_eq!(rest, "");
}

#[test]
fn what_is_no_name_with_addresses_is_a_wrong_argument() {
    for wrong in [
        &[][..],
        &["--answer", "orders.test"],
        &["--answer", "orders.test=there"],
        &["--answer", "a=::1", "--ttl", "4294967295"],
    ] {
        let ended = binary().arg("name-server").args(wrong).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{wrong:?}");
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty());
    }
}
