//! A throw-away home and the binary that works in it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Far longer than anything takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A home of its own. Nothing of the caller's environment reaches what runs in it.
pub(crate) struct Home {
    dir: tempfile::TempDir,
    name: String,
}

/// A command that has ended.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A `serve` in the foreground; ended when dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) running: Value,
    errors: Option<std::thread::JoinHandle<String>>,
}

/// An answer of the router.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), name: "home".to_owned() }
    }

    /// One with this `bitrouter.yaml`.
    pub(crate) fn with_config(yaml: &str) -> Self {
        let home = Self::new();
        home.write("bitrouter.yaml", yaml);
        home
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// Gives its directory a name of that many characters.
    pub(crate) fn lengthen(&mut self, length: usize) {
        self.name = "h".repeat(length);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path()).unwrap();
        fs::write(self.path().join(name), text).unwrap();
    }

    /// The program, in this home, with an empty environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bitrouter"));
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .current_dir(self.dir.path())
            .arg("--home-dir")
            .arg(self.path())
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        Done::of(&self.command(args).output().unwrap())
    }

    /// Runs a command with `--json` to a good end and gives its document.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let done = self.run(&[args, &["--json"]].concat());
        assert_eq!(done.code, 0, "{args:?}: {}{}", done.stdout, done.stderr);
        done.document()
    }

    /// Serves in the foreground, on ports of the system's choice, without looking around.
    pub(crate) fn serve(&self, args: &[&str]) -> Serving {
        let command = self.command(&[SERVE, args].concat());
        Serving::start(command)
    }

    /// As [`Self::serve`], with variables in its environment.
    pub(crate) fn serve_with_env(&self, args: &[&str], env: &[(&str, &str)]) -> Serving {
        let mut command = self.command(&[SERVE, args].concat());
        command.envs(env.iter().copied());
        Serving::start(command)
    }

    /// Runs `serve`, which is expected to end by itself.
    pub(crate) fn serve_in_vain(&self, args: &[&str]) -> Done {
        self.run(&[SERVE, args].concat())
    }
}

/// Without the port of the usual installation, and without looking for model servers.
pub(crate) const SERVE: &[&str] = &[
    "serve",
    "--json",
    "--listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
    "--no-discovery",
];

impl Done {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Standard output, which is exactly one document.
    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// The document's error.
    pub(crate) fn error(&self) -> Value {
        self.document()["error"].clone()
    }
}

impl Serving {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let running = serde_json::from_str(&line).unwrap_or_default();
        let mut serving = Self { child, running, errors: Some(errors) };
        let is_up = !serving.running["pid"].is_null();
        assert!(is_up, "it does not serve: {line}{}", serving.end());
        serving
    }

    /// Where model traffic is served.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.running["listen"].as_str().unwrap().parse().unwrap()
    }

    /// Where the admin API is served.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.running["admin"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn socket(&self) -> &Path {
        Path::new(self.running["socket"].as_str().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end, and gives its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Ends it and gives what it said on standard error.
    pub(crate) fn end(&mut self) -> String {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
        self.errors.take().map(|errors| errors.join().unwrap()).unwrap_or_default()
    }

    /// Sends a Chat Completions request.
    pub(crate) fn chat(&self, model: &str, key: Option<&str>) -> Reply {
        chat(self.listen(), model, key)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let said = self.end();
        if std::thread::panicking() {
            eprintln!("it said: {said}");
        }
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// Sends a Chat Completions request.
pub(crate) fn chat(to: SocketAddr, model: &str, key: Option<&str>) -> Reply {
    let body = serde_json::json!({
        "model": model, "messages": [{"role": "user", "content": "hi"}]
    });
    let authorization = key.map(|key| format!("authorization: Bearer {key}\r\n"));
    let headers = authorization.unwrap_or_default();
    post(to, "/v1/chat/completions", &headers, &body.to_string())
}

/// Posts over a connection of its own.
pub(crate) fn post(to: SocketAddr, path: &str, headers: &str, body: &str) -> Reply {
    exchange(
        to,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{headers}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

/// Gets over a connection of its own.
pub(crate) fn get(to: SocketAddr, path: &str, headers: &str) -> Reply {
    exchange(
        to,
        &format!("GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{headers}\r\n"),
    )
}

fn exchange(to: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { without_chunks(body) } else { body.to_owned() };
    Reply { status, head: head.to_owned(), body }
}

fn without_chunks(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        whole.push_str(rest.get(..size).unwrap_or(rest));
        body = rest.get(size + 2..).unwrap_or("");
        if size == 0 {
            break;
        }
    }
    whole
}

/// Waits until something holds.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    let timer = std::thread::spawn(move || receiver.recv_timeout(PATIENCE).is_err());
    loop {
        if let Some(seen) = look() {
            let _ = sender.send(());
            return seen;
        }
        assert!(!timer.is_finished(), "never: {what}");
        std::thread::yield_now();
    }
}

/// A home whose `steady` provider is the given one, with keys needed or not.
pub(crate) fn config(provider: &str, skip_auth: bool) -> String {
    format!(
        "server: {{ skip_auth: {skip_auth} }}
inherit_defaults: false
providers:
  steady:
    api_base: {provider}
    api_key: upstream-secret
    models:
      parrot: {{ pricing: {{ input_tokens: {{ no_cache: 1 }}, output_tokens: {{ text: 2 }} }} }}
"
    )
}
