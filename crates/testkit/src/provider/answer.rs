//! How to answer one request.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::sync::Semaphore;

/// How to answer one request. The default is a short, polite, complete answer with usage.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) content: Content,
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) pace: Pace,
    pub(crate) cut_after: Option<usize>,
    pub(crate) terminated: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// In the dialect of the request, streamed if it asks for a stream.
    Text { text: String, usage: Usage },
    /// An error in the dialect of the request.
    Error { code: String, message: String },
    /// An error inside a stream that began well, after so many words.
    ErrorInStream { words: usize, code: String, message: String },
    /// These pieces as they are.
    Raw { content_type: &'static str, pieces: Vec<Bytes> },
    /// The connection closes before any answer.
    Close,
    /// No answer, ever.
    Hang,
}

/// When the pieces of an answer are sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    pub(crate) before_head: Duration,
    pub(crate) before_first: Duration,
    pub(crate) between: Duration,
    pub(crate) gate: Option<(usize, Gate)>,
}

/// What the provider bills, and whether it says so. Counts as the dialects' own references define
/// them: input and output are totals, the rest are parts of them.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// All input tokens.
    pub input: u64,
    /// Of these, read from the cache.
    pub cache_read: u64,
    /// Of these, written to the cache.
    pub cache_write: u64,
    /// All output tokens.
    pub output: u64,
    /// Of these, reasoning.
    pub reasoning: u64,
    /// False: the answer does not mention usage.
    pub is_reported: bool,
}

/// Holds an answer back until the test opens it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// Makes a closed one.
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(crate) async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            drop(permit);
        }
    }
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            input: 12,
            cache_read: 0,
            cache_write: 0,
            output: 5,
            reasoning: 0,
            is_reported: true,
        }
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::text("Hello from the fake provider")
    }
}

impl Answer {
    fn new(content: Content) -> Self {
        let pace = Pace::default();
        let status = StatusCode::OK;
        Self { content, status, headers: Vec::new(), pace, cut_after: None, terminated: true }
    }

    /// This text, one word a piece where it is streamed.
    pub fn text(text: &str) -> Self {
        Self::new(Content::Text { text: text.to_owned(), usage: Usage::default() })
    }

    /// An error status with a body in the request's dialect.
    ///
    /// # Panics
    /// If the number is not an HTTP status.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let content = Content::Error { code: code.to_owned(), message: message.to_owned() };
        Self::new(content).status(status)
    }

    /// A stream that begins well and then carries an error event.
    pub fn error_in_stream(words: usize, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        Self::new(Content::ErrorInStream { words, code, message })
    }

    /// These bytes, one piece a write.
    pub fn raw(content_type: &'static str, pieces: Vec<Bytes>) -> Self {
        Self::new(Content::Raw { content_type, pieces })
    }

    /// A body with this many bytes of text in it.
    pub fn huge(bytes: usize) -> Self {
        Self::text(&"a".repeat(bytes))
    }

    /// The connection closes before any answer.
    pub fn close() -> Self {
        Self::new(Content::Close)
    }

    /// No answer, ever.
    pub fn hang() -> Self {
        Self::new(Content::Hang)
    }

    /// With this status.
    ///
    /// # Panics
    /// If the number is not an HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).expect("an HTTP status");
        self
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    /// With this usage; no effect on answers that are not text.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        if let Content::Text { usage: slot, .. } = &mut self.content {
            *slot = usage;
        }
        self
    }

    /// Without any mention of usage.
    #[must_use]
    pub fn without_usage(self) -> Self {
        self.usage(Usage { is_reported: false, ..Usage::default() })
    }

    /// Waits before the status line.
    #[must_use]
    pub fn delay_head(mut self, delay: Duration) -> Self {
        self.pace.before_head = delay;
        self
    }

    /// Sends the head at once and waits before the first piece.
    #[must_use]
    pub fn delay_first(mut self, delay: Duration) -> Self {
        self.pace.before_first = delay;
        self
    }

    /// Waits between pieces.
    #[must_use]
    pub fn delay_pieces(mut self, delay: Duration) -> Self {
        self.pace.between = delay;
        self
    }

    /// Stops before this piece (from zero) until the gate is opened.
    #[must_use]
    pub fn gate(mut self, before_piece: usize, gate: &Gate) -> Self {
        self.pace.gate = Some((before_piece, gate.clone()));
        self
    }

    /// Breaks the connection after this many pieces.
    #[must_use]
    pub fn cut_after(mut self, pieces: usize) -> Self {
        self.cut_after = Some(pieces);
        self
    }

    /// Ends the stream cleanly but without the dialect's terminal event.
    #[must_use]
    pub fn unterminated(mut self) -> Self {
        self.terminated = false;
        self
    }
}
