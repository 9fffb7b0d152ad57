//! The JSON Schema of `bitrouter.yaml`, made from the raw types.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::raw;

/// The JSON Schema (2020-12) of `bitrouter.yaml`.
pub fn schema() -> Value {
    SCHEMA.clone()
}

pub(crate) static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<raw::File>().to_value();
    // A place for anchors.
    schema["patternProperties"] = json!({ "^x-": true });
    schema
});

/// The schema of a provider manifest: an entry of `providers`, with an `id`.
pub(crate) static MANIFEST: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = SCHEMA["$defs"]["Provider"].clone();
    schema["properties"]["id"] = json!({ "type": "string" });
    schema
});
