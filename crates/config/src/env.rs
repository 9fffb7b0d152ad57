//! The variables that a configuration may refer to, and the `.env` file.
//!
//! The process environment itself is read by the caller.

use std::collections::HashMap;

/// Where a variable comes from; later ones win.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Layer {
    /// The `.env` file in the home directory.
    DotEnv,
    /// The process environment.
    Process,
    /// Forwarded by `reload` from its caller's environment.
    Forwarded,
}

/// Variables by name, in layers. A variable that is set to the empty text counts as unset, and
/// hides those of lower layers.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, (Layer, String)>,
}

/// Why a line of a `.env` file cannot be read. The line itself is not shown: it may hold a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct EnvironmentError {
    /// Starts at 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
}

impl Environment {
    /// Adds variables to a layer.
    pub fn extend(&mut self, layer: Layer, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in variables {
            let is_hidden = self.variables.get(&name).is_some_and(|(from, _)| *from > layer);
            if !is_hidden {
                self.variables.insert(name, (layer, value));
            }
        }
    }

    /// Adds the variables of a `.env` file; lines that cannot be read are returned.
    pub fn extend_from_dotenv(&mut self, text: &str) -> Vec<EnvironmentError> {
        let (variables, errors) = dotenv::parse(text);
        self.extend(Layer::DotEnv, variables);
        errors
    }

    /// The variable's value, if it is set to more than the empty text.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.variables.get(name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// The names of the variables that are set, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables
            .iter()
            .filter(|(_, (_, value))| !value.is_empty())
            .map(|(name, _)| name.as_str())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let mut environment = Self::default();
        environment.extend(Layer::Process, variables);
        environment
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        f.debug_tuple("Environment").field(&names).finish()
    }
}

mod dotenv;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> [(String, String); 1] {
        [(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn a_higher_layer_wins_in_any_order() {
        let mut environment = Environment::default();
        environment.extend(Layer::Process, pair("A", "process"));
        environment.extend(Layer::DotEnv, pair("A", "file"));
        assert_eq!(environment.get("A"), Some("process"));
        environment.extend(Layer::Forwarded, pair("A", "forwarded"));
        assert_eq!(environment.get("A"), Some("forwarded"));
        environment.extend(Layer::Process, pair("A", "process again"));
        assert_eq!(environment.get("A"), Some("forwarded"));
    }

    #[test]
    fn the_empty_text_counts_as_unset() {
        let mut environment = Environment::default();
        environment.extend_from_dotenv("A=file");
        environment.extend(Layer::Process, pair("A", ""));
        assert_eq!(environment.get("A"), None);
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.names().count(), 0);
    }

    #[test]
    fn values_are_not_shown() {
        let environment = Environment::from_iter(pair("KEY", "hush"));
        assert_eq!(format!("{environment:?}"), "Environment([\"KEY\"])");
    }
}
