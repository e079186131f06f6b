-- +goose Up

create table product_script (
  product_key text primary key references product (product_key) on delete cascade,
  source      text not null,
  changed_at  bigint not null
);

-- +goose Down

drop table product_script;
