-- +goose Up

-- What properties should become. A row without a value was cleared: its version
-- goes on counting, so that a late message about an old value hits nothing.
create table desired_value (
  device     bigint not null references device (id) on delete cascade,
  name       text not null,
  value      bytea,
  version    bigint not null,
  changed_at bigint not null,
  primary key (device, name)
);

-- +goose Down

drop table desired_value;
