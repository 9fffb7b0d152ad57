//! Holds the workspace to its rules: which crate may know which, and where a technology stops.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// Every crate of the workspace with those that it may use, build and run time together. The planes
/// know nothing of each other, and nobody but tests knows `testkit`.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("bitrouter-keys", &[]),
    ("bitrouter-metering", &[]),
    ("bitrouter-proto", &[]),
    ("bitrouter-runtime", &[]),
    ("bitrouter-translate", &["metering"]),
    ("bitrouter-catalog", &["metering", "translate"]),
    ("bitrouter-config", &["catalog", "keys", "metering", "translate"]),
    (
        "bitrouter-control-plane",
        &["catalog", "config", "keys", "metering", "proto", "runtime", "translate"],
    ),
    ("bitrouter-data-plane", &["keys", "metering", "proto", "runtime", "translate"]),
    (
        "bitrouter",
        &[
            "catalog",
            "config",
            "control-plane",
            "data-plane",
            "keys",
            "metering",
            "proto",
            "runtime",
            "translate",
        ],
    ),
    // Only its `planes`, which is a feature: what one plane's own tests use of it knows neither.
    ("bitrouter-testkit", &["control-plane", "data-plane", "keys", "runtime"]),
    ("bitrouter-bench", &[]),
];

/// The crates that must stay pure, and what would bring effects in, however indirectly.
const PURE: &[&str] = &["translate", "keys", "metering", "config", "catalog"];
const EFFECTS: &[&str] = &["tokio", "mio", "hyper", "axum", "tonic", "sqlx", "tracing-subscriber"];

/// Where the generated types of the contract may be named. What is not listed here works on types of
/// its own.
const CONVERSIONS: &[&str] = &[
    "proto/",
    "cli/src/all_in_one",
    "control-plane/src/discovery",
    "control-plane/src/ledger",
    "control-plane/src/snapshot",
    "data-plane/src/fixtures",
    "data-plane/src/record/wire.rs",
    "data-plane/src/spool",
    "data-plane/src/sync",
    "data-plane/src/table/convert.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The dependency graph for this machine, without the network: what the build itself has used.
fn metadata() -> Metadata {
    let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let options = ["--offline", "--locked", "--filter-platform", host].map(str::to_owned);
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(options)
        .exec()
        .unwrap()
}

/// The names of the workspace's crates that a crate uses outside its tests.
fn uses<'a>(package: &'a Package, members: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let dependencies = package.dependencies.iter();
    dependencies
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
        .filter(|name| members.contains(name))
        .collect()
}

#[test]
fn crates_use_only_those_that_they_may() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let members: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let listed: BTreeSet<&str> = DIRECTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(members, listed, "DIRECTIONS has a place for every crate, and for no other");
    for package in packages {
        let (_, may) = DIRECTIONS.iter().find(|(name, _)| *name == package.name.as_str()).unwrap();
        let may: BTreeSet<String> = may.iter().map(|name| format!("bitrouter-{name}")).collect();
        for used in uses(package, &members) {
            assert!(may.contains(used), "{} must not use {used}", package.name);
        }
    }
}

#[test]
fn pure_crates_stay_pure() {
    let metadata = metadata();
    let graph: HashMap<&PackageId, Vec<&PackageId>> = metadata
        .resolve
        .as_ref()
        .unwrap()
        .nodes
        .iter()
        .map(|node| {
            let runs = |kinds: &[cargo_metadata::DepKindInfo]| {
                kinds.iter().any(|info| info.kind == DependencyKind::Normal)
            };
            let used = node.deps.iter().filter(|dep| runs(&dep.dep_kinds)).map(|dep| &dep.pkg);
            (&node.id, used.collect())
        })
        .collect();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if !PURE.iter().any(|pure| name == format!("bitrouter-{pure}")) {
            continue;
        }
        let mut reached: BTreeSet<&PackageId> = BTreeSet::new();
        let mut open = vec![&package.id];
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                open.extend(&graph[id]);
            }
        }
        for id in reached {
            let effect = metadata[id].name.as_str();
            assert!(!EFFECTS.contains(&effect), "{name} is pure, but {effect} comes with it");
        }
    }
}

#[test]
fn versions_and_lints_are_said_once() {
    for package in metadata().workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        let name = &package.name;
        // `testkit` may panic and says so itself; nobody reads what is generated from the contract.
        let is_linted = manifest.contains("[lints]\nworkspace = true\n");
        let is_apart = ["bitrouter-proto", "bitrouter-testkit"].contains(&name.as_str());
        assert!(is_linted || is_apart, "{name}: [lints] workspace = true");
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
            } else if in_dependencies && !line.is_empty() && !line.starts_with('#') {
                let is_inherited = line.contains("workspace = true");
                assert!(is_inherited, "{name}: `{line}` belongs in the workspace's table");
            }
        }
    }
}

/// Calls `check` with the path and text of every file of Rust code in the workspace, but this one.
fn each_source(mut check: impl FnMut(&str, &str)) {
    let root = root();
    let mut open: Vec<PathBuf> = ["bench", "cli", "control-plane", "crates", "data-plane", "proto"]
        .map(|folder| root.join(folder))
        .into();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let shown = path.strip_prefix(&root).unwrap().to_str().unwrap();
            if shown != "cli/tests/workspace.rs" {
                check(shown, &fs::read_to_string(&path).unwrap());
            }
        }
    }
}

/// True if code, not only a comment, has the word.
fn has(text: &str, word: &str) -> bool {
    text.lines().any(|line| line.contains(word) && !line.trim_start().starts_with("//"))
}

#[test]
fn sql_stays_in_the_store() {
    let mut found = 0;
    each_source(|path, text| {
        if has(text, "sqlx") {
            assert!(path.starts_with("control-plane/src/store"), "{path} reaches past the store");
            found += 1;
        }
    });
    assert!(found > 0, "the store is somewhere else by now: mend this test");
    let metadata = metadata();
    let mut users = metadata.workspace_packages();
    users.retain(|user| user.dependencies.iter().any(|dependency| dependency.name == "sqlx"));
    let users: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(users, ["bitrouter-control-plane"]);
}

#[test]
fn the_wire_stays_in_conversions() {
    each_source(|path, text| {
        let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
        let may = is_test || CONVERSIONS.iter().any(|prefix| path.starts_with(prefix));
        let does = has(text, "bitrouter_proto") || has(text, "prost::");
        assert!(may || !does, "{path} is not one of the conversions and names the wire's types");
    });
}

/// Where packages come from is the business of the machine that builds, so no file says it.
#[test]
fn no_file_names_a_registry() {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let Some(listed) = listed.ok().filter(|output| output.status.success()) else {
        println!("skipped: this is not a git checkout");
        return;
    };
    let hosts = [
        ["crates", "io"],
        ["pypi", "org"],
        ["pythonhosted", "org"],
        ["npmjs", "org"],
        ["npmjs", "com"],
    ]
    .map(|parts| parts.join("."));
    for path in String::from_utf8(listed.stdout).unwrap().split_terminator('\0') {
        // The lock file of a package manager names the registry; nothing else has to.
        let Ok(bytes) = fs::read(root().join(path)) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let named = hosts.iter().find(|host| text.contains(host.as_str()));
        assert!(named.is_none() || path.ends_with("Cargo.lock"), "{path} names {named:?}");
    }
}
