//! Flows of every protocol: filled requests, one after the other, with what answers gave.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use hyper::server::conn::http1;
use nepho_common::{
    load::Sent,
    plan::{Feed, Take},
};

use super::*;

/// What came: the body of each login, and the token and the user of each visit.
#[derive(Default)]
struct Came {
    logins: Vec<String>,
    visits: Vec<(String, String)>,
}

/// Whoever logs in as `NAME` gets the token `t/NAME`; one user in three gets none.
async fn shop(is_http2: bool, came: Arc<Mutex<Came>>) -> SocketAddr {
    target(move |stream| {
        let came = Arc::clone(&came);
        async move {
            let answer = service_fn(move |asked: Request<Incoming>| {
                let came = Arc::clone(&came);
                async move { Ok::<_, Infallible>(answer(asked, &came).await) }
            });
            let stream = TokioIo::new(stream);
            if is_http2 {
                let server = http2::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(stream, answer).await);
            } else {
                let server = http1::Builder::new();
                drop(server.serve_connection(stream, answer).await);
            }
        }
    })
    .await
}

async fn answer(asked: Request<Incoming>, came: &Mutex<Came>) -> Response<Full<Bytes>> {
    let path = asked.uri().to_string();
    let token = asked.headers().get("x-token").cloned();
    let body = asked.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut came = came.lock().unwrap();
    let mut answer = Response::builder();
    let text = if path.ends_with("/login") {
        let login: serde_json::Value = serde_json::from_str(&body).unwrap();
        came.logins.push(body);
        let name = login["name"].as_str().unwrap();
        answer = answer.header("x-session", login["n"].to_string());
        let token = if name == "Ann \"A\"" { "none" } else { "token" };
        format!("{{\"{token}\": \"t/{name}\"}}")
    } else {
        let token = token.unwrap().to_str().unwrap().to_owned();
        let (_, me) = path.split_once("/me").unwrap();
        came.visits.push((format!("/me{me}"), token));
        String::new()
    };
    answer.body(Full::new(Bytes::from(text))).unwrap()
}

fn word(text: &str) -> nepho_common::id::Operation {
    text.to_owned().try_into().unwrap()
}

fn calls() -> Vec<Sent> {
    let take = |name: &str, from| Take {
        name: word(name),
        from,
    };
    vec![
        Sent {
            method: "POST".to_owned(),
            target: Some("/login".to_owned()),
            body: br#"{"name": "${feed:people.name}", "n": ${sequence}}"#.to_vec(),
            is_template: true,
            is_json: true,
            take: vec![
                take("token", ToldBy::Json(word("$.token"))),
                take("session", ToldBy::Header(word("x-session"))),
            ],
            ..Sent::get()
        },
        Sent {
            target: Some("/me?token=${taken:token}&n=${sequence}".to_owned()),
            headers: vec![("x-token".to_owned(), "${taken:session}".to_owned())],
            is_template: true,
            follows: true,
            weight: 0,
            ..Sent::get()
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_goes_on_with_what_the_answer_before_gave_in_both_protocols() {
    for is_http2 in [false, true] {
        let came = Arc::new(Mutex::new(Came::default()));
        let to = shop(is_http2, Arc::clone(&came)).await;
        let rows = ["Ann \"A\"", "Bo", "李 伟"].map(|name| vec![name.to_owned()]);
        let order = Order {
            carried: over(is_http2),
            calls: calls(),
            connections: 2,
            lanes: 2,
            feeds: vec![Feed {
                name: word("people"),
                is_drawn: false,
                columns: vec![word("name")],
                rows: rows.into(),
            }],
            ..order(to)
        };
        let mut by_call: BTreeMap<(u16, Outcome), u64> = BTreeMap::new();
        each(&order, |counted| {
            for timed in &counted.times {
                if timed.metric == Metric::ResponseTime {
                    let count = timed.histogram().unwrap().count();
                    *by_call.entry((timed.call, timed.outcome)).or_default() += count;
                }
            }
        })
        .await;
        println!("http2 {is_http2}: {by_call:?}");
        let Came { logins, visits } = std::mem::take(&mut *came.lock().unwrap());
        let count = |call, outcome| by_call.get(&(call, outcome)).copied().unwrap_or_default();
        // Who got no token ended there, and that is not as it should be.
        let (good, bad) = (count(0, Outcome::Success), count(0, Outcome::Content));
        assert!(good > 10 && bad > 5, "{by_call:?}");
        assert!(good.abs_diff(2 * bad) <= 4, "one in three: {by_call:?}");
        assert_eq!(logins.len() as u64, good + bad);
        // The last ones may have been cut by the end of the stage.
        assert!(good - count(1, Outcome::Success) <= 4, "{by_call:?}");
        assert_eq!(visits.len() as u64, count(1, Outcome::Success));
        // No number comes twice, and each has its row.
        let mut numbers = BTreeSet::new();
        for login in &logins {
            let login: serde_json::Value = serde_json::from_str(login).unwrap();
            let number = login["n"].as_u64().unwrap();
            let name = ["Ann \"A\"", "Bo", "李 伟"][(number % 3) as usize];
            assert_eq!(login["name"], name);
            assert!(numbers.insert(number), "{number} came twice");
        }
        for (path, session) in &visits {
            let number: u64 = session.parse().unwrap();
            let name = ["", "Bo", "%E6%9D%8E%20%E4%BC%9F"][(number % 3) as usize];
            assert_eq!(*path, format!("/me?token=t%2F{name}&n={number}"));
        }
    }
}
