//! The real binary, as the demo starts it.

mod child;
mod proxy;
mod running;
mod service;
mod tls;
