//! A controller that is told to end: agents are told, nothing that was acknowledged is lost, and what
//! was not taken stays theirs.

use std::time::{Duration, Instant};

use nepho_proto::session::{ControllerMessage, ack_from_bytes};
use rustls::ClientConfig;

use crate::{
    raw::{Stream, open},
    site::{Site, channel},
    versions::recorded,
};

/// The recorded record with another number; it is one byte.
fn record(seq: u8) -> Vec<u8> {
    let mut record = recorded("0.1.0", "record");
    // After the spool comes the number: field 6.
    let spool = record
        .windows(16)
        .position(|bytes| bytes == b"spool-of-release");
    let place = spool.unwrap() + 16;
    assert_eq!(record[place..place + 2], [0x30, 1]);
    record[place + 1] = seq;
    record
}

async fn results(site: &Site, held: &std::sync::Arc<ClientConfig>) -> Stream {
    let connection = channel(site.knock(held).await).await;
    open(connection, "Results", []).await.unwrap()
}

#[tokio::test]
async fn a_controller_that_ends_tells_its_agents_and_loses_nothing_that_it_acknowledged() {
    let site = Site::start().await;
    let held = site.agent("vm-1").await;
    let connection = channel(site.knock(&held).await).await;
    let hello = [recorded("0.1.0", "hello")];
    let mut control = open(connection, "Control", hello).await.unwrap();
    control.welcome().await;
    let mut delivering = results(&site, &held).await;
    let out = delivering.out.clone();
    // Records come all the time; from some on nobody takes them any more.
    let sender = tokio::spawn(async move {
        for seq in 1..=100 {
            if out.send(record(seq)).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    let first = delivering.next().await.unwrap().unwrap();
    assert!(ack_from_bytes(&first).unwrap().seq.0 >= 1);
    let asked = Instant::now();
    let restarting = tokio::spawn(site.restart());
    let mut acked = 0;
    while let Ok(Some(ack)) = delivering.next().await {
        acked = ack_from_bytes(&ack).unwrap().seq.0;
    }
    let goodbye = loop {
        if let ControllerMessage::Goodbye { reason } = control.hear().await {
            break reason;
        }
    };
    assert!(goodbye.contains("shutting down"), "{goodbye}");
    sender.await.unwrap();
    let site = restarting.await.unwrap();
    println!(
        "{acked} acknowledged at the end; down and up again after {:?}",
        asked.elapsed()
    );
    // An acknowledgement is cumulative: the next record is only acknowledged with all before it.
    let mut again = results(&site, &held).await;
    let next = u8::try_from(acked).unwrap() + 1;
    again.say(record(next)).await;
    let ack = again.next().await.unwrap().unwrap();
    assert!(ack_from_bytes(&ack).unwrap().seq.0 >= u64::from(next));
    drop((again, control));
    site.end().await;
}
