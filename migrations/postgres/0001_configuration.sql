-- One row: the number of committed changes, and from which on they are retained.
CREATE TABLE revision (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    current BIGINT NOT NULL,
    changes_from BIGINT NOT NULL
);
INSERT INTO revision (id, current, changes_from) VALUES (1, 0, 0);

CREATE TABLE resource (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    spec TEXT NOT NULL,
    resource_version BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- What each revision changed: deltas for data planes are made from it.
CREATE TABLE config_change (
    revision BIGINT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    op TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (revision, kind, id)
);

-- Secrets. A row opens only as (scope, row_id, field, version).
CREATE TABLE sealed (
    scope TEXT NOT NULL,
    row_id TEXT NOT NULL,
    field TEXT NOT NULL,
    version BIGINT NOT NULL,
    kek_id TEXT NOT NULL,
    dek BYTEA NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (scope, row_id, field)
);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL,
    time_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    before_json TEXT,
    after_json TEXT,
    prev_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL
);

-- One row: the end of the chain, so that a cut-off end shows.
CREATE TABLE audit_head (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));

CREATE TABLE admin_token (
    id TEXT PRIMARY KEY,
    digest BYTEA NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT
);

-- The responses are in `sealed`: they may hold a new key's secret.
CREATE TABLE idempotency_key (
    id TEXT PRIMARY KEY,
    request_hash BYTEA NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX idempotency_key_expires ON idempotency_key (expires_at_ms);
