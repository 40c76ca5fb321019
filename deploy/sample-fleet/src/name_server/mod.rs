//! A name server that knows the names it is given, and no others.
//!
//! `start` leads from the arguments to the end, `names` is what it knows, `reply` makes the answer
//! to one message (pure), `talk` carries both over UDP and TCP.
//!
//! Deliberately absent: zones, hence SOA and NS; recursion; wildcards; DNSSEC.

mod names;
mod reply;
mod start;
mod talk;

pub(crate) use start::{Arguments, run};
