//! What a backup holds, and what a restore makes of it.

use std::fs;

use bitrouter_testkit::FakeProvider;

use crate::harness::{Home, config, eventually};

#[test]
fn a_restore_that_fails_leaves_everything_as_it_was() {
    let home = Home::with_config("inherit_defaults: false\n");
    let serving = home.serve(&[]);
    home.json(&["key", "sign", "--user", "ana"]);
    let backup = home.path().join("copy");
    home.json(&["backup", &backup.display().to_string()]);
    drop(serving);
    let rows = fs::read_to_string(backup.join("database.jsonl")).unwrap();
    fs::write(backup.join("database.jsonl"), &rows[..rows.len() / 2]).unwrap();
    fs::write(backup.join("bitrouter.yaml"), "inherit_defaults: true\n").unwrap();
    let names = || {
        let entries = fs::read_dir(home.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let failed = home.run(&["restore", &backup.display().to_string(), "--yes", "--json"]);
    assert_eq!(failed.code, 1, "{}", failed.stdout);
    assert_eq!(names(), before);
    let config = fs::read_to_string(home.path().join("bitrouter.yaml")).unwrap();
    assert_eq!(config, "inherit_defaults: false\n");
    let _serving = home.serve(&[]);
    assert_eq!(home.json(&["key", "list"])["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_backup_brings_everything_back() {
    let home = Home::with_config("server: { skip_auth: true }\ninherit_defaults: false\n");
    let serving = home.serve(&[]);
    let signed = home.json(&["key", "sign", "--user", "bob"]);
    let backup = home.path().join("copy").display().to_string();
    home.json(&["backup", &backup]);
    let running = home.run(&["restore", &backup, "--yes", "--json"]);
    assert_eq!(running.error()["kind"], "already_running");
    drop(serving);

    let other = Home::new();
    other.json(&["restore", &backup, "--yes"]);
    let _serving = other.serve(&[]);
    let keys = other.json(&["key", "list"]);
    assert_eq!(keys["items"][0]["id"], signed["id"]);
}

#[test]
fn a_backup_holds_what_is_elsewhere_too() {
    let home = Home::new();
    for dir in ["elsewhere", "providers.d"] {
        fs::create_dir_all(home.path().join(dir)).unwrap();
    }
    home.write("elsewhere/conf.yaml", "inherit_defaults: false\n");
    home.write("elsewhere/vars", "NAME=value\n");
    let lab = "id: lab\napi_base: http://127.0.0.1:9/v1\nmodels: [m]\n";
    home.write("providers.d/lab.yaml", lab);
    let at = |name: &str| home.path().join(name).display().to_string();
    let (conf, vars, copy) = (at("elsewhere/conf.yaml"), at("elsewhere/vars"), at("copy"));
    let flags = ["-c", &conf, "--env-file", &vars];
    drop(home.serve(&flags));
    home.json(&[&["backup", &copy], &flags[..]].concat());

    let other = Home::with_config("inherit_defaults: true\n");
    other.json(&["restore", &copy, "--yes"]);
    let read = |name: &str| fs::read_to_string(other.path().join(name)).unwrap();
    assert_eq!(read("bitrouter.yaml"), "inherit_defaults: false\n");
    assert_eq!(read("bitrouter.yaml.before"), "inherit_defaults: true\n");
    assert_eq!(read(".env"), "NAME=value\n");
    assert_eq!(read("providers.d/lab.yaml"), lab);

    home.json(&[&["restore", &copy, "--yes"], &flags[..]].concat());
    assert!(home.path().join("elsewhere/conf.yaml.before").exists(), "where it was");
    assert!(!home.path().join("bitrouter.yaml").exists());
}

#[test]
fn a_backup_with_a_config_that_cannot_be_used_is_refused_before_anything_is_touched() {
    let home = Home::with_config("inherit_defaults: false\n");
    drop(home.serve(&[]));
    let backup = home.path().join("copy");
    home.json(&["backup", &backup.display().to_string()]);
    fs::write(backup.join("bitrouter.yaml"), "providers: 7\n").unwrap();
    let failed = home.run(&["restore", &backup.display().to_string(), "--yes", "--json"]);
    assert_eq!(failed.error()["kind"], "invalid_config");
    fs::remove_dir_all(backup.join("keys")).unwrap();
    let failed = home.run(&["restore", &backup.display().to_string(), "--yes", "--json"]);
    assert_eq!(failed.code, 3, "{}", failed.stdout);
    assert!(!home.path().join(".keys.before").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_goes_on_after_a_restore() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config(&config(&provider.url(), true));
    let backup = home.path().join("copy").display().to_string();
    let serving = home.serve(&[]);
    let recorded = || home.json(&["usage"])["total"]["requests"].as_u64().unwrap();
    let ask = |serving: &crate::harness::Serving, total: u64| {
        assert_eq!(serving.chat("steady:parrot", None).status, 200);
        eventually("it is recorded", || Some(()).filter(|()| recorded() == total));
    };
    ask(&serving, 1);
    home.json(&["backup", &backup]);
    ask(&serving, 2);
    drop(serving);
    home.json(&["restore", &backup, "--yes"]);
    let serving = home.serve(&[]);
    // What the log still holds of the second comes back, once.
    ask(&serving, 3);
}
