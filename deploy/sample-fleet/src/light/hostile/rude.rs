//! Answers over HTTP/1.1 that nobody should have to read.

use std::{io::Result, time::Duration};

use tokio::{io::AsyncWriteExt as _, net::TcpStream, time};

use super::{
    Kind, Seen,
    heads::{Heads, went},
};

/// What `huge-body` promises and sends.
const HUGE_BODY: usize = 1 << 30;
/// How much of it goes out at a time.
const PIECE: usize = 64 * 1024;
const HUGE_HEADER: usize = 1 << 20;
const MANY_HEADERS: usize = 100_000;
const DRIP: Duration = Duration::from_secs(1);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
const BODY: &str = "content-length: 13\r\n\r\nhello, world\n";

/// What an answer was, and what comes after it.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Everything that was promised; the next request may come.
    All,
    /// Not that; the connection stays, and whatever comes is read.
    NotAll,
    Closes,
}

pub(super) async fn talk(kind: Kind, mut stream: TcpStream, seen: &Seen) -> Result<()> {
    let mut heads = Heads::new(seen);
    while let Some(place) = heads.next(&mut stream).await? {
        match answer(kind, &mut stream).await? {
            Said::All => went(seen, place),
            Said::NotAll => {}
            Said::Closes => return stream.shutdown().await,
        }
    }
    Ok(())
}

async fn answer(kind: Kind, stream: &mut TcpStream) -> Result<Said> {
    match kind {
        Kind::ClosesUnanswered => return Ok(Said::Closes),
        Kind::ClosesAfterHead => {
            let head = format!("{OK}content-length: 13\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            return Ok(Said::Closes);
        }
        Kind::HugeBody => {
            let head = format!("{OK}content-length: {HUGE_BODY}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let piece = vec![b'x'; PIECE];
            for _ in 0..HUGE_BODY / PIECE {
                stream.write_all(&piece).await?;
            }
        }
        Kind::Drip => {
            let mut drops = time::interval(DRIP);
            for byte in format!("{OK}{BODY}").bytes() {
                drops.tick().await;
                stream.write_all(&[byte]).await?;
            }
        }
        Kind::BadChunks => {
            let chunks = "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nno length\r\nworld\r\n";
            stream.write_all(format!("{OK}{chunks}").as_bytes()).await?;
            return Ok(Said::NotAll);
        }
        Kind::HugeHeader => {
            let value = "x".repeat(HUGE_HEADER);
            let answer = format!("{OK}x-huge: {value}\r\n{BODY}");
            stream.write_all(answer.as_bytes()).await?;
        }
        Kind::ManyHeaders => {
            let headers: String = (0..MANY_HEADERS)
                .map(|n| format!("x-{n}: {n}\r\n"))
                .collect();
            stream
                .write_all(format!("{OK}{headers}{BODY}").as_bytes())
                .await?;
        }
        Kind::RedirectToMetadata => {
            let answer = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\
                          content-length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await?;
        }
        Kind::Silent | Kind::H2Resets => return Ok(Said::NotAll),
    }
    Ok(Said::All)
}
