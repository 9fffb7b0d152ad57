//! `${VAR}` and `${VAR:-default}` in text values.
//!
//! Works on decoded values, so that a variable's value can never change the structure; what was
//! substituted is not looked at again; `$${` stands for a literal `${`.

use std::collections::BTreeSet;

use crate::{
    env::Environment,
    report::{Place, Report},
    yaml::{Kind, Node},
};

/// Substitutes in every text value below a node; the variables that are named are noted.
pub(crate) fn substitute(
    node: &mut Node,
    place: &Place,
    environment: &Environment,
    report: &mut Report,
    variables: &mut BTreeSet<String>,
) {
    match &mut node.kind {
        Kind::Text(text) if text.contains("${") => match expand(text, environment, variables) {
            Ok(Expanded::Literal(value)) => node.kind = Kind::Text(value),
            Ok(Expanded::Filled(value)) => node.kind = Kind::Substituted(value),
            Ok(Expanded::Unset(variable)) => node.kind = Kind::Unset(variable),
            Err(problem) => {
                let hint = "write `$${` for a literal `${`".to_owned();
                report.problem(place, problem, Some(hint));
                node.kind = Kind::Null;
            }
        },
        Kind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                substitute(item, &place.index(index), environment, report, variables);
            }
        }
        Kind::Map(members) => {
            for member in members {
                let place = place.key(&member.key);
                if member.key.contains("${") {
                    let message = "`${…}` is filled in only in values, not in keys";
                    report.warning(&place, message, None);
                }
                substitute(&mut member.value, &place, environment, report, variables);
            }
        }
        _ => {}
    }
}

/// The reference itself is not shown: somebody may have put the key there instead of its name.
const NO_NAME: &str = "`${…}` names no variable: a name is made of letters, digits and `_`";

/// Taken as it stands, half of it would be sent as a key or an address.
const NESTED: &str = "one variable cannot stand in for another: `${…}` inside a default";

/// What substituting in a text gave.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum Expanded {
    /// No variable was in it.
    Literal(String),
    /// Every variable in it has a value.
    Filled(String),
    /// The first variable without one.
    Unset(String),
}

/// Substitutes in one text.
pub(crate) fn expand(
    text: &str,
    environment: &Environment,
    variables: &mut BTreeSet<String>,
) -> Result<Expanded, &'static str> {
    let mut out = String::new();
    let mut rest = text;
    let mut is_filled = false;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let end = rest[at..].find('}').ok_or("`${` is not closed")?;
        let reference = &rest[at + 2..at + end];
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            return Err(NO_NAME);
        }
        if default.is_some_and(|default| default.contains("${")) {
            return Err(NESTED);
        }
        variables.insert(name.to_owned());
        match environment.get(name).or(default) {
            Some(value) => out.push_str(value),
            None => return Ok(Expanded::Unset(name.to_owned())),
        }
        is_filled = true;
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(if is_filled { Expanded::Filled(out) } else { Expanded::Literal(out) })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_once() {
        let variables = [("A", "1"), ("B", "${A}"), ("EMPTY", "")];
        let environment: Environment = variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        let filled = |value: &str| Ok(Expanded::Filled(value.to_owned()));
        let unset = |name: &str| Ok(Expanded::Unset(name.to_owned()));
        let cases = [
            ("${A}", filled("1")),
            ("x${A}y${A}", filled("x1y1")),
            ("${B}", filled("${A}")),
            ("${C:-d}", filled("d")),
            ("${C:-}", filled("")),
            ("${C:-${A}}", Err(NESTED)),
            ("${A:-https://x/${A}", Err(NESTED)),
            ("${EMPTY:-d}", filled("d")),
            ("${EMPTY}", unset("EMPTY")),
            ("${A}${C}", unset("C")),
            ("$${A}", Ok(Expanded::Literal("${A}".to_owned()))),
            ("$A", Ok(Expanded::Literal("$A".to_owned()))),
            ("${A", Err("`${` is not closed")),
            ("${}", Err(NO_NAME)),
            ("${A B}", Err(NO_NAME)),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &environment, &mut BTreeSet::new()), expected, "{text}");
        }
    }
}
