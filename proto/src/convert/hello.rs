//! What an agent says of itself.

use nepho_common::{
    calibrated::Calibrated,
    control::{Hello, Host, PolicyReport},
    id::Digest,
    policy::{CANONICAL_MAX, Endpoint},
    time::ClockEpoch,
};

use super::{
    field::{id, part, plain, said, seq, set, text},
    status::statuses,
};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::{DOORS_MAX, FEATURES_MAX},
    wire::{self, policy_report::State},
};

impl TryFrom<wire::Hello> for Hello {
    type Error = BadMessage;

    fn try_from(wire: wire::Hello) -> Result<Self, BadMessage> {
        if wire.protocol_min == 0 || wire.protocol_min > wire.protocol_max {
            return Err(Wrong::Backwards).within("protocol");
        }
        Ok(Self {
            protocol: (wire.protocol_min, wire.protocol_max),
            boot: id("boot", &wire.boot)?,
            host: part("host", wire.host)?,
            features: set("features", wire.features, FEATURES_MAX)?,
            spool: id("spool", &wire.spool)?,
            next: seq("next_seq", wire.next_seq)?,
            epoch: ClockEpoch(wire.epoch),
            runs: statuses("runs", wire.runs)?,
            policy: wire
                .policy
                .map(TryInto::try_into)
                .transpose()
                .within("policy")?,
            calibrated: wire
                .calibrated
                .map(TryInto::try_into)
                .transpose()
                .within("calibrated")?,
        })
    }
}

impl From<&Hello> for wire::Hello {
    fn from(hello: &Hello) -> Self {
        Self {
            protocol_min: hello.protocol.0,
            protocol_max: hello.protocol.1,
            boot: hello.boot.bytes().to_vec(),
            host: Some((&hello.host).into()),
            features: hello.features.iter().map(ToString::to_string).collect(),
            spool: hello.spool.bytes().to_vec(),
            next_seq: hello.next.0,
            epoch: hello.epoch.0,
            runs: hello.runs.iter().map(Into::into).collect(),
            policy: hello.policy.as_ref().map(Into::into),
            calibrated: hello.calibrated.map(Into::into),
        }
    }
}

impl TryFrom<wire::Calibrated> for Calibrated {
    type Error = BadMessage;

    fn try_from(wire: wire::Calibrated) -> Result<Self, BadMessage> {
        let read = Self::new(wire.rate, wire.threads, wire.cores);
        read.map_err(|bad| Wrong::Encoding(bad.to_string()).into())
    }
}

impl From<Calibrated> for wire::Calibrated {
    fn from(found: Calibrated) -> Self {
        Self {
            rate: found.rate(),
            threads: found.threads(),
            cores: found.cores(),
        }
    }
}

impl TryFrom<wire::PolicyReport> for PolicyReport {
    type Error = BadMessage;

    fn try_from(wire: wire::PolicyReport) -> Result<Self, BadMessage> {
        match wire.state.ok_or(Wrong::Missing).within("state")? {
            State::InForce(policy) => {
                let digest: Digest = id("sha256", &policy.sha256)?;
                let canonical = plain("canonical_json", policy.canonical_json, CANONICAL_MAX)?;
                if Digest::of(canonical.as_bytes()) != digest {
                    return Err(Wrong::Digest).within("sha256");
                }
                let door = |(nth, door): (usize, String)| {
                    let place = format!("doors[{nth}]");
                    let read = Endpoint::try_from(text(&place, door)?);
                    read.map_err(|bad| Wrong::Encoding(bad.to_string()))
                        .within(&place)
                };
                let found = policy.doors.len();
                if found > DOORS_MAX {
                    let max = DOORS_MAX;
                    return Err(Wrong::TooMany { found, max }).within("doors");
                }
                let doors = policy.doors.into_iter().enumerate().map(door);
                Ok(Self::InForce {
                    canonical,
                    digest,
                    doors: doors.collect::<Result<_, BadMessage>>()?,
                })
            }
            State::Refusing(why) => text("refusing", why).map(Self::Refusing),
        }
    }
}

impl From<&PolicyReport> for wire::PolicyReport {
    fn from(report: &PolicyReport) -> Self {
        let state = match report {
            PolicyReport::InForce {
                canonical,
                digest,
                doors,
            } => State::InForce(wire::PolicyInForce {
                canonical_json: canonical.clone(),
                sha256: digest.bytes().to_vec(),
                doors: doors.iter().map(ToString::to_string).collect(),
            }),
            PolicyReport::Refusing(why) => State::Refusing(said(why)),
        };
        Self { state: Some(state) }
    }
}

impl TryFrom<wire::Host> for Host {
    type Error = BadMessage;

    fn try_from(wire: wire::Host) -> Result<Self, BadMessage> {
        Ok(Self {
            name: text("name", wire.name)?,
            os: text("os", wire.os)?,
            kernel: text("kernel", wire.kernel)?,
            arch: text("arch", wire.arch)?,
            cpus: wire.cpus,
            memory: wire.memory,
            version: text("version", wire.version)?,
        })
    }
}

impl From<&Host> for wire::Host {
    fn from(host: &Host) -> Self {
        Self {
            name: said(&host.name),
            os: said(&host.os),
            kernel: said(&host.kernel),
            arch: said(&host.arch),
            cpus: host.cpus,
            memory: host.memory,
            version: said(&host.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        arbitrary::{event::host, session::hello, through},
        limits::TEXT_MAX,
    };

    proptest! {
        #[test]
        fn a_hello_reads_back(hello in hello()) {
            prop_assert_eq!(through::<wire::Hello, _>(&hello), Ok(hello));
        }

        #[test]
        fn a_hello_that_contradicts_itself_is_refused(hello in hello(), which in 0usize..6) {
            let mut wire = wire::Hello::from(&hello);
            match which {
                0 => wire.protocol_min = 0,
                1 => wire.protocol_max = wire.protocol_min - 1,
                2 => wire.boot.truncate(15),
                3 => wire.spool.push(0),
                4 => wire.next_seq = 0,
                _ => wire.features.extend(["same".to_owned(), "same".to_owned()]),
            }
            prop_assert!(Hello::try_from(wire).is_err());
        }

        #[test]
        fn whatever_a_host_says_of_itself_can_be_sent(host in host(), strange in "\\PC{0,9}[\\x00-\\x1f]") {
            let host = Host { kernel: strange.repeat(400), ..host };
            let read = through::<wire::Host, _>(&host).unwrap();
            prop_assert!(read.kernel.len() <= TEXT_MAX);
            prop_assert!(!read.kernel.contains(char::is_control));
        }
    }

    #[test]
    fn a_text_that_plays_with_the_terminal_is_refused() {
        let wire = wire::Host {
            kernel: "\u{1b}[2J".to_owned(),
            ..Default::default()
        };
        let bad = Host::try_from(wire).unwrap_err();
        assert_eq!((bad.field.as_str(), bad.wrong), ("kernel", Wrong::Control));
        let wire = wire::Host {
            name: "x".repeat(TEXT_MAX + 1),
            ..Default::default()
        };
        assert!(matches!(
            Host::try_from(wire).unwrap_err().wrong,
            Wrong::TooMany { .. }
        ));
    }
}
