//! Spellings of single values.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A number kept as the text that its decimal form has, so that money never passes through a float.
///
/// YAML numbers arrive as the nearest double, and the shortest text of a double gives back every
/// decimal of up to 15 digits, which is more than a price may have.
#[derive(Clone, Deserialize)]
#[serde(from = "serde_json::Number")]
pub(crate) struct Decimal(pub(crate) String);

impl From<serde_json::Number> for Decimal {
    fn from(number: serde_json::Number) -> Self {
        Self(number.to_string())
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0 })
    }
}

/// A size in bytes: a whole number, or a text such as `50MB` or `50MiB`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Size {
    Bytes(u64),
    Text(String),
}

impl Size {
    /// The number of bytes, if it is at least one and fits.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let bytes = match self {
            Self::Bytes(bytes) => *bytes,
            Self::Text(text) => {
                let split = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
                let factor = match text[split..].trim().to_ascii_lowercase().as_str() {
                    "" | "b" => 1,
                    "k" | "kb" => 1_000,
                    "m" | "mb" => 1_000_000,
                    "g" | "gb" => 1_000_000_000,
                    "kib" => 1 << 10,
                    "mib" => 1 << 20,
                    "gib" => 1 << 30,
                    _ => return None,
                };
                text[..split].parse::<u64>().ok()?.checked_mul(factor)?
            }
        };
        (bytes > 0).then_some(bytes)
    }
}

/// A length of time: a whole number and a unit, such as `500ms`, `30s`, `5m`, `1h`, `90d`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Span(String);

impl Span {
    /// Takes a text in.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The length in milliseconds, if the text is one.
    pub(crate) fn milliseconds(&self) -> Option<u64> {
        let split = self.0.find(|char: char| !char.is_ascii_digit())?;
        let factor = match &self.0[split..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        self.0[..split].parse::<u64>().ok()?.checked_mul(factor)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d|w)$",
            "description": "A whole number and a unit: 500ms, 30s, 5m, 1h, 90d, 2w.",
            "examples": ["30s"]
        })
    }
}

/// One value or a list of them.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Clone> OneOrMany<T> {
    /// The values as a list.
    pub(crate) fn to_vec(&self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value.clone()],
            Self::Many(values) => values.clone(),
        }
    }
}

/// An amount in USD: a number, or a text such as `5.00`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Money {
    Number(Decimal),
    Text(String),
}

impl Money {
    /// The amount as text.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Number(Decimal(text)) | Self::Text(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        let cases = [
            ("50MB", Some(50_000_000)),
            ("50 MiB", Some(52_428_800)),
            ("1g", Some(1_000_000_000)),
            ("7", Some(7)),
            ("0", None),
            ("1.5MB", None),
            ("MB", None),
            ("99999999999GiB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Size::Text(text.to_owned()).bytes(), expected, "{text}");
        }
    }

    #[test]
    fn a_span_needs_its_unit() {
        let cases = [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("90d", Some(7_776_000_000)),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Span(text.to_owned()).milliseconds(), expected, "{text}");
        }
    }
}
