//! The JSON that the admin API takes and gives: one definition for server, command line and OpenAPI.
//!
//! Times are RFC 3339 text, money is integer micro-dollars. No type that is sent to a client carries a
//! secret but [`Minted`], which is sent once.

mod apply;
mod audit;
mod key;
mod model;
mod provider;
mod request;
mod route;
mod status;
mod time;
mod usage;
mod user;

pub use apply::{Applied, ApplyQuery, Change, Operation as ChangeOperation};
pub use audit::{AuditQuery, AuditRow};
pub use key::{KeyState, KeyView, MintRequest, Minted, Revoked, RotateRequest};
pub use model::{ModelSource, ModelView};
pub use provider::{AccountPut, AccountView, ProviderPut, ProviderView};
pub use request::{
    AttemptView, LeftOutView, Operation, Outcome, RequestDetail, RequestQuery, RequestRow,
};
pub use route::{RoutePut, RouteView};
pub use status::{NodeView, RejectionView, RevisionView, Status};
pub use time::{NotATime, Time};
pub use usage::{UsageBy, UsageQuery, UsageReport, UsageRow, UsageTotals};
pub use user::{UserPut, UserView};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Owner, Resource, Revision};

/// What every resource carries besides its own fields.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Meta {
    /// Who may change it.
    pub owner: Owner,
    /// The revision at which it last changed. Send it as `If-Match` to change or delete it.
    pub resource_version: Revision,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl Meta {
    /// That of a resource.
    pub const fn of(resource: &Resource) -> Self {
        Self {
            owner: resource.owner,
            resource_version: resource.resource_version,
            created_at: Time::from_millis(resource.created_at_ms),
            updated_at: Time::from_millis(resource.updated_at_ms),
        }
    }
}

/// A list, or one page of it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct List<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Set if there is more: send it as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A list that is complete.
    pub const fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ErrorDetail {
    /// A stable code, for machines.
    pub kind: String,
    /// For people.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
