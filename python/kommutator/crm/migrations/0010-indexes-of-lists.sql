-- What read whole tables with a million rows in them: calls of one of our numbers, the newest notices, and what is old enough to be purged.
create index calls_of_did on calls (company_id, did_number, began_at desc, call_id desc) where did_number is not null;
create index outbox_by_place on outbox (company_id, place desc);
create index if not exists outbox_finished on outbox (company_id, finished_at) where finished_at is not null;
create index recordings_by_time on recordings (company_id, at);
create index if not exists sign_in_failures_by_time on sign_in_failures (company_id, at);

-- The words are an index that the program keeps, and clients are never deleted: an import of many clients does without a check of each word.
alter table client_words drop constraint client_words_company_id_client_id_fkey;
