//! The shapes in which each dialect lists models.
//!
//! What is unknown is left out or zero, as the dialects allow; nothing is invented.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{Dialect, surface::percent_decode};

/// A model as a caller may use it, before a dialect draws it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListedModel {
    /// The name to call it by.
    pub id: String,
    /// The name to show.
    pub display_name: Option<String>,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// Who serves it.
    pub owned_by: String,
    /// When it came to be, in Unix seconds; zero if unknown.
    pub created_s: u64,
    /// The largest input.
    pub max_input_tokens: Option<u64>,
    /// The largest output.
    pub max_output_tokens: Option<u64>,
    /// Whether it makes embeddings rather than text.
    pub is_embedding: bool,
}

/// Which part of a list a caller asked for. `OpenAI`'s list has no pages, so it ignores them all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// `limit` (Anthropic) or `pageSize` (Gemini).
    pub limit: Option<usize>,
    /// `after_id` (Anthropic).
    pub after_id: Option<String>,
    /// `before_id` (Anthropic).
    pub before_id: Option<String>,
    /// `pageToken` (Gemini).
    pub token: Option<String>,
}

impl Page {
    /// Reads the parameters of a query; what is not understood is ignored.
    pub fn parse(query: Option<&str>) -> Self {
        let mut page = Self::default();
        for pair in query.unwrap_or("").split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(value) = percent_decode(value).filter(|value| !value.is_empty()) else {
                continue;
            };
            match name {
                "limit" | "pageSize" | "page_size" => page.limit = value.parse().ok(),
                "after_id" => page.after_id = Some(value),
                "before_id" => page.before_id = Some(value),
                "pageToken" | "page_token" => page.token = Some(value),
                _ => {}
            }
        }
        page
    }
}

/// Draws a list of models.
pub fn list(dialect: Dialect, models: &[ListedModel], page: &Page) -> Bytes {
    let value = match dialect {
        Dialect::ChatCompletions | Dialect::Responses => {
            json!({"object": "list", "data": models.iter().map(openai).collect::<Vec<_>>()})
        }
        Dialect::Messages => anthropic_list(models, page),
        Dialect::GenerateContent => gemini_list(models, page),
    };
    Bytes::from(value.to_string())
}

/// Draws one model.
pub fn single(dialect: Dialect, model: &ListedModel) -> Bytes {
    let value = match dialect {
        Dialect::ChatCompletions | Dialect::Responses => openai(model),
        Dialect::Messages => anthropic(model),
        Dialect::GenerateContent => gemini(model),
    };
    Bytes::from(value.to_string())
}

fn openai(model: &ListedModel) -> Value {
    let mut value = json!({
        "id": model.id,
        "object": "model",
        "created": model.created_s,
        "owned_by": model.owned_by,
    });
    add(&mut value, "name", model.display_name.clone().map(Value::from));
    add(&mut value, "description", model.description.clone().map(Value::from));
    add(&mut value, "context_length", model.max_input_tokens.map(Value::from));
    add(&mut value, "max_output_tokens", model.max_output_tokens.map(Value::from));
    value
}

fn anthropic(model: &ListedModel) -> Value {
    let mut value = json!({
        "type": "model",
        "id": model.id,
        "display_name": shown_name(model),
        "created_at": rfc3339(model.created_s),
    });
    add(&mut value, "max_input_tokens", model.max_input_tokens.map(Value::from));
    add(&mut value, "max_tokens", model.max_output_tokens.map(Value::from));
    value
}

fn gemini(model: &ListedModel) -> Value {
    let methods: &[&str] = if model.is_embedding {
        &["embedContent", "batchEmbedContents"]
    } else {
        &["generateContent", "streamGenerateContent"]
    };
    let mut value = json!({
        "name": format!("models/{}", model.id),
        "displayName": shown_name(model),
        "supportedGenerationMethods": methods,
    });
    add(&mut value, "description", model.description.clone().map(Value::from));
    add(&mut value, "inputTokenLimit", model.max_input_tokens.map(Value::from));
    add(&mut value, "outputTokenLimit", model.max_output_tokens.map(Value::from));
    value
}

/// The page after `after_id`, or the one that ends before `before_id`. Ids that are not in the list
/// give the first page, as an id that was deleted meanwhile would.
fn anthropic_list(models: &[ListedModel], page: &Page) -> Value {
    let limit = page.limit.unwrap_or(20).clamp(1, 1000);
    let place = |id: &String| models.iter().position(|model| model.id == *id);
    let before = page.before_id.as_ref().and_then(place);
    let (start, end) = if let Some(end) = before {
        (end.saturating_sub(limit), end)
    } else {
        let start = page.after_id.as_ref().and_then(place).map_or(0, |at| at + 1);
        (start, start.saturating_add(limit).min(models.len()))
    };
    let has_more = if before.is_some() { start > 0 } else { end < models.len() };
    let shown = models.get(start..end).unwrap_or(&[]);
    json!({
        "data": shown.iter().map(anthropic).collect::<Vec<_>>(),
        "has_more": has_more,
        "first_id": shown.first().map(|model| &model.id),
        "last_id": shown.last().map(|model| &model.id),
    })
}

/// The page that a token names. The token is the id of the last model before it.
fn gemini_list(models: &[ListedModel], page: &Page) -> Value {
    let limit = page.limit.filter(|limit| *limit > 0).unwrap_or(50).min(1000);
    let last = page.token.as_ref().and_then(|id| models.iter().position(|model| model.id == *id));
    let start = last.map_or(0, |at| at + 1);
    let end = start.saturating_add(limit).min(models.len());
    let shown = models.get(start..end).unwrap_or(&[]);
    let mut value = json!({"models": shown.iter().map(gemini).collect::<Vec<_>>()});
    let next = shown.last().filter(|_| end < models.len());
    add(&mut value, "nextPageToken", next.map(|model| Value::from(model.id.clone())));
    value
}

fn shown_name(model: &ListedModel) -> &str {
    model.display_name.as_deref().unwrap_or(&model.id)
}

fn add(object: &mut Value, name: &str, value: Option<Value>) {
    let fields: Option<&mut Map<String, Value>> = object.as_object_mut();
    if let (Some(fields), Some(value)) = (fields, value) {
        fields.insert(name.to_owned(), value);
    }
}

/// Shows Unix seconds as RFC 3339 in UTC.
fn rfc3339(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Years counted from March, in eras of 400 years, so that leap days come last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(count: usize) -> Vec<ListedModel> {
        let model = |at| ListedModel {
            id: format!("org/m{at}"),
            owned_by: "org".to_owned(),
            created_s: 1_700_000_000,
            max_input_tokens: Some(200_000),
            ..ListedModel::default()
        };
        (0..count).map(model).collect()
    }

    fn parsed(bytes: &Bytes) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn each_dialect_has_its_shape() {
        let models = models(2);
        let page = Page::default();
        let openai = parsed(&list(Dialect::ChatCompletions, &models, &page));
        assert_eq!(openai["object"], "list");
        assert_eq!(openai["data"][0]["id"], "org/m0");
        assert_eq!(openai["data"][0]["object"], "model");
        assert_eq!(openai["data"][0]["created"], 1_700_000_000);

        let anthropic = parsed(&list(Dialect::Messages, &models, &page));
        assert_eq!(anthropic["data"][1]["type"], "model");
        assert_eq!(anthropic["data"][1]["display_name"], "org/m1");
        assert_eq!(anthropic["data"][1]["created_at"], "2023-11-14T22:13:20Z");
        assert_eq!(anthropic["has_more"], false);
        assert_eq!(anthropic["first_id"], "org/m0");
        assert_eq!(anthropic["last_id"], "org/m1");

        let gemini = parsed(&list(Dialect::GenerateContent, &models, &page));
        assert_eq!(gemini["models"][0]["name"], "models/org/m0");
        assert_eq!(gemini["models"][0]["inputTokenLimit"], 200_000);
        assert_eq!(gemini["models"][0]["supportedGenerationMethods"][0], "generateContent");
        assert_eq!(gemini.get("nextPageToken"), None);
        assert_eq!(parsed(&single(Dialect::GenerateContent, &models[0]))["name"], "models/org/m0");
    }

    #[test]
    fn pages_cover_the_list_once() {
        let models = models(45);
        let ids = |value: &Value, list: &str, name: &str| -> Vec<String> {
            let of = |model: &Value| model[name].as_str().unwrap().replace("models/", "");
            value[list].as_array().unwrap().iter().map(of).collect()
        };
        let expected: Vec<String> = models.iter().map(|model| model.id.clone()).collect();

        let (mut seen, mut page) = (Vec::new(), Page::default());
        loop {
            let value = parsed(&list(Dialect::Messages, &models, &page));
            seen.extend(ids(&value, "data", "id"));
            if value["has_more"] == false {
                break;
            }
            page.after_id = value["last_id"].as_str().map(str::to_owned);
        }
        assert_eq!(seen, expected);

        let (mut seen, mut page) = (Vec::new(), Page::parse(Some("pageSize=7")));
        loop {
            let value = parsed(&list(Dialect::GenerateContent, &models, &page));
            seen.extend(ids(&value, "models", "name"));
            let Some(token) = value["nextPageToken"].as_str() else { break };
            page.token = Page::parse(Some(&format!("pageToken={token}"))).token;
        }
        assert_eq!(seen, expected);

        let before = Page::parse(Some("limit=2&before_id=org%2Fm3"));
        let value = parsed(&list(Dialect::Messages, &models, &before));
        assert_eq!(ids(&value, "data", "id"), ["org/m1", "org/m2"]);
        assert_eq!(value["has_more"], true);
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (unix_s, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(unix_s), expected);
        }
    }
}
