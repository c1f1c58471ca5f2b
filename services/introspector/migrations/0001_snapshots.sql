-- migrate:up
CREATE SCHEMA IF NOT EXISTS introspector;

-- A project's structure, a row a version. The newest row's `packed` is written anew when a look finds the same structure
-- with other estimates; `database_version` says which of the project's database URLs it was read from.
CREATE TABLE introspector.snapshots (
    project bigint NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    database_version integer NOT NULL,
    fingerprint text NOT NULL,
    packed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    looked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, version)
);

-- It is compressed already.
ALTER TABLE introspector.snapshots ALTER COLUMN packed SET STORAGE EXTERNAL;

CREATE TABLE introspector.outbox (
    id uuid PRIMARY KEY,
    project bigint NOT NULL,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    event bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX outbox_by_project ON introspector.outbox (project, sequence);

CREATE TABLE introspector.event_sequence (
    project bigint PRIMARY KEY,
    last bigint NOT NULL
);

-- migrate:down
-- Forward only; dbmate insists on this line.
