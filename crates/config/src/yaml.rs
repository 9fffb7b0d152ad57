//! From YAML to a tree of values with positions. The only place that knows the YAML parser.
//!
//! Scalars follow the YAML 1.2 core schema (`yes` and `on` are text). Anchors, aliases and `<<`
//! merges are resolved here; what they expand to is bounded. Duplicate keys are problems.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use serde_json::{Number, Value};

use crate::report::{Place, Position, Report};

/// Nodes that a text may expand to, aliases counted each time.
const MAX_NODES: usize = 200_000;
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

    fn size(&self) -> usize {
        match &self.kind {
            Kind::List(items) => items.iter().map(Self::size).sum::<usize>() + 1,
            Kind::Map(members) => members.iter().map(|it| it.value.size()).sum::<usize>() + 1,
            _ => 1,
        }
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
                builder.report.problem_at(root, at, message, None);
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
    nodes: usize,
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
    Map { members: Vec<Member>, merged: Vec<Node>, key: Option<(String, Position)> },
}

impl<'r> Builder<'r> {
    fn new(place: Place, report: &'r mut Report) -> Self {
        let (open, anchors) = (Vec::new(), HashMap::new());
        Self { place, report, open, anchors, root: None, nodes: 0, documents: 0 }
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
                let node = Node { at, kind: node.kind.clone() };
                self.nodes += node.size();
                if self.nodes > MAX_NODES || node.depth() + self.open.len() > MAX_DEPTH {
                    self.stop(at, "the aliases expand to too much");
                    return None;
                }
                self.value(node, 0)
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(Frame { at, anchor, content: Content::List(Vec::new()) })
            }
            Event::MappingStart(anchor, _) => {
                let content = Content::Map { members: vec![], merged: vec![], key: None };
                self.begin(Frame { at, anchor, content })
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
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.stop(at, "the text is too large");
            return None;
        }
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

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { content: Content::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, text: String, is_merge: bool, at: Position) {
        let place = self.path();
        if let Some(Frame { content: Content::Map { members, key, .. }, .. }) = self.open.last_mut()
        {
            if let Some(first) = members.iter().find(|it| it.key == text && !is_merge) {
                let message = format!("the key stands twice, first in line {}", first.at.line);
                self.report.problem_at(&place.key(&text), at, message, None);
            }
            *key = Some((text, at));
        }
    }

    fn value(&mut self, node: Node, anchor: usize) -> Option<()> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { members, merged, key } => match key.take() {
                Some((key, _)) if key == "<<" => merged.push(node),
                Some((key, at)) if members.iter().all(|it| it.key != key) => {
                    members.push(Member { key, at, value: node });
                }
                Some(_) => {} // A duplicate, which is already reported.
                None => {
                    self.stop(node.at, "a key has to be a text");
                    return None;
                }
            },
        }
        Some(())
    }

    fn begin(&mut self, frame: Frame) -> Option<()> {
        self.nodes += 1;
        if self.expects_key() {
            self.stop(frame.at, "a key has to be a text");
            return None;
        }
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
            Content::Map { mut members, merged, .. } => {
                for node in merged {
                    self.merge(&mut members, node)?;
                }
                Kind::Map(members)
            }
        };
        self.value(Node { at: frame.at, kind }, frame.anchor)
    }

    /// Adds the members of a `<<` value that are not there yet.
    fn merge(&mut self, members: &mut Vec<Member>, node: Node) -> Option<()> {
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
                if members.iter().all(|it| it.key != member.key) {
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
            Content::Map { key: Some((key, _)), .. } => place.key(key),
            Content::Map { key: None, .. } => place,
        })
    }
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(text: &str) -> Result<Value, Vec<String>> {
        let mut report = Report::default();
        let root = Place::root(report.add_text("f"));
        let node = read(text, &root, &mut report);
        let (problems, _) = report.finish();
        match node {
            Some(node) if problems.is_empty() => Ok(node.to_json()),
            _ => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let text =
            "a: [1, -2, 0x1f, 0o17, 1.5, 1e3, +4, true, yes, null, ~, .inf, 1_000, v1, '1', 007]";
        let expected = json!([
            1, -2, 31, 15, 1.5, 1000.0, 4, true, "yes", null, null, ".inf", "1_000", "v1", "1", 7
        ]);
        assert_eq!(tree(text).unwrap()["a"], expected);
    }

    #[test]
    fn nothing_is_an_empty_mapping() {
        for text in ["", "# only a comment\n", "---\n", "~\n", "\u{feff}"] {
            assert_eq!(tree(text), Ok(json!({})), "{text:?}");
        }
    }

    #[test]
    fn aliases_and_merges_are_resolved() {
        let text = "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [*x, {c: 4, a: 9}]}\nw: *x\n";
        let expected = json!({
            "x": {"a": 1, "b": 2}, "y": {"b": 3, "a": 1}, "z": {"a": 1, "b": 2, "c": 4},
            "w": {"a": 1, "b": 2},
        });
        assert_eq!(tree(text), Ok(expected));
    }

    #[test]
    fn what_cannot_be_read_is_reported_with_its_place() {
        let cases = [
            ("a: 1\nb:\n  c: 1\n  c: 2\n", "f:4:3: b.c: the key stands twice, first in line 3"),
            ("- a\n", "f:1:1: expected a mapping of sections; such as `server:` or `providers:`"),
            ("a: 1\n---\nb: 2\n", "f:2:1: a second document begins here; only one is read"),
            ("a: &a [*a]\n", "f:1:8: a[0]: an alias stands inside what it stands for"),
            ("a: !secret x\n", "f:1:4: a: tags other than those of YAML itself are not understood"),
            ("a: {<<: 3}\n", "f:1:9: a: `<<` merges mappings, and this is none"),
            ("? [a]\n: b\n", "f:1:3: a key has to be a text"),
        ];
        for (text, expected) in cases {
            assert_eq!(tree(text).unwrap_err(), [expected], "{text:?}");
        }
        assert!(tree("a: [1\n").unwrap_err()[0].contains("not valid YAML"));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let level = |level: usize| match level.checked_sub(1) {
            None => format!("a0: &a0 [{}]\n", ["x"; 10].join(", ")),
            Some(before) => {
                let items = vec![format!("*a{before}"); 10].join(", ");
                format!("a{level}: &a{level} [{items}]\n")
            }
        };
        let text: Vec<String> = (0..8).map(level).collect();
        let text = text.concat();
        assert!(tree(&text).unwrap_err()[0].contains("expand to too much"));
        let deep = "a: ".to_owned() + &"[".repeat(200) + &"]".repeat(200);
        assert!(tree(&deep).unwrap_err()[0].contains("nested too deep"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n\té&*<:{}\\[\\]-]{0,200}") {
            let _ = tree(&text);
        }
    }
}
