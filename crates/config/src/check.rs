//! Checks a tree against the schema: every unknown key, wrong type and bad value at once.
//!
//! Knows the part of JSON Schema that the raw types produce. What is wrong is reported and taken out
//! of the tree, so that the rest can be decoded and looked at further.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    report::{Place, Report, did_you_mean},
    yaml::{self, Kind, Member, Node},
};

/// Where a variable without value stood: the value there counts as absent.
pub(crate) type Unset = HashMap<Place, String>;

/// Checks a whole text.
pub(crate) fn check(node: &mut Node, schema: &Value, place: &Place, report: &mut Report) -> Unset {
    let definitions = &crate::schema::SCHEMA["$defs"];
    let mut checker = Checker { definitions, report, unset: Unset::new() };
    checker.node(node, schema, place);
    checker.unset
}

struct Checker<'a> {
    definitions: &'a Value,
    report: &'a mut Report,
    unset: Unset,
}

impl<'a> Checker<'a> {
    /// Returns whether the node can stay. A node that cannot is reported, unless it is only absent.
    fn node(&mut self, node: &mut Node, schema: &'a Value, place: &Place) -> bool {
        let mut options = Vec::new();
        self.flatten(schema, &mut options);
        if options.iter().any(|option| is_anything(option)) {
            return true;
        }
        if let Kind::Substituted(text) = &node.kind
            && !options.iter().any(|option| accepts(option, "string"))
        {
            node.kind = yaml::plain(text);
        }
        let wanted: Vec<&Value> =
            options.iter().copied().filter(|option| fits(&node.kind, option)).collect();
        match &mut node.kind {
            Kind::Null => false,
            Kind::Unset(variable) => {
                self.unset.insert(place.clone(), variable.clone());
                false
            }
            kind if wanted.is_empty() => {
                let hint = spelling_hint(kind, &options);
                let message = format!("expected {}, found {}", expected(&options), found(kind));
                self.report.problem(place, message, hint);
                false
            }
            Kind::Text(text) => self.text(text, true, &wanted, place),
            Kind::Substituted(text) => self.text(text, false, &wanted, place),
            Kind::Number(number) => self.number(number, wanted[0], place),
            Kind::Bool(_) => true,
            Kind::List(items) => self.list(items, wanted[0], place),
            Kind::Map(members) => match self.variant(members, &wanted, place) {
                Some(schema) => {
                    self.map(members, schema, place);
                    true
                }
                None => false,
            },
        }
    }

    /// The alternatives of a schema, without null.
    fn flatten(&self, schema: &'a Value, out: &mut Vec<&'a Value>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return self.flatten(&self.definitions[name], out);
        }
        let alternatives = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
        match alternatives {
            Some(alternatives) => alternatives.iter().for_each(|it| self.flatten(it, out)),
            None if schema["type"] == "null" => {}
            None => out.push(schema),
        }
    }

    fn text(&mut self, text: &str, is_shown: bool, wanted: &[&Value], place: &Place) -> bool {
        let mut names = Vec::new();
        for option in wanted {
            match (&option["const"], option["enum"].as_array()) {
                (Value::String(name), _) => names.push(name.as_str()),
                (_, Some(values)) => names.extend(values.iter().filter_map(Value::as_str)),
                _ => return true,
            }
        }
        if names.contains(&text) {
            return true;
        }
        let shown = if is_shown { format!("`{text}`") } else { "the variable's value".to_owned() };
        let message = format!("{shown} is none of {}", listed(&names));
        self.report.problem(place, message, did_you_mean(text, names));
        false
    }

    fn number(&mut self, number: &serde_json::Number, schema: &Value, place: &Place) -> bool {
        let value = number.as_f64().unwrap_or(f64::NAN);
        let (least, most) = match schema["format"].as_str() {
            Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
            Some("uint32") => (0.0, f64::from(u32::MAX)),
            _ => (f64::MIN, f64::MAX),
        };
        let least = schema["minimum"].as_f64().unwrap_or(least);
        let most = schema["maximum"].as_f64().unwrap_or(most);
        if value < least {
            self.report.problem(place, format!("must be at least {least}"), None);
        } else if value > most {
            self.report.problem(place, format!("must be at most {most}"), None);
        }
        (least..=most).contains(&value)
    }

    fn list(&mut self, items: &mut [Node], schema: &'a Value, place: &Place) -> bool {
        let Some(schema) = schema.get("items") else { return true };
        let mut is_sound = true;
        for (index, item) in items.iter_mut().enumerate() {
            let place = place.index(index);
            if self.node(item, schema, &place) {
                continue;
            }
            is_sound = false;
            match &item.kind {
                Kind::Unset(variable) => self.report.required_variable(variable, &place),
                Kind::Null => self.report.problem(&place, "the item is empty", None),
                _ => {}
            }
        }
        is_sound
    }

    /// The alternative that a mapping is meant to be: told by the key whose value the alternatives
    /// fix (such as `type`).
    fn variant(
        &mut self,
        members: &[Member],
        wanted: &[&'a Value],
        place: &Place,
    ) -> Option<&'a Value> {
        let tag = |option: &'a Value| -> Option<(&'a str, &'a str)> {
            let mut properties = option["properties"].as_object()?.iter();
            properties.find_map(|(key, value)| Some((key.as_str(), value["const"].as_str()?)))
        };
        let [first, _, ..] = wanted else { return wanted.first().copied() };
        let Some((key, _)) = tag(first) else { return Some(first) };
        let names: Vec<&str> =
            wanted.iter().filter_map(|it| tag(it)).map(|(_, name)| name).collect();
        let Some(member) = members.iter().find(|it| it.key == key) else {
            let hint = format!("it is one of {}", listed(&names));
            self.report.problem(place, format!("`{key}` is missing"), Some(hint));
            return None;
        };
        let (Kind::Text(given) | Kind::Substituted(given)) = &member.value.kind else {
            let message = format!("expected one of {}", listed(&names));
            self.report.problem(&place.key(key), message, None);
            return None;
        };
        let chosen = wanted.iter().find(|it| tag(it).is_some_and(|(_, name)| name == given));
        if chosen.is_none() {
            self.text(given, true, &[&serde_json::json!({ "enum": names })], &place.key(key));
        }
        chosen.copied()
    }

    /// Takes out what cannot stay. Required keys are `Option`s in the raw types, so that a mapping
    /// itself can always stay.
    fn map(&mut self, members: &mut Vec<Member>, schema: &'a Value, place: &Place) {
        let properties = schema["properties"].as_object();
        let others = schema.get("additionalProperties").unwrap_or(&Value::Bool(true));
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut given = Vec::new();
        members.retain_mut(|member| {
            let place = place.key(&member.key);
            let known = properties.and_then(|properties| properties.get(&member.key));
            let Some(schema) = known.or((*others != Value::Bool(false)).then_some(others)) else {
                if !place.path.starts_with("x-") || place.path.contains('.') {
                    let keys = properties.into_iter().flatten().map(|(key, _)| key.as_str());
                    let hint = did_you_mean(&member.key, keys.clone()).or_else(|| one_of(keys));
                    self.report.problem_at(&place, member.at, "unknown key", hint);
                }
                return false;
            };
            if known.is_none() && matches!(member.value.kind, Kind::Null) {
                member.value.kind = Kind::Map(Vec::new());
                if !self.takes_map(schema) {
                    member.value.kind = Kind::Null;
                }
            }
            let is_absent = matches!(member.value.kind, Kind::Null);
            if !is_absent {
                given.push(member.key.clone());
            }
            if self.node(&mut member.value, schema, &place) {
                return true;
            }
            let is_required = required.contains(&member.key.as_str());
            if let Kind::Unset(variable) = &member.value.kind
                && is_required
            {
                self.report.required_variable(variable, &place);
            }
            false
        });
        for key in required.iter().filter(|key| given.iter().all(|it| it != *key)) {
            self.report.problem(place, format!("`{key}` is missing"), None);
        }
    }

    fn takes_map(&self, schema: &'a Value) -> bool {
        let mut options = Vec::new();
        self.flatten(schema, &mut options);
        options.iter().any(|option| accepts(option, "object"))
    }
}

fn is_anything(schema: &Value) -> bool {
    let marks = ["type", "properties", "const", "enum"];
    schema.as_bool() == Some(true)
        || schema.as_object().is_some_and(|it| marks.iter().all(|mark| !it.contains_key(*mark)))
}

fn accepts(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(only) => only == name,
        Value::Array(several) => several.iter().any(|it| it == name),
        _ => name == "string" && (schema.get("const").is_some() || schema.get("enum").is_some()),
    }
}

fn fits(kind: &Kind, schema: &Value) -> bool {
    match kind {
        Kind::Null | Kind::Unset(_) => false,
        Kind::Bool(_) => accepts(schema, "boolean"),
        Kind::Number(number) => {
            let is_whole = number.is_u64() || number.is_i64();
            accepts(schema, "number") || (is_whole && accepts(schema, "integer"))
        }
        Kind::Text(_) | Kind::Substituted(_) => accepts(schema, "string"),
        Kind::List(_) => accepts(schema, "array"),
        Kind::Map(_) => accepts(schema, "object"),
    }
}

/// How to write what is wanted: an example of it, or quotes around what YAML takes for something else.
fn spelling_hint(kind: &Kind, options: &[&Value]) -> Option<String> {
    let example = options.iter().find_map(|option| option["examples"][0].as_str());
    let wants_text = || options.iter().any(|option| accepts(option, "string"));
    example
        .map(|example| format!("such as `{example}`"))
        .or_else(|| (is_scalar(kind) && wants_text()).then(|| "put it in quotes".to_owned()))
        .or_else(|| {
            let Kind::Text(text) = kind else { return None };
            let bare = yaml::plain(text);
            let fits = is_scalar(&bare) && options.iter().any(|option| fits(&bare, option));
            fits.then(|| "write it without quotes".to_owned())
        })
}

/// The keys that there are, where they can be taken in at a glance.
fn one_of<'k>(keys: impl Iterator<Item = &'k str>) -> Option<String> {
    let keys: Vec<&str> = keys.collect();
    (1..=12).contains(&keys.len()).then(|| format!("it is one of {}", listed(&keys)))
}

const fn is_scalar(kind: &Kind) -> bool {
    matches!(kind, Kind::Bool(_) | Kind::Number(_))
}

fn expected(options: &[&Value]) -> String {
    let names = [
        ("string", "text"),
        ("boolean", "true or false"),
        ("integer", "a whole number"),
        ("number", "a number"),
        ("array", "a list"),
        ("object", "a mapping"),
    ];
    let accepted = |name: &str| options.iter().any(|option| accepts(option, name));
    let names: Vec<&str> =
        names.iter().filter(|(name, _)| accepted(name)).map(|(_, shown)| *shown).collect();
    names.join(" or ")
}

const fn found(kind: &Kind) -> &'static str {
    match kind {
        Kind::Null => "nothing",
        Kind::Bool(_) => "true or false",
        Kind::Number(_) => "a number",
        Kind::Text(_) | Kind::Substituted(_) | Kind::Unset(_) => "text",
        Kind::List(_) => "a list",
        Kind::Map(_) => "a mapping",
    }
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
