-- Routers keep owners and callers whole, as tables: a snapshot, and the changes since it in their order.

-- Any owner may have changed: routers get a new snapshot instead.
delete from number_changes where number is null;
alter table number_changes alter column number set not null;

-- Numbers of whom a call has ended, until it is told. No E.164 alone: extensions call too.
create table caller_changes (
    company_id integer not null references companies,
    id bigint generated always as identity,
    number text collate "C" not null,
    primary key (company_id, id)
);

-- Where the order stands. `epoch` changes when the database is found to be older than what was told. `items`: how many changes of
-- single numbers there have been in all.
create table fact_state (
    company_id integer primary key references companies,
    epoch uuid not null default gen_random_uuid(),
    sequence bigint not null default 0,
    items bigint not null default 0
);

insert into fact_state (company_id) select id from companies;

-- Changes in their order, as they travel, until the exchange has them.
create table fact_log (
    company_id integer not null references companies,
    sequence bigint not null check (sequence > 0),
    at timestamptz not null,
    owners jsonb not null,
    calls jsonb not null,
    primary key (company_id, sequence)
);
