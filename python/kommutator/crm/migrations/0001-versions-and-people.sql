-- Every table begins its keys with the company, so that companies can be spread over servers by it (Citus: distribute by
-- company_id; `companies` and `blobs` become reference tables). All times are timestamptz. Ids of employees, departments and
-- service types are the words of the company document.

create table companies (
    id integer primary key check (id > 0),
    name text not null default '',
    country text not null default 'RU',
    timezone text not null default 'UTC',
    language text not null default 'ru',
    active_version integer,
    created_at timestamptz not null default now()
);

insert into companies (id) values (1);

-- Files of versions, kept once each however many versions have them.
create table blobs (
    company_id integer not null references companies,
    sha256 bytea not null check (octet_length(sha256) = 32),
    content bytea not null,
    primary key (company_id, sha256)
);

create table company_versions (
    company_id integer not null references companies,
    number integer not null check (number > 0),
    author text not null check (author <> ''),
    comment text not null default '',
    created_at timestamptz not null,
    digest bytea not null check (octet_length(digest) = 32),
    engine_document bytea not null,
    report jsonb not null,
    primary key (company_id, number)
);

create table version_files (
    company_id integer not null,
    version integer not null,
    path text not null check (path <> '' and path !~ '(^|/)\.\.?(/|$)' and path !~ '^/'),
    sha256 bytea not null,
    primary key (company_id, version, path),
    foreign key (company_id, version) references company_versions (company_id, number),
    foreign key (company_id, sha256) references blobs (company_id, sha256)
);

-- What was activated and when; a rollback names the activation that it undoes.
create table activations (
    company_id integer not null,
    id bigint generated always as identity,
    version integer not null,
    undoes bigint,
    author text not null check (author <> ''),
    comment text not null default '',
    at timestamptz not null,
    primary key (company_id, id),
    unique (company_id, undoes),
    foreign key (company_id, version) references company_versions (company_id, number),
    foreign key (company_id, undoes) references activations (company_id, id)
);

alter table companies add foreign key (id, active_version) references company_versions (company_id, number);

-- A version never changes, and nothing is taken out of the history.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is kept as it was written', tg_table_name using errcode = 'restrict_violation';
end $$;

create trigger immutable before update or delete on company_versions for each row execute function refuse_change();
create trigger immutable before update or delete on version_files for each row execute function refuse_change();
create trigger immutable before update or delete on blobs for each row execute function refuse_change();
create trigger immutable before update or delete on activations for each row execute function refuse_change();

-- Projections of the active version. A row is never deleted, so that what it is responsible for keeps its name.
create table departments (
    company_id integer not null references companies,
    id text not null,
    name text not null,
    position integer not null,
    active boolean not null default true,
    primary key (company_id, id)
);

create table service_types (
    company_id integer not null references companies,
    id text not null,
    name text not null,
    position integer not null,
    active boolean not null default true,
    primary key (company_id, id)
);

create table department_services (
    company_id integer not null,
    department text not null,
    service_type text not null,
    primary key (company_id, service_type, department),
    foreign key (company_id, department) references departments,
    foreign key (company_id, service_type) references service_types
);

create table employees (
    company_id integer not null references companies,
    id text not null,
    name text not null,
    department text,
    rank integer,
    endpoint text,
    mobile text,
    email text,
    position integer not null,
    active boolean not null default true,
    primary key (company_id, id),
    foreign key (company_id, department) references departments
);

create index employees_of_department on employees (company_id, department) where active;

create table audit (
    company_id integer not null references companies,
    id bigint generated always as identity,
    at timestamptz not null default now(),
    actor text not null check (actor <> ''),
    action text not null check (action <> ''),
    subject text not null,
    subject_id text not null,
    details jsonb not null default '{}',
    primary key (company_id, id)
);

create index audit_of_subject on audit (company_id, subject, subject_id, id desc);
create trigger immutable before update or delete on audit for each row execute function refuse_change();
