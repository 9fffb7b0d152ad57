//! Runs sessions against a control plane, one after the other, for as long as the process lives.

use std::sync::Arc;

use bitrouter_proto::v1::{
    SyncRequest, SyncResponse, discovery_service_client::DiscoveryServiceClient,
};
use bitrouter_runtime::{Clock, Entropy};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    NodeIdentity, Tables,
    backoff::Backoff,
    session::{Action, LogIdentity, Reopen, Session, Vitals},
};
use crate::spool::Spool;

/// Acks and heartbeats that the connection has not taken yet; more means that it is dead.
const OUTBOX: usize = 64;
/// A snapshot chunk is at most 1 MiB; a delta carries what one revision changed.
const MAX_MESSAGE: usize = 64 << 20;

/// What following needs.
#[derive(Clone, Debug)]
pub struct Follower {
    /// Who this data plane is.
    pub identity: NodeIdentity,
    /// What it keeps up to date.
    pub tables: Tables,
    /// Its usage log, for names and heartbeats.
    pub spool: Spool,
    /// For heartbeats.
    pub clock: Clock,
    /// For pauses.
    pub entropy: Entropy,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the control plane does not answer: {0}")]
    Status(#[from] Status),
    #[error("the control plane has closed the stream")]
    Closed,
    #[error(transparent)]
    Reopen(#[from] Reopen),
}

/// Keeps the table up to date until it is told to stop.
pub async fn follow(follower: Follower, channel: Channel, stopping: CancellationToken) {
    let mut backoff = Backoff::new(follower.entropy.clone());
    let mut is_anew = false;
    loop {
        let session = session(&follower, channel.clone(), is_anew, &mut backoff);
        let Some(Err(ended)) = stopping.run_until_cancelled(session).await else { return };
        is_anew = matches!(ended, Ended::Reopen(Reopen::Diverged));
        if is_anew {
            tracing::warn!(
                "the configuration differs from the control plane's, all of it is asked for"
            );
        }
        let pause = backoff.pause();
        tracing::debug!(reason = %ended, ?pause, "the configuration stream is opened again");
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// One session, until whatever ends it.
async fn session(
    follower: &Follower,
    channel: Channel,
    is_anew: bool,
    backoff: &mut Backoff,
) -> Result<std::convert::Infallible, Ended> {
    let Follower { identity, tables, spool, clock, .. } = follower;
    let log =
        LogIdentity { log_id: spool.log_id().to_string(), boot_id: spool.boot_id().to_string() };
    let (mut session, hello) =
        Session::open(identity, log, tables.load(), is_anew, clock.instant());
    let (outbox, receiver) = mpsc::channel(OUTBOX);
    send(&outbox, hello)?;
    let mut client = DiscoveryServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let mut opening = std::pin::pin!(client.sync(ReceiverStream::new(receiver)));
    let mut messages = loop {
        tokio::select! {
            opened = &mut opening => break opened?.into_inner(),
            () = tokio::time::sleep_until(session.next_tick().into()) => {
                tick(&mut session, follower, &outbox)?;
            }
        }
    };
    loop {
        let message = tokio::select! {
            message = next(&mut messages) => Some(message?),
            () = tokio::time::sleep_until(session.next_tick().into()) => None,
        };
        let Some(message) = message else {
            tick(&mut session, follower, &outbox)?;
            continue;
        };
        let actions = session.receive(message, clock.instant());
        // A control plane that ends every session at once is not to be asked in a tight circle.
        if session.is_welcome() && actions.iter().any(|it| matches!(it, Action::Install(_))) {
            backoff.reset();
        }
        act(actions, tables, &outbox)?;
    }
}

fn tick(
    session: &mut Session,
    follower: &Follower,
    outbox: &mpsc::Sender<SyncRequest>,
) -> Result<(), Ended> {
    let status = follower.spool.status();
    let vitals = Vitals {
        now_us: follower.clock.now_us(),
        spool_bytes: status.bytes,
        oldest_unacked_ms: status.oldest_unacked_ms,
    };
    act(session.tick(follower.clock.instant(), vitals), &follower.tables, outbox)
}

fn act(
    actions: Vec<Action>,
    tables: &Tables,
    outbox: &mpsc::Sender<SyncRequest>,
) -> Result<(), Ended> {
    for action in actions {
        match action {
            Action::Send(request) => send(outbox, request)?,
            Action::Install(table) => {
                for rejection in table.rejections() {
                    let (resource, reason) = (&rejection.reference, &rejection.reason);
                    tracing::warn!(%resource, %reason, "a resource is not usable and was rejected");
                }
                tracing::debug!(revision = table.revision().0, "a configuration is in force");
                tables.install(Arc::clone(&table));
            }
            Action::Reopen(reopen) => return Err(reopen.into()),
        }
    }
    Ok(())
}

/// Never waits: what the connection does not take means that it is dead.
fn send(outbox: &mpsc::Sender<SyncRequest>, request: SyncRequest) -> Result<(), Ended> {
    outbox.try_send(request).map_err(|_| Ended::Closed)
}

async fn next(messages: &mut Streaming<SyncResponse>) -> Result<SyncResponse, Ended> {
    messages.message().await?.ok_or(Ended::Closed)
}

#[cfg(test)]
mod tests;
