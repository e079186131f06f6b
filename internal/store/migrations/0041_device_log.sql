-- +goose Up

-- What devices report about themselves, and what the server found wrong with
-- their messages: the newest lines of each device.
create table device_log (
  id      bigint primary key,
  device  bigint not null references device (id) on delete cascade,
  at      bigint not null,
  source  text not null,
  utc     text not null,
  level   text not null,
  module  text not null,
  code    text not null,
  trace   text not null,
  content text not null
);

create index device_log_newest on device_log (device, id);

-- What a device is told about itself, by name: the log switch.
create table device_setting (
  device bigint not null references device (id) on delete cascade,
  name   text not null,
  value  text not null,
  primary key (device, name)
);

-- +goose Down

drop table device_setting;
drop table device_log;
