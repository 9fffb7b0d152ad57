#!/usr/bin/env python3
"""Puts bitrouter, nginx and a direct connection through the same runs, and prints a table.

    cargo build --profile fast -p bitrouter -p bitrouter-bench     (or --release)
    python3 bench/run.py [--bin target/fast] [--seconds 5] [--repeat 3] [--only bitrouter,nginx] [--json out.json]

The gateway is pinned to core 0; the upstream and the load generator share core 1. bitrouter runs with
authentication, rate limits, usage records and metrics on: a virtual key is minted and used. Medians over the
repetitions are printed; compare columns of one run only, since machines differ and are noisy.
Loopback only; every process is started here and stopped by its id.
"""
import argparse, json, os, pathlib, shutil, signal, socket, statistics, subprocess, sys, tempfile, time, urllib.request

GATEWAY_CORE, LOAD_CORE = "0", "1"
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.01)
    sys.exit(f"nothing listens on port {port}")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid, field="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


class Bench:
    def __init__(self, options):
        self.options = options
        self.tool = str(pathlib.Path(options.bin) / "bitrouter-bench")
        self.router = str(pathlib.Path(options.bin) / "bitrouter")
        self.started = []
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="bitrouter-bench-"))
        self.upstream_port = free_port()

    def start(self, core, command, **kwargs):
        process = subprocess.Popen(["taskset", "-c", core, *command], stdout=subprocess.DEVNULL,
                                   stderr=open(self.home / "stderr.log", "ab"), **kwargs)
        self.started.append(process)
        return process

    def stop_all(self):
        for process in reversed(self.started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def upstream(self):
        self.start(LOAD_CORE, [self.tool, "upstream", "--listen", f"127.0.0.1:{self.upstream_port}"])
        wait_for(self.upstream_port)

    def nginx(self):
        port, prefix = free_port(), self.home / "nginx"
        prefix.mkdir()
        template = (pathlib.Path(__file__).parent / "nginx.conf").read_text()
        for name, value in (("PREFIX", str(prefix)), ("UPSTREAM", f"127.0.0.1:{self.upstream_port}"),
                            ("LISTEN", f"127.0.0.1:{port}")):
            template = template.replace(name, value)
        (prefix / "nginx.conf").write_text(template)
        master = self.start(GATEWAY_CORE, ["nginx", "-p", str(prefix), "-c", str(prefix / "nginx.conf")])
        wait_for(port)
        children = pathlib.Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
        return port, int(children[0]) if children else master.pid, None

    def write_config(self, port, name="bitrouter"):
        home = self.home / name
        home.mkdir(exist_ok=True)
        (home / "bitrouter.yaml").write_text(f"""\
server: {{listen: "127.0.0.1:{port}", skip_auth: false, log_level: warn, admin_listen: "127.0.0.1:{free_port()}"}}
inherit_defaults: false
providers:
  bench:
    api_base: http://127.0.0.1:{self.upstream_port}/v1
    api_key: sk-bench
    models:
      bench: {{pricing: {{input_tokens: {{no_cache: 1.0}}, output_tokens: {{text: 2.0}}}}}}
""")
        return home

    def bitrouter(self):
        port = free_port()
        home = self.write_config(port)
        process = self.start(GATEWAY_CORE, [self.router, "--home-dir", str(home), "serve", "--no-discovery"])
        wait_for(port)
        minted = subprocess.run([self.router, "--home-dir", str(home), "--json", "key", "sign", "--user", "bench"],
                                check=True, capture_output=True, text=True)
        return port, process.pid, json.loads(minted.stdout)["key"]

    def cold_start_ms(self):
        """Time from exec to the first answer, with an existing database."""
        samples = []
        for _ in range(7):
            port = free_port()
            home = self.write_config(port, "cold")
            began = time.monotonic()
            process = self.start(GATEWAY_CORE, [self.router, "--home-dir", str(home), "serve", "--no-discovery"])
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).read()
                    break
                except OSError:
                    time.sleep(0.0005)
                    if time.monotonic() - began > 10:
                        sys.exit("bitrouter did not start")
            samples.append((time.monotonic() - began) * 1000)
            process.send_signal(signal.SIGTERM)
            process.wait(15)
        return statistics.median(samples[1:])

    def load(self, port, key, **flags):
        command = ["taskset", "-c", LOAD_CORE, self.tool, "load", "--target", f"127.0.0.1:{port}",
                   "--seconds", str(flags.pop("seconds", self.options.seconds))]
        if key:
            command += ["--key", key]
        for name, value in flags.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            sys.exit(f"{' '.join(command)}: {ran.stderr}")
        figures = json.loads(ran.stdout)
        if figures["failed"]:
            print(f"  {figures['failed']} failed: {flags}", file=sys.stderr)
        return figures

    def measure(self, name, port, pid, key):
        seen = {}
        if pid:
            time.sleep(1)
            seen["resident MB, idle"] = resident_mb(pid)

        def closed(label, body, connections):
            before = cpu_seconds(pid) if pid else 0
            figures = self.load(port, key, mode="closed", body=body, connections=connections)
            seen[f"{label}: requests/s"] = figures["requests_per_second"]
            seen[f"{label}: p50 ms"] = figures["latency_ms"]["p50"]
            seen[f"{label}: p99 ms"] = figures["latency_ms"]["p99"]
            if pid:
                done = figures["requests_per_second"] * self.options.seconds * 1.1
                seen[f"{label}: CPU-s per 10,000"] = (cpu_seconds(pid) - before) / max(done, 1) * 10_000

        closed("small c1", "small", 1)
        closed("small c16", "small", 16)
        closed("small c64", "small", 64)
        closed("195 KB c16", "large", 16)
        figures = self.load(port, key, mode="rate", rate=1000, connections=64)
        seen["1,000/s: p50 ms"], seen["1,000/s: p99 ms"] = figures["latency_ms"]["p50"], figures["latency_ms"]["p99"]
        figures = self.load(port, key, mode="stream", connections=1, pace_us=2000)
        seen["stream c1: first token p50 ms"] = figures["first_token_ms"]["p50"]
        seen["stream c1: first token p99 ms"] = figures["first_token_ms"]["p99"]
        figures = self.load(port, key, mode="stream", connections=64)
        seen["64 flooding: chunks/s"] = figures["chunks_per_second"]
        if pid:
            seen["resident MB, after load"] = resident_mb(pid)
            before = resident_mb(pid)
            holder = subprocess.Popen(["taskset", "-c", LOAD_CORE, self.tool, "load", "--target", f"127.0.0.1:{port}",
                                       "--seconds", "4", "--mode", "hold", "--connections", "1000", "--pace-us", "60000",
                                       *(["--key", key] if key else [])], stdout=subprocess.DEVNULL)
            time.sleep(3)
            seen["resident MB, 1,000 open streams, added"] = resident_mb(pid) - before
            holder.wait(60)
            time.sleep(2)
            seen["resident MB, back to idle"] = resident_mb(pid)
        return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/fast")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="direct,nginx,bitrouter")
    parser.add_argument("--json")
    options = parser.parse_args()
    bench = Bench(options)
    results = {}
    try:
        bench.upstream()
        for name in options.only.split(","):
            if name == "direct":
                port, pid, key = bench.upstream_port, None, None
            else:
                port, pid, key = getattr(bench, name)()
            runs = [bench.measure(name, port, pid, key) for _ in range(options.repeat)]
            results[name] = {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
            if pid:  # only the first repetition has seen no load before
                results[name]["resident MB, idle"] = runs[0]["resident MB, idle"]
            if name == "bitrouter":
                results[name]["cold start ms, existing database"] = bench.cold_start_ms()
    finally:
        bench.stop_all()
    rows = list(dict.fromkeys(figure for seen in results.values() for figure in seen))
    print("| | " + " | ".join(results) + " | bitrouter / nginx |")
    print("|---" * (len(results) + 2) + "|")
    for row in rows:
        cells = [results[name].get(row) for name in results]
        ratio = ""
        if results.get("nginx", {}).get(row) and results.get("bitrouter", {}).get(row) is not None:
            ratio = f"{results['bitrouter'][row] / results['nginx'][row]:.2f}"
        shown = ["" if cell is None else f"{cell:,.0f}" if cell >= 100 else f"{cell:.3g}" for cell in cells]
        print(f"| {row} | " + " | ".join(shown) + f" | {ratio} |")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
