-- How often a notice was handed to its channel without anybody knowing what became of it: counted up before the handing over, and down
-- again when it certainly did not leave.
alter table outbox add column doubts smallint not null default 0 check (doubts >= 0);
