//! Intervals that hold the true figure with a stated confidence. Only operations that IEEE 754
//! rounds exactly (no logarithm, no power), so that every machine prints the same report.
//!
//! - [`binomial`]: how likely so many of so many are.
//! - [`ranks`]: between which values a quantile lies, by order statistics.
//! - [`blocks`]: the same for values that follow each other's lead, by drawing blocks of time.
//! - [`share`]: between which bounds a share lies.
//! - [`distribution`]: whether a balancer spreads its decisions as it is configured to.
//! - [`normal`], [`chi`]: the distributions that those need.

pub(super) mod binomial;
pub(super) mod blocks;
mod chi;
pub(crate) mod distribution;
pub(super) mod draws;
mod normal;
mod ranks;
pub(crate) mod share;

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

pub(super) use ranks::quantile_ranks;
pub(super) use share::wilson_ppm;
