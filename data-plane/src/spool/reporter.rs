//! Reports usage to the control plane, for as long as there is one.
//!
//! Each stream begins with what the control plane says it has stored; from there on entries go in
//! order, a batch at a time, and only its acknowledgement moves on. Whatever breaks, the next stream
//! begins where the control plane stands, and nothing is sent that is not on the medium.

use std::{io, sync::Arc, time::Duration};

use bitrouter_proto::v1::{
    ReportRequest, ReportResponse, ledger_service_client::LedgerServiceClient,
};
use bitrouter_runtime::Entropy;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    Inner, Spool,
    log::Hash,
    reader::{Cursor, Run},
};
use crate::sync::backoff::Backoff;

/// An answer that takes longer means that the stream is dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the control plane does not answer: {0}")]
    Status(#[from] Status),
    #[error("the control plane has closed the stream")]
    Closed,
    #[error("the control plane does not answer in time")]
    Late,
    #[error("the usage log cannot be read")]
    Disk(#[from] io::Error),
    /// Trying again cannot help.
    #[error("{0}")]
    Refused(&'static str),
}

/// Reports until it is told to stop, or the control plane takes nothing more of this log.
pub async fn report(spool: Spool, channel: Channel, entropy: Entropy, stopping: CancellationToken) {
    let mut backoff = Backoff::new(entropy);
    loop {
        let stream = stream(&spool.0, channel.clone(), &mut backoff);
        let Some(Err(broken)) = stopping.run_until_cancelled(stream).await else { return };
        if let Broken::Refused(reason) = broken {
            spool.0.stop_reporting(reason);
            return;
        }
        let pause = backoff.pause();
        tracing::debug!(error = %broken, ?pause, "usage cannot be reported for now");
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// One stream, from the control plane's first word to whatever breaks it.
async fn stream(
    spool: &Arc<Inner>,
    channel: Channel,
    backoff: &mut Backoff,
) -> Result<std::convert::Infallible, Broken> {
    let log_id = spool.state.lock().log.log_id().to_string();
    // One batch is under way at a time.
    let (requests, receiver) = mpsc::channel(1);
    let open = ReportRequest { log_id: log_id.clone(), ..ReportRequest::default() };
    send(&requests, open).await?;
    let mut client = LedgerServiceClient::new(channel);
    let answers = client.report(ReceiverStream::new(receiver));
    let mut answers = within(answers).await??.into_inner();
    let first = next(&mut answers).await?;
    let mut cursor = begin(spool, &first).await?;
    backoff.reset();
    let mut durable = spool.durable.subscribe();
    loop {
        durable.mark_unchanged();
        let (run, at) = (read(spool, cursor).await?, cursor);
        if run.entries.is_empty() {
            wait(&mut durable, &mut answers).await?;
            continue;
        }
        let request = ReportRequest {
            log_id: log_id.clone(),
            first_seq: at.seq,
            prev_hash: at.hash.to_vec().into(),
            entries: run.entries,
        };
        send(&requests, request).await?;
        cursor = settle(spool, &mut answers, run.next).await?;
    }
}

/// Where to go on from: what the control plane has stored must be what this log says.
async fn begin(spool: &Arc<Inner>, answer: &ReportResponse) -> Result<Cursor, Broken> {
    check(answer)?;
    let (of, acked) = (Arc::clone(spool), answer.acked_seq);
    let cursor = blocking(move || of.seek(acked)).await?;
    let cursor = cursor.ok_or(Broken::Refused(
        "the control plane stands at a place that the usage log does not have",
    ))?;
    if !is_hash(answer, &cursor.hash) {
        return Err(Broken::Refused(
            "the control plane has stored other entries than the usage log",
        ));
    }
    spool.acknowledge(acked);
    Ok(cursor)
}

/// Waits until a batch is stored.
async fn settle(
    spool: &Arc<Inner>,
    answers: &mut Streaming<ReportResponse>,
    sent: Cursor,
) -> Result<Cursor, Broken> {
    loop {
        let answer = next(answers).await?;
        check(&answer)?;
        spool.acknowledge(answer.acked_seq);
        if answer.retry_after_ms > 0 {
            tokio::time::sleep(Duration::from_millis(answer.retry_after_ms.into())).await;
        }
        if answer.acked_seq + 1 == sent.seq {
            return if is_hash(&answer, &sent.hash) { Ok(sent) } else { Err(Broken::Closed) };
        }
        if answer.acked_seq >= sent.seq {
            return Err(Broken::Refused("the control plane has stored more than was sent"));
        }
    }
}

fn check(answer: &ReportResponse) -> Result<(), Broken> {
    let reason = "the control plane has quarantined the usage log";
    if answer.quarantined { Err(Broken::Refused(reason)) } else { Ok(()) }
}

/// Before the first entry, an empty hash stands for that of nothing.
fn is_hash(answer: &ReportResponse, hash: &Hash) -> bool {
    answer.tail_hash[..] == hash[..] || (answer.acked_seq == 0 && answer.tail_hash.is_empty())
}

/// Waits for something new to report, or for the stream's end.
async fn wait(
    durable: &mut tokio::sync::watch::Receiver<super::log::Reach>,
    answers: &mut Streaming<ReportResponse>,
) -> Result<(), Broken> {
    tokio::select! {
        changed = durable.changed() => changed.map_err(|_| Broken::Closed),
        answer = answers.message() => match answer? {
            Some(answer) => check(&answer),
            None => Err(Broken::Closed),
        },
    }
}

async fn read(spool: &Arc<Inner>, cursor: Cursor) -> Result<Run, Broken> {
    let spool = Arc::clone(spool);
    blocking(move || spool.next_run(cursor)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Broken> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(io::Error::other)??)
}

async fn send(
    requests: &mpsc::Sender<ReportRequest>,
    request: ReportRequest,
) -> Result<(), Broken> {
    within(requests.send(request)).await?.map_err(|_| Broken::Closed)
}

async fn next(answers: &mut Streaming<ReportResponse>) -> Result<ReportResponse, Broken> {
    within(answers.message()).await??.ok_or(Broken::Closed)
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, Broken> {
    tokio::time::timeout(ANSWER_WITHIN, work).await.map_err(|_| Broken::Late)
}

#[cfg(test)]
mod tests;
