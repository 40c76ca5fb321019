//! The agent's mind: what it does in a run, what it records of it, and what of that it still owes
//! the controller.
//!
//! This package is pure: `now` is an argument, and every decision comes back as a value that the
//! body (`nepho-agent`) carries out.
//!
//! - [`engine`]: commands and time in, actions out; one engine per run.
//! - [`budget`]: what this agent refuses, whoever asks.
//! - [`recorder`]: observations in, recordings and the seal of a stage out.
//! - [`doctor`]: what is wrong with an agent's host, from facts.
//! - [`outbox`]: which records of the spool are to be sent next.
//!
//! Deliberately absent: sockets, files, clocks, threads. The engine moves per step, never per
//! request.

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub mod budget;
pub mod doctor;
pub mod engine;
pub mod outbox;
pub mod pace;
pub mod recorder;
