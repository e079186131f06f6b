-- +goose Up

-- The configuration file that devices of a product fetch.
create table remote_config (
  product_key text primary key references product (product_key) on delete cascade,
  config_id   text not null,
  content     bytea not null,
  sha256      text not null,
  enabled     bigint not null,
  changed_at  bigint not null
);

-- What version of each module a device reported last.
create table device_module (
  device     bigint not null references device (id) on delete cascade,
  module     text not null,
  version    text not null,
  changed_at bigint not null,
  primary key (device, module)
);

-- Firmware; the bytes are a file named by the id.
create table ota_package (
  id             bigint primary key,
  product_key    text not null references product (product_key) on delete cascade,
  module         text not null,
  version        text not null,
  source_version text not null, -- a difference to this version, '' for a whole package
  size           bigint not null,
  md5            text not null,
  sha256         text not null,
  sign_method    text not null,
  udi            text not null,
  created_at     bigint not null,
  unique (product_key, module, version, source_version)
);

create table ota_job (
  id          bigint primary key,
  package     bigint not null references ota_package (id) on delete cascade,
  protocol    text not null,
  retries     bigint not null,
  retry_after bigint not null, -- seconds
  start_at    bigint not null,
  timeout_at  bigint not null, -- 0: never
  cancelled   bigint not null,
  created_at  bigint not null
);

create table ota_task (
  id         bigint primary key,
  job        bigint not null references ota_job (id) on delete cascade,
  device     bigint not null references device (id) on delete cascade,
  module     text not null,
  state      text not null, -- pending, pushed, upgrading, success, failure, cancelled
  step       bigint not null,
  reason     text not null,
  pushes     bigint not null,
  failures   bigint not null,
  due_at     bigint not null, -- when it is to be pushed, 0: when the device shows up
  changed_at bigint not null
);

create index ota_task_device on ota_task (device, module, state);
create index ota_task_job on ota_task (job, id);
create index ota_task_due on ota_task (due_at) where due_at > 0;

-- +goose Down

drop table ota_task;
drop table ota_job;
drop table ota_package;
drop table device_module;
drop table remote_config;
