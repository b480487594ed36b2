//! From what the user wrote to a [`Plan`].
//!
//! Precedence, each over the ones before it: pgk's defaults, the file given by `-f`, each `--set` in the
//! order given, a dedicated flag such as `--namespace`. Every layer is the same type and checks itself
//! as it is read, so that an error points into the text that caused it.

mod archive;
mod layer;
mod place;
mod plan;
pub mod types;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value as Json;
use serde_yaml::Location;

use crate::error::{Diagnostic, Place};
pub use archive::Q3;
use layer::Layer;
use plan::Conflict;
pub use plan::Plan;

/// Where the configuration comes from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file given by `-f`; `-` is standard input.
    pub file: Option<PathBuf>,
    /// The `KEY=VALUE` of each `--set`, in order.
    pub set: Vec<String>,
    /// Dedicated flags that were given: the flag, the key that it stands for, and its value.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// Whether it is for a scenario with an archive, whose settings must then go together as well.
    pub archive: bool,
}

/// A configuration file may not be larger than this, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Reads every source and merges them into a plan.
///
/// # Errors
/// A [`Diagnostic`] that points to what is wrong.
pub fn load(sources: &Sources) -> anyhow::Result<Plan> {
    if let Some((flag, _, value)) = sources.flags.iter().find(|(_, key, _)| key.starts_with("q3."))
        && !sources.archive
    {
        return Err(Diagnostic::new(format!("{flag} is for q3, which alone has an archive"))
            .at(Place::argument(flag, value, 0))
            .help(format!("name q3 as the scenario, or leave {flag} out"))
            .into());
    }
    let mut plan = Plan::defaults().map_err(anyhow::Error::msg).context("a default of pgk is not valid")?;
    let file = sources.file.as_deref().map(File::read).transpose()?;
    if let Some(file) = &file {
        plan.apply(parse(&file.text).map_err(|error| diagnose(&error, &file.shown, &file.text, KEYS))?);
    }
    for argument in &sources.set {
        let (key, value) = split_set(argument)?;
        plan.apply(read_argument("--set", argument, key, value)?);
    }
    for (flag, key, value) in &sources.flags {
        plan.apply(read_argument(flag, value, key, value)?);
    }
    let conflict = if sources.archive { plan.archive_conflict() } else { None };
    match conflict.or_else(|| plan.conflict()) {
        Some(Conflict { key, diagnostic }) => {
            Err(Diagnostic { place: place::of(&key, sources, file.as_ref()), ..diagnostic }.into())
        }
        None => Ok(plan),
    }
}

/// Where `key` was set last; `None` where nobody did, or where its file cannot be read again.
pub fn place(key: &str, sources: &Sources) -> Option<Place> {
    let file = sources.file.as_deref().filter(|path| *path != Path::new("-"));
    place::of(key, sources, file.and_then(|path| File::read(path).ok()).as_ref())
}

/// A configuration file.
struct File {
    /// Its path, as an error shows it.
    shown: String,
    text: String,
}

impl File {
    fn read(path: &Path) -> Result<Self, Diagnostic> {
        let shown =
            if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        match read_text(path) {
            Ok(text) => Ok(Self { shown, text }),
            Err(why) => Err(Diagnostic::new(format!("cannot read the configuration: {why}"))
                .at(Place::File { path: shown, position: None })
                .help("give the path of a YAML file after -f, or leave -f out for the defaults")),
        }
    }
}

/// Where a user finds what a configuration may hold.
const KEYS: &str = "`pgk gen --help` lists every key";

/// What is wrong with the YAML `text` of the file `path`, and where; `help` where there is none better.
pub(crate) fn diagnose(error: &serde_yaml::Error, path: &str, text: &str, help: &str) -> Diagnostic {
    explain(error, help).at(in_file(path, text, error.location()))
}

/// What is at `location` in the file `path`, whose text is `text`.
fn in_file(path: &str, text: &str, location: Option<Location>) -> Place {
    let position = location.and_then(|location| {
        let (line, column) =
            (usize::try_from(location.line()).ok()?, usize::try_from(location.column()).ok()?);
        Some((line, column, text.lines().nth(line.checked_sub(1)?)?.to_owned()))
    });
    Place::File { path: path.to_owned(), position }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read, stdin};
    let mut text = String::new();
    let limit = LARGEST_FILE + 1;
    if path == Path::new("-") {
        stdin().take(limit).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    }
    if text.len() as u64 > LARGEST_FILE {
        return Err(Error::new(ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Layer, serde_yaml::Error> {
    let options = serde_yaml::options! { with_snippet: false };
    Ok(serde_yaml::from_str_with_options::<Option<Layer>>(text, options)?.unwrap_or_default())
}

/// What is wrong and what to do, in the user's words rather than the parser's.
pub(crate) fn explain(error: &serde_yaml::Error, help: &str) -> Diagnostic {
    use serde_yaml::Error as E;
    match error.without_snippet() {
        E::SerdeUnknownField { field, expected, .. } => {
            let help = match similar(field, expected) {
                Some(key) => format!("did you mean `{key}`?"),
                None => format!("the keys here are {}", expected.join(", ")),
            };
            Diagnostic::new(format!("unknown key {}", types::shown(field))).help(help)
        }
        E::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map_or_else(|| "a key".to_owned(), types::shown);
            Diagnostic::new(format!("{key} is there twice")).help("keep one of the two")
        }
        E::MultipleDocuments { .. } => Diagnostic::new("the configuration holds more than one YAML document")
            .help("describe one instance a file"),
        E::Unexpected { expected: "mapping start", .. } => {
            Diagnostic::new("a map of settings is expected here").help(help)
        }
        E::Unexpected { expected: "string scalar", .. } => {
            Diagnostic::new("a single value is expected here").help(help)
        }
        other => {
            // Without the position, which the diagnostic shows in its own way.
            let text = other.to_string();
            let position =
                error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
            Diagnostic::new(position.and_then(|position| text.strip_suffix(&position)).unwrap_or(&text))
                .help(help)
        }
    }
}

/// The key that was probably meant by `field`.
pub(crate) fn similar(field: &str, keys: &[&'static str]) -> Option<&'static str> {
    const LONGEST: usize = 40;
    const ALIKE: f64 = 0.85;
    let likeness = |key: &str| strsim::jaro_winkler(field, key);
    let best = keys.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (field.len() <= LONGEST && likeness(best) > ALIKE).then_some(best)
}

fn split_set(argument: &str) -> Result<(&str, &str), Diagnostic> {
    argument.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
        Diagnostic::new("a setting is KEY=VALUE")
            .at(Place::argument("--set", argument, 0))
            .help("for example --set replicas=3 or --set postgres.parameters.work_mem=16MB")
    })
}

/// Reads `value` as if the file had it at `key`, whose parts are separated by dots. A parameter's name
/// may hold a dot itself, so all that follows `postgres.parameters.` is one part.
fn read_argument(flag: &str, argument: &str, key: &str, value: &str) -> Result<Layer, Diagnostic> {
    const PARAMETERS: &str = "postgres.parameters.";
    let parts: Vec<&str> = match key.strip_prefix(PARAMETERS) {
        Some(parameter) => vec!["postgres", "parameters", parameter],
        None => key.split('.').collect(),
    };
    let tree = parts.iter().rev().fold(Json::from(value), |tree, part| Json::from_iter([(*part, tree)]));
    // JSON is YAML: one reader, and so one set of messages, for files and arguments.
    parse(&tree.to_string()).map_err(|error| {
        let diagnostic = explain(&error, KEYS);
        let wrong = wrong_part(argument, key, value, &diagnostic.what);
        diagnostic.at(Place::argument(flag, argument, wrong))
    })
}

/// Where in `argument` the part is that `message` quotes, in characters from 0: the value, or a part of
/// the key.
fn wrong_part(argument: &str, key: &str, value: &str, message: &str) -> usize {
    let quoted = message.split('`').nth(1);
    let in_key = quoted.filter(|quoted| *quoted != value).and_then(|quoted| key.find(quoted));
    let bytes = match in_key {
        Some(at) => at,
        // A message that quotes nothing is of the kind of value that the key takes.
        None => argument.len() - value.len(),
    };
    argument.get(..bytes).map_or(0, |before| before.chars().count())
}
