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
    average bigint[] not null,
    served bigint not null,
    waits_since bigint not null,
    primary key (scope, holder)
) with (fillfactor = 50);

-- Whether a holder did not come when it was to come. It may have died, and nobody waits for its turn.
create function outbound_quota_is_late(h quota_holder, now bigint) returns boolean language sql immutable as $$
    select now > h.answered + h.next_poll + h.next_poll / 4 + 1000000
$$;

-- Whether a holder came and got nothing: it comes again with the same request.
create function outbound_quota_waits(h quota_holder) returns boolean language sql immutable as $$
    select exists (select from unnest(h.wanted) as w where w > 0)
        and not exists (select from unnest(h.granted) as g where g > 0)
$$;

-- No more is saved up than a burst.
create function outbound_quota_cap(levels numeric[], bursts bigint[]) returns numeric[] language sql immutable as $$
    select coalesce(array_agg(least(level, burst::numeric * 1000000) order by n), '{}')
    from unnest(levels, bursts) with ordinality as rule (level, burst, n)
$$;

-- How much has to be there for so much. What comes in within a whole period is never enough for more than that.
create function outbound_quota_there(units bigint, amount bigint, burst bigint) returns bigint language sql immutable as $$
    select case when units > greatest(burst, amount) then 9223372036854775807 else least(units, burst) end
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
    longest_poll constant bigint := 90000000;
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
    far_spending bigint;
    elapsed bigint;
    spent bigint;
    back bigint;
    free bigint;
    kept bigint;
    needed bigint;
    chunk bigint;
    part numeric := 1;
    whole numeric := 1;
    sum_expected numeric;
    wanting bigint;
    there numeric;
    grants bigint[] := array_fill(0::bigint, array[cardinality(amounts)]);
    nothing bigint[] := array_fill(0::bigint, array[cardinality(amounts)]);
    gets boolean := true;
    got boolean := false;
    longest numeric := 0;
    the_ttl bigint := 0;
    the_poll bigint;
begin
    -- What a crash of the database loses of the last moments is no more than a few chunks, and each commit would wait for the disk.
    perform set_config('synchronous_commit', 'off', true);
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
    far_spending := now + longest_ttl * 150 / 100;
    update quota_holder set
        spends_until = least(spends_until, far_spending), expires = least(expires, far), answered = least(answered, now),
        served = least(served, now), waits_since = least(waits_since, now)
    where scope = the_scope
        and (spends_until > far_spending or expires > far or answered > now or served > now or waits_since > now);
    for n in 1..rules loop
        q.levels[n] := q.levels[n] + div(elapsed::numeric * amounts[n] * 1000000, pers[n]);
    end loop;
    q.levels := outbound_quota_cap(q.levels, bursts);
    delete from quota_holder where scope = the_scope and expires <= now;
    if q.stage = 'paused' and q.stage_until <= now then
        q.stage := 'probing';
        q.prober := null;
    elsif q.stage = 'paused' then
        q.stage_until := least(q.stage_until, now + longest_pause);
    elsif q.stage = 'probing' and q.prober is not null
        and not exists (
            select from quota_holder as o
            where o.scope = the_scope and o.holder = q.prober and not outbound_quota_is_late(o, now)
        ) then
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
        return query select h.granted, greatest(h.ttl - (now - h.answered), 0),
            greatest(h.next_poll - (now - h.answered), shortest_poll),
            case when h.pause is not null then greatest(h.pause - (now - h.answered), 0) end, h.generation, h.holders;
        return;
    end if;
    if not known then
        h.scope := the_scope;
        h.holder := the_holder;
        h.expires := now;
        h.outstanding := nothing;
        h.spends_until := now;
        h.average := nothing;
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
    q.levels := outbound_quota_cap(q.levels, bursts);

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

    -- Who has waited longest, of those who came in vain and of the one who asks.
    select * into first from (
        select o.* from quota_holder as o
        where o.scope = the_scope and o.holder <> the_holder and outbound_quota_waits(o)
            and not outbound_quota_is_late(o, now)
        union all select h.*
    ) as holders
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
        -- A request that is larger than what can be saved up leaves a debt. What comes in within a whole period is never enough
        -- for more than that.
        if free < outbound_quota_there(h.least[n], amounts[n], bursts[n]) then
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
            h.average[n] := case when h.average[n] = 0 then grants[n] else (3 * h.average[n] + grants[n]) / 4 end;
            -- What is more than a chunk is one request, and sent at once.
            the_ttl := greatest(the_ttl,
                div(2::numeric * least(grants[n], greatest(bursts[n] / 10, 1)) * pers[n], amounts[n])::bigint);
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

    -- When the next chunk will be there, if all who are expected before get theirs. The reserve, and half of what is there above
    -- it: see the row in memory.
    if q.stage = 'paused' then
        the_poll := least(greatest(q.stage_until - now, shortest_poll), longest_poll);
    elsif q.stage = 'probing' and q.prober is not null then
        the_poll := idle_poll;
    else
        for n in 1..rules loop
            continue when h.wanted[n] = 0;
            chunk := greatest(bursts[n] / 10, 1);
            if q.stage = 'half' then
                chunk := greatest(chunk / 2, 1);
            end if;
            select
                coalesce(sum(case when outbound_quota_waits(o) then greatest(least(o.wanted[n], chunk), o.least[n])
                    else o.average[n] end) filter (where (o.waits_since, o.holder) < (h.waits_since, the_holder)), 0),
                1 + count(*) filter (where o.wanted[n] > 0)
            into sum_expected, wanting from quota_holder as o
            where o.scope = the_scope and o.holder <> the_holder and not outbound_quota_is_late(o, now);
            there := q.levels[n];
            if got then
                sum_expected := sum_expected + h.average[n];
                there := there - div(chunk::numeric * floor(sqrt((9 * wanting)::float8))::bigint, 4) * 1000000;
                there := case when there > 0 then div(there, 2) else there end;
            else
                sum_expected := sum_expected + outbound_quota_there(greatest(least(h.wanted[n], chunk), h.least[n]), amounts[n], bursts[n]);
            end if;
            longest := greatest(longest, div(
                greatest(sum_expected * 1000000 - there, 0) * pers[n], amounts[n]::numeric * 1000000) + 1);
        end loop;
        -- One that got nothing comes a little later: who comes too early comes again.
        the_poll := case when longest = 0 then idle_poll
            else least(greatest(longest + case when got then 0 else div(longest, 10) end, shortest_poll), longest_poll)::bigint
            end;
    end if;

    h.spends_until := greatest(h.spends_until, now + the_ttl * 150 / 100);
    h.expires := greatest(h.spends_until, now + 2 * the_poll * 150 / 100);
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
