-- migrate:up
-- What changed with each version, and whom that concerned when it was seen.
CREATE TABLE introspector.changes (
    project bigint NOT NULL,
    version integer NOT NULL,
    from_version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    breaking integer NOT NULL,
    dangerous integer NOT NULL,
    safe integer NOT NULL,
    -- JSON, compressed by zstd.
    changes bytea NOT NULL,
    impact bytea NOT NULL,
    PRIMARY KEY (project, version)
);

ALTER TABLE introspector.changes ALTER COLUMN changes SET STORAGE EXTERNAL;

-- migrate:down
-- Forward only; dbmate insists on this line.
