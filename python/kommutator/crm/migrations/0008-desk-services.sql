-- The engine's own identity of a document: what a call's state says of the version that the call runs on. Two versions with the same
-- meaning have the same one.
alter table company_versions add column engine_version text collate "C";
create index versions_by_engine on company_versions (company_id, engine_version) where engine_version is not null;

-- `version` is the number that was active under that identity when the call began. `purged_at`: its turns are kept no longer.
alter table calls add column engine_version text collate "C", add column version integer, add column purged_at timestamptz;
create index calls_to_purge on calls (company_id, ended_at) where purged_at is null;

-- No number: any may have another owner now.
alter table number_changes alter column number drop not null;

-- A task that was made because a call was missed is done when that is, and the other way round.
alter table tasks add column missed_id text;
create index open_tasks_of_missed_call on tasks (company_id, missed_id) where closed_at is null and missed_id is not null;

-- As `recording_key` of the routers' side names a recording's file.
create index recordings_by_key on recordings (company_id, regexp_replace(name, '[^A-Za-z0-9._~-]', '_', 'g'));

-- Sound that arrived before the ledger told of its recording.
create table recording_files (
    company_id integer not null references companies,
    key text not null,
    location text not null,
    bytes bigint not null check (bytes >= 0),
    media_type text not null,
    stored_at timestamptz not null,
    primary key (company_id, key)
);
create index recording_files_by_time on recording_files (company_id, stored_at);

-- The sound was deleted by the company's own rule of how long it is kept.
alter table recordings add column expired_at timestamptz;
drop index recordings_not_stored;
create index recordings_not_stored on recordings (company_id, at) where location is null and expired_at is null;
create index recordings_to_expire on recordings (company_id, stored_at) where location is not null;

create index outbox_finished on outbox (company_id, finished_at) where finished_at is not null;
create index parts_by_time on outbox_parts (company_id, at) where outbox_id is null;
create index drafts_by_time on drafts (company_id, updated_at);
create index sign_in_failures_by_time on sign_in_failures (company_id, at);
