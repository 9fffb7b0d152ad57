//! The whole way from texts to a document.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    path::Path,
};

use bitrouter_catalog::Catalog;
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{
    check::{self, Unset},
    context::Context,
    document::Document,
    env::Environment,
    later,
    provider::{self, Declared},
    raw::{File, Manifest},
    report::{Place, Problem, Report},
    route,
    schema::{MANIFEST, SCHEMA},
    settings, substitute, yaml,
};

/// The port of model traffic unless something else is said.
const DEFAULT_PORT: u16 = 4356;

/// Everything that a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `bitrouter.yaml`. Absent: nothing is declared.
    pub main: Option<SourceText>,
    /// Provider manifests: each declares one provider, named like its file.
    pub manifests: Vec<SourceText>,
    /// What `${VAR}` and the lookup of keys see.
    pub environment: Environment,
    /// Model servers found on loopback.
    pub discovered: Vec<Discovered>,
    /// Providers declared elsewhere (through the admin API), which routes may refer to.
    pub known_providers: Vec<String>,
    /// True while nobody can say what is declared elsewhere: then every other provider that routes
    /// name is presumed to be, and listed in [`Loaded::presumed_providers`].
    pub presumes_providers: bool,
}

/// A text and its name.
#[derive(Clone, Default)]
pub struct SourceText {
    /// Shown in problems; a manifest's file stem is its provider's id.
    pub path: String,
    /// YAML.
    pub text: String,
}

/// Without the text: it may hold secrets.
impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceText").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A model server found on loopback.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// What it answered like.
    pub kind: DiscoveredKind,
    /// Where it is.
    pub base_url: Url,
    /// The models that it listed.
    pub models: Vec<String>,
}

/// The kinds of model server that are recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the servers' own names")]
pub enum DiscoveredKind {
    Ollama,
    Vllm,
    LmStudio,
    LlamaCpp,
}

impl DiscoveredKind {
    /// The id of the built-in provider for this kind.
    pub const fn provider_id(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::LmStudio => "lmstudio",
            Self::LlamaCpp => "llamacpp",
        }
    }
}

/// What loading gave.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Absent if there is any problem.
    pub document: Option<Document>,
    /// What has to be mended, in the order of the texts.
    pub problems: Vec<Problem>,
    /// What works, but not as somebody may expect.
    pub warnings: Vec<Problem>,
    /// Providers that are named and were not found; see [`Sources::presumes_providers`].
    pub presumed_providers: BTreeSet<String>,
}

/// Loads a configuration: every text is read, `${VAR}` is filled in, the form is checked against the
/// schema, and what is left is resolved and validated. All problems are found in one go.
pub fn load(sources: &Sources, catalog: &Catalog) -> Loaded {
    let mut reader = Reader::new(&sources.environment);
    let main = reader.main(sources.main.as_ref());
    let is_sound = main.is_some();
    let (file, root) = main.unwrap_or_else(|| (File::default(), Place::nowhere("")));
    let mut declared: IndexMap<String, Declared> = IndexMap::new();
    let section = root.key("providers");
    for (id, raw) in file.providers.iter().flatten() {
        declared.insert(id.clone(), Declared { raw: raw.clone(), place: section.key(id) });
    }
    for manifest in &sources.manifests {
        reader.manifest(manifest, &mut declared);
    }
    let listen = file.server.as_ref().and_then(|server| settings::listen(server.listen.as_ref()?));
    let mut cx = Context {
        environment: &sources.environment,
        catalog,
        report: reader.report,
        unset: reader.unset,
        own_port: listen.map_or(DEFAULT_PORT, |address| address.port()),
        not_active: Vec::new(),
        variables: reader.variables,
        keyed: keyed(&file, catalog),
        presumed: sources.presumes_providers.then(BTreeSet::new),
    };
    let document = is_sound.then(|| document(&mut cx, &file, &root, &declared, sources));
    let presumed_providers = cx.presumed.take().unwrap_or_default();
    let (problems, warnings) = cx.report.finish();
    let document = document.filter(|_| problems.is_empty());
    Loaded { document, problems, warnings, presumed_providers }
}

fn document(
    cx: &mut Context<'_>,
    file: &File,
    root: &Place,
    declared: &IndexMap<String, Declared>,
    sources: &Sources,
) -> Document {
    let no_server = crate::raw::server::Server::default();
    let server = file.server.as_ref().unwrap_or(&no_server);
    let server = settings::server(cx, server, &root.key("server"));
    let database_url = file
        .database
        .as_ref()
        .and_then(|database| settings::database(cx, database, &root.key("database")));
    let inherits = file.inherit_defaults.unwrap_or(true);
    let (discovered, elsewhere) = (&sources.discovered, &sources.known_providers);
    let mut providers = provider::providers(cx, declared, discovered, inherits, elsewhere);
    let no_routes = IndexMap::new();
    let routes = file.models.as_ref().unwrap_or(&no_routes);
    let routes = route::routes(cx, routes, &mut providers, &root.key("models"));
    let (no_presets, no_variants) = (IndexMap::new(), IndexMap::new());
    let presets = file.presets.as_ref().unwrap_or(&no_presets);
    let presets = route::presets(cx, presets, &providers, &routes, &root.key("presets"));
    let variants = file.variants.as_ref().unwrap_or(&no_variants);
    let variants = route::variants(cx, variants, &providers, &root.key("variants"));
    let names: Vec<String> = routes.iter().map(|it| it.id.clone()).collect();
    later::sections(cx, file, &providers, &names, root);
    Document {
        server,
        database_url,
        providers: providers.entries,
        accounts: providers.accounts,
        routes,
        presets,
        variants,
        not_active: std::mem::take(&mut cx.not_active),
        variables: std::mem::take(&mut cx.variables),
    }
}

/// Providers that have a key at some endpoint of a route, by every name: they need no other.
fn keyed(file: &File, catalog: &Catalog) -> HashSet<String> {
    let routes = file.models.iter().flat_map(IndexMap::values);
    let endpoints = routes.flat_map(|route| route.endpoints.iter().flatten());
    let mut keyed = HashSet::new();
    for endpoint in endpoints.filter(|it| it.api_key.is_some()) {
        let Some(provider) = &endpoint.provider else { continue };
        keyed.extend(catalog.provider(provider).map(|builtin| builtin.id.clone()));
        keyed.insert(provider.clone());
    }
    keyed
}

/// From texts to raw types.
struct Reader<'a> {
    environment: &'a Environment,
    report: Report,
    unset: Unset,
    variables: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn new(environment: &'a Environment) -> Self {
        let (report, unset) = (Report::default(), Unset::new());
        Self { environment, report, unset, variables: BTreeSet::new() }
    }

    /// Reads the main text. `None` if it is no YAML at all: then nothing that it declares is known,
    /// and looking further would only find consequences.
    fn main(&mut self, main: Option<&SourceText>) -> Option<(File, Place)> {
        let Some(main) = main else { return Some((File::default(), Place::nowhere(""))) };
        let root = Place::root(self.report.add_text(&main.path));
        let file = self.decode(&main.text, &SCHEMA, &root)?;
        Some((file, root))
    }

    fn manifest(&mut self, manifest: &SourceText, declared: &mut IndexMap<String, Declared>) {
        let root = Place::root(self.report.add_text(&manifest.path));
        let decoded: Option<Manifest> = self.decode(&manifest.text, &MANIFEST, &root);
        let Some(Manifest { id, provider }) = decoded else { return };
        let stem = Path::new(&manifest.path).file_stem().and_then(|stem| stem.to_str());
        let Some(id) = id.or_else(|| stem.map(str::to_owned)) else {
            self.report.problem(&root, "`id` is missing", None);
            return;
        };
        if declared.contains_key(&id) {
            let hint = "a provider is declared either in the file or by one manifest".to_owned();
            let message = format!("the provider `{id}` is declared twice");
            self.report.problem(&root, message, Some(hint));
        } else {
            declared.insert(id, Declared { raw: provider, place: root });
        }
    }

    /// From text to a raw type: what does not fit is reported and left out.
    fn decode<T: DeserializeOwned>(
        &mut self,
        text: &str,
        schema: &Value,
        root: &Place,
    ) -> Option<T> {
        let Self { environment, report, unset, variables } = self;
        let mut node = yaml::read(text, root, report)?;
        node.locate(root, report);
        substitute::substitute(&mut node, root, environment, report, variables);
        unset.extend(check::check(&mut node, schema, root, report));
        match serde_json::from_value(node.to_json()) {
            Ok(raw) => Some(raw),
            Err(error) => {
                report.problem(root, format!("cannot be read: {error}"), None);
                None
            }
        }
    }
}
