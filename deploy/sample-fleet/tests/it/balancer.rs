//! The balancer between plain clients and real services.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::running::{Running, binary, connect, get, request};

/// Services of one pool, and what is in front of them.
struct Pool {
    services: Vec<Running>,
    balancer: Running,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Pool {
    /// One service for each weight.
    fn new(weights: &[&str], more: &[&str]) -> Self {
        let service = |name: &&str| Running::service(&["--instance", name]);
        let services: Vec<_> = NAMES.iter().take(weights.len()).map(service).collect();
        let line = |((name, weight), service): ((&&str, &&str), &Running)| {
            format!("--to={name}={}{weight}", service.address())
        };
        let to = NAMES.iter().zip(weights).zip(&services).map(line);
        let to: Vec<_> = to.collect();
        let mut arguments = vec!["balancer"];
        arguments.extend(to.iter().map(String::as_str));
        arguments.extend(more);
        let balancer = Running::start(&arguments);
        Self { services, balancer }
    }

    fn client(&self) -> Client {
        Client(BufReader::new(connect(self.balancer.address())))
    }

    fn counts(&self) -> Value {
        get(self.balancer.address(), "/-/counts").body
    }

    /// One figure of each back end.
    fn counted(&self, what: &str) -> Vec<u64> {
        let counts = self.counts();
        let lines = counts["back_ends"].as_array().expect("a list");
        let figure = |line: &Value| line[what].as_u64().expect("a count");
        lines.iter().map(figure).collect()
    }

    /// What the services say that they received, and over how many connections.
    fn received(&self) -> Vec<(u64, u64)> {
        let state = |service: &Running| get(service.address(), "/state").body;
        let figure = |value: &Value| value.as_u64().expect("a count");
        let states = self.services.iter().map(state);
        // The question came over a connection of its own.
        states
            .map(|counts| {
                let accepted = figure(&counts["connections"]["accepted"]);
                (figure(&counts["requests"]), accepted - 1)
            })
            .collect()
    }
}

/// One connection, kept for as long as it is there.
struct Client(BufReader<TcpStream>);

struct Told {
    status: u16,
    head: Vec<String>,
    body: Vec<u8>,
}

impl Told {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.iter().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// `a` of `local/gateway/a`.
    fn instance(&self) -> &str {
        let instance = self.header("x-instance").expect("who answered");
        instance.rsplit_once('/').expect("three parts").1
    }
}

impl Client {
    fn asks(&mut self, head: &str, body: &str) -> Told {
        let text = format!("{head}\r\nhost: x\r\n\r\n{body}");
        let stream = self.0.get_mut();
        stream.write_all(text.as_bytes()).expect("someone reads");
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a line");
            line.trim_end().to_owned()
        };
        let status = line();
        let status = status.split(' ').nth(1).expect("a status line");
        let status = status.parse().expect("a status");
        let mut head = Vec::new();
        loop {
            match line() {
                empty if empty.is_empty() => break,
                header => head.push(header),
            }
        }
        let mut told = Told {
            status,
            head,
            body: Vec::new(),
        };
        let length = told.header("content-length").expect("a length");
        told.body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut told.body).expect("a whole body");
        told
    }

    fn get(&mut self) -> Told {
        self.asks("GET / HTTP/1.1", "")
    }

    /// Who answered so many requests, in order.
    fn answers(&mut self, many: usize) -> String {
        (0..many)
            .map(|_| self.get().instance().to_owned())
            .collect()
    }
}

#[test]
fn equal_back_ends_take_turns_over_one_connection_each() {
    let pool = Pool::new(&["", "", ""], &[]);
    assert_eq!(pool.balancer.ready["schema"], "nepho.sample-balancer/v1");
    assert_eq!(pool.client().answers(300), "abc".repeat(100));
    assert_eq!(pool.counted("chosen"), [100, 100, 100]);
    assert_eq!(pool.counted("answered"), [100, 100, 100]);
    assert_eq!(pool.counted("connections"), [1, 1, 1]);
    assert_eq!(pool.received(), [(100, 1); 3]);
}

#[test]
fn weights_of_five_to_one_to_one_are_exact_and_smooth() {
    let pool = Pool::new(&["*5", "*1", "*1"], &[]);
    assert_eq!(pool.client().answers(70), "aabacaa".repeat(10));
    assert_eq!(pool.counted("weight"), [5, 1, 1]);
    assert_eq!(pool.counted("answered"), [50, 10, 10]);
}

#[test]
fn all_clients_share_one_sequence() {
    let pool = Pool::new(&["", "", ""], &[]);
    let mut clients = [pool.client(), pool.client()];
    let mut order = String::new();
    for turn in 0..6 {
        order.push_str(clients[turn % 2].get().instance());
    }
    assert_eq!(order, "abcabc");
    assert_eq!(pool.counted("connections"), [2, 2, 2]);
}

#[test]
fn what_a_back_end_says_comes_as_it_is() {
    let pool = Pool::new(&[""], &[]);
    let direct = Client(BufReader::new(connect(pool.services[0].address())))
        .asks("GET /nowhere HTTP/1.1", "");
    let told = pool.client().asks("GET /nowhere HTTP/1.1", "");
    assert_eq!((told.status, &told.body), (404, &direct.body));
    let apart_from_the_date = |told: &Told| -> Vec<String> {
        let lines = told.head.iter().filter(|line| !line.starts_with("date"));
        lines.cloned().collect()
    };
    assert_eq!(apart_from_the_date(&told), apart_from_the_date(&direct));
    let post = "POST / HTTP/1.1\r\ncontent-length: 5\r\nconnection: x-mine\r\nx-mine: 1";
    assert_eq!(pool.client().asks(post, "hello").status, 200);
    // A path of its own is no path of theirs, and asking for counts changes none.
    assert_eq!(pool.counted("answered"), [2]);
    let address = pool.balancer.address();
    assert_eq!(
        request(address, "POST", "/-/counts", "").unwrap().status,
        405
    );
}

#[test]
fn a_connection_stays_where_it_was_put() {
    let pool = Pool::new(&["", "", ""], &["--per", "connection"]);
    let mut clients: Vec<_> = (0..6).map(|_| pool.client()).collect();
    let answers: Vec<_> = clients.iter_mut().map(|client| client.answers(3)).collect();
    assert_eq!(answers, ["aaa", "bbb", "ccc", "aaa", "bbb", "ccc"]);
    // Who only asks for counts is no decision.
    assert_eq!(pool.counted("chosen"), [2, 2, 2]);
    assert_eq!(pool.counted("answered"), [6, 6, 6]);
    assert_eq!(pool.counted("connections"), [2, 2, 2]);
}

#[test]
fn a_skew_does_one_thing_and_says_another() {
    let pool = Pool::new(&["", "", ""], &["--skew", "b=2"]);
    let answers = pool.client().answers(80);
    let got = NAMES.map(|name| answers.matches(name).count());
    assert_eq!(got, [20, 40, 20]);
    assert_eq!(pool.counted("weight"), [1, 1, 1]);
    assert!(!pool.counts().to_string().contains("skew"));
    assert!(!pool.balancer.ready.to_string().contains("skew"));
}

#[test]
fn chance_gives_the_same_for_the_same_seed_and_no_turns() {
    let answers = |seed: &str| {
        let more = ["--policy", "random", "--seed", seed];
        Pool::new(&["", "", ""], &more).client().answers(60)
    };
    let first = answers("7");
    assert_eq!(answers("7"), first);
    assert_ne!(answers("8"), first);
    assert_ne!(first, "abc".repeat(20));
}

#[test]
fn a_back_end_that_is_down_is_passed_over_and_comes_back() {
    let mut pool = Pool::new(&["", "", ""], &[]);
    let mut client = pool.client();
    assert_eq!(client.answers(3), "abc");
    let address = pool.services[1].address();
    pool.services[1].end(Signal::TERM);
    // The kept connection is found closed, a new one is refused, and the next in turn answers.
    let answers = client.answers(30);
    assert_eq!(answers.matches('b').count(), 0);
    assert_eq!(answers.len(), 30);
    assert!(pool.counted("unreachable")[1] >= 10);
    assert_eq!(pool.counts()["unanswered"], 0);
    let listen = address.to_string();
    pool.services[1] = Running::service(&["--instance", "b", "--listen", &listen]);
    assert!(client.answers(3).contains('b'));
}

#[test]
fn without_retries_a_back_end_that_is_down_costs_its_share() {
    let mut pool = Pool::new(&["", ""], &["--no-retry"]);
    pool.services[1].end(Signal::TERM);
    let mut client = pool.client();
    let statuses: Vec<_> = (0..10).map(|_| client.get().status).collect();
    assert_eq!(statuses, [200, 502].repeat(5));
    assert_eq!(pool.counts()["unanswered"], 5);
    assert_eq!(pool.counted("unreachable"), [0, 5]);
}

#[test]
fn with_nobody_there_each_request_is_told_so() {
    let mut pool = Pool::new(&["", ""], &[]);
    pool.services
        .iter_mut()
        .for_each(|service| drop(service.end(Signal::TERM)));
    let told = pool.client().get();
    let text = String::from_utf8(told.body).expect("text");
    assert_eq!(
        (told.status, text.as_str()),
        (502, r#"{"error":"no back end is reached"}"#)
    );
    assert_eq!(pool.counted("unreachable"), [1, 1]);
}

#[test]
fn a_request_that_was_taken_is_not_sent_again() {
    // Reads a request and hangs up.
    let rude = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = rude.local_addr().expect("a bound socket");
    thread::spawn(move || {
        for mut peer in rude.incoming().flatten() {
            BufReader::new(&mut peer).fill_buf().expect("a request");
        }
    });
    let service = Running::service(&[]);
    let to = [
        format!("--to=rude={address}"),
        format!("--to=good={}", service.address()),
    ];
    let balancer = Running::start(&["balancer", &to[0], &to[1]]);
    let mut client = Client(BufReader::new(connect(balancer.address())));
    let statuses: Vec<_> = (0..4).map(|_| client.get().status).collect();
    assert_eq!(statuses, [502, 200, 502, 200]);
    let counts = get(balancer.address(), "/-/counts").body;
    assert_eq!(counts["back_ends"][0]["broken"], 2);
}

#[test]
fn what_concerns_one_connection_stays_there() {
    // Answers with the head that it was sent, and closes.
    let echo = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = echo.local_addr().expect("a bound socket");
    thread::spawn(move || {
        for mut peer in echo.incoming().flatten() {
            let read = BufReader::new(&mut peer).fill_buf().map(<[u8]>::to_vec);
            let head = read.expect("a request, and all of it at once");
            let said = format!(
                "HTTP/1.1 200 OK\r\nconnection: close, x-ours\r\nx-ours: 1\r\nx-theirs: 2\r\n\
                 content-length: {}\r\n\r\n",
                head.len()
            );
            peer.write_all(&[said.as_bytes(), &head].concat()).ok();
        }
    });
    let balancer = Running::start(&["balancer", &format!("--to=echo={address}")]);
    let mut client = Client(BufReader::new(connect(balancer.address())));
    for _ in 0..2 {
        let ask =
            "GET /a?b=c HTTP/1.1\r\nconnection: keep-alive, X-Mine\r\nx-mine: 1\r\nx-yours: 2";
        let told = client.asks(ask, "");
        let sent = String::from_utf8(told.body.clone()).expect("text");
        assert!(sent.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{sent}");
        assert!(
            sent.contains("x-yours: 2") && sent.contains("host: x"),
            "{sent}"
        );
        assert!(
            !sent.contains("x-mine") && !sent.contains("connection"),
            "{sent}"
        );
        assert_eq!(told.header("x-theirs"), Some("2"));
        assert_eq!(
            (told.header("x-ours"), told.header("connection")),
            (None, None)
        );
    }
}

#[test]
fn a_client_that_leaves_takes_its_connections_with_it() {
    let pool = Pool::new(&[""], &[]);
    let open = || {
        let state = get(pool.services[0].address(), "/state").body;
        state["connections"]["open"].as_u64().expect("a count")
    };
    let mut client = pool.client();
    client.get();
    // The one that asks is there, too.
    assert_eq!(open(), 2);
    drop(client);
    crate::running::eventually("the end of the connection", || open() == 1);
}

#[test]
fn many_clients_at_once_are_all_answered_and_spread() {
    const CLIENTS: usize = 60;
    const EACH: usize = 50;
    let pool = Pool::new(&["", "", ""], &[]);
    let start = Instant::now();
    let address = pool.balancer.address();
    let ask = |_| {
        thread::spawn(move || {
            let mut client = Client(BufReader::new(connect(address)));
            client.answers(EACH).len()
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(ask).collect();
    let answered: usize = clients.into_iter().map(|one| one.join().unwrap()).sum();
    assert_eq!(answered, CLIENTS * EACH);
    println!("{answered} requests took {:?}", start.elapsed());
    assert_eq!(pool.counted("answered"), [1_000; 3]);
}

#[test]
fn what_can_not_be_meant_is_refused_with_a_reason() {
    for (arguments, why) in [
        (
            &["--to", "a=127.0.0.1:1", "--to", "a=127.0.0.1:2"][..],
            "two back ends are called",
        ),
        (
            &["--to", "a=127.0.0.1:1*0"],
            "every back end has the weight 0",
        ),
        (
            &["--to", "a=127.0.0.1:1", "--skew", "b=2"],
            "is no back end",
        ),
        (&["--to", "a=nowhere"], "is no address and port"),
        (&[], "--to"),
    ] {
        let ended = binary().arg("balancer").args(arguments).output();
        let ended = ended.expect("the binary starts");
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(why), "{arguments:?}: {text}");
    }
}

#[test]
fn it_ends_when_it_is_asked_to() {
    let mut pool = Pool::new(&[""], &[]);
    let mut client = pool.client();
    client.get();
    let (status, _, rest) = pool.balancer.end(Signal::TERM);
    assert!(status.success(), "{status:?}");
    assert_eq!(rest, "");
    let gone: SocketAddr = pool.balancer.address();
    let refused = TcpStream::connect(gone).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
}
