-- One row a call; written idempotently from the routers' spools, whose entries may come twice, late, and from two routers. No foreign
-- key leads out of the ledger: what happened is written whatever else is known. `counted`: the call is in `callers`. `found`: what was
-- known of a call when its router began to tell of it in the middle.
create table calls (
    company_id integer not null references companies,
    call_id text not null check (octet_length(call_id) between 1 and 64),
    did text,
    caller text,
    did_number text collate "C",
    caller_number text collate "C",
    began_at timestamptz,
    ended_at timestamptz,
    disposition text check (disposition in ('answered', 'voicemail', 'abandoned', 'no_answer', 'busy', 'unavailable',
                                            'informed', 'transferred', 'failed')),
    fault text check (fault in ('caller', 'callee', 'pbx', 'ours', 'none')),
    scheme text,
    answered_by text,
    answered_at timestamptz,
    tags jsonb not null default '{}',
    router text,
    pbx text,
    counted boolean not null default false,
    found jsonb,
    written_at timestamptz not null default now(),
    primary key (company_id, call_id),
    check ((ended_at is null) = (disposition is null)),
    check ((disposition is null) = (fault is null))
);

create index calls_by_time on calls (company_id, began_at desc, call_id desc);
create index calls_by_disposition on calls (company_id, disposition, began_at desc, call_id desc);
create index calls_of_caller on calls (company_id, caller_number, began_at desc) where caller_number is not null;
create index calls_of_employee on calls (company_id, answered_by, began_at desc) where answered_by is not null;
create index calls_going_on on calls (company_id, began_at) where ended_at is null;

create table call_turns (
    company_id integer not null,
    call_id text not null,
    sequence integer not null check (sequence >= 0),
    at timestamptz not null,
    event jsonb,
    action jsonb not null,
    trace jsonb not null,
    rounds jsonb not null,
    effects jsonb not null,
    scheme text,
    primary key (company_id, call_id, sequence),
    foreign key (company_id, call_id) references calls
);

create table call_legs (
    company_id integer not null,
    call_id text not null,
    number smallint not null check (number > 0),
    endpoint text not null,
    employee text,
    round integer,
    rang_at timestamptz not null,
    ended_at timestamptz,
    outcome text,
    primary key (company_id, call_id, number),
    foreign key (company_id, call_id) references calls
);

create index legs_of_employee on call_legs (company_id, employee, rang_at desc) where employee is not null;

-- Who has called before: the calls that have ended.
create table callers (
    company_id integer not null references companies,
    number text collate "C" not null,
    first_call_at timestamptz not null,
    last_call_at timestamptz not null,
    calls integer not null check (calls > 0),
    primary key (company_id, number)
);

create table missed_calls (
    company_id integer not null references companies,
    id text not null,
    call_id text not null,
    caller text collate "C",
    did text,
    owner text,
    at timestamptz not null,
    closed_at timestamptz,
    closed_by text,
    outcome text check (outcome in ('handled', 'reached')),
    primary key (company_id, id),
    check ((closed_at is null) = (outcome is null))
);

create index open_missed_calls_of_owner on missed_calls (company_id, owner, at desc) where closed_at is null;
create index open_missed_calls on missed_calls (company_id, at desc) where closed_at is null;
create index open_missed_calls_of_caller on missed_calls (company_id, caller) where closed_at is null;
create index missed_calls_of_call on missed_calls (company_id, call_id);

create table tasks (
    company_id integer not null references companies,
    id text not null,
    kind text not null check (kind in ('task', 'voicemail')),
    call_id text not null,
    assign text not null,
    title text not null,
    at timestamptz not null,
    closed_at timestamptz,
    closed_by text,
    primary key (company_id, id)
);

create index open_tasks_of_assignee on tasks (company_id, assign, at desc) where closed_at is null;

create table recordings (
    company_id integer not null references companies,
    name text not null,
    kind text not null check (kind in ('voicemail', 'conversation')),
    call_id text not null,
    seconds double precision not null check (seconds >= 0),
    assign text,
    at timestamptz not null,
    location text,
    bytes bigint check (bytes >= 0),
    media_type text,
    stored_at timestamptz,
    heard_at timestamptz,
    heard_by text,
    primary key (company_id, name),
    check ((location is null) = (stored_at is null))
);

create index recordings_of_call on recordings (company_id, call_id);
create index recordings_not_stored on recordings (company_id, at) where location is null;
