//! From the raw file to the fleet: the only door.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    id::{EnvironmentName, GroupName, InstanceId, Operation, ServiceName},
    json_path::JsonPath,
    plan::ToldBy,
};

use super::{
    API, Balancing, DecidesOn, Environment, Fleet, Group, HeaderName, Host, Instance, Kind, Names,
    Policy, RawFleet, Scheme, ServiceId,
    conflict::{cycle, shared_address},
    headers,
    label::labels,
    raw::{RawBalancing, RawGroup, RawHttp, RawService, RawToldBy},
    request_path, statuses, title,
};
use crate::{
    diagnose::{Checker, Code, Diagnostics, Pointer, Problem, nearest, quoted},
    scenario::Source,
};

/// Reads a fleet file on its own.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(source: &Source) -> Result<Fleet, Diagnostics> {
    let mut checker = Checker::open(&source.name, &source.text);
    let fleet = parse(&mut checker).0;
    let found = checker.finish();
    fleet.filter(|_| found.is_empty()).ok_or(found)
}

/// Parses an opened fleet file. Without a complaint in `checker` there is a fleet; the names are
/// there even when it has mistakes.
pub(crate) fn parse(checker: &mut Checker) -> (Option<Fleet>, Option<Names>) {
    let Some(raw) = checker.decode::<RawFleet>() else {
        return (None, None);
    };
    let names = Names::of(&raw);
    let mut parser = Parser {
        checker,
        names: &names,
        raw: &raw,
    };
    let fleet = parser.fleet();
    (fleet, Some(names))
}

/// Checks the version of the format.
pub(crate) fn api(checker: &mut Checker, text: Option<&str>) {
    let problem = |text: &str| {
        Problem::new(
            Code::ApiVersion,
            format!("{} is not the format that this nepho reads", quoted(text)),
        )
        .label(format!("`{API}`"))
    };
    checker.text(&Pointer::root().key("api"), text, |text| {
        if text == API {
            Ok(())
        } else {
            Err(problem(text))
        }
    });
}

pub(super) struct Parser<'a> {
    pub(super) checker: &'a mut Checker,
    pub(super) names: &'a Names,
    raw: &'a RawFleet,
}

impl Parser<'_> {
    fn fleet(&mut self) -> Option<Fleet> {
        let raw = self.raw;
        api(self.checker, raw.api.as_deref());
        let at = Pointer::root().key("environments");
        let mut environments = BTreeMap::new();
        for (name, environment) in raw.environments.iter().flatten() {
            let at = at.key(name);
            let text = environment.as_ref().and_then(|raw| raw.title.as_deref());
            let title = title(self.checker, &at.key("title"), text);
            if let Some(name) = self.checker.key_name::<EnvironmentName>(&at, name) {
                environments.insert(name, Environment { title });
            }
        }
        let at = Pointer::root().key("groups");
        let mut groups = BTreeMap::new();
        for (name, group) in raw.groups.iter().flatten() {
            let at = at.key(name);
            let group = self.group(&at, group.as_ref());
            if let (Some(name), Some(group)) =
                (self.checker.key_name::<GroupName>(&at, name), group)
            {
                groups.insert(name, group);
            }
        }
        let instances = self.services();
        for group in instances
            .values()
            .filter_map(|instance| instance.group.as_ref())
        {
            groups.entry(group.clone()).or_default();
        }
        Some(Fleet {
            environments,
            groups,
            instances,
        })
    }

    fn group(&mut self, at: &Pointer, raw: Option<&RawGroup>) -> Option<Group> {
        let raw = raw?;
        let title = title(self.checker, &at.key("title"), raw.title.as_deref());
        let told_by = raw.balancing.as_ref().and_then(|raw| raw.told_by.as_ref());
        let told_at = at.key("balancing").key("told-by");
        let told_by = told_by.and_then(|raw| told_by_of(self.checker, &told_at, raw));
        let balancing = raw.balancing.as_ref().and_then(balancing);
        let balancing = balancing.map(|balancing| Balancing {
            told_by,
            ..balancing
        });
        Some(Group { title, balancing })
    }

    fn services(&mut self) -> BTreeMap<InstanceId, Instance> {
        let raw = self.raw;
        let at = Pointer::root().key("services");
        let mut instances = BTreeMap::new();
        let mut seen: BTreeMap<ServiceId, Pointer> = BTreeMap::new();
        let mut needs = BTreeMap::new();
        let mut listening: BTreeMap<(EnvironmentName, Host, u16), InstanceId> = BTreeMap::new();
        for (index, service) in raw.services.iter().flatten().enumerate() {
            let at = at.index(index);
            let Some(service) = service else { continue };
            let Some((id, parsed)) = self.service(&at, service) else {
                continue;
            };
            if seen.contains_key(&id) {
                let message = format!("there is a service {} already", quoted(&id.to_string()));
                let problem = Problem::new(Code::DuplicateName, message)
                    .label("the same name in the same environment")
                    .help("several copies of one service are its `instances`");
                self.checker.at_value(&at.key("name"), problem);
                continue;
            }
            for (inside_at, instance) in parsed {
                shared_address(self.checker, &inside_at, &instance, &mut listening);
                needs.insert(id.clone(), instance.depends_on.clone());
                instances.insert(instance.id.clone(), instance);
            }
            seen.insert(id, at);
        }
        cycle(self.checker, &needs, &seen);
        instances
    }

    fn service(
        &mut self,
        at: &Pointer,
        raw: &RawService,
    ) -> Option<(ServiceId, Vec<(Pointer, Instance)>)> {
        let name = self
            .checker
            .name::<ServiceName>(&at.key("name"), raw.name.as_deref());
        let environment = self.environment(&at.key("environment"), raw.environment.as_deref());
        let group = self.group_of(&at.key("group"), raw.group.as_deref());
        let title = title(self.checker, &at.key("title"), raw.title.as_deref());
        let own = labels(self.checker, &at.key("labels"), raw.labels.as_ref());
        let kind = self.kind(at, raw);
        let plain = if raw.http.is_some() {
            Scheme::Http
        } else {
            Scheme::Tcp
        };
        let depends_on = self.depends_on(at, raw);
        let balances = self.group_of(&at.key("balances"), raw.balances.as_deref());
        let copies = self.copies(at, raw, plain);
        let id = ServiceId {
            environment: environment?,
            service: name?,
        };
        let kind = kind?;
        let instances = copies
            .into_iter()
            .map(|copy| {
                let mut labels = own.clone();
                labels.extend(copy.labels);
                let id = InstanceId {
                    environment: id.environment.clone(),
                    service: id.service.clone(),
                    instance: copy.name,
                };
                let instance = Instance {
                    id,
                    title: title.clone(),
                    group: group.clone(),
                    labels,
                    weight: copy.weight,
                    addresses: copy.addresses,
                    kind: kind.clone(),
                    depends_on: depends_on.clone(),
                    balances: balances.clone(),
                };
                (copy.inside_at, instance)
            })
            .collect();
        Some((id, instances))
    }

    fn kind(&mut self, at: &Pointer, raw: &RawService) -> Option<Kind> {
        match (&raw.http, &raw.tcp) {
            (Some(http), None) => self.http(&at.key("http"), http),
            (None, Some(_)) => Some(Kind::Tcp),
            (http, tcp) => {
                if !self.checker.is_incomplete(at) {
                    let both = http.is_some() && tcp.is_some();
                    let (what, place) = if both {
                        ("this service has `http` and `tcp`", at.key("tcp"))
                    } else {
                        ("this service has neither `http` nor `tcp`", at.key("name"))
                    };
                    let problem = Problem::new(Code::ExactlyOne, what)
                        .label("exactly one of them says how its health is checked")
                        .help("`http: {}` asks GET /health; `tcp: {}` only connects");
                    self.checker.at_key(&place, problem);
                }
                None
            }
        }
    }

    fn http(&mut self, at: &Pointer, raw: &RawHttp) -> Option<Kind> {
        let health = request_path(
            self.checker,
            &at.key("health"),
            raw.health.as_deref(),
            "/health",
        );
        let headers = headers(self.checker, &at.key("headers"), raw.headers.as_ref());
        Some(Kind::Http {
            health: health?,
            ok: statuses(raw.status.as_ref()),
            headers,
        })
    }

    fn environment(&mut self, at: &Pointer, text: Option<&str>) -> Option<EnvironmentName> {
        let names = self.names;
        let known = |text: &str| match names.environments.contains(text) {
            // Declared under a name that is no name: that is refused where it stands.
            true => Ok(text.parse().ok()),
            false => Err(unknown_environment(text, names)),
        };
        self.checker.text(at, text, known).flatten()
    }

    fn group_of(&mut self, at: &Pointer, text: Option<&str>) -> Option<GroupName> {
        let Some(declared) = self.raw.groups.as_ref() else {
            return self.checker.name(at, text);
        };
        let known = |text: &str| match declared.contains_key(text) {
            true => Ok(text.parse().ok()),
            false => {
                let message = format!("there is no group {}", quoted(text));
                Err(Problem::new(Code::UnknownGroup, message)
                    .label("unknown group")
                    .meant(text, declared.keys().map(String::as_str)))
            }
        };
        self.checker.text(at, text, known).flatten()
    }

    fn depends_on(&mut self, at: &Pointer, raw: &RawService) -> BTreeSet<ServiceId> {
        let at = at.key("depends-on");
        let mut found = BTreeSet::new();
        let own = raw.environment.as_deref().unwrap_or_default();
        let known = &self.names.service_ids;
        for (index, text) in raw.depends_on.iter().flatten().enumerate() {
            let Some(text) = text else { continue };
            if self.checker.is_hopeless() {
                break;
            }
            let full = if text.contains('/') {
                text.clone()
            } else {
                format!("{own}/{text}")
            };
            let parsed = full.split_once('/').and_then(|(environment, service)| {
                let (environment, service) = (environment.parse().ok()?, service.parse().ok()?);
                Some(ServiceId {
                    environment,
                    service,
                })
            });
            match parsed.filter(|_| known.contains(&full)) {
                Some(id) => drop(found.insert(id)),
                None if raw.environment.is_none() && !text.contains('/') => {}
                None => {
                    let what = format!("there is no service {}", quoted(&full));
                    let mut problem =
                        Problem::new(Code::UnknownService, what).label("unknown service");
                    if let Some(word) = nearest(&full, known.iter().map(String::as_str)) {
                        let word = word.strip_prefix(&format!("{own}/")).unwrap_or(word);
                        problem = problem.label(format!("did you mean {}?", quoted(word)));
                    } else {
                        problem = problem.help(
                            "NAME is a service of the same environment; else ENVIRONMENT/NAME",
                        );
                    }
                    self.checker.at_value(&at.index(index), problem);
                }
            }
        }
        found
    }
}

/// The schema lets nothing else through.
fn balancing(raw: &RawBalancing) -> Option<Balancing> {
    let policy = match raw.policy.as_deref()? {
        "round-robin" => Policy::RoundRobin,
        "least-connections" => Policy::LeastConnections,
        "random" => Policy::Random,
        "source-hash" => Policy::SourceHash,
        _ => return None,
    };
    let decides_on = match raw.decides_on.as_deref() {
        None | Some("request") => DecidesOn::Request,
        Some("connection") => DecidesOn::Connection,
        Some(_) => return None,
    };
    Some(Balancing {
        policy,
        decides_on,
        told_by: None,
    })
}

/// Parses what names an instance, at `at`.
fn told_by_of(checker: &mut Checker, at: &Pointer, raw: &RawToldBy) -> Option<ToldBy> {
    let word = |text: &str| Operation::try_from(text.to_owned()).ok();
    match (&raw.header, &raw.json, &raw.address) {
        (Some(text), None, None) => checker
            .text(&at.key("header"), Some(text), |text| {
                HeaderName::parse(text).map_err(|why| {
                    let what = format!("no header can be named {}", quoted(text));
                    Problem::new(Code::BadHttp, what).label(why.to_string())
                })
            })
            .and_then(|name| word(name.as_str()))
            .map(ToldBy::Header),
        (None, Some(text), None) => checker
            .text(&at.key("json"), Some(text), |text| {
                text.parse::<JsonPath>().map_err(|why| {
                    let what = format!("{} is not a path into JSON", quoted(text));
                    Problem::new(Code::BadQuestion, what).label(why.to_string())
                })
            })
            .and_then(|path| word(&path.to_string()))
            .map(ToldBy::Json),
        (None, None, Some(_)) => Some(ToldBy::Address),
        _ => {
            if !checker.is_incomplete(at) {
                let what = "who answered is told in one way";
                let problem = Problem::new(Code::ExactlyOne, what)
                    .label("exactly one of `header`, `json` and `address`");
                checker.at_key(at, problem);
            }
            None
        }
    }
}

/// `text` is no environment of the fleet.
pub(crate) fn unknown_environment(text: &str, names: &Names) -> Problem {
    Problem::new(
        Code::UnknownEnvironment,
        format!("there is no environment {}", quoted(text)),
    )
    .label("unknown environment")
    .meant(text, names.environments.iter().map(String::as_str))
}
