//! Reads the fields of one JSON object without building a tree.

use std::{fmt, ops::Range};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::ScanError;

/// The fields of an object that were asked for, as raw JSON, in the object's order.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    found: Vec<(&'static str, &'a str)>,
    problem: Option<ScanError>,
}

impl<'a> Fields<'a> {
    /// Reads an object and checks all of it. A wanted field may be there once only.
    pub(super) fn read(text: &'a str, wanted: &'static [&'static str]) -> Result<Self, ScanError> {
        let mut fields = Self::default();
        let mut json = serde_json::Deserializer::from_str(text);
        let visitor = ObjectVisitor { wanted, fields: &mut fields };
        json.deserialize_map(visitor).and_then(|()| json.end()).map_err(|e| not_json(&e))?;
        match fields.problem.take() {
            Some(problem) => Err(problem),
            None => Ok(fields),
        }
    }

    /// The raw value of a field.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.found.iter().find(|(found, _)| *found == name).map(|(_, raw)| *raw)
    }

    /// The raw value of a field under either of its spellings.
    pub(super) fn either(
        &self,
        one: &'static str,
        other: &'static str,
    ) -> Result<Option<&'a str>, ScanError> {
        match (self.raw(one), self.raw(other)) {
            (Some(_), Some(_)) => Err(ScanError::Duplicate { field: one.to_owned() }),
            (one, other) => Ok(one.or(other)),
        }
    }
}

/// Every field of an object, in order. The text must be an object.
pub(super) fn every_field(text: &str) -> Result<Vec<(String, &str)>, ScanError> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(EveryField).map_err(|e| not_json(&e))
}

/// The elements of an array, as raw JSON.
pub(super) fn elements(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// Where `part` stands in `whole`, of which it is a slice.
pub(super) fn span(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

pub(super) fn not_json(error: &serde_json::Error) -> ScanError {
    let shown = error.to_string();
    let problem = shown.split(" at line ").next().unwrap_or(&shown).to_owned();
    ScanError::NotJson { problem, line: error.line(), column: error.column() }
}

struct ObjectVisitor<'f, 'a> {
    wanted: &'static [&'static str],
    fields: &'f mut Fields<'a>,
}

impl<'a> Visitor<'a> for ObjectVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { wanted, fields } = self;
        while let Some(key) = map.next_key_seed(Key { wanted, problem: &mut fields.problem })? {
            let Some(name) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = map.next_value()?;
            if fields.found.iter().any(|(found, _)| *found == name) {
                fields.problem = Some(ScanError::Duplicate { field: name.to_owned() });
            }
            fields.found.push((name, value.get()));
        }
        Ok(())
    }
}

/// Reads a key as one of the wanted names.
struct Key<'f> {
    wanted: &'static [&'static str],
    problem: &'f mut Option<ScanError>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        if let Some(name) = self.wanted.iter().find(|name| **name == key) {
            return Ok(Some(name));
        }
        if let Some(name) = self.wanted.iter().find(|name| folds_to(key, name)) {
            let field = key.to_owned();
            *self.problem = Some(ScanError::Misspelt { field, expected: name });
        }
        Ok(None)
    }
}

/// True if a server that ignores case would take `key` for `name`. Beside ASCII two letters fold
/// to one of a name: the long s and the Kelvin sign.
fn folds_to(key: &str, name: &str) -> bool {
    if key.is_ascii() {
        return key.eq_ignore_ascii_case(name);
    }
    let folded = key.chars().map(|letter| match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(name.chars().map(|letter| letter.to_ascii_lowercase()))
}

struct EveryField;

impl<'a> Visitor<'a> for EveryField {
    type Value = Vec<(String, &'a str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            fields.push((key, value.get()));
        }
        Ok(fields)
    }
}
