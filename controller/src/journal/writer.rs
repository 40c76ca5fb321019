//! The one task that writes. What arrives while records wait for company goes into one
//! transaction, and each requester is answered after its commit, never before.

use std::{sync::Arc, time::Duration};

use nepho_common::{
    id::{AgentId, Digest, Fence, RunId},
    journal::Record,
    time::WallMillis,
};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    admit, append,
    error::StoreError,
    lease::{self, Claim, Claimed},
    renew, rollup,
    row::{
        Admission, Admitted, AgentRow, Ending, NewToken, Offer, Offered, RunRow, RunState, TokenUse,
    },
    runs, sql,
    store::Appended,
};

/// Where a requester waits.
pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What can be asked of the writer.
#[derive(Debug)]
pub(super) enum Write {
    Append {
        records: Vec<Record>,
        received: WallMillis,
        /// Whose right to write for a run must still hold.
        fence: Option<(RunId, Fence)>,
        answer: Answer<Appended>,
    },
    Claim {
        claim: Claim,
        now: WallMillis,
        answer: Answer<Claimed>,
    },
    RenewLeases {
        holder: String,
        until: WallMillis,
        answer: Answer<()>,
    },
    CreateRun {
        run: RunRow,
        answer: Answer<()>,
    },
    SetRunState {
        run: RunId,
        state: RunState,
        answer: Answer<()>,
    },
    EndRun {
        run: RunId,
        ending: Ending,
        answer: Answer<()>,
    },
    PutToken {
        token: NewToken,
        answer: Answer<()>,
    },
    UseToken {
        secret: Digest,
        key: Digest,
        now: WallMillis,
        answer: Answer<TokenUse>,
    },
    Admit {
        admission: Admission,
        answer: Answer<Admitted>,
    },
    PutAgent {
        agent: AgentRow,
        answer: Answer<()>,
    },
    Offer {
        agent: AgentId,
        shown: String,
        offer: Offer,
        answer: Answer<Offered>,
    },
    Promote {
        agent: AgentId,
        serial: String,
        answer: Answer<bool>,
    },
    Revoke {
        agent: AgentId,
        now: WallMillis,
        answer: Answer<bool>,
    },
    /// Rolls up what is due; everything again, if that is wanted.
    RollUp {
        again: bool,
        answer: Answer<()>,
    },
    Close,
}

impl Write {
    /// Records come in streams and a commit costs the same for one and for many, so they wait for
    /// each other. A person or an agent's enrolment does not wait.
    const fn waits_for_company(&self) -> bool {
        matches!(self, Self::Append { .. })
    }
}

/// How long records wait for company: an agent's acknowledgement comes that much later, and a
/// commit with synchronous=FULL costs 0.5 to 12 ms here.
const COMPANY: Duration = Duration::from_millis(20);

/// Requests in one transaction: bounds what is lost to one failed commit, and memory.
const TOGETHER: usize = 256;

/// What to tell a requester once the transaction is through; runs after COMMIT only.
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

pub(super) struct Writer {
    options: SqliteConnectOptions,
    /// `None` after a failed write: a connection whose fsync failed is not trusted again.
    connection: Option<SqliteConnection>,
    requests: mpsc::Receiver<Write>,
    /// What reports need may be rolled up, when nobody waits.
    idle: Idle,
}

/// What is left for when nobody waits.
#[derive(Debug)]
struct Idle {
    is_due: bool,
    known: rollup::Known,
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        requests: mpsc::Receiver<Write>,
    ) -> Self {
        Self {
            options,
            connection: Some(connection),
            requests,
            // An earlier process may have ended before it came to it.
            idle: Idle {
                is_due: true,
                known: None,
            },
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(first) = self.next().await {
            let (batch, closing) = self.gather(first).await;
            self.commit(batch).await;
            if closing {
                break;
            }
        }
        if let Some(connection) = self.connection {
            connection.close().await.ok(); // Everything is committed; there is nobody to tell.
        }
    }

    /// The next request; until there is one, what is due.
    async fn next(&mut self) -> Option<Write> {
        while self.idle.is_due {
            match self.requests.try_recv() {
                Ok(write) => return Some(write),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => self.roll_up().await,
            }
        }
        self.requests.recv().await
    }

    /// Rolls up one block. What fails is left: reports are made from the records then.
    async fn roll_up(&mut self) {
        let done = self.roll_up_one().await;
        if let Err(error) = &done {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "recordings could not be rolled up: reports take longer, and say the same"
            );
            self.connection = None;
        }
        self.idle.is_due = done.unwrap_or(false);
    }

    async fn roll_up_one(&mut self) -> Result<bool, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(failed)?,
        };
        let connection = self.connection.insert(connection);
        let mut transaction = connection.begin_with(sql::BEGIN).await.map_err(failed)?;
        let more = rollup::one(&mut transaction, &mut self.idle.known).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(more)
    }

    async fn gather(&mut self, first: Write) -> (Vec<Write>, bool) {
        let until = Instant::now() + COMPANY;
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(write) = next {
            if matches!(write, Write::Close) {
                return (batch, true);
            }
            let hurry = !write.waits_for_company();
            batch.push(write);
            if hurry || batch.len() == TOGETHER {
                break;
            }
            next = timeout_at(until, self.requests.recv()).await.ok().flatten();
        }
        (batch, false)
    }

    async fn commit(&mut self, batch: Vec<Write>) {
        let mut waiting = batch.into_iter();
        let mut replies = Vec::with_capacity(waiting.len());
        let outcome = self.transact(&mut waiting, &mut replies).await;
        if let Err(error) = &outcome {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "nothing was stored"
            );
            self.connection = None;
            for write in waiting {
                refuse(write, error);
            }
        }
        for reply in replies {
            reply(outcome.clone());
        }
    }

    async fn transact(
        &mut self,
        waiting: &mut std::vec::IntoIter<Write>,
        replies: &mut Vec<Reply>,
    ) -> Result<(), StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(failed)?,
        };
        let connection = self.connection.insert(connection);
        let mut transaction = connection.begin_with(sql::BEGIN).await.map_err(failed)?;
        for write in waiting.by_ref() {
            perform(&mut transaction, write, replies, &mut self.idle).await?;
        }
        transaction.commit().await.map_err(failed)
    }
}

pub(super) fn failed(source: sqlx::Error) -> StoreError {
    StoreError::Write(Arc::new(source))
}

async fn perform(
    connection: &mut SqliteConnection,
    write: Write,
    replies: &mut Vec<Reply>,
    idle: &mut Idle,
) -> Result<(), StoreError> {
    match write {
        Write::Append {
            records,
            received,
            fence,
            answer,
        } => {
            let holds = match &fence {
                Some((run, fence)) => lease::check(connection, run, *fence).await,
                None => Ok(()),
            };
            let result = match holds {
                Ok(()) => append::append(connection, &records, received).await,
                Err(error) => Err(error),
            };
            let result = result.map(|(appended, is_due)| {
                idle.is_due |= is_due;
                appended
            });
            settle(result, answer, replies)
        }
        Write::Claim { claim, now, answer } => {
            let result = lease::claim(connection, claim, now).await;
            settle(result, answer, replies)
        }
        Write::RenewLeases {
            holder,
            until,
            answer,
        } => {
            let result = lease::renew(connection, &holder, until).await;
            settle(result, answer, replies)
        }
        Write::CreateRun { run, answer } => {
            settle(runs::create(connection, run).await, answer, replies)
        }
        Write::SetRunState { run, state, answer } => {
            let result = runs::set_state(connection, run, state).await;
            settle(result, answer, replies)
        }
        Write::EndRun {
            run,
            ending,
            answer,
        } => {
            let result = runs::end(connection, run, ending).await;
            settle(result, answer, replies)
        }
        Write::PutToken { token, answer } => {
            settle(admit::put_token(connection, token).await, answer, replies)
        }
        Write::UseToken {
            secret,
            key,
            now,
            answer,
        } => {
            let result = admit::use_token(connection, secret, key, now).await;
            settle(result, answer, replies)
        }
        Write::Admit { admission, answer } => {
            settle(admit::admit(connection, admission).await, answer, replies)
        }
        Write::PutAgent { agent, answer } => {
            settle(admit::put_agent(connection, &agent).await, answer, replies)
        }
        Write::Offer {
            agent,
            shown,
            offer,
            answer,
        } => {
            let result = renew::offer(connection, &agent, &shown, &offer).await;
            settle(result, answer, replies)
        }
        Write::Promote {
            agent,
            serial,
            answer,
        } => {
            let result = renew::promote(connection, &agent, &serial).await;
            settle(result, answer, replies)
        }
        Write::Revoke { agent, now, answer } => settle(
            admit::revoke(connection, &agent, now).await,
            answer,
            replies,
        ),
        Write::RollUp { again, answer } => {
            let result = roll_up(connection, again, idle).await;
            settle(result, answer, replies)
        }
        Write::Close => Ok(()),
    }
}

async fn roll_up(
    connection: &mut SqliteConnection,
    again: bool,
    idle: &mut Idle,
) -> Result<(), StoreError> {
    if again {
        rollup::forget(connection).await?;
    }
    while rollup::one(connection, &mut idle.known).await? {}
    Ok(())
}

/// Keeps the answer back until the commit. What is wrong with the request alone is its answer;
/// anything else ends the transaction, for then part of the request may have been done.
fn settle<T: Send + 'static>(
    result: Result<T, StoreError>,
    answer: Answer<T>,
    replies: &mut Vec<Reply>,
) -> Result<(), StoreError> {
    let fatal = match &result {
        Ok(_) | Err(StoreError::RunExists(_) | StoreError::NoRun(_) | StoreError::Fenced(_)) => {
            Ok(())
        }
        Err(error) => Err(error.clone()),
    };
    replies.push(Box::new(move |committed| {
        tell(answer, committed.and(result));
    }));
    fatal
}

fn refuse(write: Write, error: &StoreError) {
    let error = error.clone();
    match write {
        Write::Append { answer, .. } => tell(answer, Err(error)),
        Write::Claim { answer, .. } => tell(answer, Err(error)),
        Write::UseToken { answer, .. } => tell(answer, Err(error)),
        Write::Admit { answer, .. } => tell(answer, Err(error)),
        Write::Offer { answer, .. } => tell(answer, Err(error)),
        Write::Promote { answer, .. } | Write::Revoke { answer, .. } => tell(answer, Err(error)),
        Write::RenewLeases { answer, .. }
        | Write::CreateRun { answer, .. }
        | Write::SetRunState { answer, .. }
        | Write::EndRun { answer, .. }
        | Write::PutToken { answer, .. }
        | Write::PutAgent { answer, .. }
        | Write::RollUp { answer, .. } => tell(answer, Err(error)),
        Write::Close => {}
    }
}

/// Somebody who no longer waits does not need the answer.
fn tell<T>(answer: Answer<T>, result: Result<T, StoreError>) {
    drop(answer.send(result));
}
