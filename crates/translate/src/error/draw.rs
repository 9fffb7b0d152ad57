//! How each dialect draws an [`ApiError`].

use bytes::Bytes;
use serde_json::{Value, json};

use super::{ApiError, ErrorKind};
use crate::Dialect;

/// The content type of every whole error body.
pub const CONTENT_TYPE_JSON: &str = "application/json";

/// Where a stream stands when it must end with an error: what its last frames have to continue.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StreamPosition {
    /// The next `sequence_number` of a Responses stream.
    pub next_sequence: u64,
    /// The id that the answer announced.
    pub response_id: Option<String>,
    /// The model that the answer announced.
    pub model: Option<String>,
    /// True if the last bytes that passed were part of an event that never ended.
    pub mid_event: bool,
    /// For a Gemini stream without `alt=sse`: the JSON array that it is.
    pub array: Option<ArrayPosition>,
}

/// How far the JSON array of a Gemini stream without `alt=sse` has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ArrayPosition {
    /// Nothing was sent yet.
    Unopened,
    /// The bracket is open and no element was sent.
    Empty,
    /// Elements were sent; the next one needs a comma.
    AfterElement,
}

impl ApiError {
    /// The whole body in the dialect's shape; its content type is [`CONTENT_TYPE_JSON`].
    pub fn body(&self, dialect: Dialect) -> Bytes {
        Bytes::from(self.value(dialect).to_string())
    }

    /// The dialect's own terminal error for a stream that has begun. Nothing may follow it.
    pub fn frames(&self, dialect: Dialect, position: &StreamPosition) -> Bytes {
        let mut out = String::new();
        if position.mid_event && position.array.is_none() {
            out.push_str("\n\n");
        }
        let value = self.value(dialect);
        match (dialect, position.array) {
            (Dialect::Messages, _) => push_frame(&mut out, Some("error"), &value),
            (Dialect::Responses, _) => self.push_responses_frames(&mut out, position),
            (Dialect::ChatCompletions, _) | (Dialect::GenerateContent, None) => {
                push_frame(&mut out, None, &value);
            }
            (Dialect::GenerateContent, Some(array)) => {
                out.push_str(match array {
                    ArrayPosition::Unopened => "[",
                    ArrayPosition::Empty => "",
                    ArrayPosition::AfterElement => ",",
                });
                out.push_str(&value.to_string());
                out.push_str("]\n");
            }
        }
        Bytes::from(out)
    }

    fn value(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::ChatCompletions | Dialect::Responses => json!({"error": {
                "message": self.message,
                "type": openai_type(self.kind),
                "param": self.param,
                "code": self.code,
            }}),
            Dialect::Messages => json!({
                "type": "error",
                "error": {"type": anthropic_type(self.kind), "message": self.message},
                "request_id": self.request_id,
            }),
            Dialect::GenerateContent => json!({"error": {
                "code": self.status,
                "message": self.message,
                "status": gemini_status(self.kind, self.status),
                "details": self.gemini_details(),
            }}),
        }
    }

    fn gemini_details(&self) -> Vec<Value> {
        let mut details = vec![json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": self.code.to_uppercase(),
            "domain": "bitrouter",
        })];
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1000);
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{seconds}s"),
            }));
        }
        details
    }

    fn push_responses_frames(&self, out: &mut String, position: &StreamPosition) {
        // The reference has the fields flat, the provider sends them nested: clients read either.
        let error = json!({
            "type": "error",
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "sequence_number": position.next_sequence,
            "error": self.value(Dialect::Responses)["error"],
        });
        push_frame(out, Some("error"), &error);
        let failed = json!({
            "type": "response.failed",
            "sequence_number": position.next_sequence.saturating_add(1),
            "response": self.failed_response(position),
        });
        push_frame(out, Some("response.failed"), &failed);
    }

    /// A response object with every field that readers require, as far as anything is known of it.
    fn failed_response(&self, position: &StreamPosition) -> Value {
        json!({
            "id": position.response_id.as_deref().unwrap_or(""),
            "object": "response",
            "created_at": 0,
            "completed_at": null,
            "status": "failed",
            "error": {"code": self.code, "message": self.message},
            "incomplete_details": null,
            "instructions": null,
            "max_output_tokens": null,
            "max_tool_calls": null,
            "metadata": {},
            "model": position.model.as_deref().unwrap_or(""),
            "output": [],
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "prompt_cache_key": null,
            "reasoning": null,
            "safety_identifier": null,
            "background": false,
            "store": false,
            "frequency_penalty": 0,
            "presence_penalty": 0,
            "temperature": 1,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": 1,
            "truncation": "disabled",
            "service_tier": "default",
            "usage": null,
        })
    }
}

fn push_frame(out: &mut String, event: Option<&str>, data: &Value) {
    if let Some(event) = event {
        out.push_str("event: ");
        out.push_str(event);
        out.push('\n');
    }
    out.push_str("data: ");
    out.push_str(&data.to_string());
    out.push_str("\n\n");
}

const fn openai_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::NotFound | ErrorKind::InvalidRequest | ErrorKind::TooLarge => {
            "invalid_request_error"
        }
        ErrorKind::RateLimit => "rate_limit_error",
        ErrorKind::Quota => "insufficient_quota",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Upstream => "upstream_error",
        ErrorKind::Internal => "server_error",
    }
}

const fn anthropic_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::InvalidRequest => "invalid_request_error",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimit => "rate_limit_error",
        ErrorKind::Quota => "billing_error",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Upstream | ErrorKind::Internal => "api_error",
    }
}

const fn gemini_status(kind: ErrorKind, status: u16) -> &'static str {
    match kind {
        ErrorKind::Authentication => "UNAUTHENTICATED",
        ErrorKind::Permission => "PERMISSION_DENIED",
        ErrorKind::NotFound => "NOT_FOUND",
        ErrorKind::InvalidRequest if status == 501 => "UNIMPLEMENTED",
        ErrorKind::InvalidRequest | ErrorKind::TooLarge => "INVALID_ARGUMENT",
        ErrorKind::RateLimit | ErrorKind::Quota => "RESOURCE_EXHAUSTED",
        ErrorKind::Overloaded | ErrorKind::Upstream => "UNAVAILABLE",
        ErrorKind::Timeout => "DEADLINE_EXCEEDED",
        ErrorKind::Internal => "INTERNAL",
    }
}

#[cfg(test)]
mod tests;
