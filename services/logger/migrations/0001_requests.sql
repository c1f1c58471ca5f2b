-- One row a request. A batch of them is one INSERT, told from its repetitions by its deduplication token.
CREATE TABLE IF NOT EXISTS requests ${on_cluster}
(
    project Int64,
    time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    request_id UUID,
    key_id LowCardinality(String),
    role LowCardinality(String),
    operation LowCardinality(String),
    table_name LowCardinality(String),
    columns Array(LowCardinality(String)) CODEC(ZSTD(1)),
    status UInt16,
    error_code LowCardinality(String),
    duration_us UInt64 CODEC(T64, ZSTD(1)),
    database_us UInt64 CODEC(T64, ZSTD(1)),
    rows UInt64 CODEC(T64, ZSTD(1)),
    size_bytes UInt64 CODEC(T64, ZSTD(1)),
    coalesced Bool,
    client LowCardinality(String),
    -- True for a row that was put back after a crash of the server, when the totals had it already.
    restored Bool DEFAULT false,
    INDEX request_id_index request_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ${merge_tree}
PARTITION BY toDate(time)
ORDER BY (project, time, request_id)
TTL toDateTime(time) + toIntervalDay(${log_days})
SETTINGS ${window}, ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1;
