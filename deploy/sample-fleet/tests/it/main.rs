//! The real binary, as the demo starts it.

mod balancer;
mod child;
mod light;
mod name_server;
mod proxy;
mod running;
mod service;
mod tls;
