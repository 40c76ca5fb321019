//! The reference fleet: who the forty services are.

use nepho_common::id::{EnvironmentName, GroupName, ServiceName};

/// The fleet that the users run, one service a line.
const CSV: &str = include_str!("fleet.csv");

/// One service, as the reference has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) environment: EnvironmentName,
    pub(super) group: GroupName,
    pub(super) name: ServiceName,
    /// `http`, or what the open port stands for.
    pub(super) kind: String,
    /// The port that the users know it by.
    pub(super) port: u16,
}

impl Service {
    /// `environment/name`.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.environment, self.name)
    }

    pub(super) fn is_http(&self) -> bool {
        self.kind == "http"
    }

    pub(super) fn is_name_server(&self) -> bool {
        self.kind == "dns"
    }
}

/// All of them, in the order of the reference.
pub(super) fn services() -> Vec<Service> {
    let lines = CSV.lines().skip(1);
    lines
        .map(|line| parse(line).expect("the reference is part of the program, and a test reads it"))
        .collect()
}

/// Two name servers, of which the reference has none: the broken demo asks them for an address.
pub(super) fn name_servers() -> Vec<Service> {
    let lines = ["local", "tencent"].map(|name| format!("{name},platform,name-server,dns,53,"));
    let service = |line: &String| parse(line).expect("both are written here");
    lines.iter().map(service).collect()
}

/// `environment,group,service,kind,port,note`; no field is quoted.
fn parse(line: &str) -> Option<Service> {
    let mut fields = line.split(',');
    Some(Service {
        environment: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        name: fields.next()?.parse().ok()?,
        kind: fields.next()?.to_owned(),
        port: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn there_are_forty_services_in_three_environments() {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for service in services() {
            *counts.entry(service.environment.to_string()).or_default() += 1;
        }
        let counts: Vec<_> = counts.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(counts, [("aliyun", 7), ("local", 29), ("tencent", 4)]);
    }
}
