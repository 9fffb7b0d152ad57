//! Whole files: those of this repository, and those that the product was created from.

use std::{fs, path::PathBuf};

use bitrouter_config::Loaded;

use crate::{Find as _, document, lines, load};

/// With every variable that a text names set to something plausible.
fn load_filled(text: &str) -> Loaded {
    let mut variables: Vec<(&str, &str)> = Vec::new();
    for part in text.split("${").skip(1) {
        let name = part.split(['}', ':']).next().unwrap_or_default();
        let value =
            if name.ends_with("_URL") { "https://filled.example.com/v1" } else { "sk-filled" };
        variables.push((name, value));
    }
    load(text, &variables)
}

#[test]
fn the_starter_file_loads() {
    let document = document(bitrouter_config::starter_file(), &[]);
    assert_eq!(document.server.auth.skip_auth, Some(true));
    assert!(bitrouter_config::starter_file().starts_with("# yaml-language-server: $schema="));
    let uncommented: String = bitrouter_config::starter_file()
        .lines()
        .map(|line| match line.strip_prefix("#  ") {
            Some(example) => format!("  {example}\n"),
            None => format!("{}\n", line.trim_end_matches(" {}")),
        })
        .collect();
    let loaded = load_filled(&uncommented);
    assert_eq!(lines(&loaded.problems), Vec::<String>::new());
    assert_eq!(loaded.document.unwrap().route("smart").endpoints.len(), 2);
}

#[test]
fn the_older_generation_loads() {
    let document = document(include_str!("files/older.yaml"), &[("OPENAI_API_KEY", "k")]);
    assert_eq!(document.route("fast").endpoints.len(), 2);
    assert_eq!(document.provider("openai").inactive_reason, None);
    assert_eq!(
        document.provider("anthropic").inactive_reason.as_deref(),
        Some("set ANTHROPIC_API_KEY")
    );
    let price = document.provider("custom-llm").models["m-7b"].price.clone().unwrap();
    assert_eq!(price.base.cache_write_5m.unwrap().0, 750_000);
}

#[test]
fn the_newer_generation_loads() {
    let document = document(include_str!("files/newer.yaml"), &[("ANTHROPIC_API_KEY", "k")]);
    assert_eq!(document.provider("anthropic").inactive_reason, None);
    assert_eq!(document.route("smart").endpoints[1].model, "gpt-4o");
}

#[test]
fn every_file_that_the_product_was_created_from_loads() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("BITROUTER_SHARED").map_or(beside, PathBuf::from);
    let Ok(files) = fs::read_dir(shared.join("seeds/yaml")) else {
        println!("skipped: no shared files here");
        return;
    };
    for file in files {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for loaded in [load_filled(&text), load(&text, &[])] {
            assert_eq!(lines(&loaded.problems), Vec::<String>::new(), "{}", path.display());
        }
    }
}
