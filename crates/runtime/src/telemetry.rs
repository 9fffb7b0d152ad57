//! Logging: text on a terminal, JSON elsewhere, to standard error, at a level that can be changed
//! while the process runs.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{
    Layer, Registry,
    filter::{ParseError, Targets},
    fmt,
    layer::SubscriberExt,
    reload,
    util::{SubscriberInitExt, TryInitError},
};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// Text if standard error is a terminal, else JSON.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not one.
    #[error("`{level}` is no log level: write error, warn, info, debug, trace or target=level, …")]
    Level {
        /// As it was given.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logging was set up before.
    #[error("logging is set up already")]
    Twice(#[source] TryInitError),
    /// The subscriber is gone.
    #[error("the log level cannot be changed any more")]
    Gone(#[source] reload::Error),
}

/// A handle on the process's logging.
#[derive(Clone, Debug)]
pub struct Telemetry {
    filter: reload::Handle<Targets, Registry>,
}

impl Telemetry {
    /// Sets up logging for the whole process; possible once.
    pub fn init(level: &str, format: Format) -> Result<Self, TelemetryError> {
        let (filter, handle) = reload::Layer::new(parse(level)?);
        let lines = fmt::layer().with_writer(stderr);
        let text = match format {
            Format::Text => true,
            Format::Json => false,
            Format::Auto => stderr().is_terminal(),
        };
        let lines = if text { lines.boxed() } else { lines.json().flatten_event(true).boxed() };
        tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .try_init()
            .map_err(TelemetryError::Twice)?;
        Ok(Self { filter: handle })
    }

    /// Changes the level from now on.
    pub fn set_level(&self, level: &str) -> Result<(), TelemetryError> {
        self.filter.reload(parse(level)?).map_err(TelemetryError::Gone)
    }
}

fn parse(level: &str) -> Result<Targets, TelemetryError> {
    level.parse().map_err(|source| TelemetryError::Level { level: level.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_can_be_changed_while_running() {
        let telemetry = Telemetry::init("error", Format::Text).unwrap();
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        telemetry.set_level("bitrouter_runtime=debug,warn").unwrap();
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        let refused = telemetry.set_level("bitrouter=loud").unwrap_err();
        assert!(refused.to_string().contains("bitrouter=loud"));
        assert!(Telemetry::init("info", Format::Json).is_err());
    }
}
