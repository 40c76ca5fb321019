//! A run, live, as server-sent events: each is a whole view, so a reader may miss any of them.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{refusal::Refusal, server::run_id};
use crate::{driver::Handle, view::RunView};

/// People see no more than ten changes a second; what changes faster is told together.
const GAP: Duration = Duration::from_millis(100);
/// A view at least this often, so that elapsed times move.
const PULSE: Duration = Duration::from_secs(1);
/// Proxies and readers take a longer silence for a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) async fn events(
    State(handle): State<Handle>,
    Path(run): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let views = handle.watch(&run_id(&run)?).await?;
    let events = stream::unfold(Some(Feed::new(views)), |feed| async {
        let mut feed = feed?;
        let view = feed.next().await;
        let event = Event::default()
            .json_data(&view)
            .expect("a view has string keys");
        let more = !view.is_over() && !feed.ended;
        Some((Ok(event), more.then_some(feed)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Feed {
    views: watch::Receiver<RunView>,
    first: bool,
    /// Nobody will send another view.
    ended: bool,
}

impl Feed {
    const fn new(views: watch::Receiver<RunView>) -> Self {
        Self {
            views,
            first: true,
            ended: false,
        }
    }

    /// The first view at once, then one on change and one a second.
    async fn next(&mut self) -> RunView {
        if self.first {
            self.first = false;
        } else {
            sleep(GAP).await;
            if let Ok(Err(_sender_gone)) = timeout(PULSE, self.views.changed()).await {
                self.ended = true;
            }
        }
        self.views.borrow_and_update().clone()
    }
}
