//! A target that does nothing: what a host can send is measured against it (`nepho calibrate`).
//!
//! It answers each request with the same bytes, on connections that stay open, and looks for the end
//! of a head only. It listens on loopback alone and ends with its standard input, so that it is never
//! left behind.

use std::{
    io::{self, Write as _},
    net::Ipv4Addr,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What every request is told.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
/// Where a head ends. A body is none of ours: calibration sends none.
const END: &[u8] = b"\r\n\r\n";
/// More than a head of ours, however long its address is.
const READ_BYTES: usize = 16 * 1024;

/// Serves until standard input ends; says first where it listens.
///
/// # Errors
/// No port is free, or nobody can be told.
pub async fn run() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let ready = serde_json::json!({
        "schema": "nepho.null-target/v1",
        "listen": listener.local_addr()?,
    });
    writeln!(io::stdout(), "{ready}")?;
    tokio::select! {
        () = ended() => Ok(()),
        ended = serve(listener) => ended,
    }
}

/// Whatever is said there, only its end matters.
async fn ended() {
    let mut input = tokio::io::stdin();
    let mut heard = [0; 64];
    while let Ok(1..) = input.read(&mut heard).await {}
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                open.spawn(answer(stream));
            }
            // A peer that broke off is a peer that is gone.
            Some(_) = open.join_next() => {}
        }
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut answers = Vec::new();
    let mut seen = 0;
    loop {
        let length = stream.read(&mut buffer).await?;
        let fresh = buffer.get(..length).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(());
        }
        answers.clear();
        for byte in fresh {
            seen = matched(seen, *byte);
            if seen == END.len() {
                answers.extend_from_slice(ANSWER);
                seen = 0;
            }
        }
        stream.write_all(&answers).await?;
    }
}

/// How much of [`END`] is seen with this byte, when so much was seen before it.
const fn matched(seen: usize, byte: u8) -> usize {
    match (seen, byte) {
        (0 | 2, b'\r') | (1 | 3, b'\n') => seen + 1,
        (_, b'\r') => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_wherever_it_is_cut() {
        let ends = |text: &str| {
            let mut seen = 0;
            let mut ends = 0;
            for byte in text.bytes() {
                seen = matched(seen, byte);
                if seen == END.len() {
                    (ends, seen) = (ends + 1, 0);
                }
            }
            ends
        };
        assert_eq!(ends("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 1);
        assert_eq!(ends("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"), 2);
        assert_eq!(ends("\r\r\n\r\n"), 1);
        assert_eq!(ends("\r\n\r\r\n\r\n"), 1);
        assert_eq!(ends("\r\nx\r\n"), 0);
    }

    #[tokio::test]
    async fn each_request_has_its_answer_however_it_comes() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener));
        let mut peer = TcpStream::connect(address).await.unwrap();
        // Two at once, and one in two parts that end in the middle of its end.
        let head = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        for part in [&head.repeat(2)[..], &head[..25], &head[25..]] {
            peer.write_all(part).await.unwrap();
        }
        let mut told = vec![0; 3 * ANSWER.len()];
        peer.read_exact(&mut told).await.unwrap();
        assert_eq!(told, ANSWER.repeat(3));
        serving.abort();
    }
}
