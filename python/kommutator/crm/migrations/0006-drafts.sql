-- What operators have typed and not yet accepted. `revision` is the desk's own count of keystrokes: a late write never covers a newer one.
create table drafts (
    company_id integer not null references companies,
    id text not null check (id <> ''),
    user_id bigint not null,
    call_id text,
    content jsonb not null,
    revision bigint not null check (revision >= 0),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (company_id, id),
    foreign key (company_id, user_id) references users
);

create index drafts_of_user on drafts (company_id, user_id, created_at);
