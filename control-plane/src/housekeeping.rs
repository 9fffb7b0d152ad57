//! What is done now and then: forgetting what is too old to be kept.

use std::{error::Error as _, time::Duration};

use bitrouter_runtime::Clock;
use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError};

const FIRST: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_hours(1);
/// So few at a time that usage is taken in meanwhile.
const STEP: u32 = 1_000;

/// Cleans up every hour until it is stopped.
pub(crate) async fn run(
    store: Store,
    clock: Clock,
    request_retention: Duration,
    stop: CancellationToken,
) {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = EVERY,
        }
        if let Err(error) = clean(&store, &clock, request_retention, &stop).await {
            tracing::error!(%error, source = error.source(), "old records could not be removed");
        }
    }
}

async fn clean(
    store: &Store,
    clock: &Clock,
    request_retention: Duration,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let now = clock.now();
    let before_ms = now.saturating_sub(request_retention).as_millis();
    let mut requests = 0;
    while !stop.is_cancelled() {
        match store.prune_requests(before_ms, STEP).await? {
            0 => break,
            removed => requests += removed,
        }
        tokio::task::yield_now().await;
    }
    let changes = store.prune_changes(now.as_millis()).await?;
    let answers = store.prune_idempotency_keys(now.as_millis()).await?;
    if requests + changes + answers > 0 {
        tracing::info!(requests, changes, answers, "removed old records");
    }
    Ok(())
}
