//! A light HTTP/1.1 target: what a load generator is measured against, and what tells the truth of it.
//!
//! It costs less per request than any real server, so that the generator is the bottleneck, and it
//! knows of each request when it came and when its answer went. It can be slow in ways whose truth
//! can be computed, and it can be hostile.
//!
//! `start` reads the arguments and ends the process. `server` is the loop: one thread, one epoll
//! instance, no runtime in between. `connection` is one peer, `head` reads what it asks, `answers`
//! holds what it is told, `pace` says when, `stamps` writes down both. `clock` is the kernel's.
//! `hostile` breaks the rules instead.
//!
//! Deliberately absent: TLS, HTTP/2 that works, chunked request bodies.

mod answers;
mod clock;
mod connection;
mod delay;
mod head;
mod hostile;
mod pace;
mod server;
mod stamps;
mod start;

pub(crate) use start::{Arguments, run};
