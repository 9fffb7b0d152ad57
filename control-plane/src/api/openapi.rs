//! The OpenAPI document, made from the table that the router is made from.

use axum::Json;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::api::{
    endpoint::{Docs, Endpoint, Media, Precondition},
    endpoints as table,
    types::ErrorBody,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/v1/openapi.json", show).says("status", "This document")]
}

async fn show() -> Json<Value> {
    Json(document())
}

/// The whole document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut schemas = SchemaGenerator::new(settings);
    let error = schemas.subschema_for::<ErrorBody>();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in table() {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        let operation = operation(endpoint.path, endpoint.docs, &mut schemas);
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation;
    }
    let mut components = schemas.take_definitions(true);
    components.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "bitrouter admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Served on 127.0.0.1:4357 with an admin token, and on the control socket without.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:4357" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                "Error": {
                    "description": "Not done; the body says why.",
                    "content": { "application/json": { "schema": error } },
                },
            },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(path: &str, docs: Docs, schemas: &mut SchemaGenerator) -> Value {
    let mut operation = json!({ "tags": [docs.tag], "summary": docs.summary });
    let parameters = parameters(path, docs, schemas);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    match docs.body {
        Some(Media::Json(schema)) => {
            let schema = schema(schemas);
            operation["requestBody"] = json!({
                "required": true, "content": { "application/json": { "schema": schema } },
            });
        }
        Some(Media::Yaml) => {
            operation["requestBody"] = json!({
                "required": true, "content": { "application/yaml": { "schema": { "type": "string" } } },
            });
        }
        None => {}
    }
    let done = match docs.answer {
        Some(schema) => {
            let schema = schema(schemas);
            json!({ "description": "Done.", "content": { "application/json": { "schema": schema } } })
        }
        None => json!({ "description": "Done." }),
    };
    operation["responses"] =
        json!({ "2XX": done, "default": { "$ref": "#/components/responses/Error" } });
    operation
}

fn parameters(path: &str, docs: Docs, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect();
    if let Some(query) = docs.query {
        let schema = query(schemas);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
        }
    }
    let header = |name: &str, description: &str| {
        json!({
            "name": name, "in": "header", "schema": { "type": "string" },
            "description": description,
        })
    };
    match docs.precondition {
        Precondition::None => {}
        Precondition::IfMatch => parameters.push(header(
            "If-Match",
            "The `resource_version` that was seen, in quotes. Required if the resource exists.",
        )),
        Precondition::IdempotencyKey => parameters.push(header(
            "Idempotency-Key",
            "The same request with the same key is carried out once and gets the same answer again, for ten minutes.",
        )),
    }
    parameters
}
