//! A pool of instances behind a balancer, and how to tell who answered.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::Operation;

/// How often a balancer chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DecidesOn {
    /// For each request.
    #[default]
    Request,
    /// For each connection, with all its requests.
    Connection,
}

/// What in an answer names who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ToldBy {
    /// The value of this header.
    Header(Operation),
    /// What stands here in its JSON body.
    Json(Operation),
    /// The address that the connection leads to.
    Address,
}

impl fmt::Display for ToldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Json(path) => write!(f, "{path} of the body"),
            Self::Address => f.pad("the address"),
        }
    }
}

/// One of those who may answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Member {
    /// What people call it.
    pub name: Operation,
    /// What it may call itself.
    pub told: Vec<Operation>,
    /// Of so many decisions as all weights together are, so many should be for it.
    pub weight: u32,
}
