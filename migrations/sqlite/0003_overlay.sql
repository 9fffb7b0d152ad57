-- One row at most: what the environment and the machine last offered, as a keyed digest, and the
-- revision that this came with.
CREATE TABLE overlay (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    digest BLOB NOT NULL,
    revision BIGINT NOT NULL
);
