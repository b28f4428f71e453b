-- Quotas that several processes share. The function below does what `outbound::quota_store::Row` does, in one round trip; a
-- test compares the two step by step. All times are microseconds.
create table quota (
    scope text primary key,
    generation bigint not null,
    at bigint not null,
    -- What can be granted now, of each rule, in millionths.
    levels numeric[] not null,
    -- open, paused, probing or half.
    stage text not null default 'open',
    stage_until bigint not null default 0,
    prober bigint
) with (fillfactor = 50);

create table quota_holder (
    scope text not null references quota on delete cascade,
    holder bigint not null,
    seq bigint not null,
    granted bigint[] not null,
    ttl bigint not null,
    next_poll bigint not null,
    pause bigint,
    generation bigint not null,
    holders int not null,
    answered bigint not null,
    expires bigint not null,
    outstanding bigint[] not null,
    spends_until bigint not null,
    wanted bigint[] not null,
    least bigint[] not null,
    served bigint not null,
    waits_since bigint not null,
    primary key (scope, holder)
) with (fillfactor = 50);

-- What is granted and may be spent at any moment counts against the burst.
create function outbound_quota_cap(levels numeric[], the_scope text, bursts bigint[], now bigint) returns numeric[]
language sql stable as $$
    select coalesce(array_agg(
        -- A debt is paid off all the same.
        least(level, greatest(burst - (
            select coalesce(sum(outstanding[n]), 0) from quota_holder where scope = the_scope and spends_until > now
        ), 0) * 1000000) order by n), '{}')
    from unnest(levels, bursts) with ordinality as rule (level, burst, n)
$$;

create function outbound_quota_exchange_at(
    the_scope text, amounts bigint[], pers bigint[], bursts bigint[], the_holder bigint, the_seq bigint,
    the_used bigint[], the_returned bigint[], the_wanted bigint[], the_least bigint[], waited bigint, refused bigint,
    given_now bigint
) returns table (granted bigint[], ttl bigint, next_poll bigint, pause bigint, generation bigint, holders int)
language plpgsql as $$
#variable_conflict use_column
declare
    shortest_poll constant bigint := 100000;
    longest_poll constant bigint := 40000000;
    idle_poll constant bigint := 1000000;
    half constant bigint := 5000000;
    longest_ttl constant bigint := 60000000;
    shortest_ttl constant bigint := 1000000;
    longest_pause constant bigint := 3600000000;
    rules constant int := cardinality(amounts);
    now bigint;
    q quota%rowtype;
    h quota_holder%rowtype;
    first quota_holder%rowtype;
    known boolean;
    far bigint;
    elapsed bigint;
    spent bigint;
    back bigint;
    free bigint;
    kept bigint;
    needed bigint;
    chunk bigint;
    part numeric := 1;
    whole numeric := 1;
    sum_needed numeric;
    grants bigint[] := array_fill(0::bigint, array[cardinality(amounts)]);
    nothing bigint[] := array_fill(0::bigint, array[cardinality(amounts)]);
    gets boolean := true;
    got boolean := false;
    longest numeric := 0;
    the_ttl bigint := 0;
    the_poll bigint;
begin
    -- The row's lock: one exchange of a scope at a time. A new row is empty, since nobody knows what was spent before.
    select * into q from quota where scope = the_scope for update;
    if not found then
        now := coalesce(given_now, (extract(epoch from outbound_clock()) * 1000000)::bigint);
        insert into quota (scope, generation, at, levels)
        values (the_scope, (extract(epoch from clock_timestamp()) * 1000000)::bigint, now, array_fill(0::numeric, array[rules]))
        on conflict do nothing;
        select * into q from quota where scope = the_scope for update;
    end if;
    -- Read with the lock held.
    now := coalesce(given_now, (extract(epoch from outbound_clock()) * 1000000)::bigint);

    -- The time passes. Where the clock was set back, nothing lies further ahead than it could have been put there now.
    if cardinality(q.levels) <> rules then
        q.levels := array_fill(0::numeric, array[rules]);
        q.generation := q.generation + 1;
        delete from quota_holder where scope = the_scope;
    end if;
    elapsed := greatest(now - q.at, 0);
    q.at := now;
    far := now + 2 * longest_poll * 150 / 100;
    update quota_holder set
        spends_until = least(spends_until, far), expires = least(expires, far), answered = least(answered, now),
        served = least(served, now), waits_since = least(waits_since, now)
    where scope = the_scope
        and (spends_until > far or expires > far or answered > now or served > now or waits_since > now);
    delete from quota_holder where scope = the_scope and expires <= now;
    for n in 1..rules loop
        q.levels[n] := q.levels[n] + div(elapsed::numeric * amounts[n] * 1000000, pers[n]);
    end loop;
    q.levels := outbound_quota_cap(q.levels, the_scope, bursts, now);
    if q.stage = 'paused' and q.stage_until <= now then
        q.stage := 'probing';
        q.prober := null;
    elsif q.stage = 'paused' then
        q.stage_until := least(q.stage_until, now + longest_pause);
    elsif q.stage = 'probing' and q.prober is not null
        and not exists (select from quota_holder where scope = the_scope and holder = q.prober) then
        q.prober := null;
    elsif q.stage = 'half' and (q.stage_until <= now or q.stage_until > now + longest_ttl) then
        q.stage := 'open';
    end if;

    select * into h from quota_holder where scope = the_scope and holder = the_holder;
    known := found;
    if known and the_seq <= h.seq then
        update quota set generation = q.generation, at = q.at, levels = q.levels, stage = q.stage,
            stage_until = q.stage_until, prober = q.prober
        where scope = the_scope;
        return query select h.granted, greatest(h.ttl - (now - h.answered), 0), h.next_poll,
            case when h.pause is not null then greatest(h.pause - (now - h.answered), 0) end, h.generation, h.holders;
        return;
    end if;
    if not known then
        h.scope := the_scope;
        h.holder := the_holder;
        h.expires := now;
        h.outstanding := nothing;
        h.spends_until := now;
        h.served := 0;
    end if;

    -- What was spent and given back. What was spent beyond the grants is a debt of all.
    for n in 1..rules loop
        spent := least(coalesce(the_used[n], 0), h.outstanding[n]);
        h.outstanding[n] := h.outstanding[n] - spent;
        -- A number that cannot be true must not stop all for long.
        q.levels[n] := greatest(
            q.levels[n] - (coalesce(the_used[n], 0) - spent)::numeric * 1000000,
            least(q.levels[n], -bursts[n]::numeric * 1000000));
        back := least(coalesce(the_returned[n], 0), h.outstanding[n]);
        h.outstanding[n] := h.outstanding[n] - back;
        q.levels[n] := q.levels[n] + back::numeric * 1000000;
    end loop;
    if known then
        update quota_holder set outstanding = h.outstanding where scope = the_scope and holder = the_holder;
    end if;
    q.levels := outbound_quota_cap(q.levels, the_scope, bursts, now);

    -- A refusal, or a success after one.
    if refused is not null then
        refused := now + least(refused, longest_pause);
        q.stage_until := case when q.stage = 'paused' then greatest(refused, q.stage_until) else refused end;
        q.stage := 'paused';
    elsif q.stage = 'probing' and q.prober = the_holder and exists (select from unnest(the_used) as u where u > 0) then
        q.stage := 'half';
        q.stage_until := now + half;
    elsif q.stage = 'probing' and q.prober = the_holder and not exists (select from unnest(h.outstanding) as o where o > 0) then
        -- It has given the probe back, so another one may send it.
        q.prober := null;
    end if;

    h.seq := the_seq;
    h.answered := now;
    h.least := nothing;
    h.wanted := nothing;
    for n in 1..rules loop
        h.least[n] := coalesce(the_least[n], 0);
        h.wanted[n] := greatest(coalesce(the_wanted[n], 0), h.least[n]);
    end loop;
    h.waits_since := greatest(greatest(now - waited, 0), h.served);

    -- Who lacks something and has waited longest.
    select * into first from (
        select * from quota_holder where scope = the_scope and holder <> the_holder
        union all select h.*
    ) as holders
    where exists (select from unnest(holders.wanted) as w where w > 0)
    order by waits_since, holder limit 1;

    -- For each rule at least what the first request needs, or nothing of any.
    gets := exists (select from unnest(h.wanted) as w where w > 0)
        and (q.stage in ('open', 'half') or q.stage = 'probing' and q.prober is null);
    for n in 1..rules loop
        exit when not gets;
        continue when h.wanted[n] = 0;
        chunk := greatest(bursts[n] / 10, 1);
        if q.stage = 'half' then
            chunk := greatest(chunk / 2, 1);
        end if;
        -- Who has waited longest is not overtaken: its chunk is kept for it.
        kept := 0;
        if first.holder <> the_holder then
            kept := greatest(least(first.wanted[n], chunk), first.least[n]);
        end if;
        free := greatest(div(greatest(q.levels[n], 0), 1000000)::bigint - kept, 0);
        needed := greatest(least(h.wanted[n], chunk), h.least[n]);
        if q.stage = 'probing' then
            needed := h.least[n];
        end if;
        -- A request that is larger than what can be saved up makes the level negative.
        if free < (case when h.least[n] > bursts[n] then greatest(bursts[n] - h.outstanding[n], 0) else h.least[n] end) then
            gets := false;
        elsif least(needed, greatest(free, h.least[n])) * whole < part * h.wanted[n] then
            part := least(needed, greatest(free, h.least[n]));
            whole := h.wanted[n];
        end if;
    end loop;
    if gets then
        for n in 1..rules loop
            grants[n] := least(greatest(div(h.wanted[n] * part, whole)::bigint, h.least[n]), h.wanted[n]);
            q.levels[n] := q.levels[n] - grants[n]::numeric * 1000000;
            h.outstanding[n] := h.outstanding[n] + grants[n];
            got := got or grants[n] > 0;
            the_ttl := greatest(the_ttl, div(3::numeric * grants[n] * pers[n], amounts[n])::bigint);
        end loop;
    end if;
    if got then
        h.served := now;
        h.waits_since := now;
        the_ttl := least(greatest(the_ttl, shortest_ttl), longest_ttl);
        if q.stage = 'probing' and q.prober is null then
            q.prober := the_holder;
        end if;
    else
        the_ttl := 0;
    end if;

    -- When the next chunk will be there, if all who lack something and waited longer get one before it.
    if q.stage = 'paused' then
        the_poll := least(greatest(q.stage_until - now, shortest_poll), longest_poll);
    elsif q.stage = 'probing' and q.prober is not null or not exists (select from unnest(h.wanted) as w where w > 0) then
        -- Who lacks nothing has time, and nobody gets anything before a probe has succeeded.
        the_poll := idle_poll;
    else
        for n in 1..rules loop
            continue when h.wanted[n] = 0;
            chunk := greatest(bursts[n] / 10, 1);
            if q.stage = 'half' then
                chunk := greatest(chunk / 2, 1);
            end if;
            select coalesce(sum(greatest(least(o.wanted[n], chunk), o.least[n])), 0) into sum_needed from quota_holder as o
            where o.scope = the_scope and o.holder <> the_holder
                and (o.waits_since, o.holder) <= (h.waits_since, the_holder);
            needed := greatest(least(h.wanted[n], chunk), h.least[n]);
            if needed > bursts[n] then
                needed := greatest(bursts[n] - h.outstanding[n], 0);
            end if;
            sum_needed := sum_needed + needed;
            longest := greatest(longest, div(
                greatest(sum_needed * 1000000 - q.levels[n], 0) * pers[n], amounts[n]::numeric * 1000000) + 1);
        end loop;
        -- A little later: who comes too early comes again.
        the_poll := least(greatest(longest + div(longest, 20), shortest_poll), longest_poll)::bigint;
    end if;

    h.spends_until := greatest(h.spends_until, now + the_ttl + the_ttl * 50 / 100);
    h.expires := greatest(h.spends_until, now + 2 * the_poll + 2 * the_poll * 50 / 100);
    h.granted := grants;
    h.ttl := the_ttl;
    h.next_poll := the_poll;
    h.pause := case when q.stage = 'paused' then q.stage_until - now end;
    h.generation := q.generation;
    h.holders := 1 + (select count(*) from quota_holder where scope = the_scope and holder <> the_holder);
    delete from quota_holder where scope = the_scope and holder = the_holder;
    insert into quota_holder select h.*;
    update quota set generation = q.generation, at = q.at, levels = q.levels, stage = q.stage,
        stage_until = q.stage_until, prober = q.prober
    where scope = the_scope;
    return query select h.granted, h.ttl, h.next_poll, h.pause, h.generation, h.holders;
end
$$;

-- The same, by the database's clock.
create function outbound_quota_exchange(
    the_scope text, amounts bigint[], pers bigint[], bursts bigint[], the_holder bigint, the_seq bigint,
    the_used bigint[], the_returned bigint[], the_wanted bigint[], the_least bigint[], waited bigint, refused bigint
) returns table (granted bigint[], ttl bigint, next_poll bigint, pause bigint, generation bigint, holders int)
language sql as $$
    select * from outbound_quota_exchange_at($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, null)
$$;
