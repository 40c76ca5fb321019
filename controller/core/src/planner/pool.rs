//! Over whom a balancer is expected to spread what it is sent, and how to tell who answered.

use std::collections::BTreeMap;

use nepho_common::{
    id::{InstanceId, Operation},
    plan::{DecidesOn, Member, ToldBy},
};

use crate::{
    fleet::{Fleet, Group, Instance, ServiceId},
    scenario::{self, Expectation, Judge, Load, Over, Step, Via},
};

/// The header in which answers tell their version.
const VERSION: &str = "x-version";

/// What an expectation of a distribution needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) told_by: ToldBy,
    pub(super) decides_on: DecidesOn,
    pub(super) members: Vec<Member>,
}

/// The pool of an expectation; `None` when it is of something else.
///
/// # Errors
/// What is lacking, and what to do.
pub(super) fn pool(
    fleet: &Fleet,
    stage: &scenario::Stage,
    expectation: &Expectation,
) -> Result<Option<Pool>, String> {
    let Judge::Distribution { over, .. } = &expectation.judge else {
        return Ok(None);
    };
    let Some(Step::Load(load)) = stage.steps.get(&expectation.on) else {
        return Ok(None);
    };
    let group = balanced(fleet, load)?;
    let balancing = group.and_then(|(_, group)| group.balancing.as_ref());
    let decides_on = balancing
        .map(|balancing| balancing.decides_on)
        .unwrap_or_default();
    match over {
        Over::Versions(weights) => Ok(Some(Pool {
            told_by: ToldBy::Header(word(VERSION)),
            decides_on,
            members: weights.iter().map(version).collect::<Result<_, _>>()?,
        })),
        Over::Instances => {
            let Some((name, _)) = group else {
                let what = "a distribution over instances needs `via: balancer`, and a `to` that \
                            selects the instances of one group";
                return Err(what.to_owned());
            };
            let told_by = balancing.and_then(|balancing| balancing.told_by.clone());
            let told_by = told_by.ok_or_else(|| {
                format!(
                    "the fleet file doesn't say what in an answer names the instance of group \
                     {name}: add `told-by: {{header: x-instance}}`, or what it is, to its \
                     `balancing`"
                )
            })?;
            let matches = |(id, one): &(&InstanceId, &Instance)| load.to.matches(id, one);
            let chosen: Vec<_> = fleet.instances.iter().filter(matches).collect();
            if chosen.iter().all(|(_, one)| one.weight == 0) {
                return Err(format!("every instance of group {name} has the weight 0"));
            }
            Ok(Some(Pool {
                members: members(&chosen, &told_by),
                told_by,
                decides_on,
            }))
        }
    }
}

/// The group that a load goes to through a balancer, if it is one.
fn balanced<'a>(
    fleet: &'a Fleet,
    load: &Load,
) -> Result<Option<(&'a nepho_common::id::GroupName, &'a Group)>, String> {
    if load.via != Via::Balancer {
        return Ok(None);
    }
    let matches = |(id, one): &(&InstanceId, &Instance)| load.to.matches(id, one);
    let chosen = fleet.instances.iter().filter(matches);
    let mut groups: Vec<_> = chosen.filter_map(|(_, one)| one.group.as_ref()).collect();
    groups.sort();
    groups.dedup();
    match groups.as_slice() {
        [] => Ok(None),
        [one] => Ok(fleet.groups.get_key_value(*one)),
        [_, _, ..] => Err("a distribution is of one group: select one in `to`".to_owned()),
    }
}

fn version((name, weight): (&String, &u32)) -> Result<Member, String> {
    let name =
        Operation::try_from(name.clone()).map_err(|why| format!("version {name:?}: {why}"))?;
    Ok(Member {
        told: vec![name.clone()],
        name,
        weight: *weight,
    })
}

/// Each with every name that is told apart among them.
fn members(all: &[(&InstanceId, &Instance)], told_by: &ToldBy) -> Vec<Member> {
    let names = |id: &InstanceId, one: &Instance| match told_by {
        ToldBy::Address => addresses(one),
        ToldBy::Header(_) | ToldBy::Json(_) => vec![
            id.to_string(),
            format!("{}/{}", id.service, id.instance),
            format!("{}-{}", id.service, id.instance),
            ServiceId::of(id).to_string(),
            id.service.to_string(),
            id.instance.to_string(),
        ],
    };
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for name in all.iter().flat_map(|(id, one)| names(id, one)) {
        *times.entry(name).or_default() += 1;
    }
    let member = |(id, one): &(&InstanceId, &Instance)| {
        let mut told = names(id, one);
        told.retain(|name| times.get(name) == Some(&1));
        Member {
            name: word(&id.to_string()),
            told: told.iter().map(|name| word(name)).collect(),
            weight: one.weight,
        }
    };
    all.iter().map(member).collect()
}

fn addresses(one: &Instance) -> Vec<String> {
    let all = &one.addresses;
    let all = all
        .inside
        .iter()
        .chain(&all.default)
        .chain(all.from.values());
    let mut all: Vec<_> = all.map(crate::fleet::Address::authority).collect();
    all.sort();
    all.dedup();
    all
}

fn word(text: &str) -> Operation {
    let cut: String = text.chars().take(120).collect();
    Operation::try_from(cut).expect("names hold no control characters, and it was cut")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet;

    const FLEET: &str = "api: nepho/v1
environments: {a: {}}
groups:
  shop: {balancing: {policy: round-robin, decides-on: connection, told-by: {header: X-Instance}}}
services:
  - {name: lb, environment: a, http: {}, balances: shop, address: {inside: '10.0.0.9:80'}}
  - name: api
    environment: a
    group: shop
    http: {}
    instances:
      - {name: '1', weight: 5, address: {inside: '10.0.0.1:80'}}
      - {name: '2', address: {inside: '10.0.0.2:80'}}
  - {name: old, environment: a, group: shop, http: {}, address: {inside: '10.0.0.3:80'}}
";

    fn told(told_by: &ToldBy) -> Vec<(String, u32, String)> {
        let source = scenario::Source {
            name: "fleet.yaml".to_owned(),
            text: FLEET.to_owned(),
        };
        let fleet = fleet::load(&source).unwrap();
        let all = fleet.instances.iter();
        let all: Vec<_> = all.filter(|(_, one)| one.group.is_some()).collect();
        let told = |one: &Member| {
            one.told
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let members = members(&all, told_by);
        let members = members.iter();
        members
            .map(|one| (one.name.to_string(), one.weight, told(one)))
            .collect()
    }

    #[test]
    fn a_name_counts_as_far_as_it_is_told_apart() {
        let header = told(&ToldBy::Header(word("x-instance")));
        assert_eq!(
            header,
            [
                ("a/api/1".to_owned(), 5, "a/api/1 api/1 api-1".to_owned()),
                ("a/api/2".to_owned(), 1, "a/api/2 api/2 api-2 2".to_owned()),
                (
                    "a/old/1".to_owned(),
                    1,
                    "a/old/1 old/1 old-1 a/old old".to_owned()
                ),
            ]
        );
        let address = told(&ToldBy::Address);
        assert_eq!(
            address[1],
            ("a/api/2".to_owned(), 1, "10.0.0.2:80".to_owned())
        );
    }
}
