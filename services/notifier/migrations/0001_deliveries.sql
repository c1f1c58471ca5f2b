-- migrate:up
CREATE SCHEMA IF NOT EXISTS notifier;

-- One row a mail. The row is claimed before the mail is handed over and settled after: whoever finds it claimed and
-- its claim run out takes over, and the attempts tell how often a mail may have gone out.
CREATE TABLE notifier.deliveries (
    event uuid NOT NULL,
    recipient text NOT NULL,
    project bigint NOT NULL,
    kind text NOT NULL,
    state text NOT NULL CHECK (state IN ('claimed', 'failed', 'sent', 'undeliverable')),
    reason text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 1,
    -- Attempts that ended without a word: each may have sent the mail.
    unknown_attempts integer NOT NULL DEFAULT 0,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event, recipient)
);

CREATE INDEX deliveries_by_project ON notifier.deliveries (project, event DESC);
CREATE INDEX deliveries_by_age ON notifier.deliveries (created_at);

-- migrate:down
-- Forward only; dbmate insists on this line.
