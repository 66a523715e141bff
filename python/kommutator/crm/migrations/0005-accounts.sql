create table users (
    company_id integer not null references companies,
    id bigint generated always as identity,
    login text collate "C" not null check (login <> ''),
    name text not null,
    role text not null check (role in ('operator', 'manager', 'supervisor', 'administrator')),
    employee text,
    password_hash text,
    active boolean not null default true,
    revision integer not null default 1 check (revision > 0),
    created_at timestamptz not null,
    primary key (company_id, id),
    unique (company_id, login),
    foreign key (company_id, employee) references employees
);

create unique index one_user_of_employee on users (company_id, employee) where employee is not null and active;

-- Tokens are kept as hashes only: who reads the table cannot sign in.
create table sessions (
    company_id integer not null,
    token_hash bytea not null check (octet_length(token_hash) = 32),
    user_id bigint not null,
    created_at timestamptz not null,
    seen_at timestamptz not null,
    expires_at timestamptz not null,
    address text,
    agent text,
    primary key (company_id, token_hash),
    foreign key (company_id, user_id) references users
);

create index sessions_of_user on sessions (company_id, user_id);
create index sessions_by_expiry on sessions (company_id, expires_at);

create table sign_in_failures (
    company_id integer not null references companies,
    id bigint generated always as identity,
    login text collate "C" not null,
    address text not null,
    at timestamptz not null,
    primary key (company_id, id)
);

create index sign_in_failures_of_login on sign_in_failures (company_id, login, at);
create index sign_in_failures_of_address on sign_in_failures (company_id, address, at);

create table api_tokens (
    company_id integer not null references companies,
    id bigint generated always as identity,
    token_hash bytea not null check (octet_length(token_hash) = 32),
    name text not null check (name <> ''),
    scopes text[] not null check (cardinality(scopes) > 0),
    created_by text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    used_at timestamptz,
    revoked_at timestamptz,
    primary key (company_id, id),
    unique (company_id, token_hash)
);
