-- +goose Up

-- Files that devices send; the bytes are a file named by the id.
create table device_file (
  id         bigint primary key,
  device     bigint not null references device (id) on delete cascade,
  name       text not null,
  upload     text not null unique, -- what the device calls it by
  init       text not null,        -- tells a repeated request to begin from a new one, '' if it cannot
  size       bigint not null,      -- bytes; -1: not known before the last block
  reserved   bigint not null,      -- bytes that it counts for
  client_sum text not null,        -- CRC-64 of the device in hex, '' for none
  server_sum text not null,        -- and of what is stored, once that is complete
  tags       text not null,        -- JSON, '' for none
  complete   bigint not null,
  created_at bigint not null,
  changed_at bigint not null,
  unique (device, name, complete)
);

create index device_file_room on device_file (device, reserved);
create index device_file_unfinished on device_file (created_at) where complete = 0;

-- +goose Down

drop table device_file;
