//! The statements of the store of work. `$1` is the batch in all that are about one.

/// `$2` ids, `$3` payloads, `$4` priorities. One row for each that was given: whether it is new, its state if it was there, and
/// whether the payload that is there is another one.
///
/// All that one statement pushes has one time, so that within a priority it is in the order of the items.
pub(super) const PUSH: &str = "
with given as (
    select id, payload, priority, n, row_number() over same_id = 1 as first, first_value(payload) over same_id as first_payload
    from unnest($2::bytea[], $3::bytea[], $4::smallint[]) with ordinality as given (id, payload, priority, n)
    window same_id as (partition by id order by n)
), time as materialized (
    select (extract(epoch from outbound_clock()) * 1000000)::bigint as micros
), added as (
    insert into body (batch, id, payload)
    select $1, id, payload from given where first order by n
    on conflict (batch, id) do nothing
    returning item, id
), opened as (
    insert into job (batch, item, rank)
    select $1, added.item, time.micros - given.priority * 30000000::bigint
    from added join given on given.id = added.id and given.first cross join time
), told as (
    select pg_notify('outbound_work', current_schema() || ' ' || $1::bigint) where exists (select from added)
)
select (added.item is not null and given.first) as new,
    case when added.item is not null then 0::smallint else job.state end,
    given.payload <> case when added.item is not null then given.first_payload else body.payload end as changed,
    (select count(*) from told)
from given
left join added on added.id = given.id
left join lateral (select item, payload from body where batch = $1 and id = given.id limit 1) as body on true
left join lateral (select state from job where batch = $1 and item = body.item limit 1) as job on true
order by given.n";

/// Takes back what leases hold that expired within the last `$2` microseconds.
///
/// Entries of an index that are dead stay in it while any transaction is open that is older than they are, and each look at
/// the index reads all of them. So a look goes back no further than it has to.
pub(super) const RESCUE: &str = "
with expired as (
    select item from job
    where batch = $1 and state = 2 and lease_until <= outbound_clock()
        and lease_until > outbound_clock() - $2::bigint * interval '1 microsecond'
    order by item
    for update skip locked
)
update job
set state = case when may_have_been_sent or sent then 1 else 0 end,
    may_have_been_sent = may_have_been_sent or sent, lease = null, lease_until = null
from expired where job.batch = $1 and job.item = expired.item
returning job.item";

/// `$2` how many, `$3` the highest state that is taken, `$4` for how many microseconds, `$5` the holder, `$6` and `$7` behind
/// which rank and item.
///
/// The numbers of the leases are drawn in the order of claiming.
pub(super) const CLAIM: &str = "
with picked as materialized (
    select rank, item from job
    where batch = $1 and state < 2 and state <= $3 and (rank, item) > ($6::bigint, $7::bigint)
    order by rank, item
    limit $2
    for update skip locked
), numbered as materialized (
    select item, nextval('lease') as lease from (select item from picked order by rank, item) as ordered
), taken as (
    update job
    set state = 2, lease = numbered.lease, deliveries = job.deliveries + 1, sent = false, holder = $5,
        lease_until = outbound_clock() + $4::bigint * interval '1 microsecond'
    from numbered where job.batch = $1 and job.item = numbered.item
    returning job.rank, job.item, job.lease, job.deliveries, job.may_have_been_sent
)
select body.id, body.payload, taken.lease, taken.deliveries, taken.may_have_been_sent, taken.rank, taken.item
from taken join body on body.batch = $1 and body.item = taken.item
order by taken.rank, taken.item";

/// `$2` leases. Gives those that were held; none whose time is over.
///
/// Here, and in the next ones, `batch + 0` keeps the planner from an index of the batch. It would read all leases of the batch, with
/// the dead entries of those that were, in place of those that are given.
pub(super) const SENT: &str = "
update job set sent = true
where batch + 0 = $1 and state = 2 and lease = any($2::bigint[]) and lease_until > outbound_clock()
returning lease";

/// `$2` leases, `$3` for how many microseconds from now on. Gives those that were held.
pub(super) const RENEW: &str = "
update job set lease_until = outbound_clock() + $3::bigint * interval '1 microsecond'
where batch + 0 = $1 and state = 2 and lease = any($2::bigint[])
returning lease";

/// `$2` leases, `$3` whether they may have been sent. Gives those that were held.
pub(super) const RELEASE: &str = "
with released as (
    update job
    set state = case when may_have_been_sent or $3 then 1 else 0 end,
        may_have_been_sent = may_have_been_sent or $3, lease_until = null
    where batch + 0 = $1 and state = 2 and lease = any($2::bigint[])
    returning lease
), told as (
    select pg_notify('outbound_work', current_schema() || ' ' || $1::bigint) where exists (select from released)
)
select lease, (select count(*) from told) from released";

/// `$2` leases, none twice, `$3` the bytes for each, `$4` whether it failed. Gives those that were held.
pub(super) const FINISH: &str = "
with given as (
    select lease, bytes, failed from unnest($2::bigint[], $3::bytea[], $4::boolean[]) as given (lease, bytes, failed)
), done as (
    update job set state = 3, failed = given.failed, lease_until = null
    from given where job.batch + 0 = $1 and job.state = 2 and job.lease = given.lease
    returning job.item, job.lease, given.bytes
), kept as (
    insert into answer (batch, item, bytes) select $1, item, bytes from done
)
select lease from done";

/// `$2` leases, `$3` their ids. Gives those that were finished with exactly this lease: asked where a reply was lost.
pub(super) const FINISHED: &str = "
select job.lease
from unnest($2::bigint[], $3::bytea[]) as given (lease, id)
join body on body.batch = $1 and body.id = given.id
join job on job.batch = $1 and job.item = body.item
where job.state >= 3 and job.lease = given.lease";

/// `$2` leases, `$3` their ids. Gives those that are ready and had exactly this lease: asked where a reply was lost.
pub(super) const RELEASED: &str = "
select job.lease
from unnest($2::bigint[], $3::bytea[]) as given (lease, id)
join body on body.batch = $1 and body.id = given.id
join job on job.batch = $1 and job.item = body.item
where job.state < 2 and job.lease = given.lease";

/// All that has failed is ready again, and nobody may have sent it. The lock keeps a batch from being removed meanwhile.
pub(super) const RETRY: &str = "
with there as materialized (
    select batch from batch where batch = $1 for key share
), retried as (
    update job
    set state = 0, failed = false, sent = false, may_have_been_sent = false, lease = null
    from there where job.batch = there.batch and job.failed
    returning item
), dropped as (
    delete from answer using retried where answer.batch = $1 and answer.item = retried.item
), told as (
    select pg_notify('outbound_work', current_schema() || ' ' || $1::bigint) where exists (select from retried)
)
select count(*), (select count(*) from told) from retried";

/// `$2` behind which item, `$3` how many.
pub(super) const ANSWERS: &str = "
select body.id, answer.bytes, done.failed, done.item
from (
    select item, failed from job where batch = $1 and state = 3 and item > $2 order by item limit $3
) as done
join body on body.batch = $1 and body.item = done.item
join answer on answer.batch = $1 and answer.item = done.item
order by done.item";

/// `$2` ids.
pub(super) const EXPORTED: &str = "
with exported as (
    update job set state = 4
    from body
    where body.batch = $1 and body.id = any($2::bytea[])
        and job.batch = $1 and job.item = body.item and job.state = 3
    returning job.item
)
delete from answer using exported where answer.batch = $1 and answer.item = exported.item
returning answer.item";

pub(super) const COUNTS: &str =
    "select state, count(*), count(*) filter (where failed) from job where batch = $1 group by state";

/// Dead rows of the table of jobs, and for how many microseconds the oldest transaction that holds back the cleaning has been open.
/// It has no `$1`.
pub(super) const HEALTH: &str = "
select
    coalesce((select n_dead_tup from pg_stat_user_tables where relid = 'job'::regclass), 0)::bigint,
    coalesce((
        select extract(epoch from max(clock_timestamp() - xact_start)) * 1000000 from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()
            and backend_type <> 'autovacuum worker' and (backend_xmin is not null or backend_xid is not null)
    ), 0)::bigint";

pub(super) const LAST_LEASE: &str = "select coalesce(max(lease), 0) from job where batch = $1";
