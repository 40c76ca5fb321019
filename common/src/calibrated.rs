//! How much load a host was found to send on time: what `nepho calibrate --save` leaves for the agent.

use serde::{Deserialize, Serialize};

/// Up to which rate a host sends requests on time, as it was measured there.
///
/// ```
/// # use nepho_common::calibrated::Calibrated;
/// let found = Calibrated::new(30_000, 1, 4)?;
/// assert_eq!(found.plan_with(), 21_000);
/// assert!(Calibrated::new(0, 1, 4).is_err());
/// # Ok::<(), nepho_common::calibrated::BadCalibrated>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Calibrated {
    rate: u64,
    threads: u32,
    cores: u32,
}

/// As it is written down.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Written {
    /// Requests per second that were sent at most 1 ms late, at the 99th percentile.
    rate: u64,
    /// Threads of the generator that sent them.
    threads: u32,
    /// Processors that it might use.
    cores: u32,
}

/// It is none that anybody can have measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{rate}/s by {threads} threads on {cores} cores was never measured")]
pub struct BadCalibrated {
    rate: u64,
    threads: u32,
    cores: u32,
}

impl Calibrated {
    /// What it is called in an agent's data directory.
    pub const FILE: &'static str = "calibration.json";
    /// More than any file of it has, in bytes.
    pub const BYTES_MAX: u64 = 4096;
    /// What a load is planned with at most, in percent: the rest is for what else a host does.
    pub const PLANNED_MAX: u64 = 70;
    /// No generator of ours is asked for more, in requests per second.
    const RATE_MAX: u64 = 10_000_000;

    /// So many requests per second, by so many threads on so many processors.
    ///
    /// # Errors
    /// One of them is 0, or the rate is beyond what is ever tried.
    pub const fn new(rate: u64, threads: u32, cores: u32) -> Result<Self, BadCalibrated> {
        if rate == 0 || rate > Self::RATE_MAX || threads == 0 || cores == 0 {
            return Err(BadCalibrated {
                rate,
                threads,
                cores,
            });
        }
        Ok(Self {
            rate,
            threads,
            cores,
        })
    }

    /// Requests per second that were sent on time.
    #[must_use]
    pub const fn rate(self) -> u64 {
        self.rate
    }

    /// Threads of the generator that sent them.
    #[must_use]
    pub const fn threads(self) -> u32 {
        self.threads
    }

    /// Processors that it might use. A host that has another number now was changed since.
    #[must_use]
    pub const fn cores(self) -> u32 {
        self.cores
    }

    /// Requests per second that a load should be planned with at most.
    #[must_use]
    pub const fn plan_with(self) -> u64 {
        self.rate * Self::PLANNED_MAX / 100
    }
}

impl TryFrom<Written> for Calibrated {
    type Error = BadCalibrated;

    fn try_from(written: Written) -> Result<Self, BadCalibrated> {
        Self::new(written.rate, written.threads, written.cores)
    }
}

impl From<Calibrated> for Written {
    fn from(found: Calibrated) -> Self {
        let Calibrated {
            rate,
            threads,
            cores,
        } = found;
        Self {
            rate,
            threads,
            cores,
        }
    }
}
