//! Streams: time to the first token, delay of each chunk behind its writing, chunks per second.

use std::rc::Rc;

use super::{Arguments, Window, request};
use crate::{clock::now_us, http1::Connection, stats::Samples};

#[derive(Debug, Default)]
struct Seen {
    first: Samples,
    delay: Samples,
    chunks: u64,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<serde_json::Value> {
    let window = Window::open(arguments.seconds);
    let request = Rc::new(request::build(arguments));
    let once = arguments.mode == super::Mode::Hold;
    let mut workers = Vec::new();
    for _ in 0..arguments.connections {
        let (window, request) = (Rc::clone(&window), Rc::clone(&request));
        let mut connection = Connection::open(&arguments.target).await?;
        workers.push(tokio::task::spawn_local(async move {
            let mut seen = Seen::default();
            while !window.is_over() {
                if stream(&mut connection, &request, &window, &mut seen).await? != 200 {
                    window.fail();
                }
                if once {
                    break;
                }
            }
            Ok::<_, std::io::Error>(seen)
        }));
    }
    let mut all = Seen::default();
    for worker in workers {
        let seen = worker.await??;
        all.first.extend(seen.first);
        all.delay.extend(seen.delay);
        all.chunks += seen.chunks;
    }
    #[expect(clippy::cast_precision_loss, reason = "for people; far below 2^52")]
    let per_second = all.chunks as f64 / window.seconds();
    Ok(serde_json::json!({
        "chunks_per_second": per_second.round(),
        "failed": window.failed.get(),
        "first_token_ms": all.first.summary(),
        "chunk_delay_ms": all.delay.summary(),
    }))
}

async fn stream(
    connection: &mut Connection,
    request: &[u8],
    window: &Window,
    seen: &mut Seen,
) -> std::io::Result<u16> {
    let began = now_us();
    let mut is_first = true;
    let mark = memchr::memmem::Finder::new(b"\"t\":");
    connection
        .exchange(request, |piece| {
            let now = now_us();
            for at in mark.find_iter(piece) {
                let begins = std::mem::take(&mut is_first);
                if !window.counts(now) {
                    continue;
                }
                if begins {
                    seen.first.push(now.saturating_sub(began));
                }
                seen.chunks += 1;
                if let Some(written) = number_at(&piece[at + mark.needle().len()..]) {
                    seen.delay.push(now.saturating_sub(written));
                }
            }
        })
        .await
}

fn number_at(text: &[u8]) -> Option<u64> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&text[..end]).ok()?.parse().ok()
}
