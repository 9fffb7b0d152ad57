//! What is wrong with a configuration, and where.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use serde::Serialize;

/// A place in a text. Both numbers start at 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Position {
    /// Lines end at line breaks.
    pub line: usize,
    /// In characters.
    pub column: usize,
}

/// One thing that is wrong, or that somebody should know about.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct Problem {
    /// The text's name, as it was given; empty where no text is concerned.
    pub file: String,
    /// Absent where the problem concerns no place in particular.
    pub position: Option<Position>,
    /// Such as `models.smart.endpoints[0].provider`; empty at the root.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// `file:line:column: path: message; hint`, without the parts that are absent.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if let Some(Position { line, column }) = self.position {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// A path within one of the texts.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Place {
    /// The text's index in the report; absent for what stands in no text.
    pub(crate) text: Option<usize>,
    /// Such as `providers.openai.api_base`.
    pub(crate) path: String,
}

impl Place {
    /// The root of a text.
    pub(crate) const fn root(text: usize) -> Self {
        Self { text: Some(text), path: String::new() }
    }

    /// What stands in no text: the environment, a built-in.
    pub(crate) fn nowhere(path: impl Into<String>) -> Self {
        Self { text: None, path: path.into() }
    }

    /// The value under a key.
    pub(crate) fn key(&self, key: &str) -> Self {
        Self { text: self.text, path: join_key(&self.path, key) }
    }

    /// An item of a list.
    pub(crate) fn index(&self, index: usize) -> Self {
        Self { text: self.text, path: format!("{}[{index}]", self.path) }
    }

    fn parent(&self) -> Option<Self> {
        let cut = self.path.rfind(['.', '['])?;
        Some(Self { text: self.text, path: self.path[..cut].to_owned() })
    }
}

/// Appends a key to a path; keys that could be mistaken for a path are quoted.
pub(crate) fn join_key(path: &str, key: &str) -> String {
    let is_plain = !key.is_empty() && !key.contains(['.', '[', ']', '"', ' ']);
    let key = if is_plain { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Collects problems and warnings, and knows where in the texts each path stands.
#[derive(Debug, Default)]
pub(crate) struct Report {
    files: Vec<String>,
    positions: HashMap<Place, Position>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// What was reported, so that nothing is said twice.
    said: HashSet<Problem>,
    /// Places where something is wrong.
    wrong: HashSet<Place>,
}

impl Report {
    /// Adds a text and returns its index.
    pub(crate) fn add_text(&mut self, name: &str) -> usize {
        self.files.push(name.to_owned());
        self.files.len() - 1
    }

    /// Remembers where a path stands.
    pub(crate) fn locate(&mut self, place: Place, position: Position) {
        self.positions.insert(place, position);
    }

    /// Adds a problem: the configuration cannot be used.
    pub(crate) fn problem(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let position = self.position(place);
        let problem = self.build(place, position, message.into(), hint);
        self.add(place, problem);
    }

    /// Adds a problem at a position that the paths do not give.
    pub(crate) fn problem_at(
        &mut self,
        place: &Place,
        position: Position,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let problem = self.build(place, Some(position), message.into(), hint);
        self.add(place, problem);
    }

    fn add(&mut self, place: &Place, problem: Problem) {
        if self.said.insert(problem.clone()) {
            self.wrong.insert(place.clone());
            self.problems.push(problem);
        }
    }

    /// Adds a warning: the configuration works, but not as somebody may expect.
    pub(crate) fn warning(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let position = self.position(place);
        let warning = self.build(place, position, message.into(), hint);
        if self.said.insert(warning.clone()) {
            self.warnings.push(warning);
        }
    }

    /// Adds the problem of a variable that is not set where a value is required.
    pub(crate) fn required_variable(&mut self, variable: &str, place: &Place) {
        let hint = format!("set it, or write `${{{variable}:-default}}`");
        let message = format!("the variable `{variable}` is not set, and a value is required here");
        self.problem(place, message, Some(hint));
    }

    /// True if something is wrong with exactly this value.
    pub(crate) fn has_problem(&self, place: &Place) -> bool {
        self.wrong.contains(place)
    }

    /// Problems and warnings, each in the order of the texts.
    pub(crate) fn finish(mut self) -> (Vec<Problem>, Vec<Problem>) {
        let order: HashMap<String, usize> =
            self.files.iter().cloned().enumerate().map(|(index, name)| (name, index)).collect();
        let key = |problem: &Problem| (order.get(&problem.file).copied(), problem.position);
        self.problems.sort_by_key(key);
        self.warnings.sort_by_key(key);
        (self.problems, self.warnings)
    }

    /// The position of a place, or of what it is part of.
    fn position(&self, place: &Place) -> Option<Position> {
        let mut at = Some(place.clone());
        while let Some(place) = at {
            if let Some(position) = self.positions.get(&place) {
                return Some(*position);
            }
            at = place.parent();
        }
        None
    }

    fn build(
        &self,
        place: &Place,
        position: Option<Position>,
        message: String,
        hint: Option<String>,
    ) -> Problem {
        let file = place.text.and_then(|text| self.files.get(text)).cloned().unwrap_or_default();
        Problem { file, position, path: place.path.clone(), message, hint }
    }
}

/// Nothing is proposed for a longer one: comparing costs the product of both lengths.
const LONGEST_NAME: usize = 200;

/// Proposes the candidate that a wrong name is most like, if any is near enough.
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let allowed = (name.chars().count() / 3).clamp(1, 4);
    let short = |candidate: &&str| candidate.len() <= LONGEST_NAME;
    let candidates: Vec<&str> = candidates.into_iter().filter(short).collect();
    let near = candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate);
    // Somebody who writes `model` or `warning` has `model_id` or `warn` in mind.
    let begins_alike = |candidate: &&str| {
        let shorter = candidate.len().min(name.len());
        shorter >= 4 && (candidate.starts_with(name) || name.starts_with(candidate))
    };
    let best = near.or_else(|| candidates.into_iter().find(begins_alike))?;
    Some(format!("did you mean `{best}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_place_and_its_hint() {
        let mut report = Report::default();
        let text = report.add_text("bitrouter.yaml");
        let place = Place::root(text).key("models").key("smart").key("endpoints").index(0);
        report.locate(place.clone(), Position { line: 12, column: 5 });
        let hint = did_you_mean("opnai", ["anthropic", "openai"]);
        report.problem(&place.key("provider"), "no provider is named `opnai`", hint);
        let (problems, _) = report.finish();
        assert_eq!(
            problems[0].to_string(),
            "bitrouter.yaml:12:5: models.smart.endpoints[0].provider: no provider is named \
             `opnai`; did you mean `openai`?"
        );
    }

    #[test]
    fn only_near_names_are_proposed() {
        assert_eq!(did_you_mean("ab", ["xyz", "openai"]), None);
        assert_eq!(did_you_mean("sever", ["server"]).unwrap(), "did you mean `server`?");
    }

    #[test]
    fn a_key_that_looks_like_a_path_is_quoted() {
        assert_eq!(join_key("models", "gpt-4.1"), "models.\"gpt-4.1\"");
        assert_eq!(join_key("", "x/y:z"), "x/y:z");
    }
}
