-- Who works on a batch. A row is changed in place once a second.
create table member (
    batch bigint not null references batch on delete cascade,
    member bigint not null,
    holder text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null,
    status text not null,
    primary key (batch, member)
) with (fillfactor = 50);

-- What all who work on a batch are told.
create table batch_order (
    batch bigint primary key references batch on delete cascade,
    paused boolean not null default false,
    -- How often it was said to go on.
    resumes bigint not null default 0,
    -- Who had begun before this time ends.
    drained_at timestamptz,
    -- An object of JSON. What is said later replaces members of the same name.
    limits jsonb not null default '{}',
    -- What members have taken of the budget in the limits, without what they gave back: in millionths of a dollar.
    taken bigint not null default 0,
    -- What the last one took.
    last_taken bigint not null default 0
);
