-- Whose phone is the browser, and at which PBX a phone is registered (null: at the first router's).
alter table employees
    add column softphone boolean not null default false,
    add column pbx text;
