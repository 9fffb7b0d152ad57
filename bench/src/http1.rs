//! The least HTTP/1.1 that a measurement needs: a client connection whose own cost is small against
//! that of what it measures.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One keep-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// How the body's end is found.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    /// Dials.
    pub(crate) async fn open(addr: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads the answer whole; every piece of body goes through `on_body`.
    /// Returns the status.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        mut on_body: impl FnMut(&[u8]),
    ) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let body_at = loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        let (status, framing) = parse_head(&self.buffer[..body_at])?;
        match framing {
            Framing::Length(length) => {
                while self.buffer.len() < body_at + length {
                    self.fill().await?;
                }
                on_body(&self.buffer[body_at..]);
            }
            Framing::Chunked => self.read_chunks(body_at, on_body).await?,
        }
        Ok(status)
    }

    async fn read_chunks(
        &mut self,
        body_at: usize,
        mut on_body: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.buffer.drain(..body_at);
        loop {
            let Some(line_end) = memchr::memmem::find(&self.buffer, b"\r\n") else {
                self.fill().await?;
                continue;
            };
            let size = std::str::from_utf8(&self.buffer[..line_end])
                .ok()
                .and_then(|line| usize::from_str_radix(line.split(';').next()?.trim(), 16).ok())
                .ok_or_else(|| io::Error::other("a chunk without a size"))?;
            let end = line_end + 2 + size + 2;
            while self.buffer.len() < end {
                self.fill().await?;
            }
            on_body(&self.buffer[line_end + 2..end - 2]);
            self.buffer.drain(..end);
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn parse_head(head: &[u8]) -> io::Result<(u16, Framing)> {
    let head = std::str::from_utf8(head).map_err(io::Error::other)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::other("no status line"))?;
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok((status, Framing::Chunked));
    }
    let length = header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    Ok((status, Framing::Length(length)))
}
