//! How a command ends when it does not succeed: what to tell people, and the exit code that scripts
//! rely on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Exit codes. Zero is success.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Refused = 4,
    Unreachable = 5,
}

/// A command's end when it does not succeed. Drawn by [`crate::output`] as a line for people or as
/// `{"error":{"kind","message","hint"}}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
pub(crate) struct Failure {
    /// A stable word for programs.
    pub(crate) kind: String,
    /// What went wrong.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    #[serde(skip, default = "failed")]
    exit: Exit,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Failure {
    /// Something did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, "failed", message)
    }

    /// The command line does not say something that can be done.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// What was named does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, "not_found", message)
    }

    /// It could be done, and must not be.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, "refused", message)
    }

    /// Nobody answers.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, "unreachable", message)
    }

    /// The command's result has said what went wrong: nothing is printed.
    pub(crate) fn already_told(exit: Exit) -> Self {
        Self::new(exit, "", "")
    }

    /// True if nothing is to be printed.
    pub(crate) fn is_already_told(&self) -> bool {
        self.kind.is_empty()
    }

    /// Says what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says it in other words.
    #[must_use]
    pub(crate) fn reworded(mut self, message: String) -> Self {
        self.message = message;
        self
    }

    /// Gives it a more telling word for programs.
    #[must_use]
    pub(crate) fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Gives it the exit code that an admin API's status stands for.
    #[must_use]
    pub(crate) fn of_status(mut self, status: u16) -> Self {
        self.exit = match status {
            400 if self.kind == "invalid_request" => Exit::Usage,
            404 => Exit::NotFound,
            401 | 403 | 409 | 412 | 428 => Exit::Refused,
            _ => Exit::Failed,
        };
        self
    }

    /// Gives it the exit code that another process of ours ended with.
    #[must_use]
    pub(crate) fn of_exit_code(mut self, code: Option<i32>) -> Self {
        self.exit = match code {
            Some(2) => Exit::Usage,
            Some(3) => Exit::NotFound,
            Some(4) => Exit::Refused,
            Some(5) => Exit::Unreachable,
            _ => Exit::Failed,
        };
        self
    }

    /// What the process ends with.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    fn new(exit: Exit, kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into(), hint: None, exit }
    }
}

const fn failed() -> Exit {
    Exit::Failed
}

/// Turns an error with its causes into a failure, with what was being done in front.
pub(crate) trait Doing<T> {
    /// Says what was being done when it failed.
    fn doing(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: std::error::Error> Doing<T> for Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::failed(format!("cannot {what}: {}", chain(&error))))
    }
}

/// An error and its causes in one line, each cause once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
