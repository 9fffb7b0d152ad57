//! One row of the table that makes the router and the OpenAPI document.

use std::convert::Infallible;

use axum::{
    handler::Handler,
    http::Method,
    routing::{MethodFilter, MethodRouter, on},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::api::Api;

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What is at a path.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) handler: MethodRouter<Api, Infallible>,
    pub(super) docs: Docs,
}

/// What the document says about an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Docs {
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<Media>,
    pub(super) answer: Option<SchemaOf>,
    pub(super) precondition: Precondition,
}

/// What a body is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Media {
    Json(SchemaOf),
    Yaml,
}

/// What makes a request safe to repeat or to race.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Precondition {
    None,
    IfMatch,
    IdempotencyKey,
}

impl Endpoint {
    pub(super) fn get<T: 'static>(path: &'static str, handler: impl Handler<T, Api>) -> Self {
        Self::new(Method::GET, path, on(MethodFilter::GET, handler))
    }

    /// Replaces what has the version that the client saw.
    pub(super) fn put<T: 'static>(path: &'static str, handler: impl Handler<T, Api>) -> Self {
        Self::new(Method::PUT, path, on(MethodFilter::PUT, handler)).racing(Precondition::IfMatch)
    }

    /// Deletes what has the version that the client saw.
    pub(super) fn delete<T: 'static>(path: &'static str, handler: impl Handler<T, Api>) -> Self {
        Self::new(Method::DELETE, path, on(MethodFilter::DELETE, handler))
            .racing(Precondition::IfMatch)
    }

    pub(super) fn post<T: 'static>(path: &'static str, handler: impl Handler<T, Api>) -> Self {
        Self::new(Method::POST, path, on(MethodFilter::POST, handler))
    }

    fn new(method: Method, path: &'static str, handler: MethodRouter<Api, Infallible>) -> Self {
        let docs = Docs {
            tag: "",
            summary: "",
            query: None,
            body: None,
            answer: None,
            precondition: Precondition::None,
        };
        Self { method, path, handler, docs }
    }

    pub(super) const fn says(mut self, tag: &'static str, summary: &'static str) -> Self {
        self.docs.tag = tag;
        self.docs.summary = summary;
        self
    }

    pub(super) fn query<T: JsonSchema>(mut self) -> Self {
        self.docs.query = Some(T::json_schema);
        self
    }

    pub(super) fn body<T: JsonSchema>(mut self) -> Self {
        self.docs.body = Some(Media::Json(SchemaGenerator::subschema_for::<T>));
        self
    }

    pub(super) const fn yaml(mut self) -> Self {
        self.docs.body = Some(Media::Yaml);
        self
    }

    pub(super) fn answers<T: JsonSchema>(mut self) -> Self {
        self.docs.answer = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    pub(super) const fn idempotent(self) -> Self {
        self.racing(Precondition::IdempotencyKey)
    }

    const fn racing(mut self, precondition: Precondition) -> Self {
        self.docs.precondition = precondition;
        self
    }
}
