//! What Gemini answers say: whole, as events and as elements of an array.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::usage::Usage;
use crate::{
    Dialect,
    count::Text,
    error::UpstreamFault,
    observe::{Observed, Watch, read_json},
};

/// An answer or a piece of one, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    response_id: Text,
    model_version: Text,
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Usage>,
    embedding: Option<IgnoredAny>,
    embeddings: Option<IgnoredAny>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Candidate {
    finish_reason: Text,
    content: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Feedback {
    block_reason: Text,
}

impl Answer {
    fn is_recognised(&self) -> bool {
        self.candidates.is_some()
            || self.prompt_feedback.is_some()
            || self.usage_metadata.is_some()
            || self.embedding.is_some()
            || self.embeddings.is_some()
    }

    fn is_meaningful(&self) -> bool {
        self.prompt_feedback.is_some()
            || self
                .candidates
                .iter()
                .flatten()
                .any(|one| one.content.is_some() || one.finish_reason.as_str().is_some())
    }

    /// Notes everything; true if this is the last piece of an answer.
    fn note(self, observed: &mut Observed) -> bool {
        let mut is_last = false;
        if let Some(usage) = &self.usage_metadata {
            observed.count(usage.counted());
        }
        observed.response_id =
            observed.response_id.take().or_else(|| self.response_id.into_inner());
        observed.model = observed.model.take().or_else(|| self.model_version.into_inner());
        let blocked = self.prompt_feedback.and_then(|feedback| feedback.block_reason.into_inner());
        let reasons = self.candidates.into_iter().flatten().map(|one| one.finish_reason);
        for reason in reasons.filter_map(Text::into_inner).chain(blocked) {
            observed.finish = Some(reason);
            is_last = true;
        }
        is_last
    }
}

/// Reads a whole body that was sent with a successful status.
pub(crate) fn body(status: u16, body: &[u8]) -> Observed {
    let mut observed = Observed::default();
    if body.trim_ascii_start().starts_with(b"[") {
        return list(status, body);
    }
    let Some(mut answer) = read_json::<Answer>(body) else {
        return Observed::malformed(status, "the answer is not JSON of the dialect");
    };
    if let Some(error) = answer.error.take() {
        observed.fault = Some(UpstreamFault::reported(Dialect::GenerateContent, status, &error));
    } else if !answer.is_recognised() {
        return Observed::unrecognised(Dialect::GenerateContent, status, body, "candidates");
    }
    answer.note(&mut observed);
    observed
}

fn list(status: u16, body: &[u8]) -> Observed {
    let mut observed = Observed::default();
    let Some(answers) = read_json::<Vec<Answer>>(body) else {
        return Observed::malformed(status, "the answer is not JSON of the dialect");
    };
    for mut answer in answers {
        if let Some(error) = answer.error.take() {
            let fault = UpstreamFault::reported(Dialect::GenerateContent, status, &error);
            observed.fault = Some(fault);
        }
        answer.note(&mut observed);
    }
    observed
}

/// Reads the data of one event, or one element of an array.
pub(crate) fn piece(watch: &mut Watch, data: &[u8]) {
    let Some(mut answer) = read_json::<Answer>(data) else {
        watch.observed.anomaly = true;
        return;
    };
    if let Some(error) = answer.error.take() {
        watch.failed(UpstreamFault::reported(Dialect::GenerateContent, 200, &error));
        return;
    }
    if answer.is_meaningful() {
        watch.flowing();
    }
    if answer.note(&mut watch.observed) {
        watch.ended();
    }
}
