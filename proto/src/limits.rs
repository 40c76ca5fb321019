//! The sizes beyond which nothing is read.
//!
//! They are far above what a fleet of 40 services in three environments needs and far below what
//! hurts a controller with 10 agents.

use nepho_common::journal::PAYLOAD_MAX;

/// The largest message of the controller on the control stream, 4 MiB: it may carry an assignment,
/// which takes 60 kB for 40 services and 3 stages.
pub const COMMAND_MAX: usize = 4 << 20;

/// The largest message of an agent on the control stream, 256 KiB: a hello with a status for each
/// of [`RUNS_MAX`] runs takes about 150 kB.
pub const AGENT_MESSAGE_MAX: usize = 256 << 10;

/// The largest message on the results stream, 2 MiB: a record of [`PAYLOAD_MAX`] and its frame.
pub const RESULTS_MAX: usize = 2 << 20;

/// The largest message of an enrolment, 16 KiB: a request is about 300 B, a chain of two 1 kB.
pub const ENROLMENT_MAX: usize = 16 << 10;

/// The largest encoded record: its payload, and 1 KiB for the names around it.
pub const RECORD_MAX: usize = PAYLOAD_MAX + 1024;

/// What [`crate::journal::fit`] fills a payload to, 256 KiB: one row for each batch, and at
/// 10 Mbit/s the acknowledgement still comes within a quarter of a second.
pub const BATCH_MAX: usize = 256 << 10;

/// The largest encoded histogram, 64 KiB. What is larger is split in two, for merging is addition.
pub const HISTOGRAM_MAX: usize = 64 << 10;

/// The most entries in one list of a payload, and the most series in one seal: 40 services, each
/// with every outcome and metric, are 3,520.
pub const ENTRIES_MAX: usize = 10_000;

/// The most agents that one message names.
pub const AGENTS_MAX: usize = 1_000;

/// The most doors of one controller: one to enrol at, one for sessions, and room for more.
pub const DOORS_MAX: usize = 16;

/// The most features that an agent has or an assignment asks for; there are two today.
pub const FEATURES_MAX: usize = 256;

/// The most runs that an agent reports; it takes part in one and remembers a few.
pub const RUNS_MAX: usize = 1_000;

/// The most stages of an assignment.
pub const STAGES_MAX: usize = 1_000;

/// The most steps of a stage.
pub const STEPS_MAX: usize = 1_000;

/// The most targets of a step: 40 services with 25 instances each.
pub const TARGETS_MAX: usize = 1_000;

/// The most processes and containers of one watch, several times what a scenario may hold.
pub const THINGS_MAX: usize = 200;

/// The most headers of a request; servers commonly refuse above 100.
pub const HEADERS_MAX: usize = 100;

/// The most redirects that are followed; browsers give up at 20, and a probe's target is known.
pub const REDIRECTS_MAX: u32 = 10;

/// The most names or answers that a request expects.
pub const ANSWERS_MAX: usize = 100;

/// The most statuses that count as success: all there are.
pub const STATUSES_MAX: usize = 900;

/// The longest text for people, 4 KiB. Ours is cut to it before it is sent.
pub const TEXT_MAX: usize = 4 << 10;

/// The longest URL or header value, 8 KiB: the limit of common servers for a request line.
pub const URL_MAX: usize = 8 << 10;

/// The longest host name, 253 bytes (RFC 1035, less the final dot).
pub const HOST_NAME_MAX: usize = 253;

/// The longest duration and the farthest run time, ten years in nanoseconds: so far from the ends
/// of 64 bits that no sum of a few of them overflows.
pub const SPAN_MAX: u64 = 10 * 366 * 86_400 * 1_000_000_000;

/// The longest certificate chain in a reply: the agent's own, the authority, and two to spare.
pub const CHAIN_MAX: usize = 4;

/// The longest secret of a join token, in bytes.
pub const SECRET_MAX: usize = 256;

/// The longest signature, 256 B: P-256 takes 72.
pub const SIGNATURE_MAX: usize = 256;

/// The largest certificate or request, 4 KiB: elliptic-curve ones take about 500 B.
pub const CERTIFICATE_MAX: usize = 4 << 10;
