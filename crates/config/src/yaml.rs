//! From YAML to a tree of values with positions. The only place that knows the YAML parser.
//!
//! Scalars follow the YAML 1.2 core schema (`yes` and `on` are text). Anchors, aliases and `<<`
//! merges are resolved here; what they expand to is bounded. Duplicate keys are problems.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use serde_json::{Number, Value};

use crate::report::{Place, Position, Report};

/// What a text may cost: one for each value and for every [`BYTES`] of its text and of its path. What
/// is anchored or stands for an alias counts each time.
const MAX_COST: usize = 400_000;
/// So much text or path costs one more.
const BYTES: usize = 64;
/// How deep a value may be nested.
const MAX_DEPTH: usize = 64;

/// A value and where it stands.
#[derive(Clone)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) at: Position,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// Text that a variable was put into, and that may therefore stand for another type.
    Substituted(String),
    /// Text with a variable that is not set: its name.
    Unset(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A key, where it stands, and its value.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) value: Node,
}

impl Node {
    /// The value as JSON; what is unset is null.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null | Kind::Unset(_) => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text(value) | Kind::Substituted(value) => Value::String(value.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(members) => {
                let members = members.iter();
                Value::Object(members.map(|it| (it.key.clone(), it.value.to_json())).collect())
            }
        }
    }

    /// Tells the report where every value stands: a mapping at its key, everything else at itself.
    pub(crate) fn locate(&self, place: &Place, report: &mut Report) {
        report.locate(place.clone(), self.at);
        match &self.kind {
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.locate(&place.index(index), report);
                }
            }
            Kind::Map(members) => {
                for member in members {
                    let place = place.key(&member.key);
                    member.value.locate(&place, report);
                    if matches!(member.value.kind, Kind::Map(_) | Kind::Null) {
                        report.locate(place, member.at);
                    }
                }
            }
            _ => {}
        }
    }

    /// What it costs with all that it holds, below a path of this length.
    fn cost(&self, path: usize) -> usize {
        let below: usize = match &self.kind {
            Kind::List(items) => items.iter().map(|it| it.cost(path)).sum(),
            Kind::Map(members) => members.iter().map(|it| it.value.cost(path + it.key.len())).sum(),
            Kind::Text(text) => return cost(text.len(), path),
            _ => 0,
        };
        below + cost(0, path)
    }

    fn depth(&self) -> usize {
        let below = match &self.kind {
            Kind::List(items) => items.iter().map(Self::depth).max(),
            Kind::Map(members) => members.iter().map(|it| it.value.depth()).max(),
            _ => None,
        };
        below.unwrap_or(0) + 1
    }
}

/// Reads a text whose root is a mapping; an empty text is an empty mapping. `None` means that the
/// report says why not.
pub(crate) fn read(text: &str, root: &Place, report: &mut Report) -> Option<Node> {
    let mut builder = Builder::new(root.clone(), report);
    for step in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let (event, span) = match step {
            Ok(step) => step,
            Err(error) => {
                let at = position(error.marker());
                let message = format!("not valid YAML: {}", error.info());
                builder.report.problem_at(root, at, message, hint(text, at));
                return None;
            }
        };
        builder.push(event, span)?;
    }
    let empty = Node { at: Position { line: 1, column: 1 }, kind: Kind::Map(Vec::new()) };
    match builder.root {
        None | Some(Node { kind: Kind::Null, .. }) => Some(empty),
        Some(node @ Node { kind: Kind::Map(_), .. }) => Some(node),
        Some(node) => {
            let hint = "such as `server:` or `providers:`".to_owned();
            let message = "expected a mapping of sections";
            builder.report.problem_at(root, node.at, message, Some(hint));
            None
        }
    }
}

/// What to do about a line that is no YAML, where that can be told.
fn hint(text: &str, at: Position) -> Option<String> {
    let line = text.lines().nth(at.line - 1)?;
    if line.trim_start_matches(' ').starts_with('\t') {
        Some("indent with spaces".to_owned())
    } else if line.contains("${") && line.contains(['{', '[']) {
        Some("put `${…}` in quotes where it stands between brackets".to_owned())
    } else {
        None
    }
}

/// Reads a plain scalar by the core schema.
pub(crate) fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let radix = |prefix, radix| {
        text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok())
    };
    if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Kind::Number(value.into());
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    if let Ok(value) = digits.parse::<u64>() {
        return Kind::Number(value.into());
    }
    if let Ok(value) = digits.parse::<i64>() {
        return Kind::Number(value.into());
    }
    let is_number = digits.contains(|char: char| char.is_ascii_digit())
        && digits.chars().all(|char| matches!(char, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'));
    let value = if is_number { digits.parse().ok().and_then(Number::from_f64) } else { None };
    value.map_or_else(|| Kind::Text(text.to_owned()), Kind::Number)
}

struct Builder<'r> {
    place: Place,
    report: &'r mut Report,
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    cost: usize,
    documents: usize,
}

/// A list or mapping that is not complete yet.
struct Frame {
    at: Position,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(Open),
}

/// A mapping that is not complete yet.
#[derive(Default)]
struct Open {
    members: Vec<Member>,
    /// The members' keys, and where each stands.
    keys: HashMap<String, Position>,
    merged: Vec<Node>,
    /// What the next value belongs to.
    key: Option<Key>,
}

struct Key {
    text: String,
    at: Position,
    role: Role,
}

/// What becomes of a key's value.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    Member,
    /// The key is a plain `<<`.
    Merge,
    /// The key stood there before, which is reported: the value is left out.
    Duplicate,
}

impl<'r> Builder<'r> {
    fn new(place: Place, report: &'r mut Report) -> Self {
        let (open, anchors) = (Vec::new(), HashMap::new());
        Self { place, report, open, anchors, root: None, cost: 0, documents: 0 }
    }

    fn push(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let at = position(&span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.stop(at, "a second document begins here; only one is read");
                    return None;
                }
                Some(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_key = self.expects_key();
                let kind = self.scalar(&text, style, tag.as_deref(), at)?;
                if is_key {
                    let is_merge = style == ScalarStyle::Plain && text == "<<";
                    self.key(text.into_owned(), is_merge, at);
                    return Some(());
                }
                self.value(Node { at, kind }, anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    self.stop(at, "an alias stands inside what it stands for");
                    return None;
                };
                let (cost, depth) = (node.cost(self.path_length()), node.depth());
                if depth + self.open.len() > MAX_DEPTH {
                    self.stop(at, "values are nested too deep");
                    return None;
                }
                let node = Node { at, kind: node.kind.clone() };
                self.charge(cost, at, "the aliases expand to too much")?;
                self.value(node, 0)
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(Frame { at, anchor, content: Content::List(Vec::new()) })
            }
            Event::MappingStart(anchor, _) => {
                self.begin(Frame { at, anchor, content: Content::Map(Open::default()) })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Position,
    ) -> Option<Kind> {
        self.charge(cost(text.len(), self.path_length()), at, TOO_LARGE)?;
        match tag {
            None if style == ScalarStyle::Plain => Some(plain(text)),
            None => Some(Kind::Text(text.to_owned())),
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => {
                Some(Kind::Text(text.to_owned()))
            }
            Some(tag) if tag.is_yaml_core_schema() => Some(plain(text)),
            Some(_) => {
                self.stop(at, "tags other than those of YAML itself are not understood");
                None
            }
        }
    }

    /// Adds to what the text costs.
    fn charge(&mut self, cost: usize, at: Position, message: &str) -> Option<()> {
        self.cost += cost;
        if self.cost > MAX_COST {
            self.stop(at, message);
            return None;
        }
        Some(())
    }

    /// How long the path of what is being read is, about.
    fn path_length(&self) -> usize {
        let keys = self.open.iter().filter_map(|frame| match &frame.content {
            Content::Map(Open { key, .. }) => key.as_ref(),
            Content::List(_) => None,
        });
        keys.map(|key| key.text.len()).sum()
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Frame { content: Content::Map(Open { key: None, .. }), .. })
        )
    }

    fn key(&mut self, text: String, is_merge: bool, at: Position) {
        let Some(Frame { content: Content::Map(open), .. }) = self.open.last_mut() else { return };
        let first = open.keys.get(&text).copied();
        let role = match first {
            _ if is_merge => Role::Merge,
            Some(_) => Role::Duplicate,
            None => Role::Member,
        };
        if role == Role::Member {
            open.keys.insert(text.clone(), at);
        }
        open.key = Some(Key { text, at, role });
        if let (Role::Duplicate, Some(first)) = (role, first) {
            let message = format!("the key stands twice, first in line {}", first.line);
            let place = self.path();
            self.report.problem_at(&place, at, message, None);
        }
    }

    fn value(&mut self, node: Node, anchor: usize) -> Option<()> {
        if anchor > 0 {
            self.charge(node.cost(self.path_length()), node.at, TOO_LARGE)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map(open) => match open.key.take() {
                Some(Key { role: Role::Merge, .. }) => open.merged.push(node),
                Some(Key { role: Role::Duplicate, .. }) => {}
                Some(Key { text, at, .. }) => {
                    open.members.push(Member { key: text, at, value: node });
                }
                None => {
                    self.stop(node.at, "a key has to be a text");
                    return None;
                }
            },
        }
        Some(())
    }

    fn begin(&mut self, frame: Frame) -> Option<()> {
        if self.expects_key() {
            self.stop(frame.at, "a key has to be a text");
            return None;
        }
        self.charge(cost(0, self.path_length()), frame.at, TOO_LARGE)?;
        if self.open.len() >= MAX_DEPTH {
            self.stop(frame.at, "values are nested too deep");
            return None;
        }
        self.open.push(frame);
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let frame = self.open.pop()?;
        let kind = match frame.content {
            Content::List(items) => Kind::List(items),
            Content::Map(Open { mut members, mut keys, merged, .. }) => {
                for node in merged {
                    self.merge(&mut members, &mut keys, node)?;
                }
                Kind::Map(members)
            }
        };
        self.value(Node { at: frame.at, kind }, frame.anchor)
    }

    /// Adds the members of a `<<` value that are not there yet.
    fn merge(
        &mut self,
        members: &mut Vec<Member>,
        keys: &mut HashMap<String, Position>,
        node: Node,
    ) -> Option<()> {
        let sources = match node.kind {
            Kind::List(items) => items,
            _ => vec![node],
        };
        for source in sources {
            let Kind::Map(merged) = source.kind else {
                self.stop(source.at, "`<<` merges mappings, and this is none");
                return None;
            };
            for member in merged {
                if !keys.contains_key(&member.key) {
                    keys.insert(member.key.clone(), member.at);
                    members.push(member);
                }
            }
        }
        Some(())
    }

    fn stop(&mut self, at: Position, message: &str) {
        let place = self.path();
        self.report.problem_at(&place, at, message, None);
    }

    /// The path of what is being read.
    fn path(&self) -> Place {
        self.open.iter().fold(self.place.clone(), |place, frame| match &frame.content {
            Content::List(items) => place.index(items.len()),
            Content::Map(Open { key, .. }) => {
                key.as_ref().map_or_else(|| place.clone(), |key| place.key(&key.text))
            }
        })
    }
}

const TOO_LARGE: &str = "the text is too large";

/// What a text of this length costs at a path of that length.
const fn cost(text: usize, path: usize) -> usize {
    1 + text / BYTES + path / BYTES
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests;
