-- +goose Up

-- What waits for devices, and nothing else, so that a start finds it without
-- reading what is over. The conditions are those of waiting.go, word for word.
create index desired_value_waiting on desired_value (device) where value is not null;
create index ota_task_waiting on ota_task (device) where state in ('pending', 'pushed', 'upgrading');
create index device_task_waiting on device_task (device) where (status in ('QUEUED', 'SENT') or status = 'CANCELLED' and due_at <> 0);

-- +goose Down

drop index device_task_waiting;
drop index ota_task_waiting;
drop index desired_value_waiting;
