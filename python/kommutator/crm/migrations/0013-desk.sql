-- An enquiry that goes on with an interest is accepted once, like one that begins one: by its key.
alter table interest_history add column key text;
create unique index interest_changes_by_key on interest_history (company_id, key) where key is not null;

-- Calls back that go on, for a desk that begins.
create index calls_back_lately on call_doings (company_id, at) where kind = 'called_back';
