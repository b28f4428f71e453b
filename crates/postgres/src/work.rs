//! The store of work.

mod cursor;
mod listener;
mod sql;
mod upkeep;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use outbound::work::{
    Ambiguous, Answer, Counts, End, Held, Lease, Pushed, Stale, Work, WorkError, WorkStore,
};
use tokio::time::Instant;
use tokio_postgres::Row;

use crate::{
    Builder,
    database::Database,
    error::Error,
    lane::{Answered, Lane, Value, micros},
    schema,
};

use cursor::{BEGINNING, Cursor, Look, Place};
use listener::Listener;

pub use upkeep::Health;

/// How much is pushed by one statement.
const PUSHED_AT_ONCE: usize = 1000;

/// Work in a Postgres database, shared by all who open the same name. A clone is another handle of the same.
#[derive(Debug, Clone)]
pub struct PostgresWork {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    batch: i64,
    seed: u64,
    holder: String,
    cursor: Mutex<Cursor>,
    /// Takes work, and looks.
    claims: Lane,
    /// Says what was sent and finished. A connection of its own: what is paid for does not stand behind what is not.
    ends: Lane,
    listener: Listener,
}

impl PostgresWork {
    /// Where the database is: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or `host=.. user=..` as libpq reads it.
    pub fn builder(address: &str) -> Builder {
        Builder::new(address)
    }

    pub(crate) async fn open(database: Database, name: &str, holder: String) -> Result<Self, Error> {
        schema::migrate(&database).await?;
        let client = database.connect().await?;
        client.execute("insert into batch (name) values ($1) on conflict do nothing", &[&name]).await?;
        let row = client.query_one("select batch, seed from batch where name = $1", &[&name]).await?;
        let (batch, seed) = (row.try_get(0)?, row.try_get::<_, i64>(1)?.cast_unsigned());
        let claims = Lane::new(
            database.clone(),
            &[
                sql::PUSH,
                sql::RESCUE,
                sql::CLAIM,
                sql::ANSWERS,
                sql::EXPORTED,
                sql::COUNTS,
                sql::RETRY,
                sql::HEALTH,
                sql::LAST_LEASE,
            ],
        );
        let ends = Lane::new(
            database.clone(),
            &[sql::SENT, sql::RENEW, sql::RELEASE, sql::RELEASED, sql::FINISH, sql::FINISHED],
        );
        Ok(Self {
            shared: Arc::new(Shared {
                batch,
                seed,
                holder,
                cursor: Mutex::default(),
                claims,
                ends,
                listener: Listener::new(database, batch),
            }),
        })
    }

    /// A number that was drawn at random when the batch was made: the same for all who open it.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    async fn look(&self, query: &'static str, values: &[Value<'_>]) -> Result<Answered, WorkError> {
        let all = [&[&self.shared.batch as Value<'_>], values].concat();
        self.shared.claims.ask(query, &all).await.map_err(WorkError::new)
    }

    async fn end(&self, query: &'static str, values: &[Value<'_>]) -> Result<Answered, WorkError> {
        let all = [&[&self.shared.batch as Value<'_>], values].concat();
        self.shared.ends.ask(query, &all).await.map_err(WorkError::new)
    }

    /// What a claim looks at is remembered even where a call panicked: it is a hint, and never wrong for long.
    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        self.shared.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn claim_behind(&self, behind: Place, most: usize, claim: Claim) -> Result<Vec<Lease>, WorkError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (highest, ttl, holder) = (claim.highest, claim.ttl, &self.shared.holder);
        let (rank, item) = behind;
        let rows = self.look(sql::CLAIM, &[&most, &highest, &ttl, holder, &rank, &item]).await?.rows;
        if let Some(last) = rows.last() {
            self.cursor().claimed((get(last, 5)?, get(last, 6)?));
        }
        rows.iter().map(lease).collect()
    }

    async fn take_back(&self, micros: i64) -> Result<usize, WorkError> {
        Ok(self.look(sql::RESCUE, &[&micros]).await?.rows.len())
    }

    /// Leases that an earlier attempt, whose reply was lost, has ended already.
    async fn ended(&self, query: &'static str, leases: &[&Lease]) -> Result<HashSet<u64>, WorkError> {
        let ids: Vec<_> = leases.iter().map(|lease| lease.id.as_bytes()).collect();
        numbers_of(&self.end(query, &[&signed(leases), &ids]).await?.rows)
    }

    async fn push_some(&self, work: &[Work]) -> Result<Vec<Pushed>, WorkError> {
        let ids: Vec<_> = work.iter().map(|work| work.id.as_bytes()).collect();
        let payloads: Vec<_> = work.iter().map(|work| &work.payload[..]).collect();
        let priorities: Vec<_> = work.iter().map(|work| work.priority).collect();
        let mut pushed: Vec<Option<Pushed>> = vec![None; work.len()];
        // Work that another one pushes at this moment is not seen by the first statement, and is by the second.
        for _ in 0..2 {
            let rows = self.look(sql::PUSH, &[&ids, &payloads, &priorities]).await?.rows;
            for (row, pushed) in rows.iter().zip(&mut pushed) {
                let (new, state): (bool, Option<i16>) = (get(row, 0)?, get(row, 1)?);
                let changed: Option<bool> = get(row, 2)?;
                *pushed = pushed.or(match state {
                    _ if new => Some(Pushed::New),
                    Some(_) if changed == Some(true) => Some(Pushed::Changed),
                    Some(3..) => Some(Pushed::Done),
                    Some(_) => Some(Pushed::Unfinished),
                    None => None,
                });
            }
            if pushed.iter().all(Option::is_some) {
                break;
            }
        }
        Ok(pushed.into_iter().map(|pushed| pushed.unwrap_or(Pushed::Unfinished)).collect())
    }
}

impl WorkStore for PostgresWork {
    async fn push(&self, work: Vec<Work>) -> Result<Vec<Pushed>, WorkError> {
        let mut pushed = Vec::with_capacity(work.len());
        for some in work.chunks(PUSHED_AT_ONCE) {
            pushed.extend(self.push_some(some).await?);
        }
        Ok(pushed)
    }

    async fn claim(&self, most: usize, ttl: Duration, ambiguous: Ambiguous) -> Result<Vec<Lease>, WorkError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let asked = most;
        let claim = Claim { ttl: micros(ttl), highest: if ambiguous == Ambiguous::Take { 1 } else { 0 } };
        self.shared.listener.looks();
        let look = self.cursor().next(Instant::now());
        // Both are under way at once, in this order.
        let rescued = async {
            match look.rescue {
                Some(back) => self.take_back(back).await.map(drop),
                None => Ok(()),
            }
        };
        let (rescued, claimed) =
            futures::future::join(rescued, self.claim_behind(look.behind, asked, claim)).await;
        rescued?;
        let mut leases = claimed?;
        if leases.len() < asked && !look.is_full() {
            self.take_back(Look::ALL).await?;
            leases.extend(self.claim_behind(BEGINNING, asked - leases.len(), claim).await?);
        }
        if leases.len() == asked {
            self.shared.listener.left_some();
        }
        Ok(leases)
    }

    async fn sent(&self, leases: &[&Lease]) -> Result<Held, WorkError> {
        let held = numbers_of(&self.end(sql::SENT, &[&signed(leases)]).await?.rows)?;
        Ok(judged(leases, &held))
    }

    async fn renew(&self, leases: &[&Lease], ttl: Duration) -> Result<Held, WorkError> {
        let held = numbers_of(&self.end(sql::RENEW, &[&signed(leases), &micros(ttl)]).await?.rows)?;
        Ok(judged(leases, &held))
    }

    async fn finish(&self, ends: &[(&Lease, End)]) -> Result<Held, WorkError> {
        // Of two ends of one lease the first counts.
        let mut seen = HashSet::new();
        let first: Vec<bool> = ends.iter().map(|(lease, _)| seen.insert(lease.number)).collect();
        let of_first = || ends.iter().zip(&first).filter(|(_, first)| **first).map(|(end, _)| end);
        let leases: Vec<&Lease> = of_first().map(|(lease, _)| *lease).collect();
        let (bytes, failed): (Vec<&[u8]>, Vec<bool>) = of_first()
            .map(|(_, end)| match end {
                End::Answered(bytes) => (&bytes[..], false),
                End::Failed(bytes) => (&bytes[..], true),
            })
            .unzip();
        let finished = self.end(sql::FINISH, &[&signed(&leases), &bytes, &failed]).await?;
        let mut held = numbers_of(&finished.rows)?;
        if finished.again && held.len() < leases.len() {
            held.extend(self.ended(sql::FINISHED, &leases).await?);
        }
        let one = |((lease, _), first): (&(&Lease, End), &bool)| {
            if *first && held.contains(&lease.number) { Ok(()) } else { Err(Stale::new(lease)) }
        };
        Ok(ends.iter().zip(&first).map(one).collect())
    }

    async fn release(&self, leases: &[&Lease], sent: bool) -> Result<Held, WorkError> {
        let released = self.end(sql::RELEASE, &[&signed(leases), &sent]).await?;
        let mut held = numbers_of(&released.rows)?;
        if released.again && held.len() < leases.len() {
            held.extend(self.ended(sql::RELEASED, leases).await?);
        }
        Ok(judged(leases, &held))
    }

    async fn rescue(&self) -> Result<usize, WorkError> {
        self.take_back(Look::ALL).await
    }

    async fn retry_failed(&self) -> Result<usize, WorkError> {
        let rows = self.look(sql::RETRY, &[]).await?.rows;
        let count = rows.first().map(|row| get::<i64>(row, 0)).transpose()?;
        Ok(usize::try_from(count.unwrap_or(0)).unwrap_or(0))
    }

    async fn answers(&self, after: Option<u64>, most: usize) -> Result<Vec<Answer>, WorkError> {
        // Items are numbered from 1.
        let after = i64::try_from(after.unwrap_or(0)).unwrap_or(i64::MAX);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.look(sql::ANSWERS, &[&after, &most]).await?.rows;
        let answer = |row| {
            let position = get::<i64>(row, 3)?.unsigned_abs();
            Ok(Answer { id: id(row, 0)?, bytes: bytes(row, 1)?, failed: get(row, 2)?, position })
        };
        rows.iter().map(answer).collect()
    }

    async fn exported(&self, ids: &[Arc<str>]) -> Result<(), WorkError> {
        let ids: Vec<_> = ids.iter().map(|id| id.as_bytes()).collect();
        self.look(sql::EXPORTED, &[&ids]).await.map(drop)
    }

    async fn counts(&self) -> Result<Counts, WorkError> {
        let mut counts = Counts::default();
        for row in self.look(sql::COUNTS, &[]).await?.rows {
            let (state, count, failed): (i16, i64, i64) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
            counts.failed += usize::try_from(failed).unwrap_or(0);
            let field = match state {
                0 => &mut counts.ready,
                1 => &mut counts.ambiguous,
                2 => &mut counts.claimed,
                3 => &mut counts.done,
                _ => &mut counts.exported,
            };
            *field = usize::try_from(count).unwrap_or(0);
        }
        Ok(counts)
    }

    async fn wait(&self) {
        self.shared.listener.wait().await;
    }
}

/// What is the same in all looks of a claim.
#[derive(Clone, Copy)]
struct Claim {
    /// In microseconds.
    ttl: i64,
    /// The highest state that is taken.
    highest: i16,
}

fn lease(row: &Row) -> Result<Lease, WorkError> {
    let (number, deliveries): (i64, i32) = (get(row, 2)?, get(row, 3)?);
    Ok(Lease {
        id: id(row, 0)?,
        payload: bytes(row, 1)?,
        number: number.unsigned_abs(),
        deliveries: deliveries.unsigned_abs(),
        may_have_been_sent: get(row, 4)?,
    })
}

fn judged(leases: &[&Lease], held: &HashSet<u64>) -> Held {
    let one = |lease: &&Lease| if held.contains(&lease.number) { Ok(()) } else { Err(Stale::new(lease)) };
    leases.iter().map(one).collect()
}

/// Numbers as the database has them. One that it cannot have is none of its leases.
fn signed(leases: &[&Lease]) -> Vec<i64> {
    leases.iter().map(|lease| i64::try_from(lease.number).unwrap_or(-1)).collect()
}

fn numbers_of(rows: &[Row]) -> Result<HashSet<u64>, WorkError> {
    rows.iter().map(|row| get::<i64>(row, 0).map(i64::unsigned_abs)).collect()
}

fn id(row: &Row, column: usize) -> Result<Arc<str>, WorkError> {
    let bytes: &[u8] = get(row, column)?;
    std::str::from_utf8(bytes).map(Arc::from).map_err(WorkError::new)
}

fn bytes(row: &Row, column: usize) -> Result<Bytes, WorkError> {
    get::<&[u8]>(row, column).map(Bytes::copy_from_slice)
}

fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, WorkError> {
    row.try_get(column).map_err(WorkError::new)
}
