//! What the YAML reader takes and refuses.

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

#[test]
fn what_is_small_to_write_and_large_to_hold_is_refused() {
    let long = "x".repeat(1 << 20);
    let aliases = ", *a".repeat(1_000);
    let of_long_texts = format!("b: [&a {long}{aliases}]\n");
    let below_a_long_key = format!("? {long}\n: [{}]\n", "1, ".repeat(10_000));
    let inner = vec!["1"; 50_000].join(", ");
    let anchors: Vec<String> = (0..60).map(|it| format!("[&n{it} ")).collect();
    let anchors = anchors.concat();
    let of_anchors = format!("a: {anchors}[{inner}]{}\n", "]".repeat(60));
    for text in [of_long_texts, below_a_long_key, of_anchors] {
        let problems = tree(&text).unwrap_err();
        let is_named = ["too much", "too large"].iter().any(|it| problems[0].contains(it));
        assert!(is_named, "{}", &problems[0][problems[0].len().saturating_sub(200)..]);
    }
}

#[test]
fn many_keys_are_read_in_time() {
    let lines: Vec<String> = (0..100_000).map(|it| format!("key-{it}: 1\n")).collect();
    let text = lines.concat();
    assert!(tree(&format!("{text}key-1: 2\n")).unwrap_err()[0].contains("stands twice"));
    assert_eq!(tree(&text).unwrap().as_object().unwrap().len(), 100_000);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n\té&*<:{}\\[\\]-]{0,200}") {
        let _ = tree(&text);
    }
}
