-- Texts compare by code point, as in SQLite, whatever the locale of the server is.

-- How far the log of each data plane is stored.
CREATE TABLE usage_log (
    log_id TEXT COLLATE "C" PRIMARY KEY,
    acked_seq BIGINT NOT NULL,
    tail_hash BYTEA NOT NULL,
    session_epoch BIGINT NOT NULL,
    quarantined BOOLEAN NOT NULL,
    seen_at_ms BIGINT NOT NULL
);

-- One row per request. Ids are UUIDv7: their order is the order of time. Empty texts: nothing to say.
CREATE TABLE usage_event (
    event_id TEXT COLLATE "C" PRIMARY KEY,
    start_us BIGINT NOT NULL,
    key_id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    requested_model TEXT COLLATE "C" NOT NULL,
    route TEXT COLLATE "C" NOT NULL,
    dialect TEXT COLLATE "C" NOT NULL,
    streamed BOOLEAN NOT NULL,
    provider TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
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
    outcome TEXT COLLATE "C" NOT NULL,
    status BIGINT NOT NULL,
    error_code TEXT COLLATE "C" NOT NULL,
    duration_ms BIGINT NOT NULL,
    ttft_ms BIGINT,
    entry BYTEA NOT NULL
);
CREATE INDEX usage_event_key ON usage_event (key_id, event_id);

-- Entries of a log that the version which took them in did not understand.
CREATE TABLE usage_unread (
    log_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    entry BYTEA NOT NULL,
    PRIMARY KEY (log_id, seq)
);

-- Sums by the hour; they outlive the requests.
CREATE TABLE usage_hour (
    hour_s BIGINT NOT NULL,
    key_id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    provider TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    route TEXT COLLATE "C" NOT NULL,
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
