-- History: points wait in history_wal (one row a commit) and in memory, and are
-- then folded into history_chunk (one row for about a hundred points). See
-- history.go for how the three tables work together.

-- +goose Up

create table history_series (
  id         bigint primary key,
  device     bigint not null,
  kind       bigint not null,
  name       text not null,
  -- longest t_max - t_min of any chunk of the series: bounds how far before a
  -- range a chunk that reaches into it can begin
  span       bigint not null,
  -- the folded point with the greatest time; survives the chunk's retention
  last_time  bigint not null,
  last_value bytea,
  unique (device, kind, name)
);

create table history_chunk (
  series bigint not null,
  t_min  bigint not null,
  -- the commit that folded it: of two points with one time, the higher wins
  seq    bigint not null,
  t_max  bigint not null,
  points bigint not null,
  data   bytea not null,
  primary key (series, t_min, seq)
);

create table history_wal (
  seq  bigint primary key,
  data bytea not null
);

-- +goose Down

drop table history_wal;
drop table history_chunk;
drop table history_series;
