//! What is written and read without anything running.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Done, Home};

#[test]
fn init_writes_a_file_that_validates_and_does_not_overwrite_it() {
    let home = Home::new();
    let done = home.run(&["init"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let path = home.path().join("bitrouter.yaml");
    let starter = fs::read_to_string(&path).unwrap();
    assert!(starter.contains("yaml-language-server"), "{starter}");
    assert!(starter.contains("skip_auth: true"), "{starter}");
    let validated = home.run(&["config", "validate"]);
    assert_eq!(validated.code, 0, "{}", validated.stderr);

    fs::write(&path, "# mine\n").unwrap();
    let refused = home.run(&["init", "--json"]);
    assert_eq!((refused.code, refused.error()["kind"].as_str()), (4, Some("confirmation_needed")));
    assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n");
    assert_eq!(home.run(&["init", "--yes"]).code, 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), starter);
}

#[test]
fn init_without_a_named_home_makes_the_current_directory_one() {
    let home = Home::new();
    let here = home.path();
    fs::create_dir(&here).unwrap();
    let init = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bitrouter"));
        command.env_clear().env("HOME", here.join("user")).current_dir(&here).arg("init");
        Done::of(&command.output().unwrap())
    };
    let done = init();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(here.join("bitrouter.yaml").is_file());
    assert!(!here.join("user/.bitrouter").exists(), "nothing is made elsewhere");
}

#[test]
fn every_problem_is_reported_with_its_place() {
    let home = Home::with_config(
        "server: { listen: nowhere }\nprovders: {}\nmodels:\n  smart:\n    endpoints:\n      - provider: opnai\n        service_id: x\n",
    );
    let done = home.run(&["config", "validate"]);
    assert_eq!(done.code, 1);
    for expected in ["bitrouter.yaml:1:", "bitrouter.yaml:2:1", "bitrouter.yaml:6:", "did you mean"]
    {
        assert!(done.stderr.contains(expected), "{expected} is missing in {}", done.stderr);
    }
    let document = home.run(&["config", "validate", "--json"]).document();
    assert_eq!(document["is_valid"], false);
    assert!(document["problems"].as_array().unwrap().len() >= 3, "{document}");
    let serve = home.serve_in_vain(&[]);
    assert_eq!(serve.code, 1, "serve says the same");
    assert!(serve.error()["message"].as_str().unwrap().contains("provders"));
}

#[test]
fn config_show_hides_secrets() {
    let home = Home::with_config(
        "providers: { openai: { api_key: sk-very-secret-indeed } }\ndatabase: { url: 'postgres://u:pass-word@h/d' }\n",
    );
    let done = home.run(&["config", "show"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("openai"), "{}", done.stdout);
    for secret in ["sk-very-secret-indeed", "pass-word"] {
        assert!(!done.stdout.contains(secret), "{}", done.stdout);
    }
}

#[test]
fn the_schema_is_one_document() {
    let schema = Home::new().run(&["config", "schema"]).document();
    assert!(schema["properties"]["providers"].is_object(), "{schema}");
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    let home = Home::new();
    let done = home.run(&["frobnicate", "--json"]);
    assert_eq!((done.code, done.error()["kind"].as_str()), (2, Some("usage")));
    assert_eq!(home.run(&["frobnicate"]).code, 2);
    assert_eq!(home.run(&["--version"]).code, 0);
}

#[test]
fn nothing_runs_and_nothing_is_made_by_asking() {
    let home = Home::new();
    let done = home.run(&["status", "--json"]);
    assert_eq!((done.code, done.error()["kind"].as_str()), (5, Some("not_running")));
    assert!(!home.path().exists(), "asking makes no home");
    assert_eq!(home.run(&["stop"]).code, 5);
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish"] {
        let done = Home::new().run(&["completions", shell]);
        assert!(done.code == 0 && done.stdout.contains("bitrouter"), "{shell}");
    }
}

#[test]
fn a_home_is_private() {
    let home = Home::new();
    let mut serving = home.serve(&[]);
    for name in ["", "run", "logs", ".keys"] {
        let mode = fs::metadata(home.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{name}");
    }
    let socket = fs::metadata(serving.socket()).unwrap().permissions().mode();
    assert_eq!(socket & 0o777, 0o600, "the control socket");
    for name in ["bitrouter.db", "run/bitrouter.json"] {
        let mode = fs::metadata(home.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    serving.end();
}

/// Whatever is asked, and however wrongly: with `--json` standard output is one document.
#[test]
fn json_is_one_document_for_everything() {
    let home = Home::with_config("inherit_defaults: false\n");
    let _serving = home.serve(&[]);
    let cases: &[(&[&str], i32)] = &[
        (&["--version"], 0),
        (&["--help"], 0),
        (&["help", "key"], 0),
        (&["completions", "bash"], 0),
        (&["completions", "nosh"], 2),
        (&["config", "validate"], 0),
        (&["config", "show"], 0),
        (&["config", "schema"], 0),
        (&["status"], 0),
        (&["providers", "list"], 0),
        (&["providers", "test", "nobody"], 3),
        (&["models"], 0),
        (&["route", "nothing"], 3),
        (&["route", "list"], 0),
        (&["route", "add", "a"], 2),
        (&["route", "add", "a", "b"], 2),
        (&["route", "rm", "nothing"], 3),
        (&["key", "sign"], 0),
        (&["key", "sign", "--rpm", "0"], 2),
        (&["key", "sign", "--expires", "then"], 2),
        (&["key", "list"], 0),
        (&["key", "show", "key_0"], 3),
        (&["key", "revoke", "key_0"], 4),
        (&["key", "rotate", "key_0"], 3),
        (&["key"], 2),
        (&["usage"], 0),
        (&["usage", "--by", "mood"], 2),
        (&["requests"], 0),
        (&["requests", "--outcome", "bliss"], 2),
        (&["why", "not-a-uuid"], 2),
        (&["audit"], 0),
        (&["apply"], 2),
        (&["reload"], 0),
        (&["serve"], 1),
        (&["start"], 1),
        (&["restore", "nowhere", "--yes"], 3),
        (&["nonsense"], 2),
        (&["--nonsense"], 2),
        (&["--server", "nonsense", "status"], 2),
    ];
    for (args, code) in cases {
        let done = home.run(&[&["--json"], *args].concat());
        let document = done.document();
        assert_eq!(done.code, *code, "{args:?}: {document}");
        if *code != 0 && document["error"].is_object() {
            assert!(document["error"]["message"].as_str().unwrap().len() > 8, "{args:?}");
        }
    }
    let missing = home.run(&["route", "add", "a", "--json"]).error();
    assert!(missing["message"].as_str().unwrap().contains("ENDPOINT"), "{missing}");
}
