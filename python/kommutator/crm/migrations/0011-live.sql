-- The open pages of employees, over all desks: whoever has had pages and has none for a minute is absent. `stream` is one connection of a
-- page; `open` is false once it was closed in order, and stays true where the desk died that had it.
create table desk_tabs (
    company_id integer not null references companies,
    tab text not null,
    employee text not null,
    stream uuid not null,
    open boolean not null,
    seen_at timestamptz not null,
    primary key (company_id, tab, employee)
);

-- What those were who are offline because their pages are gone, for when they come back.
create table absences (
    company_id integer not null references companies,
    employee text not null,
    presence text not null,
    at timestamptz not null,
    primary key (company_id, employee)
);

-- What stood in a call's wizard when it was closed: whoever the call was passed to reads it. Kept for a day.
create table closed_drafts (
    company_id integer not null references companies,
    call_id text not null,
    user_id bigint not null,
    id text not null,
    content jsonb not null,
    revision bigint not null,
    created_at timestamptz not null,
    closed_at timestamptz not null,
    primary key (company_id, call_id, user_id)
);

create index closed_drafts_by_time on closed_drafts (company_id, closed_at);
create index drafts_of_call on drafts (company_id, call_id) where call_id is not null;
