//! Start, stop, restart, reload; signals; what is in the way.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bitrouter_testkit::{Answer, FakeProvider, Gate};
use rustix::process::Signal;

use crate::harness::{Done, Home, chat, config, eventually};

const START: &[&str] =
    &["start", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--no-discovery"];

#[test]
fn a_background_process_starts_restarts_and_stops() {
    let home = Home::new();
    let started = home.json(START);
    let guard = Background(&home);
    let again = home.run(&[START, &["--json"]].concat());
    assert_eq!((again.code, again.error()["kind"].as_str()), (1, Some("already_running")));

    let status = home.json(&["status"]);
    assert_eq!(status["process"]["pid"], started["pid"]);
    assert_eq!(status["process"]["listen"], started["listen"]);

    let restarted = home.json(&["restart"]);
    assert_ne!(restarted["pid"], started["pid"]);
    assert_eq!(home.json(&["status"])["process"]["pid"], restarted["pid"]);

    let stopped = home.json(&["stop"]);
    assert_eq!(stopped["pid"], restarted["pid"]);
    assert_eq!(home.run(&["status"]).code, 5);
    drop(guard);
}

#[test]
fn a_restart_that_would_fail_stops_nothing() {
    let home = Home::with_config("inherit_defaults: false\n");
    let started = home.json(START);
    let guard = Background(&home);
    for (config, expected) in [
        ("providers: 7\n", "invalid_config"),
        ("guardrails: { enabled: true }\n", "protection_inactive"),
    ] {
        home.write("bitrouter.yaml", config);
        let refused = home.run(&["restart", "--json"]);
        assert_eq!(refused.error()["kind"], expected, "{}", refused.stdout);
        assert_eq!(home.json(&["status"])["process"]["pid"], started["pid"]);
    }
    drop(guard);
}

#[test]
fn a_start_that_fails_says_why() {
    let home = Home::with_config("providers: 7\n");
    let done = home.run(&["start", "--json"]);
    assert_eq!(done.code, 1);
    assert!(
        done.error()["message"].as_str().unwrap().contains("bitrouter.yaml:1"),
        "{}",
        done.stdout
    );
}

#[test]
fn a_second_process_is_refused() {
    let home = Home::new();
    let serving = home.serve(&[]);
    let second = home.serve_in_vain(&[]);
    assert_eq!((second.code, second.error()["kind"].as_str()), (1, Some("already_running")));
    assert!(second.error()["message"].as_str().unwrap().contains(&serving.pid().to_string()));
}

#[test]
fn another_run_directory_or_home_does_not_take_the_place_of_the_one_that_serves() {
    let home = Home::new();
    let serving = home.serve(&[]);
    let run = home.path().join("other-run").display().to_string();
    let second = home.serve_in_vain(&["--run-dir", &run]);
    assert_eq!(second.error()["kind"], "already_running", "{}", second.stdout);
    let socket = serving.socket().display().to_string();
    let neighbour = Home::new().serve_in_vain(&["--socket", &socket]);
    assert_eq!(neighbour.error()["kind"], "address_in_use", "{}", neighbour.stdout);
    assert_eq!(home.json(&["status"])["process"]["pid"], serving.pid());
    let file = home.path().join("bitrouter.db").display().to_string();
    let careless = Home::new().serve_in_vain(&["--socket", &file]);
    assert_eq!(careless.code, 4, "{}", careless.stdout);
    assert!(home.path().join("bitrouter.db").is_file());
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin-listen"] {
        let args = ["serve", "--json", "--no-discovery", "--listen", "127.0.0.1:0"];
        let mut args: Vec<&str> = args.to_vec();
        if flag == "--listen" {
            args.truncate(3);
            args.extend(["--admin-listen", "127.0.0.1:0"]);
        }
        args.extend([flag, &address]);
        let done = Home::new().run(&args);
        assert_eq!(done.code, 1, "{flag}: {}{}", done.stdout, done.stderr);
        assert!(done.error()["message"].as_str().unwrap().contains(&address), "{}", done.stdout);
        assert!(done.error()["hint"].is_string(), "{flag}: {}", done.stdout);
    }
}

#[test]
fn signals_end_it_and_what_a_killed_one_leaves_is_no_obstacle() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut serving = Home::new().serve(&[]);
        serving.signal(signal);
        assert_eq!(serving.exit_code(), Some(0), "{signal:?}");
    }
    let home = Home::new();
    let mut killed = home.serve(&[]);
    killed.signal(Signal::KILL);
    assert_eq!(killed.exit_code(), None);
    assert!(home.path().join("run/bitrouter.json").exists(), "it left its traces");
    assert_eq!(home.run(&["status"]).code, 5);
    let next = home.serve(&[]);
    assert_eq!(home.json(&["status"])["process"]["pid"], next.pid());
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_takes_the_changed_file_and_the_callers_keys_into_use() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config("server: { skip_auth: true }\ninherit_defaults: false\n");
    let serving = home.serve(&[]);
    assert_eq!(serving.chat("steady:parrot", None).status, 404);

    home.write(
        "bitrouter.yaml",
        &config(&provider.url(), true).replace("api_key: upstream-secret", "env_prefix: STEADY"),
    );
    let reloaded = reload(&home, &[("STEADY_API_KEY", "from-the-caller")]);
    assert_eq!(reloaded.code, 0, "{}{}", reloaded.stdout, reloaded.stderr);
    assert_eq!(reloaded.document()["changed_env"][0], "STEADY_API_KEY");
    let reply = eventually("the provider is served", || {
        Some(serving.chat("steady:parrot", None)).filter(|reply| reply.status == 200)
    });
    assert_eq!(reply.header("x-bitrouter-provider").as_deref(), Some("steady"));
    let received = provider.requests();
    assert_eq!(received.last().unwrap().header("authorization"), "Bearer from-the-caller");
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_finds_a_model_server_that_has_started_since() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let home = Home::with_config("server: { skip_auth: true }\n");
    let serving = home.serve(&["--discover", &address.port().to_string()]);
    // The first look finds nothing.
    eventually("it has looked around", || {
        Some(serving.chat("parrot", None)).filter(|reply| reply.status == 404)
    });
    let listener = TcpListener::bind(address).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let server = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || answer_as_vllm(&listener, &is_over)
    });
    assert_eq!(reload(&home, &[]).code, 0);
    let models = home.json(&["models"]).to_string();
    assert!(models.contains("parrot"), "{models}");
    drop(serving);
    is_over.store(true, Ordering::Release);
    let _ = TcpStream::connect(address);
    server.join().unwrap();
}

/// Lists a model to whoever asks.
fn answer_as_vllm(listener: &TcpListener, is_over: &AtomicBool) {
    let body =
        r#"{"object":"list","data":[{"id":"parrot","owned_by":"vllm","max_model_len":4096}]}"#;
    while !is_over.load(Ordering::Acquire) {
        let (mut io, _) = listener.accept().unwrap();
        let _ = io.read(&mut [0; 1024]);
        let _ = write!(
            io,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_with_a_bad_config_keeps_the_old_one_and_says_so() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config(&config(&provider.url(), true));
    let serving = home.serve(&[]);
    home.write("bitrouter.yaml", "providers: { steady: { api_bse: x } }\n");
    let refused = reload(&home, &[]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    let message = refused.error()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("api_bse") && message.contains("stays in force"), "{message}");
    assert_eq!(serving.chat("steady:parrot", None).status, 200);
}

#[test]
fn a_reload_names_what_needs_a_restart() {
    let home = Home::with_config("server: { skip_auth: true }\n");
    let _serving = home.serve(&[]);
    let changed =
        "server: { skip_auth: false, usage_retention: 30d, upstream: { no_proxy: [a] } }\n";
    home.write("bitrouter.yaml", changed);
    let warnings = reload(&home, &[]).document()["warnings"].to_string();
    for key in ["skip_auth", "usage_retention", "upstream.no_proxy", "bitrouter restart"] {
        assert!(warnings.contains(key), "{key} is missing in {warnings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_may_route_to_a_provider_of_the_api() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config("server: { skip_auth: true }\ninherit_defaults: false\n");
    let serving = home.serve(&[]);
    let spec = format!(
        "providers: {{ made: {{ api_base: {}, api_key: k, models: [parrot] }} }}\n",
        provider.url()
    );
    home.write("more.yaml", &spec);
    let more = home.path().join("more.yaml");
    home.json(&["apply", "-f", more.to_str().unwrap()]);
    let route = "server: { skip_auth: true }\ninherit_defaults: false\n\
                 models: { fast: { endpoints: [ { provider: made, model_id: parrot } ] } }\n";
    home.write("bitrouter.yaml", route);
    assert_eq!(home.run(&["config", "validate"]).code, 0);
    assert_eq!(reload(&home, &[]).code, 0);
    eventually("it is routed to", || (serving.chat("fast", None).status == 200).then_some(()));
    drop(serving);

    let serving = home.serve(&[]);
    assert_eq!(serving.chat("fast", None).status, 200, "it starts with it, too");
    home.write("more.yaml", "providers: {}\n");
    home.json(&["apply", "--prune", "--yes", "-f", more.to_str().unwrap()]);
    let plan = eventually("its endpoint is left out", || {
        let done = home.run(&["route", "fast", "--json"]);
        done.document()["left_out"].as_array().filter(|it| !it.is_empty()).cloned()
    });
    assert!(plan[0].to_string().contains("made"), "{plan:?}");
    let reloaded = reload(&home, &[]);
    assert_eq!(reloaded.code, 0, "{}", reloaded.stdout);
    assert!(
        reloaded.document()["warnings"].to_string().contains("was deleted"),
        "{}",
        reloaded.stdout
    );
    drop(serving);
    drop(home.serve(&[]));
    home.write("bitrouter.yaml", &route.replace("made", "mede"));
    let done = home.serve_in_vain(&[]);
    assert_eq!(done.error()["kind"], "invalid_config", "{}", done.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_does_not_switch_protection_on_that_is_not_there() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config(&config(&provider.url(), true));
    let asks = format!("{}guardrails: {{ enabled: true }}\n", config(&provider.url(), true));
    let serving = home.serve(&[]);
    home.write("bitrouter.yaml", &asks);
    let refused = reload(&home, &[]);
    assert_eq!(refused.code, 4, "{}", refused.stdout);
    assert_eq!(refused.error()["kind"], "protection_inactive");
    assert_eq!(serving.chat("steady:parrot", None).status, 200);
    drop(serving);
    let _accepting = home.serve(&["--accept-inactive"]);
    assert_eq!(reload(&home, &[]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config("server: { skip_auth: true }\ninherit_defaults: false\n");
    let serving = home.serve(&[]);
    home.write("bitrouter.yaml", &config(&provider.url(), true));
    serving.signal(Signal::HUP);
    eventually("the provider is served", || {
        Some(serving.chat("steady:parrot", None)).filter(|reply| reply.status == 200)
    });
}

fn reload(home: &Home, env: &[(&str, &str)]) -> Done {
    let output = home.command(&["reload", "--json"]).envs(env.iter().copied()).output().unwrap();
    Done::of(&output)
}

/// Ends what `start` started, whatever becomes of the test.
struct Background<'a>(&'a Home);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        self.0.run(&["stop", "--drain", "0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_may_end() {
    let (provider, gate) = (FakeProvider::start().await, Gate::closed());
    provider.script([Answer::text("late but whole").gate(0, &gate)]);
    let home = Home::with_config(&config(&provider.url(), true));
    let mut serving = home.serve(&[]);
    let listen = serving.listen();
    let asked = std::thread::spawn(move || chat(listen, "steady:parrot", None));
    provider.received(1).await;
    serving.signal(Signal::TERM);
    eventually("no new connection is taken", || std::net::TcpStream::connect(listen).err());
    gate.open();
    let reply = asked.join().unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains("late but whole"), "{}", reply.body);
    assert_eq!(serving.exit_code(), Some(0));
}

#[test]
fn a_home_with_a_long_path_has_its_socket_elsewhere() {
    let mut home = Home::new();
    home.lengthen(120);
    let serving = home.serve(&[]);
    assert!(!serving.socket().starts_with(home.path()), "{}", serving.socket().display());
    assert_eq!(home.json(&["status"])["process"]["pid"], serving.pid());
}
