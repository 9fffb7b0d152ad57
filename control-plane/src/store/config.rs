//! Reading configuration.

use bitrouter_keys::Secret;

use crate::{
    resource::{Kind, Owner, Resource, Revision, Spec},
    store::{
        Store, StoreError, number,
        pool::{Tx, execute, reading, within},
    },
};

/// A page of a listing in the order of ids.
#[derive(Clone, Debug)]
pub struct Page {
    /// The last id of the page before. Absent: the first page.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

const RETAINED_CHANGES: i64 = 100_000;
const RETAINED_MS: u64 = 7 * 24 * 60 * 60 * 1000;

const SELECT_REVISION: &str = "SELECT current, changes_from FROM revision WHERE id = 1";
const SELECT_RESOURCE: &str = "\
    SELECT kind, id, owner, spec, resource_version, created_at_ms, updated_at_ms FROM resource \
    WHERE kind = $1 AND id = $2";
const LIST_RESOURCES: &str = "\
    SELECT kind, id, owner, spec, resource_version, created_at_ms, updated_at_ms FROM resource \
    WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3";
const ALL_RESOURCES: &str = "\
    SELECT kind, id, owner, spec, resource_version, created_at_ms, updated_at_ms FROM resource \
    ORDER BY kind, id";
const CHANGES_SINCE: &str = "\
    SELECT DISTINCT kind, id FROM config_change WHERE revision > $1 ORDER BY kind, id";
const OLD_CHANGES: &str = "\
    SELECT MAX(revision) FROM config_change WHERE at_ms < $1 AND revision < \
    (SELECT revision FROM config_change ORDER BY revision DESC LIMIT 1 OFFSET $2)";
const SET_CHANGES_FROM: &str = "UPDATE revision SET changes_from = $1 WHERE id = 1";
const DELETE_CHANGES: &str = "DELETE FROM config_change WHERE revision <= $1";

impl Store {
    /// The current revision.
    pub async fn revision(&self) -> Result<Revision, StoreError> {
        let (current, _): (i64, i64) =
            reading!(self, |pool| sqlx::query_as(SELECT_REVISION).fetch_one(pool).await?);
        Ok(Revision(number::loaded(current)))
    }

    /// Every stored resource, with the revision that they are of.
    pub async fn load_all(&self) -> Result<(Revision, Vec<Resource>), StoreError> {
        let mut tx = self.begin_read().await?;
        let (revision, _) = select_revision(&mut tx).await?;
        let rows: Vec<ResourceRow> = within!(&mut tx, |connection| {
            sqlx::query_as(ALL_RESOURCES).fetch_all(connection).await?
        });
        let resources: Result<Vec<_>, _> = rows.into_iter().map(Resource::try_from).collect();
        Ok((revision, resources?))
    }

    /// What changed after `since`, each once. `None`: that is too long ago, or not a revision of
    /// this database; everything has to be loaded.
    pub async fn changes_since(
        &self,
        since: Revision,
    ) -> Result<Option<Vec<(Kind, String)>>, StoreError> {
        let mut tx = self.begin_read().await?;
        let (current, from) = select_revision(&mut tx).await?;
        if since < from || since > current {
            return Ok(None);
        }
        let rows: Vec<(String, String)> = within!(&mut tx, |connection| {
            sqlx::query_as(CHANGES_SINCE)
                .bind(number::stored(since.0))
                .fetch_all(connection)
                .await?
        });
        rows.into_iter()
            .map(|(kind, id)| Ok((parse_kind(&kind, &id)?, id)))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// One resource, if it is there.
    pub async fn resource(&self, kind: Kind, id: &str) -> Result<Option<Resource>, StoreError> {
        let row: Option<ResourceRow> = reading!(self, |pool| sqlx::query_as(SELECT_RESOURCE)
            .bind(kind.as_str())
            .bind(id)
            .fetch_optional(pool)
            .await?);
        row.map(Resource::try_from).transpose()
    }

    /// The resources of a kind, in the order of their ids.
    pub async fn list(&self, kind: Kind, page: &Page) -> Result<Vec<Resource>, StoreError> {
        let after = page.after.as_deref().unwrap_or("");
        let rows: Vec<ResourceRow> = reading!(self, |pool| sqlx::query_as(LIST_RESOURCES)
            .bind(kind.as_str())
            .bind(after)
            .bind(i64::from(page.limit))
            .fetch_all(pool)
            .await?);
        rows.into_iter().map(Resource::try_from).collect()
    }

    /// The secret of an account, if it has one.
    pub async fn secret_of(&self, account: &str) -> Result<Option<Secret>, StoreError> {
        self.secret(Kind::Account, account).await
    }

    /// Every account's secret, by the account's id.
    pub async fn secrets(&self) -> Result<Vec<(String, Secret)>, StoreError> {
        self.secrets_of(Kind::Account).await
    }

    /// Forgets changes that are both older than seven days and not among the last 100,000.
    pub async fn prune_changes(&self, now_ms: u64) -> Result<u64, StoreError> {
        self.prune_changes_beyond(RETAINED_CHANGES, now_ms).await
    }

    pub(super) async fn prune_changes_beyond(
        &self,
        retained: i64,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        super::change::lock_revision(&mut tx).await?;
        let old: Option<i64> = within!(&mut tx, |connection| {
            sqlx::query_scalar(OLD_CHANGES)
                .bind(number::stored(now_ms.saturating_sub(RETAINED_MS)))
                .bind(retained)
                .fetch_one(connection)
                .await?
        });
        let Some(old) = old else { return Ok(0) };
        execute!(&mut tx, sqlx::query(SET_CHANGES_FROM).bind(old));
        let deleted = execute!(&mut tx, sqlx::query(DELETE_CHANGES).bind(old));
        tx.commit().await?;
        Ok(deleted)
    }
}

/// The current revision, and the one from which on changes are retained.
async fn select_revision(tx: &mut Tx) -> Result<(Revision, Revision), StoreError> {
    let (current, from): (i64, i64) =
        within!(tx, |connection| sqlx::query_as(SELECT_REVISION).fetch_one(connection).await?);
    Ok((Revision(number::loaded(current)), Revision(number::loaded(from))))
}

pub(super) async fn select_resource(
    tx: &mut Tx,
    kind: Kind,
    id: &str,
) -> Result<Option<ResourceRow>, StoreError> {
    Ok(within!(tx, |connection| sqlx::query_as(SELECT_RESOURCE)
        .bind(kind.as_str())
        .bind(id)
        .fetch_optional(connection)
        .await?))
}

#[derive(sqlx::FromRow)]
pub(super) struct ResourceRow {
    kind: String,
    id: String,
    owner: String,
    spec: String,
    resource_version: i64,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl ResourceRow {
    pub(super) fn spec(&self) -> &str {
        &self.spec
    }

    pub(super) fn version(&self) -> Revision {
        Revision(number::loaded(self.resource_version))
    }

    pub(super) fn owner(&self) -> Result<Owner, StoreError> {
        self.owner.parse().map_err(|error| undecodable(&self.id, error))
    }

    /// True if it is the same specification. One that no longer decodes is not.
    pub(super) fn says(&self, spec: &Spec) -> bool {
        decode_spec(spec.kind(), &self.spec).is_ok_and(|stored| stored == *spec)
    }
}

impl TryFrom<ResourceRow> for Resource {
    type Error = StoreError;

    fn try_from(row: ResourceRow) -> Result<Self, StoreError> {
        let kind = parse_kind(&row.kind, &row.id)?;
        let spec = decode_spec(kind, &row.spec).map_err(|error| undecodable(&row.id, error))?;
        Ok(Self {
            owner: row.owner()?,
            resource_version: row.version(),
            created_at_ms: number::loaded(row.created_at_ms),
            updated_at_ms: number::loaded(row.updated_at_ms),
            id: row.id,
            spec,
        })
    }
}

/// The specification alone; the kind has a column of its own.
pub(super) fn encode_spec(spec: &Spec, id: &str) -> Result<String, StoreError> {
    let text = match spec {
        Spec::Provider(spec) => serde_json::to_string(spec),
        Spec::Account(spec) => serde_json::to_string(spec),
        Spec::Route(spec) => serde_json::to_string(spec),
        Spec::Preset(spec) => serde_json::to_string(spec),
        Spec::Variant(spec) => serde_json::to_string(spec),
        Spec::User(spec) => serde_json::to_string(spec),
        Spec::VirtualKey(spec) => serde_json::to_string(spec),
    };
    text.map_err(|error| undecodable(id, error))
}

fn decode_spec(kind: Kind, text: &str) -> Result<Spec, serde_json::Error> {
    Ok(match kind {
        Kind::Provider => Spec::Provider(serde_json::from_str(text)?),
        Kind::Account => Spec::Account(serde_json::from_str(text)?),
        Kind::Route => Spec::Route(serde_json::from_str(text)?),
        Kind::Preset => Spec::Preset(serde_json::from_str(text)?),
        Kind::Variant => Spec::Variant(serde_json::from_str(text)?),
        Kind::User => Spec::User(serde_json::from_str(text)?),
        Kind::VirtualKey => Spec::VirtualKey(serde_json::from_str(text)?),
    })
}

fn parse_kind(kind: &str, id: &str) -> Result<Kind, StoreError> {
    kind.parse().map_err(|error| undecodable(id, error))
}

fn undecodable(id: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Undecodable { what: "resource", id: id.to_owned(), source: error.into() }
}
