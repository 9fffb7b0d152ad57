//! The tables of a backup and the types of their columns; a line of a backup is one row.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use sqlx::{ColumnIndex, Decode, Row, Type};

/// A table, as a backup has it.
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    pub(in crate::store) columns: &'static [Column],
}

/// A column: its name and what it holds. Any of them may be NULL.
pub(in crate::store) struct Column {
    name: &'static str,
    holds: Holds,
}

#[derive(Clone, Copy)]
enum Holds {
    Text,
    Number,
    Truth,
    Bytes,
}

/// A value on its way into the database.
pub(in crate::store) enum Cell {
    Text(Option<String>),
    Number(Option<i64>),
    Truth(Option<bool>),
    Bytes(Option<Vec<u8>>),
}

const fn text(name: &'static str) -> Column {
    Column { name, holds: Holds::Text }
}
const fn number(name: &'static str) -> Column {
    Column { name, holds: Holds::Number }
}
const fn truth(name: &'static str) -> Column {
    Column { name, holds: Holds::Truth }
}
const fn bytes(name: &'static str) -> Column {
    Column { name, holds: Holds::Bytes }
}

/// Every table of the schema.
pub(in crate::store) const TABLES: &[Table] = &[
    Table { name: "revision", columns: &[number("id"), number("current"), number("changes_from")] },
    Table { name: "audit_head", columns: &[number("id"), number("seq"), bytes("hash")] },
    Table { name: "usage_retention", columns: &[number("id"), number("kept_from_s")] },
    Table {
        name: "resource",
        columns: &[
            text("kind"),
            text("id"),
            text("owner"),
            text("spec"),
            number("resource_version"),
            number("created_at_ms"),
            number("updated_at_ms"),
        ],
    },
    Table {
        name: "config_change",
        columns: &[number("revision"), text("kind"), text("id"), text("op"), number("at_ms")],
    },
    Table {
        name: "sealed",
        columns: &[
            text("scope"),
            text("row_id"),
            text("field"),
            number("version"),
            text("kek_id"),
            bytes("dek"),
            bytes("body"),
        ],
    },
    Table {
        name: "audit",
        columns: &[
            number("seq"),
            number("revision"),
            number("time_ms"),
            text("actor"),
            text("action"),
            text("kind"),
            text("id"),
            text("before_json"),
            text("after_json"),
            bytes("prev_hash"),
            bytes("hash"),
        ],
    },
    Table { name: "overlay", columns: &[number("id"), bytes("digest"), number("revision")] },
    Table {
        name: "admin_token",
        columns: &[
            text("id"),
            bytes("digest"),
            text("name"),
            text("role"),
            number("created_at_ms"),
            number("revoked_at_ms"),
        ],
    },
    Table {
        name: "idempotency_key",
        columns: &[text("id"), bytes("request_hash"), number("expires_at_ms")],
    },
    Table {
        name: "usage_log",
        columns: &[
            text("log_id"),
            number("acked_seq"),
            bytes("tail_hash"),
            number("session_epoch"),
            truth("quarantined"),
            number("seen_at_ms"),
        ],
    },
    Table {
        name: "usage_event",
        columns: &[
            text("event_id"),
            number("start_us"),
            text("key_id"),
            text("user_id"),
            text("requested_model"),
            text("route"),
            text("dialect"),
            truth("streamed"),
            text("provider"),
            text("model"),
            number("attempts"),
            number("input_uncached"),
            number("cache_read"),
            number("cache_write_5m"),
            number("cache_write_1h"),
            number("output"),
            number("reasoning"),
            number("audio_in"),
            number("audio_out"),
            number("image"),
            number("cost_micros"),
            truth("unpriced"),
            truth("usage_unknown"),
            truth("anomaly"),
            text("outcome"),
            number("status"),
            text("error_code"),
            number("duration_ms"),
            number("ttft_ms"),
            bytes("entry"),
        ],
    },
    Table { name: "usage_unread", columns: &[text("log_id"), number("seq"), bytes("entry")] },
    Table {
        name: "usage_hour",
        columns: &[
            number("hour_s"),
            text("key_id"),
            text("user_id"),
            text("provider"),
            text("model"),
            text("route"),
            number("requests"),
            number("errors"),
            number("input_uncached"),
            number("cache_read"),
            number("cache_write_5m"),
            number("cache_write_1h"),
            number("output"),
            number("reasoning"),
            number("audio_in"),
            number("audio_out"),
            number("image"),
            number("cost_micros"),
            number("unpriced"),
            number("usage_unknown"),
        ],
    },
];

/// Tables that are in no backup, and why.
#[cfg(test)]
pub(in crate::store) const LEFT_OUT: &[&str] = &[
    "_sqlx_migrations", // the schema is the restoring version's own
];

impl Table {
    pub(in crate::store) fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name == name)
    }

    pub(in crate::store) fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.column_names(), self.name)
    }

    pub(in crate::store) fn insert(&self) -> String {
        let places: Vec<String> = (1..=self.columns.len()).map(|n| format!("${n}")).collect();
        let (names, places) = (self.column_names(), places.join(", "));
        format!("INSERT INTO {} ({names}) VALUES ({places})", self.name)
    }

    pub(in crate::store) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name)
    }

    fn column_names(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    /// A row as a JSON object, in the order of columns; bytes are base64.
    pub(in crate::store) fn encode<'r, R>(
        &self,
        row: &'r R,
    ) -> Result<Map<String, Value>, sqlx::Error>
    where
        R: Row,
        usize: ColumnIndex<R>,
        Option<String>: Decode<'r, R::Database> + Type<R::Database>,
        Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
        Option<bool>: Decode<'r, R::Database> + Type<R::Database>,
        Option<Vec<u8>>: Decode<'r, R::Database> + Type<R::Database>,
    {
        let mut fields = Map::new();
        for (index, column) in self.columns.iter().enumerate() {
            let value = match column.holds {
                Holds::Text => Value::from(row.try_get::<Option<String>, _>(index)?),
                Holds::Number => Value::from(row.try_get::<Option<i64>, _>(index)?),
                Holds::Truth => Value::from(row.try_get::<Option<bool>, _>(index)?),
                Holds::Bytes => {
                    let bytes = row.try_get::<Option<Vec<u8>>, _>(index)?;
                    Value::from(bytes.map(|bytes| STANDARD.encode(bytes)))
                }
            };
            fields.insert(column.name.to_owned(), value);
        }
        Ok(fields)
    }

    /// The cells of a row, or the name of the column that does not fit. A column that the backup
    /// does not have is NULL: the database refuses that where it must not be.
    pub(in crate::store) fn decode(&self, row: &Map<String, Value>) -> Result<Vec<Cell>, String> {
        if let Some(unknown) =
            row.keys().find(|name| !self.columns.iter().any(|column| column.name == *name))
        {
            return Err(unknown.clone());
        }
        self.columns
            .iter()
            .map(|column| {
                let value = row.get(column.name).unwrap_or(&Value::Null);
                column.cell(value).ok_or_else(|| column.name.to_owned())
            })
            .collect()
    }
}

impl Column {
    fn cell(&self, value: &Value) -> Option<Cell> {
        let absent = value.is_null();
        Some(match self.holds {
            Holds::Text if absent => Cell::Text(None),
            Holds::Text => Cell::Text(Some(value.as_str()?.to_owned())),
            Holds::Number if absent => Cell::Number(None),
            Holds::Number => Cell::Number(Some(value.as_i64()?)),
            Holds::Truth if absent => Cell::Truth(None),
            Holds::Truth => Cell::Truth(Some(value.as_bool()?)),
            Holds::Bytes if absent => Cell::Bytes(None),
            Holds::Bytes => Cell::Bytes(Some(STANDARD.decode(value.as_str()?).ok()?)),
        })
    }
}
