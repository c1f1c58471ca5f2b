-- migrate:up
create schema if not exists gateway;

create table gateway.accounts (
    id uuid primary key,
    email text not null unique, -- normalised: trimmed and in lower case
    password_hash text not null, -- argon2id with its parameters
    created_at timestamptz not null default now()
);

-- A browser's login. The cookie's value is known to the browser alone.
create table gateway.sessions (
    hash bytea primary key, -- SHA-256 of the cookie's value
    account uuid not null references gateway.accounts on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index sessions_account on gateway.sessions (account);
create index sessions_expires_at on gateway.sessions (expires_at);

-- An account's tokens (`dbp_...`) for programs.
create table gateway.tokens (
    id uuid primary key,
    account uuid not null references gateway.accounts on delete cascade,
    hash bytea not null unique, -- SHA-256 of the token
    name text not null,
    prefix text not null,
    created_at timestamptz not null default now(),
    last_used_at timestamptz
);
create index tokens_account on gateway.tokens (account, id);

create sequence gateway.project_id as bigint;

create table gateway.projects (
    id bigint primary key, -- taken from project_id before the row exists, since the sealed URL is bound to it
    name text not null,
    owner uuid not null references gateway.accounts,
    database_sealed text not null, -- sealing.seal(url, id, 'database', database_version)
    database_version integer not null default 1,
    database_addresses text[] not null, -- checked; the only ones that are dialled
    connections integer not null default 20 check (connections between 1 and 1000),
    timeout_ms integer not null default 10000 check (timeout_ms between 100 and 300000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index projects_owner on gateway.projects (owner, id);

create table gateway.keys (
    id uuid primary key,
    project bigint not null references gateway.projects on delete cascade,
    hash bytea not null unique, -- SHA-256 of the key
    name text not null,
    prefix text not null, -- its shown beginning
    role text not null default '', -- '' is read-write
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    expires_at timestamptz, -- set by a rotation: the end of the grace period
    revoked_at timestamptz
);
create index keys_project on gateway.keys (project, id);

-- Every gateway process reads what is new here several times a second and ends the keys it holds in memory.
-- No foreign key: a deleted project's keys are ended here too. Ids are taken under an advisory lock, so that a
-- lower one never becomes visible after a higher one.
create table gateway.revocations (
    id bigint generated always as identity primary key,
    key_hash bytea not null,
    ends_at timestamptz not null,
    created_at timestamptz not null default now()
);
create index revocations_created_at on gateway.revocations (created_at);

-- The gateway's own copy of the introspector's newest snapshot.
create table gateway.snapshots (
    project bigint primary key references gateway.projects on delete cascade,
    version integer not null,
    packed bytea not null, -- libs.common.schema.pack
    stored_at timestamptz not null default now()
);
alter table gateway.snapshots alter column packed set storage external; -- it is compressed already

create table gateway.outbox (
    id uuid primary key,
    project bigint not null,
    sequence bigint not null,
    kind text not null,
    event bytea not null,
    created_at timestamptz not null default now()
);
create index outbox_project on gateway.outbox (project, sequence);

create table gateway.event_sequence (
    project bigint primary key,
    last bigint not null
);

-- migrate:down
