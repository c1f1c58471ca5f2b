-- migrate:up
-- When each project that is in use is looked at next. Whoever takes a project moves `next_look_at` beyond the longest
-- look first, so that nobody else takes it meanwhile, and somebody does if the taker is gone.
CREATE TABLE introspector.schedule (
    project bigint PRIMARY KEY,
    active_until timestamptz NOT NULL,
    next_look_at timestamptz NOT NULL,
    interval_s real NOT NULL,
    version integer NOT NULL
);

CREATE INDEX schedule_by_time ON introspector.schedule (next_look_at);

-- Projects whose database tells of changes by itself, and which replica listens, until when unless it says so again.
CREATE TABLE introspector.watched (
    project bigint PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    holder text NOT NULL DEFAULT '',
    held_until timestamptz NOT NULL DEFAULT '-infinity'
);

-- migrate:down
-- Forward only; dbmate insists on this line.
