//! Agents a version older or newer, as bytes that are checked in, against the real controller over
//! the real wire.

use std::path::Path;

use nepho_common::id::Seq;
use nepho_controller::driver::Failure;
use nepho_controller_core::report::render::Lang;
use nepho_proto::session::ControllerMessage;
use tonic::Code;

use crate::{
    raw::{Stream, open},
    site::{Site, channel},
};

/// A recorded message: hexadecimal, with comments.
pub(crate) fn recorded(era: &str, name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wire/recorded")
        .join(format!("{era}.{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    hex::decode(lines.collect::<String>()).unwrap()
}

async fn session(site: &Site, name: &str, era: &str) -> Stream {
    let held = site.agent(name).await;
    let channel = channel(site.knock(&held).await).await;
    let hello = [recorded(era, "hello")];
    open(channel, "Control", hello).await.unwrap()
}

/// Said by an agent of that release, the message is taken and the session goes on.
async fn works(era: &str, more: &[&str]) {
    let site = Site::start().await;
    let mut control = session(&site, "vm-1", era).await;
    let welcome = control.welcome().await;
    assert_eq!((welcome.protocol, welcome.agent.as_str()), (1, "vm-1"));
    let ControllerMessage::Ping(_) = control.hear().await else {
        panic!("a ping comes at once");
    };
    // The recorded pong answers the first ping of a session: its number is 1. It comes last, so
    // that its effect shows that what came before was taken.
    for name in more.iter().chain(&["status", "pong"]) {
        control.say(recorded(era, name)).await;
    }
    let mut seen = site.seen("vm-1").await.unwrap();
    while seen.clock.is_none() {
        tokio::task::yield_now().await;
        seen = site.seen("vm-1").await.unwrap();
    }
    assert!(seen.connected, "{era}");
    assert_eq!(seen.host.unwrap().name, "vm-1");
    site.end().await;
}

async fn delivers(era: &str) {
    let site = Site::start().await;
    let held = site.agent("vm-1").await;
    let channel = channel(site.knock(&held).await).await;
    let record = recorded(era, "record");
    // Twice: it counts once, and is acknowledged both times.
    for _ in 0..2 {
        let first = [record.clone()];
        let mut results = open(channel.clone(), "Results", first).await.unwrap();
        let ack = results.next().await.unwrap().unwrap();
        let ack = nepho_proto::session::ack_from_bytes(&ack).unwrap();
        assert_eq!(ack.seq, Seq(1), "{era}");
    }
    site.end().await;
}

#[tokio::test]
async fn results_of_a_run_that_nobody_began_are_kept_and_make_no_run() {
    let site = Site::start().await;
    let held = site.agent("vm-1").await;
    let channel = channel(site.knock(&held).await).await;
    let first = [recorded("0.1.0", "record")];
    let mut results = open(channel, "Results", first).await.unwrap();
    let ack = results.next().await.unwrap().unwrap();
    assert_eq!(
        nepho_proto::session::ack_from_bytes(&ack).unwrap().seq,
        Seq(1)
    );
    let site = site.restart().await;
    let handle = &site.controller.handle;
    assert_eq!(handle.runs().await.unwrap(), []);
    let run = "2026-11-23-04-50-smoke".parse().unwrap();
    assert!(matches!(
        handle.report(&run, None, Lang::En).await,
        Err(Failure::NoSuchRun(_))
    ));
    // Acknowledged is kept: the agent's spool is known to have it.
    let spools = handle.agent("vm-1".parse().unwrap()).await.unwrap().spools;
    assert_eq!(
        spools
            .iter()
            .map(|spool| spool.committed)
            .collect::<Vec<_>>(),
        [Seq(1)]
    );
    site.end().await;
}

#[tokio::test]
async fn an_agent_of_this_release_works() {
    Box::pin(works("0.1.0", &[])).await;
    Box::pin(delivers("0.1.0")).await;
}

#[tokio::test]
async fn an_agent_that_lacks_the_newest_fields_works() {
    Box::pin(works("older", &[])).await;
    Box::pin(delivers("older")).await;
}

#[tokio::test]
async fn an_agent_that_says_what_we_do_not_know_works() {
    let unknown = [
        "status-of-unknown-phase",
        "status-of-unknown-refusal",
        "unknown-message",
    ];
    Box::pin(works("newer", &unknown)).await;
    Box::pin(delivers("newer")).await;
}

#[tokio::test]
async fn an_agent_that_says_nothing_else_than_what_we_do_not_know_is_put_out() {
    let site = Site::start().await;
    let mut control = session(&site, "vm-1", "newer").await;
    control.welcome().await;
    for _ in 0..40 {
        // It may be out before the last of them.
        control
            .out
            .send(recorded("newer", "unknown-message"))
            .await
            .ok();
    }
    control.end().await;
    while site.seen("vm-1").await.unwrap().connected {
        tokio::task::yield_now().await;
    }
    site.end().await;
}

/// The hello of 0.1.0 with another range of versions; both are one byte.
fn speaking(lowest: u8, highest: u8) -> Vec<u8> {
    let mut hello = recorded("0.1.0", "hello");
    let range = hello.windows(4).position(|four| four == [8, 1, 16, 1]);
    let at = range.unwrap();
    (hello[at + 1], hello[at + 3]) = (lowest, highest);
    hello
}

#[tokio::test]
async fn a_version_that_we_do_not_speak_is_refused_with_what_to_upgrade() {
    let site = Site::start().await;
    let held = site.agent("vm-1").await;
    let channel = channel(site.knock(&held).await).await;
    let refused = open(channel.clone(), "Control", [speaking(7, 9)]).await;
    let refused = refused.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let said = refused.message();
    assert!(
        said.contains("upgrade the controller to 0.1.0 or later"),
        "{said}"
    );
    // Control: a range that has ours in it is spoken.
    let mut control = open(channel, "Control", [speaking(1, 9)]).await.unwrap();
    assert_eq!(control.welcome().await.protocol, 1);
    site.end().await;
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_unimplemented() {
    let site = Site::start().await;
    let held = site.agent("vm-1").await;
    let channel = channel(site.knock(&held).await).await;
    let refused = open(channel.clone(), "Tomorrow", [Vec::new()]).await;
    assert_eq!(refused.err().unwrap().code(), Code::Unimplemented);
    let mut control = open(channel, "Control", [recorded("0.1.0", "hello")])
        .await
        .unwrap();
    control.welcome().await;
    site.end().await;
}
