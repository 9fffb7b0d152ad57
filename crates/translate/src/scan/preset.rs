//! Applies a preset to a request: parameters that it does not set itself, and a system prompt.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    ScanError,
    fields::{elements, every_field, span},
    read::object_text,
    rewrite::Edits,
};
use crate::{Dialect, Surface};

/// What a preset adds to a request that does not say otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Preset<'a> {
    /// Parameters by name; those that the request sets itself are left alone. The ceiling of the
    /// output may have any dialect's spelling.
    pub parameters: &'a Map<String, Value>,
    /// A system prompt to put before the request's own. Surfaces without one ignore it.
    pub system_prompt: Option<&'a str>,
}

/// Applies a preset, changing nothing else. The result must be scanned again before it is rewritten.
pub fn apply_preset(
    surface: Surface,
    body: &Bytes,
    preset: Preset<'_>,
) -> Result<Bytes, ScanError> {
    let text = object_text(body)?;
    let mut object = Object::read(text, text.trim_ascii_end())?;
    let dialect = surface.dialect().unwrap_or(Dialect::ChatCompletions);
    match dialect {
        Dialect::GenerateContent => object.add_to_config(preset.parameters)?,
        _ => object.add_parameters(dialect, preset.parameters),
    }
    if let Some(prompt) = preset.system_prompt.filter(|prompt| !prompt.is_empty()) {
        match surface {
            Surface::ChatCompletions => object.prepend_message(prompt)?,
            Surface::Responses => object.prepend_instructions(prompt)?,
            Surface::Messages => object.prepend_system(prompt)?,
            Surface::GenerateContent { .. } => object.prepend_system_instruction(prompt)?,
            _ => {}
        }
    }
    Ok(object.finish(body))
}

const CEILINGS: [&str; 5] = [
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "maxOutputTokens",
    "generationConfig.maxOutputTokens",
];

/// An object within a body, and what shall change in it.
struct Object<'a> {
    whole: &'a str,
    text: &'a str,
    fields: Vec<(String, &'a str)>,
    added: Map<String, Value>,
    edits: Edits,
}

impl<'a> Object<'a> {
    fn read(whole: &'a str, text: &'a str) -> Result<Self, ScanError> {
        let fields = every_field(text)?;
        Ok(Self { whole, text, fields, added: Map::new(), edits: Edits::default() })
    }

    fn raw(&self, names: &[&str]) -> Option<&'a str> {
        let found = self.fields.iter().find(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, raw)| *raw)
    }

    fn finish(mut self, body: &Bytes) -> Bytes {
        let added = std::mem::take(&mut self.added);
        self.insert_fields(self.text, self.fields.is_empty(), &added);
        self.edits.apply(body)
    }

    /// Adds fields before the closing brace of `object`.
    fn insert_fields(&mut self, object: &str, is_empty: bool, fields: &Map<String, Value>) {
        if fields.is_empty() {
            return;
        }
        let shown = Value::Object(fields.clone()).to_string();
        let inner = shown.get(1..shown.len() - 1).unwrap_or("");
        let end = span(self.whole, object).end.saturating_sub(1);
        let comma = if is_empty { "" } else { "," };
        self.edits.replace(end..end, format!("{comma}{inner}"));
    }

    fn add_parameters(&mut self, dialect: Dialect, parameters: &Map<String, Value>) {
        for (name, value) in parameters {
            let is_ceiling = CEILINGS.contains(&name.as_str());
            let name = match (is_ceiling, dialect) {
                (true, Dialect::Responses) => "max_output_tokens",
                (true, Dialect::Messages) => "max_tokens",
                (true, _) if name != "max_completion_tokens" => "max_tokens",
                _ => name,
            };
            let is_set = if is_ceiling {
                self.raw(&CEILINGS).is_some()
            } else {
                self.raw(&[name]).is_some()
            };
            if !is_set {
                self.added.insert(name.to_owned(), value.clone());
            }
        }
    }

    /// Gemini keeps sampling parameters in `generationConfig`, and everything has two spellings.
    fn add_to_config(&mut self, parameters: &Map<String, Value>) -> Result<(), ScanError> {
        const AT_TOP: [&str; 4] = ["tools", "toolConfig", "safetySettings", "cachedContent"];
        let config = self.raw(&["generationConfig", "generation_config"]);
        let config = config.filter(|raw| *raw != "null");
        let present = match config {
            Some(raw) if raw.starts_with('{') => every_field(raw)?,
            Some(_) => return Err(wrong_type("generationConfig", "an object")),
            None => Vec::new(),
        };
        let mut missing = Map::new();
        for (name, value) in parameters {
            let is_ceiling = CEILINGS.contains(&name.as_str());
            let name = if is_ceiling { "maxOutputTokens".to_owned() } else { camel_case(name) };
            if AT_TOP.contains(&name.as_str()) {
                if !self.fields.iter().any(|(field, _)| camel_case(field) == name) {
                    self.added.insert(name, value.clone());
                }
            } else if !present.iter().any(|(field, _)| camel_case(field) == name) {
                missing.insert(name, value.clone());
            }
        }
        match config {
            Some(raw) => self.insert_fields(raw, present.is_empty(), &missing),
            None if missing.is_empty() => {}
            None => self.set("generationConfig", "generation_config", Value::Object(missing)),
        }
        Ok(())
    }

    /// Sets a field that is absent, or `null` under one of its spellings.
    fn set(&mut self, name: &str, other: &str, value: Value) {
        match self.raw(&[name, other]) {
            Some(null) => self.edits.replace(span(self.whole, null), value.to_string()),
            None => {
                self.added.insert(name.to_owned(), value);
            }
        }
    }

    fn prepend_message(&mut self, prompt: &str) -> Result<(), ScanError> {
        let messages = self.raw(&["messages"]).unwrap_or("null");
        self.prepend_element(messages, "messages", &json!({"role": "system", "content": prompt}))
    }

    fn prepend_instructions(&mut self, prompt: &str) -> Result<(), ScanError> {
        match self.raw(&["instructions"]).unwrap_or("null") {
            "null" => self.set("instructions", "instructions", prompt.into()),
            own => self.prepend_text(own, "instructions", prompt)?,
        }
        Ok(())
    }

    fn prepend_system(&mut self, prompt: &str) -> Result<(), ScanError> {
        match self.raw(&["system"]).unwrap_or("null") {
            "null" => self.set("system", "system", prompt.into()),
            own if own.starts_with('[') => {
                let block = json!({"type": "text", "text": prompt});
                self.prepend_element(own, "system", &block)?;
            }
            own => self.prepend_text(own, "system", prompt)?,
        }
        Ok(())
    }

    fn prepend_system_instruction(&mut self, prompt: &str) -> Result<(), ScanError> {
        const NAMES: [&str; 2] = ["systemInstruction", "system_instruction"];
        let part = json!({"text": prompt});
        match self.raw(&NAMES).unwrap_or("null") {
            "null" => self.set(NAMES[0], NAMES[1], json!({"parts": [part]})),
            own if own.starts_with('{') => {
                let fields = every_field(own)?;
                let parts = fields.iter().find(|(name, _)| name == "parts");
                let parts = parts.map_or("null", |(_, raw)| *raw);
                self.prepend_element(parts, "systemInstruction.parts", &part)?;
            }
            _ => return Err(wrong_type(NAMES[0], "an object")),
        }
        Ok(())
    }

    fn prepend_text(&mut self, own: &str, field: &str, prompt: &str) -> Result<(), ScanError> {
        let text: String = serde_json::from_str(own).map_err(|_| wrong_type(field, "a text"))?;
        let joined = Value::String(format!("{prompt}\n\n{text}"));
        self.edits.replace(span(self.whole, own), joined.to_string());
        Ok(())
    }

    fn prepend_element(
        &mut self,
        array: &str,
        field: &str,
        element: &Value,
    ) -> Result<(), ScanError> {
        let own = elements(array).filter(|_| array.starts_with('['));
        let own = own.ok_or_else(|| wrong_type(field, "an array"))?;
        let comma = if own.is_empty() { "" } else { "," };
        let start = span(self.whole, array).start + 1;
        self.edits.replace(start..start, format!("{element}{comma}"));
        Ok(())
    }
}

fn wrong_type(field: &str, expected: &'static str) -> ScanError {
    ScanError::WrongType { field: field.to_owned(), expected }
}

fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raises = false;
    for letter in name.chars() {
        if letter == '_' {
            raises = true;
        } else if std::mem::take(&mut raises) {
            out.push(letter.to_ascii_uppercase());
        } else {
            out.push(letter);
        }
    }
    out
}
