//! Who listens at an address of this host, as far as the kernel lets this agent see it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use nepho_common::{
    id::ServiceName,
    symptom::{LISTENERS_MAX, Listener, plain, resembles},
};

/// The state of a listening socket in `/proc/net/tcp` (`TCP_LISTEN` of `tcp_states.h`).
const LISTENING: &str = "0A";

/// Who listens at the host of `asked`, where `service` was to listen; `None` when it is not an address
/// of this host. Of more than [`LISTENERS_MAX`] those are kept that matter: who listens at the port,
/// whose name resembles the service's, and what else the program at the port holds. So who is looked
/// for among them and is not there is not there.
pub(super) async fn at(asked: SocketAddr, service: ServiceName) -> Option<Vec<Listener>> {
    let look = move || {
        let ip = asked.ip();
        is_ours(ip).then(|| kept(listening(ip), asked.port(), &service))
    };
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

fn kept(mut all: Vec<Listener>, asked: u16, service: &ServiceName) -> Vec<Listener> {
    let at_port = all.iter().find(|one| one.port == asked);
    let holder = at_port.and_then(|one| one.program.clone());
    all.sort_by_key(|one| {
        let looks_like = |name: &str| resembles(name, service.as_str());
        let importance = if one.port == asked {
            0
        } else if one.program.as_deref().is_some_and(looks_like) {
            1
        } else if one.program.is_some() && one.program == holder {
            2
        } else {
            3
        };
        (importance, one.port)
    });
    all.truncate(LISTENERS_MAX);
    all.sort_by_key(|one| one.port);
    all
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
    ports.iter().map(listener).collect()
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
        let found = listening_on((here, port).into()).await.unwrap();
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        let program = found.unwrap().program;
        assert_eq!(program.as_deref(), Some(own.trim()));
        drop(listener);
        assert_eq!(listening_on((here, port).into()).await.unwrap(), None);
        let elsewhere: SocketAddr = "192.0.2.1:80".parse().unwrap();
        assert!(listening_on(elsewhere).await.is_none(), "not of this host");
    }

    async fn listening_on(asked: SocketAddr) -> Option<Option<Listener>> {
        let all = at(asked, "shop".parse().unwrap()).await?;
        Some(all.into_iter().find(|one| one.port == asked.port()))
    }

    #[test]
    fn of_a_crowd_those_are_kept_who_matter() {
        let one = |port, name: &str| Listener {
            port,
            program: Some(name.to_owned()),
        };
        let mut all: Vec<_> = (1_000..1_100).map(|port| one(port, "other")).collect();
        all.extend([one(9_001, "shop"), one(9_002, "proxy"), one(9_003, "proxy")]);
        let kept = kept(all, 9_002, &"shop".parse().unwrap());
        assert_eq!(kept.len(), LISTENERS_MAX);
        let last: Vec<_> = kept.iter().rev().take(3).map(|one| one.port).collect();
        assert_eq!(last, [9_003, 9_002, 9_001]);
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
