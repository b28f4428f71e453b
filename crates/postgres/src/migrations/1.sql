-- Batches of work. Every other row belongs to one of them.
create table batch (
    batch bigint generated always as identity primary key,
    name text not null unique,
    -- A number drawn once, the same for all who work on the batch.
    seed bigint not null default hashtextextended(gen_random_uuid()::text, 0),
    created_at timestamptz not null default clock_timestamp()
);

-- What was pushed. Rows are added, and never changed. An id is bytes, since text cannot hold a zero byte.
create table body (
    batch bigint not null references batch,
    item bigint generated always as identity,
    id bytea not null,
    payload bytea not null,
    primary key (batch, item),
    unique (batch, id)
);

-- The state of each item. Narrow, since a row is written anew three times: claimed, sent, finished.
-- state: 0 ready, surely not sent; 1 ready, perhaps sent; 2 claimed; 3 done; 4 done and exported.
create table job (
    batch bigint not null,
    item bigint not null,
    -- Lower ones are claimed first: when it was pushed, in microseconds, minus 30 seconds for each priority.
    rank bigint not null,
    -- The last lease. It stays when the work is done, so that a finish whose reply was lost can be asked again.
    lease bigint,
    lease_until timestamptz,
    deliveries int not null default 0,
    state smallint not null default 0,
    -- The present holder said that it sends.
    sent boolean not null default false,
    -- An earlier holder may have sent it.
    may_have_been_sent boolean not null default false,
    -- It is done, and failed finally.
    failed boolean not null default false,
    holder text,
    primary key (batch, item)
) with (
    fillfactor = 70,
    -- Each job leaves three dead rows. They are cleaned up while the batch runs, and not when a fifth of the table is dead.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_limit = 2000,
    autovacuum_analyze_scale_factor = 0.05
);

create index job_open on job (batch, rank, item) where state < 2;
create unique index job_lease on job (lease) where state = 2;
create index job_until on job (batch, lease_until) where state = 2;
create index job_done on job (batch, item) where state = 3;
create index job_failed on job (batch, item) where failed;

-- Answers that were not exported yet.
create table answer (
    batch bigint not null,
    item bigint not null,
    bytes bytea not null,
    primary key (batch, item)
) with (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 5000,
    toast.autovacuum_vacuum_scale_factor = 0.05,
    toast.autovacuum_vacuum_threshold = 5000
);

-- Numbers of leases: none is given out twice.
create sequence lease as bigint;

-- The only clock. It is a function so that a test can shift it.
create function outbound_clock() returns timestamptz language sql volatile as 'select clock_timestamp()';
