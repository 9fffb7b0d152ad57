//! What lies in the home and in the environment, read into what the configuration is made from.
//!
//! Reading happens at start and at each reload; the process environment and what callers of `reload`
//! forwarded stay the same in between.

mod env_names;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use bitrouter_catalog::Catalog;
use bitrouter_config::{
    Discovered, Document, Environment as Variables, Layer, Loaded, Problem, SourceText, Sources,
};
use bitrouter_control_plane::reconcile::Elsewhere as Known;

use crate::discovery::Found;
use crate::failure::{Doing as _, Failure};
use crate::home::{Environment, Places};
use crate::text;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) places: Places,
    process: BTreeMap<String, String>,
    forwarded: BTreeMap<String, String>,
}

/// What is known of providers that no file declares.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Elsewhere<'a> {
    /// These are made through the API, and no others.
    Known(&'a Known),
    /// Only the control plane knows: whatever is named may be there.
    Presumed,
}

/// What was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) sources: Sources,
    /// What could not be understood and does not matter enough to stop.
    pub(crate) warnings: Vec<String>,
}

/// What may be relied on.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) document: Document,
    /// What works, but not as somebody may expect.
    pub(crate) warnings: Vec<String>,
    /// Variables that provider keys and base URLs are read from.
    pub(crate) env_names: BTreeSet<String>,
    /// Providers that are presumed to be made through the API.
    pub(crate) presumed: BTreeSet<String>,
    /// What it was made from.
    pub(crate) read: Read,
}

impl Elsewhere<'_> {
    /// Their names, and whether there may be others.
    fn providers(self) -> (Vec<String>, bool) {
        match self {
            Self::Known(known) => (known.made.iter().chain(&known.gone).cloned().collect(), false),
            Self::Presumed => (Vec::new(), true),
        }
    }
}

impl Read {
    /// Makes of what was read what may be relied on, with these model servers; reads nothing again.
    /// All problems are in one failure.
    pub(crate) fn configure(
        &self,
        found: &[Found],
        elsewhere: Elsewhere<'_>,
    ) -> Result<Configuration, Failure> {
        let Self { mut sources, mut warnings } = self.clone();
        sources.discovered = found.iter().filter_map(Found::declared).collect();
        (sources.known_providers, sources.presumes_providers) = elsewhere.providers();
        let catalog = Catalog::builtin();
        let loaded = bitrouter_config::load(&sources, catalog);
        warnings.extend(loaded.warnings.iter().map(ToString::to_string));
        let Some(mut document) = loaded.document else { return Err(not_usable(&loaded.problems)) };
        tell_contexts(&mut document, found);
        let env_names = env_names::of(&sources, Some(&document), catalog);
        if let Elsewhere::Known(known) = elsewhere {
            warnings.extend(left_out(&document, &known.gone));
        }
        let presumed = loaded.presumed_providers;
        Ok(Configuration { document, warnings, env_names, presumed, read: self.clone() })
    }
}

impl Installation {
    /// That of these places and this environment.
    pub(crate) fn new(places: Places, env: &Environment) -> Self {
        Self { places, process: env.vars.clone(), forwarded: BTreeMap::new() }
    }

    /// The same with variables that a caller of `reload` handed over, and which of them are new.
    pub(crate) fn forwarding(&self, variables: BTreeMap<String, String>) -> (Self, Vec<String>) {
        let mut next = self.clone();
        let mut changed = Vec::new();
        for (name, value) in variables {
            let standing = self.forwarded.get(&name).or_else(|| self.process.get(&name));
            if standing != Some(&value) {
                changed.push(name.clone());
                next.forwarded.insert(name, value);
            }
        }
        (next, changed)
    }

    /// Reads the config file, the provider manifests and the `.env` file.
    pub(crate) fn read(
        &self,
        discovered: Vec<Discovered>,
        elsewhere: Elsewhere<'_>,
    ) -> Result<Read, Failure> {
        let main = self.places.existing_config()?.map(source).transpose()?;
        let mut warnings = Vec::new();
        let mut environment = Variables::default();
        if let Some(text) = self.dotenv()? {
            for error in environment.extend_from_dotenv(&text) {
                warnings.push(format!("{}: {error}", self.places.env_file.display()));
            }
        }
        environment.extend(Layer::Process, self.process.clone());
        environment.extend(Layer::Forwarded, self.forwarded.clone());
        let manifests = manifests(&self.places.home.join("providers.d"))?;
        let (known_providers, presumes_providers) = elsewhere.providers();
        let sources = Sources {
            main,
            manifests,
            environment,
            discovered,
            known_providers,
            presumes_providers,
        };
        Ok(Read { sources, warnings })
    }

    /// Reads everything, and says all that is right and wrong about it.
    pub(crate) fn check(&self, known: &Known) -> Result<(Loaded, Vec<String>), Failure> {
        let Read { sources, warnings } = self.read(Vec::new(), Elsewhere::Known(known))?;
        Ok((bitrouter_config::load(&sources, Catalog::builtin()), warnings))
    }

    /// Reads everything and makes of it what may be relied on; all problems are in one failure.
    pub(crate) fn load(
        &self,
        found: &[Found],
        elsewhere: Elsewhere<'_>,
    ) -> Result<Configuration, Failure> {
        self.read(Vec::new(), elsewhere)?.configure(found, elsewhere)
    }

    /// Variables that provider keys and base URLs are read from, as the files are now.
    pub(crate) fn env_names(&self) -> Result<BTreeSet<String>, Failure> {
        let Read { sources, .. } = self.read(Vec::new(), Elsewhere::Presumed)?;
        let catalog = Catalog::builtin();
        let loaded = bitrouter_config::load(&sources, catalog);
        Ok(env_names::of(&sources, loaded.document.as_ref(), catalog))
    }

    fn dotenv(&self) -> Result<Option<String>, Failure> {
        let path = &self.places.env_file;
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && !self.places.is_env_file_named =>
            {
                Ok(None)
            }
            Err(error) => Err(error).doing(format_args!("read {}", path.display())),
        }
    }
}

/// Says which routes name providers that are gone.
fn left_out(document: &Document, gone: &BTreeSet<String>) -> Vec<String> {
    let mut said = Vec::new();
    for route in &document.routes {
        for endpoint in route.spec.endpoints.iter().filter(|it| gone.contains(&it.provider)) {
            said.push(format!(
                "the route `{}` names the provider `{}`, which was deleted: that endpoint is left out",
                route.id, endpoint.provider
            ));
        }
    }
    said
}

/// What a model server says of its models' context windows holds, unless the config says otherwise.
fn tell_contexts(document: &mut Document, found: &[Found]) {
    for server in found {
        let provider = document.providers.iter_mut().find(|it| it.id == server.kind.id());
        let Some(provider) = provider else { continue };
        for told in &server.models {
            if let Some(model) = provider.spec.models.get_mut(&told.id) {
                model.max_input_tokens = model.max_input_tokens.or(told.max_input_tokens);
            }
        }
    }
}

fn not_usable(problems: &[Problem]) -> Failure {
    let lines: Vec<_> = problems.iter().map(|problem| format!("  {problem}")).collect();
    let how_many = text::plural(problems.len(), "problem");
    Failure::failed(format!("the config has {how_many}:\n{}", lines.join("\n")))
        .kind("invalid_config")
        .hint("`bitrouter config validate` checks a change before it is taken into use")
}

fn source(path: &Path) -> Result<SourceText, Failure> {
    let text = fs::read_to_string(path).doing(format_args!("read {}", path.display()))?;
    Ok(SourceText { path: path.display().to_string(), text })
}

/// The manifests in a directory, by name.
fn manifests(dir: &Path) -> Result<Vec<SourceText>, Failure> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(format_args!("read {}", dir.display())),
    };
    let mut paths = Vec::<PathBuf>::new();
    for entry in entries {
        let path = entry.doing(format_args!("read {}", dir.display()))?.path();
        let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if is_yaml && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| source(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Globals;

    fn installation(dir: &Path, vars: &[(&str, &str)]) -> Installation {
        let vars = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let env = Environment { vars, cwd: dir.to_owned() };
        let globals = Globals { home_dir: Some(".".into()), ..Globals::default() };
        Installation::new(Places::find(&globals, &env).unwrap(), &env)
    }

    #[test]
    fn the_process_environment_wins_over_the_file_and_forwarded_variables_over_both() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".env"), "A=file\nB=file\nC=file\n").unwrap();
        let installation = installation(dir.path(), &[("B", "process"), ("C", "process")]);
        let handed =
            [("C".to_owned(), "caller".to_owned()), ("B".to_owned(), "process".to_owned())];
        let (next, changed) = installation.forwarding(handed.into());
        assert_eq!(changed, ["C"], "only what differs counts as changed");
        let environment = next.read(Vec::new(), Elsewhere::Presumed).unwrap().sources.environment;
        let read = ["A", "B", "C"].map(|name| environment.get(name));
        assert_eq!(read, [Some("file"), Some("process"), Some("caller")]);
    }

    #[test]
    fn what_was_read_stays_as_it_was_until_it_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bitrouter.yaml");
        let preset = |name: &str| format!("presets: {{ {name}: {{ model: m }} }}\n");
        fs::write(&config, preset("old")).unwrap();
        let installation = installation(dir.path(), &[]);
        let started = installation.load(&[], Elsewhere::Presumed).unwrap();
        fs::write(&config, preset("edited")).unwrap();
        let found = started.read.configure(&[], Elsewhere::Presumed).unwrap();
        assert_eq!(found.document.presets[0].id, "old");
        let reloaded = installation.load(&[], Elsewhere::Presumed).unwrap();
        assert_eq!(reloaded.document.presets[0].id, "edited");
    }

    #[test]
    fn manifests_are_read_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let manifests = dir.path().join("providers.d");
        fs::create_dir(&manifests).unwrap();
        for name in ["b.yaml", "a.yml", "notes.txt"] {
            fs::write(manifests.join(name), name).unwrap();
        }
        let read = installation(dir.path(), &[]).read(Vec::new(), Elsewhere::Presumed).unwrap();
        let texts: Vec<_> = read.sources.manifests.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["a.yml", "b.yaml"]);
    }
}
