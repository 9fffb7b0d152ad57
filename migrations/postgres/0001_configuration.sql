-- Texts compare by code point, as in SQLite, whatever the locale of the server is.

-- One row: the number of committed changes, and from which on they are retained.
CREATE TABLE revision (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    current BIGINT NOT NULL,
    changes_from BIGINT NOT NULL
);
INSERT INTO revision (id, current, changes_from) VALUES (1, 0, 0);

CREATE TABLE resource (
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    spec TEXT COLLATE "C" NOT NULL,
    resource_version BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- What each revision changed: deltas for data planes are made from it.
CREATE TABLE config_change (
    revision BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    op TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (revision, kind, id)
);

-- Secrets. A row opens only as (scope, row_id, field, version).
CREATE TABLE sealed (
    scope TEXT COLLATE "C" NOT NULL,
    row_id TEXT COLLATE "C" NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    kek_id TEXT COLLATE "C" NOT NULL,
    dek BYTEA NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (scope, row_id, field)
);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL,
    time_ms BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    before_json TEXT COLLATE "C",
    after_json TEXT COLLATE "C",
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
    id TEXT COLLATE "C" PRIMARY KEY,
    digest BYTEA NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    created_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT
);

-- The responses are in `sealed`: they may hold a new key's secret.
CREATE TABLE idempotency_key (
    id TEXT COLLATE "C" PRIMARY KEY,
    request_hash BYTEA NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX idempotency_key_expires ON idempotency_key (expires_at_ms);
