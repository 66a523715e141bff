-- Notices on their way out. A row is claimed by pushing its next_at beyond the sender's lease, so that a sender that dies gives it
-- back; `attempts` tells one claim from the next.
create table outbox (
    company_id integer not null references companies,
    id text not null,
    place bigint generated always as identity,
    channel text not null check (channel in ('sms', 'email')),
    recipient text not null check (recipient <> ''),
    payload jsonb not null,
    call_id text,
    state text not null default 'waiting' check (state in ('waiting', 'sent', 'delivered', 'undelivered', 'failed')),
    attempts integer not null default 0 check (attempts >= 0),
    created_at timestamptz not null,
    next_at timestamptz not null,
    claimed_by text,
    sent_at timestamptz,
    finished_at timestamptz,
    last_error text,
    primary key (company_id, id)
);

create index outbox_due on outbox (company_id, channel, next_at, place) where state = 'waiting';
create index outbox_queue_of_recipient on outbox (company_id, channel, recipient, place) where state = 'waiting';
create index outbox_of_call on outbox (company_id, call_id) where call_id is not null;
create index outbox_by_state on outbox (company_id, state, place desc);

-- What the provider said of each part of a notice. A receipt may come before the sender has written what it sent.
create table outbox_parts (
    company_id integer not null references companies,
    channel text not null,
    provider_id text not null,
    outbox_id text,
    part smallint,
    delivered boolean,
    error text,
    at timestamptz not null,
    primary key (company_id, channel, provider_id)
);

create index parts_of_notice on outbox_parts (company_id, outbox_id, part) where outbox_id is not null;
