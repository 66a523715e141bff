-- What people did with calls once they were answered: consultations, holds, transfers; and calls back, which have no line among the
-- calls. `digest` is of the entry, so that one told twice is one. As in the rest of the ledger, no foreign key leads out.
create table call_doings (
    company_id integer not null references companies,
    call_id text not null,
    at timestamptz not null,
    digest bytea not null check (octet_length(digest) = 16),
    kind text not null,
    state text,
    employee text,
    number text collate "C",
    facts jsonb not null,
    primary key (company_id, call_id, at, digest)
);

create index calls_back_to_number on call_doings (company_id, number, at) where kind = 'called_back' and state = 'talking';
