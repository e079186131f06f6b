-- +goose Up

create table shadow (
  device   bigint primary key references device (id) on delete cascade,
  version  bigint not null,
  document bytea not null
);

-- +goose Down

drop table shadow;
