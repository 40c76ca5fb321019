//! The services under test, from `cluster-config.yaml`: environments, groups, services, instances,
//! how each is addressed and checked.
//!
//! `raw` is the file as it may be written (and its JSON Schema), `parse` is the only door from
//! there to [`Fleet`]. Identity is `environment/service/instance`. Deliberately absent: how a
//! service is started; every service is `external` so far.

mod address;
mod conflict;
mod copies;
mod http;
mod instance;
mod label;
mod names;
mod parse;
mod raw;
mod title;

pub use address::{Address, BadAddress, Host, Scheme};
pub use http::{
    BadHttp, HeaderName, HeaderPart, HeaderValue, Headers, Method, RequestPath, Statuses,
};
pub(crate) use http::{RawHeaders, headers, method, request_path, statuses};
pub use instance::{
    Addresses, Balancing, DecidesOn, Environment, Fleet, Group, Instance, Kind, Policy, ServiceId,
};
pub(crate) use label::label_value;
pub use label::{LabelName, LabelValue, Labels};
pub(crate) use names::Names;
pub use parse::load;
pub(crate) use parse::{api, parse, unknown_environment};
pub(crate) use raw::RawFleet;
pub use title::Title;
pub(crate) use title::title;

/// The version of both file formats.
pub const API: &str = "nepho/v1";
