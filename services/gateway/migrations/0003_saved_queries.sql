-- migrate:up
create table gateway.queries (
    id uuid primary key,
    project bigint not null references gateway.projects on delete cascade,
    name text not null,
    version integer not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (project, name)
);
create index queries_project on gateway.queries (project, id);

-- Each change makes a version; the last twenty are kept.
create table gateway.query_versions (
    query uuid not null references gateway.queries on delete cascade,
    version integer not null,
    name text not null,
    definition jsonb not null, -- services.gateway.core.saved.Definition
    created_at timestamptz not null default now(),
    primary key (query, version)
);

-- maxRows, maxBytes and maxCost; the time limit is timeout_ms.
alter table gateway.projects add column limits jsonb not null default '{}';

-- migrate:down
