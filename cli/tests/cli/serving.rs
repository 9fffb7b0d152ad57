//! What `serve` serves, what it refuses, and what it says.

use bitrouter_testkit::FakeProvider;

use crate::harness::{Done, Home, config, eventually, get, post};

#[test]
fn with_nothing_configured_it_starts_and_says_what_to_do() {
    let home = Home::new();
    let mut serving = home.serve(&[]);
    assert_eq!(get(serving.listen(), "/health", "").status, 200);
    assert_eq!(serving.chat("gpt-4o", None).status, 404);
    let said = serving.end();
    for expected in ["no model source", "OPENAI_API_KEY", "bitrouter init"] {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }
}

#[test]
fn a_key_in_the_environment_makes_its_provider_active() {
    let home = Home::new();
    let serving = home.serve_with_env(&[], &[("OPENAI_API_KEY", "sk-from-the-environment")]);
    let active = eventually("openai is active", || {
        let status = home.json(&["status"]);
        let active = status["control_plane"]["active_providers"].clone();
        active.as_array().is_some_and(|it| it.contains(&"openai".into())).then_some(active)
    });
    assert_eq!(active, serde_json::json!(["openai"]));
    let models = home.json(&["models", "-p", "openai"]);
    assert!(!models["items"].as_array().unwrap().is_empty());
    drop(serving);
}

#[test]
fn a_model_server_on_this_machine_is_found() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        while let Ok((mut io, _)) = server.accept() {
            let _ = io.read(&mut [0; 2048]);
            let _ = io.write_all(
                b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"data\":[{\"id\":\"tiny\",\"owned_by\":\"llamacpp\",\"meta\":{\"n_ctx\":4096}}]}",
            );
        }
    });
    let home = Home::new();
    let _serving = home.serve(&["--discover", &port]);
    let model = eventually("its model is routable", || {
        let models = home.json(&["models"]);
        let mut items = models["items"].as_array()?.iter();
        items.find(|it| it["name"] == "llamacpp:tiny").cloned()
    });
    assert_eq!(model["max_input_tokens"], 4096, "what the server says it has");
}

#[test]
fn an_open_door_to_the_network_is_refused() {
    let home = Home::with_config("server: { skip_auth: true }\n");
    let args = [
        "serve",
        "--json",
        "--no-discovery",
        "--listen",
        "0.0.0.0:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let done = home.run(&args);
    assert_eq!((done.code, done.error()["kind"].as_str()), (4, Some("open_to_all")));
    assert!(done.error()["hint"].as_str().unwrap().contains("--allow-open"));
}

#[test]
fn without_a_config_only_loopback_is_served_without_keys() {
    let home = Home::new();
    let serving = home.serve(&[]);
    assert_eq!(home.json(&["status"])["process"]["skip_auth"], true);
    drop(serving);
    let home = Home::with_config("inherit_defaults: false\n");
    let serving = home.serve(&[]);
    assert_eq!(home.json(&["status"])["process"]["skip_auth"], false);
    assert_eq!(serving.chat("x", None).status, 401);
}

#[test]
fn protection_that_is_not_there_stops_serve() {
    let home = Home::with_config("guardrails: { enabled: true }\n");
    let done = home.serve_in_vain(&[]);
    assert_eq!((done.code, done.error()["kind"].as_str()), (4, Some("protection_inactive")));
    let mut serving = home.serve(&["--accept-inactive"]);
    let said = serving.end();
    assert!(said.contains("not active in this version"), "{said}");
}

#[test]
fn a_corrupt_database_is_named() {
    let home = Home::new();
    home.write("bitrouter.db", &"this is no database ".repeat(500));
    let done = home.serve_in_vain(&[]);
    assert_eq!(done.code, 1, "{}", done.stdout);
    assert!(done.error()["message"].as_str().unwrap().contains("bitrouter.db"), "{}", done.stdout);
    assert!(done.error()["hint"].is_string(), "{}", done.stdout);
}

#[test]
fn mysql_is_refused_with_a_word() {
    let done = Home::new().serve_in_vain(&["--db", "mysql://root@localhost/x"]);
    assert_eq!((done.code, done.error()["kind"].as_str()), (4, Some("unsupported_database")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_env_file_is_read_and_the_environment_wins() {
    let provider = FakeProvider::start().await;
    let home =
        Home::with_config(&config(&provider.url(), true).replace("upstream-secret", "${MY_KEY}"));
    home.write(".env", "MY_KEY=from-the-file\n");
    let key_with = |env: &[(&str, &str)]| {
        let serving = home.serve_with_env(&[], env);
        assert_eq!(serving.chat("steady:parrot", None).status, 200);
        provider.requests().last().unwrap().header("authorization").to_owned()
    };
    assert_eq!(key_with(&[]), "Bearer from-the-file");
    assert_eq!(key_with(&[("MY_KEY", "from-the-process")]), "Bearer from-the-process");
}

#[test]
fn the_admin_api_wants_a_token_on_tcp() {
    let home = Home::new();
    let serving = home.serve(&[]);
    for path in ["/v1/status", "/v1/process", "/v1/keys"] {
        assert_eq!(get(serving.admin(), path, "").status, 401, "{path}");
    }
    assert_eq!(post(serving.admin(), "/v1/stop", "", "{}").status, 401);
    assert_eq!(post(serving.admin(), "/v1/reload", "", "{}").status, 401);
    assert_eq!(home.run(&["status"]).code, 0, "the socket goes without");
}

#[test]
fn a_server_elsewhere_is_reached_with_a_token() {
    let home = Home::new();
    let serving = home.serve(&[]);
    let token = std::fs::read_to_string(home.path().join(".keys/admin.token")).unwrap();
    let server = format!("http://{}", serving.admin());
    let ask = |args: &[&str], token: &str| {
        let mut command = home.command(&[args, &["--json"]].concat());
        command.env("BITROUTER_SERVER", &server).env("BITROUTER_ADMIN_KEY", token);
        Done::of(&command.output().unwrap())
    };
    let status = ask(&["status"], token.trim());
    assert_eq!(status.code, 0, "{}", status.stdout);
    assert_eq!(status.document()["control_plane"]["database"], "sqlite");
    let signed = ask(&["key", "sign", "--user", "far"], token.trim());
    assert_eq!(signed.document()["user"], "far");
    let refused = ask(&["status"], "bradm_not-the-one");
    assert_eq!(refused.code, 4, "{}", refused.stdout);
    assert_eq!(ask(&["status"], "").error()["kind"], "unauthenticated");
    assert_eq!(ask(&["stop"], token.trim()).code, 2, "it acts on this machine only");
}

#[test]
fn tls_is_for_the_admin_api_too() {
    let home = Home::with_config("server: { tls: { cert: cert.pem, key: key.pem } }\n");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let issued = rcgen::generate_simple_self_signed(names).unwrap();
    home.write("cert.pem", &issued.cert.pem());
    home.write("key.pem", &issued.signing_key.serialize_pem());
    let serving = home.serve(&[]);
    // Who says nothing holds nobody up.
    let _mute = std::net::TcpStream::connect(serving.admin()).unwrap();
    let token = std::fs::read_to_string(home.path().join(".keys/admin.token")).unwrap();
    let cert = home.path().join("cert.pem");
    let ask = |scheme: &str, args: &[&str], env: Option<&str>| {
        let server = format!("{scheme}://localhost:{}", serving.admin().port());
        let mut command =
            home.command(&[&["status", "--json", "--server", &server], args].concat());
        command.env("BITROUTER_ADMIN_KEY", token.trim());
        command.envs(env.map(|name| (name, &cert)));
        Done::of(&command.output().unwrap())
    };
    let trusted = ["BITROUTER_CA", "SSL_CERT_FILE"].map(|name| ask("https", &[], Some(name)));
    for done in trusted.iter().chain([&ask("https", &["--ca", cert.to_str().unwrap()], None)]) {
        assert_eq!(done.code, 0, "{}", done.stdout);
        assert_eq!(done.document()["control_plane"]["database"], "sqlite");
    }
    let untrusted = ask("https", &[], None);
    assert_eq!(untrusted.code, 5, "{}", untrusted.stdout);
    assert!(untrusted.error()["hint"].as_str().unwrap().contains("--ca"), "{}", untrusted.stdout);
    assert_ne!(ask("http", &[], None).code, 0, "nothing goes in the clear");
    let shown = home.run(&["status"]).stdout;
    assert!(shown.contains(&format!("https://{}", serving.admin())), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_env_file_speaks_for_the_process_too() {
    let proxy = FakeProvider::start().await;
    let home = Home::with_config(&config("http://model.invalid/v1", true));
    let of_proxy = proxy.url();
    home.write(
        ".env",
        &format!("BITROUTER_DATABASE_URL=sqlite://of-file.db\nhttp_proxy={of_proxy}\n"),
    );
    let serving = home.serve(&[]);
    serving.chat("steady:parrot", None);
    assert_eq!(proxy.requests().len(), 1, "it went by the proxy");
    assert!(home.path().join("of-file.db").is_file());
    drop(serving);
    drop(home.serve_with_env(&[], &[("BITROUTER_DATABASE_URL", "sqlite://of-process.db")]));
    assert!(home.path().join("of-process.db").is_file(), "the process environment wins");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_on_record_as_soon_as_it_is_answered() {
    let fake = FakeProvider::start().await;
    let home = Home::with_config(&config(&fake.url(), true));
    let serving = home.serve(&[]);
    for count in 1..=3 {
        assert_eq!(serving.chat("parrot", None).status, 200);
        let requests = home.json(&["requests"]);
        assert_eq!(requests["items"].as_array().unwrap().len(), count);
        let id = requests["items"][0]["id"].as_str().unwrap();
        assert_eq!(home.json(&["why", id])["outcome"], "completed");
        assert_eq!(home.json(&["usage"])["total"]["requests"], count);
    }
}
