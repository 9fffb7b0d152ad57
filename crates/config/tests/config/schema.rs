//! The committed schema is the one that the types give, and accepts what loads.

use std::{fs, path::Path};

#[test]
fn the_committed_schema_is_up_to_date() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/bitrouter.config.schema.json");
    let text = serde_json::to_string_pretty(&bitrouter_config::schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "run `UPDATE_SCHEMA=1 cargo test -p bitrouter-config` and commit the change"
    );
}

#[test]
fn every_key_is_described() {
    fn walk(schema: &serde_json::Value, path: &str, bare: &mut Vec<String>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            if property.get("description").is_none() && property.get("const").is_none() {
                bare.push(path);
            }
        }
    }
    let schema = bitrouter_config::schema();
    let mut bare = Vec::new();
    walk(&schema, "", &mut bare);
    for name in ["Server", "Provider", "Model", "Route", "Endpoint", "Pricing", "Budget"] {
        walk(&schema["$defs"][name], name, &mut bare);
    }
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn every_key_is_in_the_reference() {
    let reference = include_str!("../../../../docs/config.md");
    let schema = bitrouter_config::schema();
    let mut missing = Vec::new();
    let names = [
        "Server", "Upstream", "Provider", "Account", "Model", "Timeouts", "Pricing", "Route",
        "Endpoint", "Preset", "Routing", "Variant",
    ];
    let parts = names.iter().map(|name| &schema["$defs"][name]).chain([&schema]);
    for key in
        parts.filter_map(|part| part["properties"].as_object()).flat_map(serde_json::Map::keys)
    {
        if !reference.contains(key.as_str()) {
            missing.push(key);
        }
    }
    assert_eq!(missing, Vec::<&String>::new());
}
