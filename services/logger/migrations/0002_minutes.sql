-- Totals of each minute, for ranges too long to compute from the requests themselves.
CREATE TABLE IF NOT EXISTS minutes ${on_cluster}
(
    project Int64,
    minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    table_name LowCardinality(String),
    operation LowCardinality(String),
    requests SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    duration_us SimpleAggregateFunction(sum, UInt64),
    durations AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), UInt64)
)
ENGINE = ${aggregating_merge_tree}
PARTITION BY toYYYYMM(minute)
ORDER BY (project, minute, table_name, operation)
TTL minute + toIntervalDay(${analytics_days})
SETTINGS ${window}, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS minutes_of_requests ${on_cluster} TO minutes AS
SELECT
    project,
    toStartOfMinute(time) AS minute,
    table_name,
    operation,
    count() AS requests,
    countIf(status >= 400) AS errors,
    sum(duration_us) AS duration_us,
    quantilesTDigestState(0.5, 0.95, 0.99)(requests.duration_us) AS durations
FROM requests
WHERE NOT restored
GROUP BY project, minute, table_name, operation;
