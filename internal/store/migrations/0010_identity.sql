-- Who belongs to whom, and what else than its secret a device may log in with.

-- +goose Up

-- A sub-device has at most one gateway.
create table topology (
  sub_device bigint primary key references device (id) on delete cascade,
  gateway    bigint not null references device (id) on delete cascade,
  created_at bigint not null
);

create index topology_gateway on topology (gateway);

-- Tokens that were handed out instead of a secret. A token itself is not kept,
-- only its SHA-256.
create table device_token (
  client_id  text primary key,
  device     bigint not null references device (id) on delete cascade,
  -- for whom: the MQTT client id of the registration
  holder     text not null,
  token      bytea not null,
  created_at bigint not null,
  expires_at bigint not null,
  unique (device, holder)
);

-- Client certificates by the SHA-256 of their DER form, in hex.
create table device_certificate (
  fingerprint text primary key,
  device      bigint not null references device (id) on delete cascade,
  subject     text not null,
  not_after   bigint not null,
  created_at  bigint not null
);

create index device_certificate_device on device_certificate (device);

-- Whether devices that nobody has registered may create themselves.
alter table product add column auto_register bigint not null default 0;

-- +goose Down

alter table product drop column auto_register;
drop table device_certificate;
drop table device_token;
drop table topology;
