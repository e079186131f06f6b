-- One dialect for SQLite and PostgreSQL: bigint, text and bytea columns, times
-- as UTC milliseconds (0 = never), flags as 0 or 1, ids made by the server.

-- +goose Up

-- The next free id of each kind; see (*tx).nextIDs.
create table id_sequence (
  name  text primary key,
  value bigint not null
);

create table setting (
  name  text primary key,
  value bytea not null
);

create table product (
  product_key      text primary key,
  name             text not null,
  secret           bytea not null,
  node_type        text not null,
  data_format      text not null,
  validation       text not null,
  dynamic_register bigint not null,
  description      text not null,
  created_at       bigint not null,
  updated_at       bigint not null
);

create table device (
  id              bigint primary key,
  product_key     text not null references product (product_key),
  name            text not null,
  iot_id          text not null unique,
  nickname        text not null,
  secret          bytea not null,
  enabled         bigint not null,
  created_at      bigint not null,
  activated_at    bigint not null,
  last_online_at  bigint not null,
  last_offline_at bigint not null,
  last_addr       text not null,
  unique (product_key, name)
);

create table device_tag (
  device bigint not null references device (id) on delete cascade,
  domain text not null,
  name   text not null,
  value  text not null,
  primary key (device, domain, name)
);

create table model (
  product_key text not null references product (product_key) on delete cascade,
  version     bigint not null,
  document    bytea not null,
  created_at  bigint not null,
  primary key (product_key, version)
);

create table app_user (
  name          text primary key,
  password_hash text not null,
  rights        text not null,
  enabled       bigint not null,
  created_at    bigint not null
);

create table audit (
  id     bigint primary key,
  at     bigint not null,
  who    text not null,
  action text not null,
  object text not null,
  detail text not null
);

-- +goose Down

drop table audit;
drop table app_user;
drop table model;
drop table device_tag;
drop table device;
drop table product;
drop table setting;
drop table id_sequence;
