//! A batch beside its work: who works on it, and what all of them are told.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio_postgres::{Row, error::SqlState, types::FromSql};

use crate::{
    database::Database,
    error::Error,
    lane::{Lane, Value},
    schema,
};

/// A member whose last report is older than this is not counted as one at work.
const PRESENT: Duration = Duration::from_secs(15);

/// `$2` the member, `$3` its holder, `$4` its status, `$5` how long a member counts as present, in microseconds.
///
/// One statement, since it is asked once a second by each process.
const REPORT: &str = "
with told as (
    insert into member (batch, member, holder, started_at, seen_at, status)
    values ($1, $2, $3, outbound_clock(), outbound_clock(), $4)
    on conflict (batch, member) do update set seen_at = excluded.seen_at, status = excluded.status
    returning started_at
)
select coalesce(o.paused, false), coalesce(o.resumes, 0), coalesce(o.drained_at > told.started_at, false),
    coalesce(o.limits::text, '{}'), coalesce(o.taken, 0),
    (select count(*) from member where batch = $1 and member <> $2
        and seen_at > outbound_clock() - $5::bigint * interval '1 microsecond')
from told left join batch_order as o on o.batch = $1";

/// `$2` the member, `$3` what it gives back of the budget. Asked twice it gives back once: the row is gone then.
const LEAVE: &str = "
with gone as (
    delete from member where batch = $1 and member = $2 returning member
), forgotten as (
    delete from member where batch = $1 and member <> $2 and seen_at < outbound_clock() - interval '1 hour'
)
update batch_order set taken = greatest(taken - $3, 0)
where batch = $1 and $3::bigint > 0 and exists (select from gone)
returning taken";

const MEMBERS: &str = "
select holder, (extract(epoch from outbound_clock() - started_at) * 1000000)::bigint,
    (extract(epoch from outbound_clock() - seen_at) * 1000000)::bigint, status
from member where batch = $1
order by started_at, member";

/// `$2` paused or not, or null; `$3` how many resumes more; `$4` whether to drain; `$5` limits to change.
const ORDER: &str = "
insert into batch_order as o (batch, paused, resumes, drained_at, limits)
values ($1, coalesce($2::boolean, false), $3, case when $4::boolean then outbound_clock() end, $5::text::jsonb)
on conflict (batch) do update set
    paused = coalesce($2::boolean, o.paused),
    resumes = o.resumes + excluded.resumes,
    drained_at = coalesce(excluded.drained_at, o.drained_at),
    limits = o.limits || excluded.limits
returning batch";

const ORDERED: &str = "
select coalesce(paused, false), coalesce(resumes, 0), drained_at is not null, coalesce(limits::text, '{}'), coalesce(taken, 0),
    0::bigint
from (select $1::bigint as batch) as one left join batch_order using (batch)";

/// `$2` how much, in millionths of a dollar. The expressions see the row as it is once it is locked.
const TAKE: &str = "
update batch_order set
    last_taken = greatest(least($2, ((limits->>'budget')::numeric * 1000000)::bigint - taken), 0),
    taken = taken + greatest(least($2, ((limits->>'budget')::numeric * 1000000)::bigint - taken), 0)
where batch = $1 and limits->>'budget' is not null
returning last_taken";

/// `$2` ids.
const PUSHED: &str = "select id, payload from body where batch = $1 and id = any($2::bytea[])";

/// A batch in a Postgres database: its members, and what they are told. Opened with
/// [`Builder::open_batch`](crate::Builder::open_batch); it has a connection of its own.
#[derive(Debug)]
pub struct PostgresBatch {
    batch: i64,
    /// Of this process. Drawn at random: two machines may have one name.
    member: i64,
    holder: String,
    lane: Lane,
}

/// One process that works on a batch, or did so until it died.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// What it is called, as given to [`Builder::holder`](crate::Builder::holder).
    pub holder: String,
    /// How long ago it began.
    pub began: Duration,
    /// How long ago it reported.
    pub seen: Duration,
    /// What it reported.
    pub status: String,
}

impl Member {
    /// Whether it reported within the last 15 s.
    pub fn is_present(&self) -> bool {
        self.seen <= PRESENT
    }
}

/// What the members of a batch are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orders {
    /// Nothing more is sent.
    pub paused: bool,
    /// How often a [resume](Order::Resume) was ordered. Where it has grown, what was stopped is tried again.
    pub resumes: u64,
    /// This member ends: the order came after it began.
    pub drain: bool,
    /// An object of JSON, as the [limits](Order::Limits) were given. `{}`: none were.
    pub limits: String,
    /// How much of the `budget` in the limits was [taken](PostgresBatch::take), and not given back, in millionths of a dollar.
    pub taken: u64,
    /// How many other members reported within the last 15 s.
    pub others: u64,
}

/// What all members of a batch are told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// Nothing more is sent, also by those who join later, until a resume.
    Pause,
    /// Go on.
    Resume,
    /// An object of JSON with limits. Those of another name stay as they are. They hold also for those who join later. Here only
    /// `budget` has a meaning, a number of dollars: see [`PostgresBatch::take`].
    Limits(String),
    /// Those who are at work now end. It does not hold for those who join later.
    Drain,
}

impl PostgresBatch {
    pub(crate) async fn open(database: Database, name: &str, holder: String) -> Result<Option<Self>, Error> {
        let client = database.connect().await?;
        let found = client.query_opt("select batch from batch where name = $1", &[&name]).await;
        let no_tables = [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME];
        let row = match found {
            Ok(row) => row,
            Err(error) if error.code().is_some_and(|code| no_tables.contains(code)) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(row) = row else { return Ok(None) };
        drop(client);
        schema::migrate(&database).await?;
        let batch: i64 = row.try_get(0)?;
        let member = i64::from_ne_bytes(RandomState::new().hash_one(batch).to_ne_bytes());
        let lane = Lane::new(database, &[REPORT, LEAVE, MEMBERS, ORDER, ORDERED, TAKE, PUSHED]);
        Ok(Some(Self { batch, member, holder, lane }))
    }

    /// Says that this process is at work, and how it stands; and hears what it is told. To be called about once a second: one
    /// round trip.
    ///
    /// **Cancel safety**: a dropped call was done or not, and does no harm.
    ///
    /// # Errors
    ///
    /// The database refuses, or was away for longer than the patience.
    pub async fn report(&self, status: &str) -> Result<Orders, Error> {
        let present = i64::try_from(PRESENT.as_micros()).unwrap_or(i64::MAX);
        // Postgres text holds no zero byte.
        let status = status.replace('\0', "");
        let rows = self.ask(REPORT, &[&self.member, &self.holder, &status, &present]).await?;
        rows.first().map_or_else(|| Ok(Orders::default()), orders)
    }

    /// Says that this process works on it no more, and gives back what it has [taken](Self::take) of the budget and not spent, in
    /// millionths of a dollar. What a process that died had taken counts as spent.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub async fn leave(&self, unspent: u64) -> Result<(), Error> {
        let unspent = i64::try_from(unspent).unwrap_or(i64::MAX);
        self.ask(LEAVE, &[&self.member, &unspent]).await.map(drop)
    }

    /// All who reported and did not leave, the oldest first. It does not count as a report.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        self.ask(MEMBERS, &[]).await?.iter().map(member).collect()
    }

    /// Tells all members. Each hears it with its next report.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report); and where the limits are no object of JSON.
    pub async fn order(&self, order: &Order) -> Result<(), Error> {
        let (paused, resumes, drains, limits) = match order {
            Order::Pause => (Some(true), 0_i64, false, "{}"),
            Order::Resume => (Some(false), 1, false, "{}"),
            Order::Limits(limits) => (None, 0, false, limits.as_str()),
            Order::Drain => (None, 0, true, "{}"),
        };
        self.ask(ORDER, &[&paused, &resumes, &drains, &limits]).await.map(drop)
    }

    /// What the members are told now. `drain` says whether a drain was ever ordered, and `others` is 0.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub async fn orders(&self) -> Result<Orders, Error> {
        let rows = self.ask(ORDERED, &[]).await?;
        rows.first().map_or_else(|| Ok(Orders::default()), orders)
    }

    /// Takes a part of the budget, in millionths of a dollar: `most`, or what is left of it. What all have taken stays within the
    /// budget. Returns what was taken: 0 if nothing is left, or if there is no budget.
    ///
    /// **Cancel safety**: a part that a dropped call has taken is lost for the budget.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub async fn take(&self, most: u64) -> Result<u64, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.ask(TAKE, &[&most]).await?;
        rows.first().map_or(Ok(0), |row| Ok(get::<i64>(row, 0)?.unsigned_abs()))
    }

    /// The payloads that were pushed under these ids, in any order. An id that was not pushed is left out.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub async fn pushed(&self, ids: &[Arc<str>]) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let ids: Vec<_> = ids.iter().map(|id| id.as_bytes()).collect();
        let rows = self.ask(PUSHED, &[&ids]).await?;
        let bytes = |row: &Row, column| get::<&[u8]>(row, column).map(Bytes::copy_from_slice);
        rows.iter().map(|row| Ok((bytes(row, 0)?, bytes(row, 1)?))).collect()
    }

    async fn ask(&self, query: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        let all = [&[&self.batch as Value<'_>], values].concat();
        Ok(self.lane.ask(query, &all).await?.rows)
    }
}

fn orders(row: &Row) -> Result<Orders, Error> {
    Ok(Orders {
        paused: get(row, 0)?,
        resumes: get::<i64>(row, 1)?.unsigned_abs(),
        drain: get(row, 2)?,
        limits: get(row, 3)?,
        taken: get::<i64>(row, 4)?.unsigned_abs(),
        others: get::<i64>(row, 5)?.unsigned_abs(),
    })
}

fn member(row: &Row) -> Result<Member, Error> {
    let ago = |column| -> Result<_, Error> {
        Ok(Duration::from_micros(u64::try_from(get::<i64>(row, column)?).unwrap_or(0)))
    };
    Ok(Member { holder: get(row, 0)?, began: ago(1)?, seen: ago(2)?, status: get(row, 3)? })
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Error> {
    Ok(row.try_get(column)?)
}
