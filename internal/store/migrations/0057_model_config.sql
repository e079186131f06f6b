-- +goose Up

-- The configuration of a gateway's channels, as it was pushed last.
create table model_config (
  device     bigint primary key references device (id) on delete cascade,
  content    bytea not null,
  sha256     text not null,
  changed_at bigint not null
);

-- +goose Down

drop table model_config;
