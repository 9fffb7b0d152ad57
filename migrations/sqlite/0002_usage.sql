-- How far the log of each data plane is stored.
CREATE TABLE usage_log (
    log_id TEXT PRIMARY KEY,
    acked_seq BIGINT NOT NULL,
    tail_hash BLOB NOT NULL,
    session_epoch BIGINT NOT NULL,
    quarantined BOOLEAN NOT NULL,
    seen_at_ms BIGINT NOT NULL
);

-- One row per request. Ids are UUIDv7: their order is the order of time. Empty texts: nothing to say.
CREATE TABLE usage_event (
    event_id TEXT PRIMARY KEY,
    start_us BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    requested_model TEXT NOT NULL,
    route TEXT NOT NULL,
    dialect TEXT NOT NULL,
    streamed BOOLEAN NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    input_uncached BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write_5m BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_in BIGINT NOT NULL,
    audio_out BIGINT NOT NULL,
    image BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    unpriced BOOLEAN NOT NULL,
    usage_unknown BOOLEAN NOT NULL,
    anomaly BOOLEAN NOT NULL,
    outcome TEXT NOT NULL,
    status BIGINT NOT NULL,
    error_code TEXT NOT NULL,
    duration_ms BIGINT NOT NULL,
    ttft_ms BIGINT,
    entry BLOB NOT NULL
);
CREATE INDEX usage_event_key ON usage_event (key_id, event_id);

-- Entries of a log that the version which took them in did not understand.
CREATE TABLE usage_unread (
    log_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    entry BLOB NOT NULL,
    PRIMARY KEY (log_id, seq)
);

-- Sums by the hour; they outlive the requests.
CREATE TABLE usage_hour (
    hour_s BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    route TEXT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    input_uncached BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write_5m BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_in BIGINT NOT NULL,
    audio_out BIGINT NOT NULL,
    image BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    usage_unknown BIGINT NOT NULL,
    PRIMARY KEY (hour_s, key_id, user_id, provider, model, route)
);

-- One row: requests of hours before this one may have been deleted.
CREATE TABLE usage_retention (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    kept_from_s BIGINT NOT NULL
);
INSERT INTO usage_retention (id, kept_from_s) VALUES (1, 0);
