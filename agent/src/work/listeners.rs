//! Who listens at an address of this host, as far as the kernel lets this agent see it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
};

use nepho_common::symptom::{LISTENERS_MAX, Listener, plain};

/// The state of a listening socket in `/proc/net/tcp` (`TCP_LISTEN` of `tcp_states.h`).
const LISTENING: &str = "0A";

/// Who listens at `ip`; `None` when it is not an address of this host.
pub(super) async fn at(ip: IpAddr) -> Option<Vec<Listener>> {
    let look = move || is_ours(ip).then(|| listening(ip));
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

/// Only one's own address can be bound to.
fn is_ours(ip: IpAddr) -> bool {
    !ip.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()
}

fn listening(ip: IpAddr) -> Vec<Listener> {
    let mut ports: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        for (bound, port, inode) in text.lines().skip(1).filter_map(socket) {
            // Who listens on all addresses listens here too.
            if bound == ip || bound.is_unspecified() {
                ports.entry(port).or_default().insert(inode);
            }
        }
    }
    let owners = owners(&ports.values().flatten().copied().collect());
    let listener = |(port, inodes): (&u16, &BTreeSet<u64>)| Listener {
        port: *port,
        program: inodes.iter().find_map(|inode| owners.get(inode).cloned()),
    };
    ports.iter().map(listener).take(LISTENERS_MAX).collect()
}

/// `sl local_address rem_address st … inode` of a listening socket (`proc_net_tcp`).
fn socket(line: &str) -> Option<(IpAddr, u16, u64)> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if *state != LISTENING {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((address(ip)?, port, inode.parse().ok()?))
}

/// The kernel prints words of four bytes in this host's own order.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = hex.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

/// The programs that hold these sockets, by inode. Without root only those of the same user.
fn owners(inodes: &BTreeSet<u64>) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let is_process = process
            .file_name()
            .to_str()
            .is_some_and(|name| name.parse::<u32>().is_ok());
        if !is_process || found.len() == inodes.len() {
            continue;
        }
        let handles = fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        for handle in handles {
            let Ok(link) = fs::read_link(handle.path()) else {
                continue;
            };
            let inode = link.to_str().and_then(|link| {
                let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
                inode
                    .parse::<u64>()
                    .ok()
                    .filter(|inode| inodes.contains(inode))
            });
            if let Some(inode) = inode
                && let Ok(name) = fs::read_to_string(process.path().join("comm"))
            {
                found.insert(inode, plain(&name));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn this_program_is_found_where_it_listens_and_not_where_it_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let here = IpAddr::from([127, 0, 0, 1]);
        // At most 32 are named, so a busy host may leave it out: ask for it alone.
        let found = listening_on(here, port);
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(found, Some(own.trim().to_owned()));
        drop(listener);
        assert_eq!(listening_on(here, port), None);
        assert!(
            at("192.0.2.1".parse().unwrap()).await.is_none(),
            "not of this host"
        );
    }

    fn listening_on(ip: IpAddr, port: u16) -> Option<String> {
        let text = fs::read_to_string("/proc/net/tcp").unwrap();
        let sockets = text.lines().skip(1).filter_map(socket);
        let inodes: BTreeSet<_> = sockets
            .filter(|one| one.0 == ip && one.1 == port)
            .map(|one| one.2)
            .collect();
        owners(&inodes).into_values().next()
    }

    #[test]
    fn addresses_are_read_as_the_kernel_prints_them() {
        if cfg!(target_endian = "little") {
            assert_eq!(address("0100007F"), Some(IpAddr::from([127, 0, 0, 1])));
            let six = "00000000000000000000000001000000";
            assert_eq!(address(six), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
            let mapped = "0000000000000000FFFF00000100007F";
            assert_eq!(address(mapped), Some(IpAddr::from([127, 0, 0, 1])));
        }
        assert_eq!(address("01"), None);
        assert_eq!(address("0100007G"), None);
    }
}
