//! Services that are right one by one but not together.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::id::{EnvironmentName, InstanceId};

use super::{Host, Instance, ServiceId};
use crate::diagnose::{Checker, Code, Pointer, Problem, quoted};

/// Reports an instance that listens where another does already.
pub(super) fn shared_address(
    checker: &mut Checker,
    at: &Pointer,
    instance: &Instance,
    listening: &mut BTreeMap<(EnvironmentName, Host, u16), InstanceId>,
) {
    let Some(inside) = &instance.addresses.inside else {
        return;
    };
    let key = (
        instance.id.environment.clone(),
        inside.host().clone(),
        inside.port(),
    );
    if let Some(other) = listening.get(&key) {
        let message = format!(
            "{} and {} have the same address",
            quoted(&other.to_string()),
            quoted(&instance.id.to_string())
        );
        let problem = Problem::new(Code::SharedAddress, message)
            .label(format!(
                "{} listens here already",
                quoted(&other.to_string())
            ))
            .help("two services can't listen on one host and port of one environment");
        checker.at_value(at, problem);
    } else {
        listening.insert(key, instance.id.clone());
    }
}

/// Reports one cycle: its first service by name.
pub(super) fn cycle(
    checker: &mut Checker,
    needs: &BTreeMap<ServiceId, BTreeSet<ServiceId>>,
    places: &BTreeMap<ServiceId, Pointer>,
) {
    let Some(start) = first_in_a_cycle(needs) else {
        return;
    };
    let Some(at) = places.get(start) else { return };
    let message = format!("{} needs itself", quoted(&start.to_string()));
    let problem = Problem::new(Code::DependencyCycle, message)
        .label("following `depends-on` leads back here");
    checker.at_key(&at.key("depends-on"), problem);
}

/// Takes away services that need nothing, and services that nobody needs, until only cycles and
/// what joins them is left; then the first that reaches itself.
fn first_in_a_cycle(needs: &BTreeMap<ServiceId, BTreeSet<ServiceId>>) -> Option<&ServiceId> {
    let mut left: BTreeSet<&ServiceId> = needs.keys().collect();
    loop {
        let needed: BTreeSet<&ServiceId> =
            left.iter().flat_map(|service| &needs[*service]).collect();
        let kept: BTreeSet<&ServiceId> = left
            .iter()
            .copied()
            .filter(|service| {
                needed.contains(service) && needs[*service].iter().any(|need| left.contains(need))
            })
            .collect();
        if kept.len() == left.len() {
            break;
        }
        left = kept;
    }
    left.iter().copied().find(|start| {
        let mut reached: BTreeSet<&ServiceId> = BTreeSet::new();
        let mut next: Vec<&ServiceId> = needs[*start].iter().collect();
        while let Some(service) = next.pop() {
            if left.contains(service) && reached.insert(service) {
                next.extend(&needs[service]);
            }
        }
        reached.contains(start)
    })
}
