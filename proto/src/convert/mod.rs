//! Nouns inwards (`TryFrom`, everything checked) and outwards (`From`), a file for each family.

pub(crate) mod assignment;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod command;
pub(crate) mod enrolment;
pub(crate) mod event;
pub(crate) mod exhibit;
pub(crate) mod field;
pub(crate) mod gauge;
pub(crate) mod hello;
pub(crate) mod histogram;
pub(crate) mod load;
pub(crate) mod message;
pub(crate) mod plan;
pub(crate) mod record;
pub(crate) mod recording;
pub(crate) mod refusal;
pub(crate) mod seal;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod trace;
pub(crate) mod words;
