-- +goose Up

-- What devices are to do, by a document that they understand.
create table device_job (
  id          bigint primary key,
  name        text not null,
  description text not null,
  document    text not null,   -- JSON
  file_url    text not null,   -- '' for none
  file_sign   text not null,
  sign_method text not null,
  retries     bigint not null,
  retry_after bigint not null, -- ms
  timeout     bigint not null, -- ms from the moment a device has begun, 0: none
  start_at    bigint not null,
  end_at      bigint not null, -- 0: never; negative once it is over
  per_minute  bigint not null, -- devices told in a minute, 0: all at once
  cancelled   bigint not null,
  created_at  bigint not null
);

create index device_job_end on device_job (end_at) where end_at > 0;

create table device_task (
  id         bigint primary key,
  task       text not null unique, -- what the device knows it by
  job        bigint not null references device_job (id) on delete cascade,
  device     bigint not null references device (id) on delete cascade,
  status     text not null, -- QUEUED, SENT, IN_PROGRESS, SUCCEEDED, FAILED, REJECTED, CANCELLED, TIMED_OUT
  progress   bigint not null,
  details    text not null, -- JSON of the device, '' for none
  reason     text not null,
  sends      bigint not null, -- how often the device was told
  failures   bigint not null,
  due_at     bigint not null, -- when the device is to be told, 0: when it connects; -1: that it is over, when it connects
  timeout_at bigint not null, -- 0: never
  queued_at  bigint not null,
  changed_at bigint not null
);

create index device_task_device on device_task (device, status);
create index device_task_job on device_task (job, id);
create index device_task_due on device_task (due_at) where due_at > 0;
create index device_task_timeout on device_task (timeout_at) where timeout_at > 0;

-- +goose Down

drop table device_task;
drop table device_job;
