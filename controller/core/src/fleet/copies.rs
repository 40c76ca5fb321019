//! The running copies of one service and where each is reached.

use std::collections::BTreeMap;

use nepho_common::id::InstanceName;

use super::{
    Address, Addresses, BadAddress, Labels, Scheme,
    label::labels,
    parse::{Parser, unknown_environment},
    raw::{RawAddresses, RawInstance, RawService},
};
use crate::diagnose::{Code, Pointer, Problem, quoted};

/// One instance before its service is known.
pub(super) struct Copy {
    pub(super) name: InstanceName,
    pub(super) weight: u32,
    pub(super) labels: Labels,
    pub(super) addresses: Addresses,
    pub(super) inside_at: Pointer,
}

impl Parser<'_> {
    /// The instances of one service, however they are written.
    pub(super) fn copies(&mut self, at: &Pointer, raw: &RawService, plain: Scheme) -> Vec<Copy> {
        let own = raw.environment.as_deref();
        match (&raw.address, &raw.instances) {
            (Some(address), None) => {
                let at = at.key("address");
                let addresses = self.addresses(&at, address, plain, own);
                let name = "1".parse::<InstanceName>().expect("a digit is a name");
                let inside_at = at.key("inside");
                vec![Copy {
                    name,
                    weight: 1,
                    labels: Labels::new(),
                    addresses,
                    inside_at,
                }]
            }
            (None, Some(list)) => self.instances(&at.key("instances"), list, plain, own),
            (address, instances) => {
                if !self.checker.is_incomplete(at) {
                    let both = address.is_some() && instances.is_some();
                    let (what, place) = if both {
                        (
                            "this service has `address` and `instances`",
                            at.key("address"),
                        )
                    } else {
                        (
                            "this service has neither `address` nor `instances`",
                            at.key("name"),
                        )
                    };
                    let problem = Problem::new(Code::ExactlyOne, what)
                        .label("exactly one of them says where it is reached")
                        .help("`address` is short for one instance named \"1\"");
                    self.checker.at_key(&place, problem);
                }
                Vec::new()
            }
        }
    }

    fn instances(
        &mut self,
        at: &Pointer,
        list: &[Option<RawInstance>],
        plain: Scheme,
        own: Option<&str>,
    ) -> Vec<Copy> {
        let mut copies: Vec<Copy> = Vec::new();
        for (index, raw) in list.iter().enumerate() {
            let at = at.index(index);
            let Some(raw) = raw else { continue };
            let name = self
                .checker
                .name::<InstanceName>(&at.key("name"), raw.name.as_deref());
            let labels = labels(self.checker, &at.key("labels"), raw.labels.as_ref());
            let address_at = at.key("address");
            let addresses = raw
                .address
                .as_ref()
                .map(|raw| self.addresses(&address_at, raw, plain, own));
            let (Some(name), Some(addresses)) = (name, addresses) else {
                continue;
            };
            if copies.iter().any(|copy| copy.name == name) {
                let message = format!("there is an instance {} already", quoted(name.as_str()));
                let problem =
                    Problem::new(Code::DuplicateName, message).label("the same name again");
                self.checker.at_value(&at.key("name"), problem);
                continue;
            }
            let weight = raw.weight.unwrap_or(1);
            copies.push(Copy {
                name,
                weight,
                labels,
                addresses,
                inside_at: address_at.key("inside"),
            });
        }
        copies
    }

    fn addresses(
        &mut self,
        at: &Pointer,
        raw: &RawAddresses,
        plain: Scheme,
        own: Option<&str>,
    ) -> Addresses {
        let inside = self.address(&at.key("inside"), raw.inside.as_deref(), plain);
        let default = self.address(&at.key("default"), raw.default.as_deref(), plain);
        let at = at.key("from");
        let mut from = BTreeMap::new();
        for (name, address) in raw.from.iter().flatten() {
            let at = at.key(name);
            let address = self.address(&at, address.as_deref(), plain);
            if !self.names.environments.contains(name) {
                let problem = unknown_environment(name, self.names);
                self.checker.at_key(&at, problem);
            } else if own == Some(name.as_str()) {
                let problem = Problem::new(
                    Code::BadAddress,
                    format!("{} is the service's own environment", quoted(name)),
                )
                .label("write this address as `inside`");
                self.checker.at_key(&at, problem);
            } else if let (Ok(name), Some(address)) = (name.parse(), address) {
                from.insert(name, address);
            }
        }
        Addresses {
            inside,
            from,
            default,
        }
    }

    fn address(&mut self, at: &Pointer, text: Option<&str>, plain: Scheme) -> Option<Address> {
        self.checker.text(at, text, |text| {
            Address::parse(text, plain).map_err(|why| {
                // Before an `@` stands a password, mostly: its line is shown with stars.
                let code = if why == BadAddress::User {
                    Code::LiteralSecret
                } else {
                    Code::BadAddress
                };
                Problem::new(code, "this is not an address")
                    .label(why.to_string())
                    .help("HOST:PORT, [IPv6]:PORT, http://HOST or https://HOST")
            })
        })
    }
}
