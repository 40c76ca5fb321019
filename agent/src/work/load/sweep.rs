//! What happens every so often in a lane: time-outs, and what was counted is told.

use std::{io, rc::Rc};

use nepho_common::{
    load::Own,
    time::{Mono, Nanos},
};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

use super::{super::pacer::Mode, lane::Said, places::Shared};
use crate::clock::{self, Alarm};

/// A time-out is noticed so late at most, and a gap in which the thread did not run is told from
/// twice this on.
const EVERY: Nanos = Nanos::from_millis(10);
/// How often what was counted is told.
const TELL_EVERY: Nanos = Nanos::from_secs(1);

/// Sweeps until the lane is cut, and tells the rest.
pub(super) async fn run(
    shared: Rc<Shared>,
    mut alarm: Alarm,
    said: mpsc::Sender<Said>,
) -> io::Result<()> {
    let mut next = shared.start.plus(EVERY);
    let mut tells = shared.start.plus(TELL_EVERY);
    let mut own = Watched::new(shared.start);
    // The last users are gone when the lane is cut, so nothing is counted after this.
    while shared.mode.get() < Mode::Cut {
        alarm.until(next).await?;
        let now = clock::now();
        own.gap = own.gap.max(now.since(next));
        shared.expire(now);
        for place in &shared.places {
            place.sweep(now);
        }
        if now >= tells {
            tell(&shared, own.told(now), now, &said).await;
            tells = tells.plus(TELL_EVERY).max(now);
        }
        next = next.plus(EVERY).max(now);
    }
    let now = clock::now();
    tell(&shared, own.told(now), now, &said).await;
    Ok(())
}

async fn tell(shared: &Shared, own: Own, now: Mono, said: &mpsc::Sender<Said>) {
    let counted = shared.sheet.borrow_mut().tell(now, own);
    for one in counted {
        // Nobody listens only when everything ends.
        drop(said.send(Said::Counted(one)).await);
    }
}

/// How the thread itself did since it was last told.
struct Watched {
    used: Nanos,
    since: Mono,
    gap: Nanos,
}

impl Watched {
    fn new(since: Mono) -> Self {
        Self {
            used: used(),
            since,
            gap: Nanos(0),
        }
    }

    fn told(&mut self, now: Mono) -> Own {
        let used = used();
        let own = Own {
            used: Nanos(used.0.saturating_sub(self.used.0)),
            over: now.since(self.since),
            gap: self.gap,
        };
        *self = Self {
            used,
            since: now,
            gap: Nanos(0),
        };
        own
    }
}

/// Processor time of this thread.
fn used() -> Nanos {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let [secs, nanos] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    Nanos(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
}
