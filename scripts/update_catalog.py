#!/usr/bin/env python3
"""Makes crates/catalog/data/models/ from two public price lists.

    scripts/update_catalog.py                  fetch the newest packages with pip, write the files
    scripts/update_catalog.py --pinned         the same with the versions and the date on record
    scripts/update_catalog.py --wheels DIR     the same from wheels that lie in DIR; no network
    scripts/update_catalog.py --check          verify what is committed; no network, nothing written

The sources are two packages of the Python package index, both under the MIT licence (their licence
texts are kept beside the data): `litellm`, of whose wheel one JSON file is read, and `genai-prices`,
whose Python file of literals is parsed and never run. litellm says more about each model (limits,
modalities, both cache-write prices, audio, tiers); genai-prices has OpenRouter, which litellm's list
does not.

One file is written for each provider that crates/catalog/data/providers.json names and that a source
covers, one line for each model, sorted, so that a refresh reads well as a diff. The same wheels and
the same date give the same bytes. Prices are integers in pico-dollars per token (2500000 is 2.50 USD
per million tokens), made from the sources' own digits by decimal arithmetic; the rounding undoes the
noise that binary fractions left in some of them. A model that takes audio or images, but for which no
price of their own is listed, pays its plain input price for them.

What is left out, and why:
  - modes other than chat, responses, completion and embedding: they are not billed by the token;
  - names that only mean something to a source (size classes, regional price variants) or that move
    between models;
  - models that were retired more than RETIRED_FOR before the date of the list;
  - batch, priority and flex prices: the price is that of the standard service tier;
  - off-peak discounts: the price is the full one;
  - zero prices, unless the model is known to be free: elsewhere zero mostly stands for unknown.
"""

import argparse
import ast
import datetime
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "crates/catalog/data"
MODELS = DATA / "models"
RECORD = DATA / "provenance.json"
RUST_LIST = ROOT / "crates/catalog/src/sources.rs"

LITELLM, GENAI = "litellm", "genai-prices"
LICENCE = "MIT"
RETIRED_FOR = datetime.timedelta(days=180)
KINDS = {"chat": "chat", "responses": "chat", "completion": "completion", "embedding": "embedding"}
MODALITIES = ["text", "image", "audio", "video", "file"]

# Our provider -> litellm's providers, and which of its names are the upstream's own model ids: the
# prefix is cut off, the pattern must then match the whole rest.
PLAIN = r"[^/]+"
LITELLM_NAMES = {
    "alibaba": (["dashscope"], "dashscope/", PLAIN),
    "anthropic": (["anthropic"], "", PLAIN),
    "aws-bedrock": (["bedrock_mantle"], "bedrock_mantle/", PLAIN),
    "azure": (["azure"], "azure/", PLAIN),
    "cerebras": (["cerebras"], "cerebras/", PLAIN),
    "deepseek": (["deepseek"], "deepseek/", PLAIN),
    "fireworks": (["fireworks_ai"], "fireworks_ai/", r"accounts/fireworks/.+"),
    "gmicloud": (["gmi"], "gmi/", r".+/.+"),
    "google": (["gemini"], "gemini/", PLAIN),
    "groq": (["groq"], "groq/", r".+"),
    "minimax": (["minimax"], "minimax/", PLAIN),
    "mistral": (["mistral"], "mistral/", PLAIN),
    "moonshotai": (["moonshot"], "moonshot/", PLAIN),
    "novita": (["novita"], "novita/", r".+"),
    "openai": (["openai", "text-completion-openai"], "", r"(?!ft:)[^/]+"),
    "opencode-go": (["opencode_go"], "opencode_go/", PLAIN),
    "tencent": (["tencent"], "tencent/", PLAIN),
    "together": (["together_ai"], "together_ai/", r".+/.+"),
    "vertex": (["vertex_ai-language-models"], "", r"gemini-[^/]+"),
    "xai": (["xai"], "xai/", PLAIN),
    "xiaomi": (["xiaomi_mimo"], "xiaomi_mimo/", PLAIN),
    "zai": (["zai"], "zai/", PLAIN),
}
# Priced by the piece although the list calls them chat models, or not models at all.
NOT_MODELS = re.compile(r"lyria|deep-research|container")
# What a zero price may be believed of.
FREE = re.compile(r"(google gemma-|zai glm-4\.[57]-flash|mistral labs-|openrouter .*:free|opencode-go .*-free)")

# litellm's field for a rate; a tier's field has `_above_<n>k_tokens` appended.
RATES = {
    "input_uncached": "input_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write_5m": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "output": "output_cost_per_token",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_in": "input_cost_per_audio_token",
    "audio_out": "output_cost_per_audio_token",
    "image": "input_cost_per_image_token",
}
GENAI_RATES = {
    "input_uncached": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write_5m": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
    "audio_in": "input_audio_mtok",
    "audio_out": "output_audio_mtok",
}


class Refused(Exception):
    """The sources or the committed files are not what they must be."""


def pico(usd):
    """An amount in pico-dollars, to the nearest."""
    exact = usd * 10**12
    rounded = int(exact.to_integral_value())
    if abs(rounded - exact) > exact / 1000:
        raise Refused(f"{usd} USD is finer than a pico-dollar")
    return rounded


def rates(found, takes, zero_is_free):
    """The rates that mean something. `found` maps their names to USD per token."""
    kept = {}
    for name, amount in found.items():
        if amount is None or (amount == 0 and not zero_is_free):
            continue
        if not 0 <= amount <= Decimal("0.01"):
            raise Refused(f"{name} costs {amount} USD per token")
        kept[name] = pico(amount)
    if kept.get("reasoning") == kept.get("output"):
        kept.pop("reasoning", None)
    for modality, name in (("audio", "audio_in"), ("image", "image")):
        if modality in takes and "input_uncached" in kept:
            kept.setdefault(name, kept["input_uncached"])
    return {name: kept[name] for name in RATES if name in kept}


def price_of(base, tiers, per_request, takes, zero_is_free):
    """A model's price, or None. `tiers` maps thresholds to what they change."""
    base = rates(base, takes, zero_is_free)
    listed = []
    for above in sorted(tiers):
        # A tier without a rate of its own has that of the base, not that of the tier below.
        step = rates(tiers[above], takes, zero_is_free)
        changed = {name: amount for name, amount in step.items() if base.get(name) != amount}
        if changed:
            listed.append({"above_input_tokens": above, "rates": changed})
    price = {"base": base}
    if listed:
        price["tiers"] = listed
    if per_request:
        price["per_request"] = pico(per_request)
    return price if base or per_request else None


def litellm_price(entry, kind, takes, zero_is_free):
    """Reads litellm's USD per token, in its two spellings of tiers."""

    def found(fields, suffix=""):
        return {
            name: fields[field + suffix]
            for name, field in RATES.items()
            if fields.get(field + suffix) is not None and not (kind == "embedding" and name == "output")
        }

    base, tiers = found(entry), {}
    for field in entry:
        if match := re.fullmatch(r"\w+?(_above_(\d+)k_tokens)", field):
            tiers[int(match[2]) * 1000] = found(entry, match[1])
    for step in entry.get("tiered_pricing", []):
        if "range" not in step:
            raise Refused(f"a tier without a range: {step}")
        start = int(step["range"][0])
        if start == 0:
            base = {**base, **found(step)}
        else:
            tiers[start] = found(step)
    return price_of(base, tiers, entry.get("input_cost_per_request"), takes, zero_is_free)


def litellm_modalities(entry):
    """What the model takes and gives, from lists where there are some and from flags."""
    takes = {"text"} | set(entry.get("supported_modalities", []))
    gives = set(entry.get("supported_output_modalities", [])) or {"text"}
    flags = {"image": "vision", "audio": "audio_input", "video": "video_input", "file": "pdf_input"}
    takes |= {modality for modality, flag in flags.items() if entry.get(f"supports_{flag}")}
    if entry.get("supports_audio_output"):
        gives.add("audio")
    return [m for m in MODALITIES if m in takes], [m for m in MODALITIES if m in gives]


def whole(number):
    """A token limit as an integer, or None."""
    return int(number) if isinstance(number, (int, Decimal)) and number > 0 else None


def litellm_model(provider, name, entry):
    """One line of a provider's file."""
    kind = KINDS[entry["mode"]]
    takes, gives = litellm_modalities(entry)
    zero_is_free = bool(FREE.match(f"{provider} {name}"))
    model = {
        "kind": kind if kind != "chat" else None,
        "max_input": whole(entry.get("max_input_tokens")),
        "max_output": whole(entry.get("max_output_tokens")) if kind != "embedding" else None,
        "takes": takes,
        "gives": gives if kind != "embedding" else None,
        "price": litellm_price(entry, kind, takes, zero_is_free),
    }
    return {key: value for key, value in model.items() if value is not None}


def litellm_models(wheel, date):
    """Every provider's models from litellm's list."""
    raw = zipfile.ZipFile(wheel).read("litellm/model_prices_and_context_window_backup.json")
    entries = json.loads(raw, parse_float=Decimal, parse_int=lambda digits: Decimal(digits))
    found = {}
    for provider, (names, prefix, pattern) in LITELLM_NAMES.items():
        models = {}
        # Names that carry the prefix come last and win over bare spellings of the same model.
        for full, entry in sorted(entries.items(), key=lambda item: item[0].startswith(prefix)):
            name = full.removeprefix(prefix)
            if entry.get("litellm_provider") not in names or entry.get("mode") not in KINDS:
                continue
            if not re.fullmatch(pattern, name) or NOT_MODELS.search(name):
                continue
            if retired(entry.get("deprecation_date"), date):
                continue
            models[name] = litellm_model(provider, name, entry)
        if not models:
            raise Refused(f"{LITELLM} has no model of {provider} any more: mend LITELLM_NAMES")
        found[provider] = models
    return found


def retired(when, date):
    """True if the provider's own date of retirement is long past."""
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", when or "")
    return bool(match) and datetime.date(*map(int, match.groups())) + RETIRED_FOR < date


def literal(node):
    """A Python literal, with calls as dictionaries; nothing is run."""
    match node:
        case ast.Constant():
            return node.value
        case ast.List() | ast.Tuple():
            return [literal(item) for item in node.elts]
        case ast.Dict():
            return {literal(k): literal(v) for k, v in zip(node.keys, node.values)}
        case ast.UnaryOp(op=ast.USub()):
            return -literal(node.operand)
        case ast.Attribute():
            return node.attr
        case ast.Call():
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            given = [literal(item) for item in node.args]
            if name == "Decimal":
                return Decimal(given[0])
            if name == "date":
                return datetime.date(*given)
            return {"call": name, "args": given, **{k.arg: literal(k.value) for k in node.keywords}}
    raise Refused(f"{GENAI}: line {node.lineno} is not a literal")


def genai_current(prices, date):
    """The prices that hold at the date; those that depend on the time of day are passed over."""
    if isinstance(prices, dict):
        return prices
    current = None
    for option in prices:
        limit = option.get("constraint")
        if limit is None or (limit["call"] == "StartDateConstraint" and limit["start_date"] <= date):
            current = option["prices"]
    return current or {}


def genai_models(wheel, date):
    """OpenRouter's models from genai-prices."""
    tree = ast.parse(zipfile.ZipFile(wheel).read("genai_prices/data.py"))
    lists = [node for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id == "providers"]
    providers = {p["id"]: p for p in literal(lists[0].value)}
    models = {}
    for info in providers["openrouter"]["models"]:
        name = info["id"]
        # `~maker/model-latest` moves between models, and so does its price.
        if "/" not in name or name.startswith("~"):
            continue
        prices, base, tiers = genai_current(info["prices"], date), {}, {}
        free = bool(FREE.match(f"openrouter {name}"))
        for rate, field in GENAI_RATES.items():
            value = prices.get(field)
            if isinstance(value, dict):
                base[rate] = value["base"] / 1_000_000
                for tier in value["tiers"]:
                    tiers.setdefault(tier["start"], {})[rate] = tier["price"] / 1_000_000
            elif value is not None or (free and rate in ("input_uncached", "output")):
                base[rate] = (value or Decimal(0)) / 1_000_000
        price = price_of(base, tiers, None, [], free)
        model = {"max_input": whole(info.get("context_window")), "price": price}
        models[name] = {key: value for key, value in model.items() if value is not None}
    return {"openrouter": models}


def file_of(models, source):
    """The text of a provider's file: its source, then one line for each model."""
    lines = [f"    {json.dumps(name)}: {json.dumps(model)}" for name, model in sorted(models.items())]
    return f'{{\n  "source": {json.dumps(source)},\n  "models": {{\n' + ",\n".join(lines) + "\n  }\n}\n"


def rust_list(providers):
    """The list through which the program reaches the files."""
    rows = "".join(f'    ("{p}", include_str!("../data/models/{p}.json")),\n' for p in providers)
    return (
        "//! The files of models, one for each provider that has one.\n"
        "//!\n"
        "//! Written by `scripts/update_catalog.py`, as are the files.\n\n"
        "/// Provider ids, sorted, with the text of their files.\n"
        f"pub(crate) const MODELS: &[(&str, &str)] = &[\n{rows}];\n"
    )


def wheel_in(folder, package):
    """The one wheel of a package in a folder, and its version."""
    wheels = sorted(folder.glob(f"{package.replace('-', '_')}-*.whl"))
    if len(wheels) != 1:
        raise Refused(f"expected one wheel of {package} in {folder}, found {len(wheels)}")
    return wheels[0], wheels[0].name.split("-")[1]


def licence_in(wheel):
    """The licence text that the wheel carries."""
    archive = zipfile.ZipFile(wheel)
    names = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    text = archive.read(names[0]).decode()
    if "Permission is hereby granted, free of charge" not in text:
        raise Refused(f"{wheel.name} is no longer under the MIT licence")
    return text


def build(folder, date):
    """Every file that the wheels and the date give: path -> text."""
    files, packages, models = {}, {}, {}
    for package, read in ((LITELLM, litellm_models), (GENAI, genai_models)):
        wheel, version = wheel_in(folder, package)
        source = {"package": package, "version": version, "licence": LICENCE, "date": date.isoformat()}
        packages[package] = {**source, "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}
        files[DATA / f"licences/{package}.txt"] = licence_in(wheel)
        for provider, found in read(wheel, date).items():
            models[provider] = found
            files[MODELS / f"{provider}.json"] = file_of(found, source)
    files[RUST_LIST] = rust_list(sorted(models))
    record = {"packages": packages, "files": sums(files)}
    files[RECORD] = json.dumps(record, indent=2) + "\n"
    return files


def sums(files):
    """SHA-256 of each text, by its path in the repository."""
    return {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(text.encode()).hexdigest()
        for path, text in sorted(files.items())
    }


def validate(files):
    """What must hold of the written files, whatever the sources said."""
    known = {provider["id"] for provider in json.loads((DATA / "providers.json").read_text())}
    for path, text in files.items():
        if path.parent != MODELS:
            continue
        if path.stem not in known:
            raise Refused(f"{path.name}: no provider of that name")
        for name, model in json.loads(text)["models"].items():
            price = model.get("price", {"base": {}})
            for step in (price["base"], *(tier["rates"] for tier in price.get("tiers", []))):
                if not all(type(rate) is int and 0 <= rate <= 10**10 for rate in step.values()):
                    raise Refused(f"{path.name}: {name}: a rate is out of range")
            limits = [model.get("max_input", 1), model.get("max_output", 1)]
            if not all(0 < limit <= 20_000_000 for limit in limits):
                raise Refused(f"{path.name}: {name}: a limit is out of range")


def check():
    """Compares what is committed with the record."""
    record = json.loads(RECORD.read_text())
    files = {ROOT / name: (ROOT / name).read_text() for name in record["files"]}
    if {path.name for path in MODELS.iterdir()} != {p.name for p in files if p.parent == MODELS}:
        raise Refused("data/models holds other files than those on record")
    for name, digest in sums(files).items():
        if record["files"][name] != digest:
            raise Refused(f"{name} was changed by hand: run this script instead")
    validate(files)


def download(folder, versions):
    """Fetches the wheels with pip."""
    wanted = [f"{package}=={versions[package]}" if versions else package for package in (LITELLM, GENAI)]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", folder, *wanted], check=True)


def update(args):
    """Writes the files."""
    date, versions = args.date or datetime.date.today(), None
    if args.pinned:
        packages = json.loads(RECORD.read_text())["packages"]
        versions = {name: package["version"] for name, package in packages.items()}
        date = datetime.date.fromisoformat(packages[LITELLM]["date"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.wheels or Path(scratch)
        if not args.wheels:
            download(folder, versions)
        files = build(folder, date)
    validate(files)
    for stale in MODELS.glob("*.json"):
        if stale not in files:
            stale.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    size = sum(len(text) for path, text in files.items() if path.parent == MODELS)
    print(f"{sum(path.parent == MODELS for path in files)} providers, {size // 1000} kB of models")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--pinned", action="store_true")
    parser.add_argument("--wheels", type=Path, metavar="DIR")
    parser.add_argument("--date", type=datetime.date.fromisoformat, metavar="YYYY-MM-DD")
    args = parser.parse_args()
    try:
        check() if args.check else update(args)
    except Refused as problem:
        sys.exit(f"update_catalog: {problem}")


if __name__ == "__main__":
    main()
