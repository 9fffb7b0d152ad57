//! A stand-in provider: answers Chat Completions at once, whole (1.1 KB) or as a stream of 64 chunks and
//! a usage chunk. `x-bench-pace-us` asks for a pause between chunks; each chunk carries the time at
//! which it was written.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::clock::now_us;

const CHUNKS: usize = 64;

/// Where to listen.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
}

/// Serves until it is killed.
pub(crate) async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let listener = TcpListener::bind(arguments.listen).await?;
    let answer = whole_answer();
    let tasks = tokio::task::LocalSet::new();
    tasks
        .run_until(async {
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let answer = answer.clone();
                tokio::task::spawn_local(async move {
                    // A client that leaves is no event.
                    let _ = connection(stream, &answer).await;
                });
            }
        })
        .await
}

async fn connection(mut stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(256 * 1024);
    loop {
        let body_at = loop {
            if let Some(end) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..body_at]).to_ascii_lowercase();
        let number = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok())
        };
        let length = number("content-length:").unwrap_or(0);
        while buffer.len() < body_at + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let body = &buffer[body_at..body_at + length];
        if memchr::memmem::find(&body[..body.len().min(256)], b"\"stream\":true").is_some() {
            let pace = number("x-bench-pace-us:").unwrap_or(0);
            send_stream(&mut stream, Duration::from_micros(pace as u64)).await?;
        } else {
            stream.write_all(answer).await?;
        }
        buffer.drain(..body_at + length);
    }
}

async fn send_stream(stream: &mut TcpStream, pace: Duration) -> io::Result<()> {
    let mut out = String::with_capacity(512);
    out.push_str(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for index in 0..CHUNKS {
        let event = format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\",\
             \"t\":{},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"token{index} \"}},\"finish_reason\":null}}]}}\n\n",
            now_us()
        );
        push_chunk(&mut out, &event);
        stream.write_all(out.as_bytes()).await?;
        out.clear();
        if pace.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pace).await;
        }
    }
    let finish = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\",\
                  \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let usage = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\",\
                 \"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":64,\"total_tokens\":114}}\n\n";
    push_chunk(&mut out, finish);
    push_chunk(&mut out, usage);
    push_chunk(&mut out, "data: [DONE]\n\n");
    out.push_str("0\r\n\r\n");
    stream.write_all(out.as_bytes()).await
}

fn push_chunk(out: &mut String, event: &str) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(out, "{:x}\r\n{event}\r\n", event.len());
}

fn whole_answer() -> Vec<u8> {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(18);
    let body = serde_json::json!({
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "bench",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 50, "completion_tokens": 180, "total_tokens": 230,
                   "prompt_tokens_details": { "cached_tokens": 0 } },
    })
    .to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
