//! The store as its users see it: ask, and be answered after the commit.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::TryStreamExt as _;
use nepho_common::{
    id::{AgentId, Digest, Fence, RunId, Seq, SpoolId},
    journal::{PAYLOAD_MAX, Record, RecordKey, RecordKind},
    time::WallMillis,
};
use sqlx::{
    ConnectOptions as _, Row as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    error::StoreError,
    lease::{Claim, Claimed},
    rollup::{self, Kept},
    row::{
        self, Admission, Admitted, AgentRow, Ending, NewToken, Offer, Offered, RunRow, RunState,
        TokenUse,
    },
    schema, sql,
    writer::{Answer, Write, Writer},
};

/// The journal and what lies beside it. Clones share one writer.
///
/// Times are arguments: the store has no clock.
#[derive(Debug, Clone)]
pub struct Store {
    writes: mpsc::Sender<Write>,
    readers: SqlitePool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held while any clone lives: two controllers on one store would both be right.
    _lock: File,
}

/// What came of an append, once it was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// Records that were new.
    pub stored: u64,
    /// Records that were there already, byte for byte.
    pub repeated: u64,
    /// Records whose name was taken by other content. The first one was kept.
    pub conflicts: Vec<RecordKey>,
}

/// Waiting for a lock that only a backup tool can hold; longer means that it hangs.
const BUSY: Duration = Duration::from_secs(5);

/// Reports are few at a time, and two processors read them.
const READERS: u32 = 4;

/// Requests that wait for the writer. 2,000 agents that send at once are held back by it: their
/// records are safe in their spools.
const WAITING: usize = 1024;

impl Store {
    /// Opens the store at `path`, makes it if it is not there, and brings it to this release.
    ///
    /// # Errors
    /// When the file or its lock can't be had, or a newer release wrote it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let open = |source| StoreError::Open {
            path: path.to_owned(),
            source: Arc::new(source),
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .disable_statement_logging();
        let mut connection = options
            .clone()
            .create_if_missing(true)
            .connect()
            .await
            .map_err(open)?;
        schema::migrate(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.clone().pragma("query_only", "ON"))
            .await
            .map_err(open)?;
        let (writes, requests) = mpsc::channel(WAITING);
        let writer = tokio::spawn(Writer::new(options, connection, requests).run());
        let shared = Arc::new(Shared {
            writer: Mutex::new(Some(writer)),
            _lock: lock,
        });
        Ok(Self {
            writes,
            readers,
            shared,
        })
    }

    /// Stores records; answers after the commit. The same record twice counts once.
    ///
    /// # Errors
    /// When nothing of it was stored.
    pub async fn append(
        &self,
        records: Vec<Record>,
        received: WallMillis,
    ) -> Result<Appended, StoreError> {
        self.append_as(None, records, received).await
    }

    /// The same for what a controller says of a run: only while the run's fence is not beyond its
    /// own.
    ///
    /// # Errors
    /// When nothing of it was stored; [`StoreError::Fenced`] when somebody else drives the run.
    pub async fn append_as(
        &self,
        fence: Option<(RunId, Fence)>,
        records: Vec<Record>,
        received: WallMillis,
    ) -> Result<Appended, StoreError> {
        for record in &records {
            if let Some(why) = unstorable(record) {
                let key = Box::new(record.key.clone());
                return Err(StoreError::Unstorable { key, why });
            }
        }
        self.ask(|answer| Write::Append {
            records,
            received,
            fence,
            answer,
        })
        .await
    }

    /// The highest number up to which every record of this spool is committed: what may be
    /// acknowledged.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn durable(&self, agent: &AgentId, spool: &SpoolId) -> Result<Seq, StoreError> {
        let row = sqlx::query(sql::SPOOL_DURABLE)
            .bind(agent.as_str())
            .bind(spool.bytes().as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(read("a spool's end"))?;
        let Some(row) = row else { return Ok(Seq(0)) };
        row.try_get::<i64, _>(0)
            .ok()
            .and_then(|seq| u64::try_from(seq).ok())
            .map(Seq)
            .ok_or(StoreError::Damaged {
                table: "spools",
                column: "durable_seq",
            })
    }

    /// Every spool of an agent, with the end of what is committed of it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn spools(&self, agent: &AgentId) -> Result<Vec<(SpoolId, Seq)>, StoreError> {
        sqlx::query(sql::SPOOLS_OF_AGENT)
            .bind(agent.as_str())
            .fetch_all(&self.readers)
            .await
            .map_err(read("an agent's spools"))?
            .iter()
            .map(row::spool)
            .collect()
    }

    /// Everything of a run, ordered by agent, spool and number.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn run_records(&self, run: &RunId) -> Result<Vec<Record>, StoreError> {
        let mut rows = sqlx::query(sql::RECORDS_OF_RUN)
            .bind(run.as_str())
            .fetch(&self.readers);
        let mut records = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(read("a run's records"))? {
            records.push(row::record(&row)?);
        }
        Ok(records)
    }

    /// What a run holds of one kind, ordered by agent, spool and number.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn run_records_of(
        &self,
        run: &RunId,
        kind: RecordKind,
    ) -> Result<Vec<Record>, StoreError> {
        let rows = sqlx::query(sql::RECORDS_OF_KIND)
            .bind(run.as_str())
            .bind(row::kind_text(kind))
            .fetch_all(&self.readers);
        let rows = rows.await.map_err(read("a run's records"))?;
        rows.iter().map(row::record).collect()
    }

    /// Everything of a run, some of it rolled up: what a report is made from in less time.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn run_kept(&self, run: &RunId) -> Result<Kept, StoreError> {
        // One transaction, so that what is rolled up meanwhile is not missed by either half.
        let mut reading = self.readers.begin().await.map_err(read("a run"))?;
        if let Some(kept) = rollup::kept(&mut reading, run).await? {
            return Ok(kept);
        }
        drop(reading);
        Ok(Kept {
            records: self.run_records(run).await?,
            rolled: Vec::new(),
        })
    }

    /// Waits until everything that can be rolled up is.
    ///
    /// # Errors
    /// When it can't be stored.
    pub async fn roll_up(&self) -> Result<(), StoreError> {
        let again = false;
        self.ask(|answer| Write::RollUp { again, answer }).await
    }

    /// Forgets what was rolled up and makes it again from the records.
    ///
    /// # Errors
    /// When it can't be stored; what was there before is kept then.
    pub async fn roll_up_again(&self) -> Result<(), StoreError> {
        let again = true;
        self.ask(|answer| Write::RollUp { again, answer }).await
    }

    /// Asks for a run; its fence rises when the asker did not have it before.
    ///
    /// # Errors
    /// When it can't be stored. A run that somebody else has is an answer, not an error.
    pub async fn claim(&self, claim: Claim, now: WallMillis) -> Result<Claimed, StoreError> {
        self.ask(|answer| Write::Claim { claim, now, answer }).await
    }

    /// Keeps every run of this holder.
    ///
    /// # Errors
    /// When it can't be stored.
    pub async fn renew_leases(&self, holder: String, until: WallMillis) -> Result<(), StoreError> {
        let renew = |answer| Write::RenewLeases {
            holder,
            until,
            answer,
        };
        self.ask(renew).await
    }

    /// Writes a new run down.
    ///
    /// # Errors
    /// When a run of this name is there already.
    pub async fn create_run(&self, run: RunRow) -> Result<(), StoreError> {
        self.ask(|answer| Write::CreateRun { run, answer }).await
    }

    /// Says where a run stands.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn set_run_state(&self, run: RunId, state: RunState) -> Result<(), StoreError> {
        self.ask(|answer| Write::SetRunState { run, state, answer })
            .await
    }

    /// Says that a run is over and how it was judged; once more for each revision of its report.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn end_run(&self, run: RunId, ending: Ending) -> Result<(), StoreError> {
        self.ask(|answer| Write::EndRun {
            run,
            ending,
            answer,
        })
        .await
    }

    /// How many records of agents there are of a run.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn records_of_agents(&self, run: &RunId) -> Result<u64, StoreError> {
        let count = sqlx::query(sql::RECORDS_OF_AGENTS)
            .bind(run.as_str())
            .bind(AgentId::CONTROLLER)
            .fetch_one(&self.readers)
            .await
            .and_then(|row| row.try_get::<i64, _>(0))
            .map_err(read("a run's records"))?;
        Ok(count.cast_unsigned())
    }

    /// One run.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn run(&self, run: &RunId) -> Result<Option<RunRow>, StoreError> {
        sqlx::query(sql::RUN)
            .bind(run.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(read("a run"))?
            .as_ref()
            .map(row::run)
            .transpose()
    }

    /// Every run, the newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        sqlx::query(sql::RUNS)
            .fetch_all(&self.readers)
            .await
            .map_err(read("the runs"))?
            .iter()
            .map(row::run)
            .collect()
    }

    /// Writes a new join token down.
    ///
    /// # Errors
    /// When it can't be stored.
    pub async fn put_token(&self, token: NewToken) -> Result<(), StoreError> {
        self.ask(|answer| Write::PutToken { token, answer }).await
    }

    /// Uses a join token for a key. Of any number of keys one gets it; that key may ask again for
    /// ten minutes, because the reply may have been lost.
    ///
    /// # Errors
    /// When it can't be stored. A refused token is an answer, not an error.
    pub async fn use_token(
        &self,
        secret: Digest,
        key: Digest,
        now: WallMillis,
    ) -> Result<TokenUse, StoreError> {
        self.ask(|answer| Write::UseToken {
            secret,
            key,
            now,
            answer,
        })
        .await
    }

    /// Gives an agent its name and writes it down, so that it is known before it has its
    /// certificate. The same key in the same environment keeps the name that it has.
    ///
    /// # Errors
    /// When it can't be stored.
    pub async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError> {
        self.ask(|answer| Write::Admit { admission, answer }).await
    }

    /// Writes an agent down as it is, whatever was there.
    ///
    /// # Errors
    /// When it can't be stored.
    pub async fn put_agent(&self, agent: AgentRow) -> Result<(), StoreError> {
        self.ask(|answer| Write::PutAgent { agent, answer }).await
    }

    /// Takes an agent's right away; `false` when it had none. Live connections are not the
    /// store's: see [`Cuts`](crate::listen::Cuts).
    ///
    /// # Errors
    /// When it can't be stored.
    pub async fn revoke(&self, agent: AgentId, now: WallMillis) -> Result<bool, StoreError> {
        self.ask(|answer| Write::Revoke { agent, now, answer })
            .await
    }

    /// Writes down a certificate that is about to be issued beside the current one, if
    /// `shown` is the serial number of the agent's current or next one.
    ///
    /// # Errors
    /// When it can't be stored.
    pub async fn offer(
        &self,
        agent: AgentId,
        shown: String,
        offer: Offer,
    ) -> Result<Offered, StoreError> {
        self.ask(|answer| Write::Offer {
            agent,
            shown,
            offer,
            answer,
        })
        .await
    }

    /// The certificate that was offered under this serial number was shown: it is the current one
    /// now. `false` when nothing is offered under it.
    ///
    /// # Errors
    /// When it can't be stored.
    pub async fn promote(&self, agent: AgentId, serial: String) -> Result<bool, StoreError> {
        self.ask(|answer| Write::Promote {
            agent,
            serial,
            answer,
        })
        .await
    }

    /// One agent.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn agent(&self, agent: &AgentId) -> Result<Option<AgentRow>, StoreError> {
        sqlx::query(sql::AGENT)
            .bind(agent.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(read("an agent"))?
            .as_ref()
            .map(row::agent)
            .transpose()
    }

    /// Every agent, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        sqlx::query(sql::AGENTS)
            .fetch_all(&self.readers)
            .await
            .map_err(read("the agents"))?
            .iter()
            .map(row::agent)
            .collect()
    }

    /// Waits until everything that was asked is committed and the files are closed. Other clones
    /// get [`StoreError::Closed`] from then on.
    pub async fn close(self) {
        let writer = {
            let mut slot = self.shared.writer.lock().expect("nobody panics with it");
            slot.take()
        };
        // A full channel only means that the writer is busy; it takes the request in its turn.
        self.writes.send(Write::Close).await.ok();
        if let Some(writer) = writer {
            writer.await.ok();
        }
        self.readers.close().await;
    }

    async fn ask<T>(&self, write: impl FnOnce(Answer<T>) -> Write) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.writes.send(write(answer)).await;
        sent.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |source| StoreError::Lock {
        path: name.clone(),
        source: Arc::new(source),
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Busy {
            path: path.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn unstorable(record: &Record) -> Option<&'static str> {
    if record.key.seq.0 == 0 {
        Some("numbers count from 1")
    } else if i64::try_from(record.key.seq.0).is_err() {
        Some("its number is beyond what a store can hold")
    } else if record.payload.len() > PAYLOAD_MAX {
        Some("its payload is larger than 1.25 MiB")
    } else {
        None
    }
}

pub(super) fn read(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Read {
        what,
        source: Arc::new(source),
    }
}
