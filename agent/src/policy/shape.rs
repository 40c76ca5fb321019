//! A policy out of a tree: every mistake is said, each with its line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    str::FromStr,
};

use nepho_common::{
    plan::{BadPick, ContainerPick, PickText, ProcessPick},
    policy::{HostPattern, Limits, Network, Policy, Ports, TargetRule, WatchRules},
    secret::SecretRef,
};

use super::{
    Mistake,
    yaml::{self, Key, Node, Value},
};

/// The one limit that need not be there.
const LOAD_THREADS: &str = "load-threads";

/// The policy of this text.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub(super) fn policy(text: &str) -> Result<Policy, Vec<Mistake>> {
    let mut shape = Shape::default();
    let policy = yaml::read(text, &mut shape.mistakes).and_then(|root| shape.policy(root));
    let mut mistakes = shape.mistakes;
    match policy {
        Some(policy) if mistakes.is_empty() => policy.checked().map_err(|why| {
            vec![Mistake {
                line: 1,
                what: why.to_string(),
            }]
        }),
        Some(_) | None => {
            mistakes.sort();
            Err(mistakes)
        }
    }
}

#[derive(Default)]
struct Shape {
    mistakes: Vec<Mistake>,
}

/// A map that is being taken apart.
struct Fields {
    line: usize,
    of: &'static str,
    known: &'static [&'static str],
    left: BTreeMap<String, Node>,
}

impl Shape {
    fn wrong(&mut self, line: usize, what: impl Display) {
        let what = what.to_string();
        self.mistakes.push(Mistake { line, what });
    }

    fn policy(&mut self, root: Node) -> Option<Policy> {
        let known = &["api", "actions", "targets", "limits", "secrets", "watch"];
        let mut fields = self.fields(root, "a policy", known)?;
        let api = self.needed(&mut fields, "api");
        let actions = self.needed(&mut fields, "actions");
        let targets = self.needed(&mut fields, "targets");
        let limits = self.needed(&mut fields, "limits");
        let secrets = fields.left.remove("secrets");
        let watch = fields.left.remove("watch");
        let api = api.and_then(|node| self.api(node));
        let actions = actions.and_then(|node| self.set(node, "`actions`", "an action"));
        let targets = targets.and_then(|node| self.rules(node, "`targets`"));
        let limits = limits.and_then(|node| self.limits(node));
        let secrets = match secrets {
            Some(node) => self.secrets(node)?,
            None => BTreeMap::new(),
        };
        let watch = match watch {
            Some(node) => self.watch(node)?,
            None => WatchRules::default(),
        };
        Some(Policy {
            api: api?,
            actions: actions?.into_iter().collect(),
            targets: targets?,
            limits: limits?,
            secrets,
            watch,
        })
    }

    fn api(&mut self, node: Node) -> Option<String> {
        let line = node.line;
        let text = self.text(node, "`api`")?;
        if text != Policy::API {
            let ours = Policy::API;
            self.wrong(line, format!("api is `{text}`, this agent reads {ours}"));
            return None;
        }
        Some(text)
    }

    fn limits(&mut self, node: Node) -> Option<Limits> {
        let known = &[
            "requests-per-second",
            "connections",
            "stage-seconds",
            LOAD_THREADS,
        ];
        let mut fields = self.fields(node, "`limits`", known)?;
        let [rate, connections, seconds] = [known[0], known[1], known[2]].map(|key| {
            let node = self.needed(&mut fields, key)?;
            self.number(node, key)
        });
        let threads = fields.left.remove(LOAD_THREADS);
        let threads = threads.map(|node| self.number(node, LOAD_THREADS));
        Some(Limits {
            requests_per_second: rate?,
            connections: connections?,
            stage_seconds: seconds?,
            load_threads: whole(threads)?,
        })
    }

    fn secrets(&mut self, node: Node) -> Option<BTreeMap<SecretRef, Vec<TargetRule>>> {
        let mut secrets = BTreeMap::new();
        for (Key { line, text }, node) in self.entries(node, "`secrets`")? {
            let rules = self.rules(node, "the targets of a secret");
            // The key is a reference, never the secret itself, so it may be repeated.
            match text.parse::<SecretRef>() {
                Ok(secret) => {
                    secrets.insert(secret, rules.unwrap_or_default());
                }
                Err(why) => self.wrong(line, format!("secret `{text}`: {why}")),
            }
        }
        Some(secrets)
    }

    fn watch(&mut self, node: Node) -> Option<WatchRules> {
        let mut fields = self.fields(node, "`watch`", &["processes", "containers", "engine"])?;
        let processes = fields.left.remove("processes");
        let containers = fields.left.remove("containers");
        let engine = fields.left.remove("engine");
        let process = |key: &str, text| match key {
            "name" => ProcessPick::Name(text).checked(),
            "unit" => ProcessPick::Unit(text).checked(),
            _ => ProcessPick::PidFile(text).checked(),
        };
        let container = |key: &str, text| match key {
            "name" => ContainerPick::Name(text).checked(),
            _ => ContainerPick::Label(text).checked(),
        };
        let keys = &["name", "pid-file", "unit"];
        let processes = processes.map(|node| self.picks(node, "`processes`", keys, process));
        let keys = &["name", "label"];
        let containers = containers.map(|node| self.picks(node, "`containers`", keys, container));
        let engine = engine.map(|node| {
            let line = node.line;
            let text = self.text(node, "`engine`")?;
            let absolute = text.starts_with('/');
            let text = PickText::try_from(text).ok().filter(|_| absolute);
            if text.is_none() {
                self.wrong(line, "`engine` is the path of a socket, beginning with `/`");
            }
            text
        });
        Some(WatchRules {
            processes: whole(processes)?,
            containers: whole(containers)?,
            engine: whole(engine)?,
        })
    }

    /// A list of things that may be watched, each with exactly one of these keys.
    fn picks<T: Ord>(
        &mut self,
        node: Node,
        of: &str,
        keys: &'static [&'static str],
        pick: impl Fn(&str, PickText) -> Result<T, BadPick>,
    ) -> Option<BTreeSet<T>> {
        let mut all = BTreeSet::new();
        for node in self.items(node, of)? {
            let line = node.line;
            let Some(fields) = self.fields(node, "what may be watched", keys) else {
                continue;
            };
            let mut given = fields.left.into_iter();
            let (Some((key, node)), None) = (given.next(), given.next()) else {
                let keys = keys.join(", ");
                self.wrong(
                    line,
                    format!("what may be watched has exactly one of {keys}"),
                );
                continue;
            };
            let Some(text) = self.text(node, "what may be watched") else {
                continue;
            };
            match PickText::try_from(text).and_then(|text| pick(&key, text)) {
                Ok(one) if all.contains(&one) => {
                    self.wrong(line, format!("the same stands in {of} a second time"));
                }
                Ok(one) => {
                    all.insert(one);
                }
                Err(why) => self.wrong(line, why),
            }
        }
        Some(all)
    }

    fn rules(&mut self, node: Node, of: &str) -> Option<Vec<TargetRule>> {
        let mut rules: Vec<TargetRule> = Vec::new();
        for node in self.items(node, of)? {
            let line = node.line;
            let Some(rule) = self.rule(node) else {
                continue;
            };
            if rules.contains(&rule) {
                self.wrong(line, "the same target stands there a second time");
            } else {
                rules.push(rule);
            }
        }
        Some(rules)
    }

    fn rule(&mut self, node: Node) -> Option<TargetRule> {
        let known = &["network", "host", "addresses", "ports"];
        let mut fields = self.fields(node, "a target", known)?;
        let line = fields.line;
        let ports = self.needed(&mut fields, "ports");
        let ports = ports.and_then(|node| self.ports(node));
        let network = fields.left.remove("network");
        let host = fields.left.remove("host");
        let addresses = fields.left.remove("addresses");
        if network.is_some() == host.is_some() {
            self.wrong(line, "a target is exactly one of `network` and `host`");
        }
        if network.is_some() && addresses.is_some() {
            self.wrong(
                line,
                "`addresses` belong to a `host`: what it may resolve to",
            );
        }
        let network = network.map(|node| self.parsed::<Network>(node, "a network"));
        let host = host.map(|node| {
            let line = node.line;
            let text = self.text(node, "a host")?;
            let host = HostPattern::try_from(text);
            host.map_err(|why| self.wrong(line, why)).ok()
        });
        let addresses = match addresses {
            Some(node) => self.set(node, "`addresses`", "a network")?,
            None => Vec::new(),
        };
        Some(TargetRule {
            network: whole(network)?,
            host: whole(host)?,
            addresses,
            ports: ports?,
        })
    }

    fn ports(&mut self, node: Node) -> Option<Ports> {
        let line = node.line;
        let texts = match node.value {
            Value::Scalar(text) if text == "all" => return Some(Ports::All),
            Value::Scalar(text) => vec![(line, text)],
            Value::List(_) => {
                let items = self.items(node, "`ports`")?;
                let texts = items.into_iter().map(|item| {
                    let line = item.line;
                    Some((line, self.text(item, "a port")?))
                });
                texts.collect::<Option<Vec<_>>>()?
            }
            Value::Map(_) => {
                self.wrong(line, "ports are `all`, a number, a range, or a list");
                return None;
            }
        };
        if texts.is_empty() {
            self.wrong(line, "no port at all; `all` means every port");
            return None;
        }
        let mut ranges = Vec::new();
        for (line, text) in texts {
            match Ports::range(&text) {
                Ok(range) => ranges.push(range),
                Err(why) => self.wrong(line, format!("`{text}`: {why}")),
            }
        }
        Some(Ports::Only(ranges))
    }

    /// A list without doubles.
    fn set<T>(&mut self, node: Node, of: &str, what: &str) -> Option<Vec<T>>
    where
        T: FromStr<Err: Display> + PartialEq,
    {
        let mut all = Vec::new();
        for node in self.items(node, of)? {
            let line = node.line;
            let Some(one) = self.parsed::<T>(node, what) else {
                continue;
            };
            if all.contains(&one) {
                self.wrong(line, format!("{what} of {of} stands there a second time"));
            } else {
                all.push(one);
            }
        }
        Some(all)
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, node: Node, what: &str) -> Option<T> {
        let line = node.line;
        let text = self.text(node, what)?;
        let parsed = text.parse();
        parsed
            .map_err(|why| self.wrong(line, format!("`{text}`: {why}")))
            .ok()
    }

    fn number(&mut self, node: Node, what: &str) -> Option<u64> {
        let line = node.line;
        let text = self.text(node, what)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        if number.is_none() {
            self.wrong(line, format!("{what} is `{text}`, not a whole number"));
        }
        number
    }

    fn text(&mut self, node: Node, what: &str) -> Option<String> {
        match node.value {
            Value::Scalar(text) => Some(text),
            other @ (Value::List(_) | Value::Map(_)) => {
                self.wrong(node.line, format!("{what} is {}, not a text", other.kind()));
                None
            }
        }
    }

    fn items(&mut self, node: Node, what: &str) -> Option<Vec<Node>> {
        match node.value {
            Value::List(items) => Some(items),
            other @ (Value::Scalar(_) | Value::Map(_)) => {
                self.wrong(node.line, format!("{what} is {}, not a list", other.kind()));
                None
            }
        }
    }

    fn entries(&mut self, node: Node, what: &str) -> Option<Vec<(Key, Node)>> {
        match node.value {
            Value::Map(entries) => Some(entries),
            other @ (Value::Scalar(_) | Value::List(_)) => {
                self.wrong(node.line, format!("{what} is {}, not a map", other.kind()));
                None
            }
        }
    }

    fn fields(
        &mut self,
        node: Node,
        of: &'static str,
        known: &'static [&'static str],
    ) -> Option<Fields> {
        let line = node.line;
        let mut left = BTreeMap::new();
        for (key, node) in self.entries(node, of)? {
            if known.contains(&key.text.as_str()) {
                left.insert(key.text, node);
            } else {
                let known = known.join(", ");
                let text = key.text;
                self.wrong(
                    key.line,
                    format!("{of} has no key `{text}`; it has {known}"),
                );
            }
        }
        Some(Fields {
            line,
            of,
            known,
            left,
        })
    }

    fn needed(&mut self, fields: &mut Fields, key: &str) -> Option<Node> {
        debug_assert!(fields.known.contains(&key), "an unknown key is never found");
        let found = fields.left.remove(key);
        if found.is_none() {
            self.wrong(fields.line, format!("{} lacks `{key}`", fields.of));
        }
        found
    }
}

/// What is absent is whole; what was written and could not be read is not.
fn whole<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(Some(value)) => Some(Some(value)),
        Some(None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let mistakes = policy(text).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect()
    }

    const GOOD: &str = "\
api: nepho.policy/v1
actions: [probe.http]
targets:
  - {network: 10.0.0.0/8, ports: all}
  - host: \"*.a.example\"
    addresses: [93.184.0.0/16]
    ports: [443, 8000-8010]
limits: {requests-per-second: 5, connections: 9, stage-seconds: 60}
secrets:
  env:TOKEN: [{network: 10.0.0.1, ports: 80}]
";

    #[test]
    fn a_policy_is_read_as_it_is_meant() {
        let policy = policy(GOOD).unwrap();
        assert_eq!(
            policy.canonical(),
            "{\"api\":\"nepho.policy/v1\",\"actions\":[\"probe.http\"],\"targets\":[\
             {\"network\":\"10.0.0.0/8\",\"ports\":\"all\"},\
             {\"host\":\"*.a.example\",\"addresses\":[\"93.184.0.0/16\"],\
             \"ports\":[\"443\",\"8000-8010\"]}],\
             \"limits\":{\"requests-per-second\":5,\"connections\":9,\"stage-seconds\":60},\
             \"secrets\":{\"env:TOKEN\":[{\"network\":\"10.0.0.1/32\",\"ports\":[\"80\"]}]}}"
        );
        // What the demo writes, and what a hello carries, reads back.
        assert_eq!(super::policy(&policy.canonical()), Ok(policy));
        let bounded = GOOD.replace("connections: 9", "connections: 9, load-threads: 2");
        let bounded = super::policy(&bounded).unwrap();
        assert_eq!(bounded.limits.load_threads, Some(2));
        assert_eq!(super::policy(&bounded.canonical()), Ok(bounded));
        assert!(
            said(&GOOD.replace("connections: 9", "connections: 9, load-threads: x"))[0]
                .contains("load-threads is `x`")
        );
    }

    #[test]
    fn what_may_be_watched_is_read_and_its_mistakes_are_said() {
        let watch = "\
watch:
  processes: [{name: nginx}, {pid-file: /run/x.pid}, {unit: x.service}]
  containers: [{label: role=web}]
  engine: /run/docker.sock
";
        let read = policy(&format!("{GOOD}{watch}")).unwrap();
        assert_eq!(
            serde_json::to_string(&read.watch).unwrap(),
            "{\"processes\":[{\"name\":\"nginx\"},{\"pid-file\":\"/run/x.pid\"},\
             {\"unit\":\"x.service\"}],\"containers\":[{\"label\":\"role=web\"}],\
             \"engine\":\"/run/docker.sock\"}"
        );
        assert_eq!(policy(&read.canonical()), Ok(read));
        let none = policy(&format!("{GOOD}watch: {{processes: []}}\n")).unwrap();
        assert_eq!(
            none.watch.processes,
            Some(BTreeSet::new()),
            "an empty list is one"
        );
        for (bad, what) in [
            (
                "{processes: [{name: a, unit: b}]}",
                "exactly one of name, pid-file, unit",
            ),
            ("{processes: [{}]}", "exactly one of"),
            ("{processes: [{pid-file: run/x.pid}]}", "begins with `/`"),
            ("{processes: [{name: a}, {name: a}]}", "a second time"),
            ("{containers: [{pid-file: /x}]}", "has no key `pid-file`"),
            ("{containers: web}", "not a list"),
            ("{engine: docker.sock}", "beginning with `/`"),
            ("{hosts: []}", "has no key `hosts`"),
        ] {
            let said = said(&format!("{GOOD}watch: {bad}\n"));
            assert!(said.iter().any(|one| one.contains(what)), "{bad}: {said:?}");
        }
    }

    #[test]
    fn all_mistakes_are_said_at_once_each_with_its_line() {
        let text = "\
api: nepho.policy/v2
action: [probe.http]
actions: [probe.http, probe.http, \"a b\"]
targets:
  - {network: 10.0.0.0/8}
  - {network: 10.0.0.1/8, ports: [80, 0, x]}
  - {network: 10.0.0.0/8, host: a.example, ports: all}
  - {host: 10.0.0.1.5, ports: []}
  - {network: 10.0.0.0/8, addresses: [::/0], ports: 1}
  - {network: 10.1.0.0/16, ports: 1}
  - {network: 10.1.0.0/16, ports: 1}
  - here
limits: {requests-per-second: -5, connections: 1e3, stage: 60}
secrets:
  env:1: []
  file:/a: {network: 10.0.0.0/8}
api: twice
";
        let said = said(text);
        for (line, what) in [
            (
                1,
                "api is `nepho.policy/v2`, this agent reads nepho.policy/v1",
            ),
            (
                2,
                "a policy has no key `action`; it has api, actions, targets",
            ),
            (3, "an action of `actions` stands there a second time"),
            (3, "`a b`"),
            (5, "a target lacks `ports`"),
            (6, "bits that lie behind the length"),
            (6, "`0`: ports are"),
            (6, "`x`: ports are"),
            (7, "exactly one of `network` and `host`"),
            (8, "a host is a DNS name"),
            (8, "no port at all"),
            (9, "`addresses` belong to a `host`"),
            (11, "the same target stands there a second time"),
            (12, "a target is a single value, not a map"),
            (13, "`limits` has no key `stage`"),
            (13, "`limits` lacks `stage-seconds`"),
            (13, "requests-per-second is `-5`, not a whole number"),
            (13, "connections is `1e3`, not a whole number"),
            (15, "secret `env:1`: a reference is"),
            (16, "the targets of a secret is a map, not a list"),
            (17, "`api` stands there a second time"),
        ] {
            let place = format!("line {line}: ");
            let found = |one: &String| one.starts_with(&place) && one.contains(what);
            assert!(said.iter().any(found), "{line}: {what}: {said:#?}");
        }
        assert_eq!(said.len(), 21, "{said:#?}");
    }

    #[test]
    fn odd_texts_are_no_policy_and_do_no_harm() {
        for (text, what) in [
            ("", "there is nothing in it"),
            ("- a\n", "a policy is a list, not a map"),
            ("a: *x\n", "aliases are not taken"),
            ("a: &x 1\n", "aliases are not taken"),
            ("a: !!str 1\n", "tags"),
            ("api: a\n---\napi: b\n", "second document"),
            ("{[a]: 1}\n", "can't be a key"),
            ("a: [1\n", "this is not YAML"),
            ("%YAML 1.1\n---\na: 1", "this is not YAML"),
        ] {
            let said = said(text);
            assert!(
                said.iter().any(|one| one.contains(what)),
                "{text:?}: {said:?}"
            );
        }
        let deep = said(&"[".repeat(10_000));
        assert_eq!(deep.len(), 1, "{deep:?}");
        // A million laughs are none: an alias is never expanded.
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        assert!(policy(bomb).is_err());
        // A value is never taken for another: the second key does not win.
        let twice = GOOD.replace("limits:", "limits: {}\nlimits:");
        assert!(policy(&twice).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_whatever_breaks_the_reader(text in "[\\PC\n\t \\[\\]{}:,&*!?\"'|>-]{0,200}") {
            drop(policy(&text));
        }
    }
}
