//! Sends an echo request and waits for its answer: over a datagram socket where the kernel gives
//! one to this user (`net.ipv4.ping_group_range`), else over a raw one (`CAP_NET_RAW`).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
};

use nepho_common::policy::Endpoint;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, ipproto, socket_with};
use tokio::net::UdpSocket;

use super::{Failure, means::Means};
use crate::{clock, random};

/// The bytes behind the header: they tell our echo from others.
const PAYLOAD: usize = 16;
const HEADER: usize = 8;
/// An IP header takes up to 60 bytes, and a raw socket shows it.
const ANSWER_MAX: usize = 60 + HEADER + PAYLOAD + 512;

#[derive(Debug)]
pub(super) struct IcmpQuestion(Endpoint);

impl IcmpQuestion {
    /// Whether this host lets us is known now, and said before the first instant.
    pub(super) fn new(to: Endpoint) -> Result<Self, String> {
        match open(Family::V4) {
            Ok(_) => Ok(Self(to)),
            Err(error) => Err(format!(
                "not permitted to open an ICMP socket ({}): put a group of the agent into \
                 net.ipv4.ping_group_range, or give it the capability CAP_NET_RAW",
                error.kind()
            )),
        }
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>) -> Result<(), Failure> {
        let addresses = means.addresses(&self.0).await?;
        let ip = addresses.first().ok_or(Failure::NoAddress)?.ip();
        let family = Family::of(ip);
        let (socket, form) = open(family).map_err(Failure::NotPermitted)?;
        // Tokio's sockets take any descriptor that sends and receives packets.
        let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket));
        let socket = socket.map_err(Failure::NotPermitted)?;
        let connected = socket.connect(SocketAddr::new(ip, 0)).await;
        connected.map_err(Failure::Connect)?;
        let payload: [u8; PAYLOAD] = random::bytes().map_err(Failure::Random)?;
        let begin = clock::now();
        let sent = socket.send(&request(family, &payload)).await;
        sent.map_err(Failure::Talk)?;
        let mut buffer = [0; ANSWER_MAX];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(Failure::Talk)?;
            let bytes = buffer.get(..length).unwrap_or_default();
            if is_answer(family, form, bytes, &payload) {
                means.heard(begin);
                return Ok(());
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// What a socket shows of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Datagram,
    Raw,
}

fn open(family: Family) -> io::Result<(OwnedFd, Form)> {
    let (domain, protocol) = match family {
        Family::V4 => (AddressFamily::INET, ipproto::ICMP),
        Family::V6 => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let open = |kind, protocol: Protocol| socket_with(domain, kind, flags, Some(protocol));
    if let Ok(socket) = open(SocketType::DGRAM, protocol) {
        return Ok((socket, Form::Datagram));
    }
    Ok((open(SocketType::RAW, protocol)?, Form::Raw))
}

fn request(family: Family, payload: &[u8; PAYLOAD]) -> Vec<u8> {
    let kind = match family {
        Family::V4 => 8,
        Family::V6 => 128,
    };
    let mut packet = vec![kind, 0, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(payload);
    if family == Family::V4 {
        // The kernel does it for a datagram socket, and for version 6.
        let sum = checksum(&packet).to_be_bytes();
        packet.splice(2..4, sum);
    }
    packet
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// A host answers to its own request on loopback too: only an answer counts, and only ours.
fn is_answer(family: Family, form: Form, bytes: &[u8], payload: &[u8; PAYLOAD]) -> bool {
    let before = match (family, form) {
        (Family::V4, Form::Raw) => bytes.first().map_or(0, |first| usize::from(first & 15) * 4),
        (Family::V4, Form::Datagram) | (Family::V6, Form::Raw | Form::Datagram) => 0,
    };
    let answer = match family {
        Family::V4 => 0,
        Family::V6 => 129,
    };
    let packet = bytes.get(before..).unwrap_or_default();
    packet.first() == Some(&answer) && packet.get(HEADER..HEADER + PAYLOAD) == Some(&payload[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_packet_with_its_checksum_is_zero() {
        let packet = request(Family::V4, &[7; PAYLOAD]);
        assert_eq!(checksum(&packet), 0);
        assert_ne!(
            checksum(&request(Family::V6, &[7; PAYLOAD])),
            0,
            "the kernel's"
        );
    }

    #[test]
    fn only_the_answer_to_our_own_request_counts() {
        let payload = [9; PAYLOAD];
        let request = request(Family::V4, &payload);
        let mut answer = request.clone();
        answer[0] = 0;
        let is = |form, bytes: &[u8]| is_answer(Family::V4, form, bytes, &payload);
        assert!(is(Form::Datagram, &answer));
        assert!(!is(Form::Datagram, &request), "our own request");
        let mut other = answer.clone();
        other[HEADER] = 8;
        assert!(!is(Form::Datagram, &other), "another one's");
        assert!(!is(Form::Datagram, &answer[..HEADER + 3]), "cut");
        let raw = [&[0x45][..], &[0; 19], &answer].concat();
        assert!(is(Form::Raw, &raw) && !is(Form::Raw, &[]));
    }
}
