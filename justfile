# What one does here often. `just` lists it.

default:
    @just --list

# Everything that must hold before a change goes in.
check: fmt lint test doc deny

# Formatting.
fmt:
    cargo fmt --all --check

# Lints, as strict as they are in CI.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# All tests. Those against PostgreSQL run if TEST_POSTGRES_URL is set or its programs are installed.
test *ARGS:
    cargo test --workspace {{ARGS}}

# The API documentation, without a broken link.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Duplicate, unlicensed or unwanted dependencies.
deny:
    cargo deny check bans licenses sources

# A router on 127.0.0.1:4356 with what the environment offers.
serve *ARGS:
    cargo run -- serve {{ARGS}}

# Is the built-in catalogue what its script wrote?
catalog-check:
    scripts/update_catalog.py --check

# Brings the built-in catalogue up to date.
catalog-update:
    scripts/update_catalog.py
