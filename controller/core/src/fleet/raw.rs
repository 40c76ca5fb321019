//! The fleet file as it may be written. Everything is optional here: what must be there is said
//! by the schema, and what was refused is absent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::RawHeaders;

/// Nephoscope fleet: the services under test, where they live and how they are reached.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(
    rename = "Fleet",
    title = "Nephoscope fleet",
    extend("required" = ["api", "environments", "services"], "x-later" = ["discovery"])
)]
pub(crate) struct RawFleet {
    /// Version of the format: nepho/v1.
    #[schemars(pattern(r"^nepho/v1$"))]
    pub(crate) api: Option<String>,
    /// The places that services and agents live in, by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100))]
    pub(crate) environments: Option<BTreeMap<String, Option<RawEnvironment>>>,
    /// Services that belong together, by name. When this is left out, groups are what the services
    /// name.
    pub(crate) groups: Option<BTreeMap<String, Option<RawGroup>>>,
    /// The services. The same name may stand once in each environment.
    #[schemars(length(min = 1, max = 2000))]
    pub(crate) services: Option<Vec<Option<RawService>>>,
}

/// A place that services and agents live in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Environment")]
pub(crate) struct RawEnvironment {
    /// A name for people, in any language.
    pub(crate) title: Option<String>,
}

/// Services that belong together.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Group")]
pub(crate) struct RawGroup {
    /// A name for people, in any language.
    pub(crate) title: Option<String>,
    /// With this the group is one pool: the instances of all its services answer the same
    /// requests.
    pub(crate) balancing: Option<RawBalancing>,
}

/// How requests are spread over the instances of a group.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Balancing", extend("required" = ["policy"]))]
pub(crate) struct RawBalancing {
    /// The policy that is configured; weights stand on the instances.
    #[schemars(extend("enum" = ["round-robin", "least-connections", "random", "source-hash"]))]
    pub(crate) policy: Option<String>,
    /// What the balancer decides on: each request (the default) or each connection.
    #[schemars(extend("enum" = ["request", "connection"]))]
    pub(crate) decides_on: Option<String>,
    /// What in an answer names the instance that gave it: asked for by `expect: distribution`.
    pub(crate) told_by: Option<RawToldBy>,
}

/// What in an answer names who gave it. It has one of `header`, `json` and `address`. The name may
/// be ENVIRONMENT/SERVICE/INSTANCE, SERVICE/INSTANCE, SERVICE-INSTANCE, or as much of it as is told
/// apart in the group.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ToldBy")]
pub(crate) struct RawToldBy {
    /// The value of this header: x-instance.
    pub(crate) header: Option<String>,
    /// What stands at this path of a JSON body: $.instance.
    pub(crate) json: Option<String>,
    /// The address that the connection leads to.
    pub(crate) address: Option<RawExternal>,
}

/// A service in one environment. It has `http` or `tcp`, and `address` or `instances`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(
    rename = "Service",
    extend(
        "required" = ["name", "environment"],
        "x-later" = ["container", "process", "consul", "docker", "dns-srv"]
    )
)]
pub(crate) struct RawService {
    /// The service's name, unique in its environment.
    #[schemars(pattern(r"^[a-z0-9][a-z0-9._-]{0,62}$"))]
    pub(crate) name: Option<String>,
    /// A name for people, in any language.
    pub(crate) title: Option<String>,
    /// Where it lives: one of `environments`.
    pub(crate) environment: Option<String>,
    /// What it belongs to: one of `groups`.
    pub(crate) group: Option<String>,
    /// Free labels for selectors.
    pub(crate) labels: Option<BTreeMap<String, Option<String>>>,
    /// The running copies. A service with one copy may write `address` instead.
    #[schemars(length(min = 1, max = 1000))]
    pub(crate) instances: Option<Vec<Option<RawInstance>>>,
    /// The address of the only instance, which is then named "1".
    pub(crate) address: Option<RawAddresses>,
    /// An HTTP service, and how its health is checked.
    pub(crate) http: Option<RawHttp>,
    /// A service without HTTP: its health is that it accepts a TCP connection.
    pub(crate) tcp: Option<RawTcp>,
    /// A balancer of HTTP requests: the group that it spreads them over. A load with `via: balancer`
    /// to that group goes here.
    pub(crate) balances: Option<String>,
    /// Services that this one needs: NAME in the same environment, or ENVIRONMENT/NAME.
    pub(crate) depends_on: Option<Vec<Option<String>>>,
    /// Nephoscope only measures it (the default).
    #[expect(
        dead_code,
        reason = "the only way so far: what it says is what is assumed anyway"
    )]
    pub(crate) external: Option<RawExternal>,
}

/// One running copy of a service.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Instance", extend("required" = ["name", "address"]))]
pub(crate) struct RawInstance {
    /// The instance's name, unique in its service.
    #[schemars(pattern(r"^[a-z0-9][a-z0-9._-]{0,62}$"))]
    pub(crate) name: Option<String>,
    /// Its share of the requests to its group; 1 when left out, 0 for none.
    #[schemars(range(min = 0, max = 10_000))]
    pub(crate) weight: Option<u32>,
    /// Labels of this instance, beside those of its service.
    pub(crate) labels: Option<BTreeMap<String, Option<String>>>,
    /// Where it is reached.
    pub(crate) address: Option<RawAddresses>,
}

/// Where an instance is reached depends on who asks; `address: {default: HOST:PORT}` is one for all.
/// An environment that finds no address here has no path to the instance. HOST:PORT (an IPv6 address
/// in brackets), `http://HOST` or `https://HOST`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Addresses")]
pub(crate) struct RawAddresses {
    /// For agents of the instance's own environment.
    pub(crate) inside: Option<String>,
    /// For agents of another environment, by its name.
    pub(crate) from: Option<BTreeMap<String, Option<String>>>,
    /// For everybody else.
    pub(crate) default: Option<String>,
}

/// How the health of an HTTP service is checked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "ServiceHttp")]
pub(crate) struct RawHttp {
    /// The path of its health check; /health when left out.
    #[schemars(pattern("^/"))]
    pub(crate) health: Option<String>,
    /// The statuses that mean "healthy"; 200 when left out.
    #[schemars(length(min = 1, max = 50), inner(range(min = 100, max = 599)))]
    pub(crate) status: Option<Vec<Option<u16>>>,
    /// Headers sent with every health check.
    pub(crate) headers: Option<RawHeaders>,
}

/// A service without HTTP.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ServiceTcp")]
pub(crate) struct RawTcp {}

/// A service that Nephoscope only measures.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "External")]
pub(crate) struct RawExternal {}
