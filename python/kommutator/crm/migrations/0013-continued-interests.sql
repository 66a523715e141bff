-- An enquiry that goes on with an interest is accepted once, like one that begins one: by its key.
alter table interest_history add column key text;
create unique index interest_changes_by_key on interest_history (company_id, key) where key is not null;
