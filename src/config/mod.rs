//! From what the user wrote to a [`Plan`].
//!
//! Precedence, each over the ones before it: pgk's defaults, the file given by `-f`, each `--set` in the
//! order given, a dedicated flag such as `--namespace`. Every layer is the same type and checks itself
//! as it is read, so that an error points into the text that caused it.

mod archive;
mod conflicts;
mod parameters;
mod place;
mod plan;
mod policy;
mod scenario;
mod section;
pub mod settings;
pub mod types;
mod volume;
mod written;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context as _;

use crate::error::{Diagnostic, Diagnostics, Place, shown, similar};
use crate::yaml::{At, Key, Node, Value, Words, at, diagnose, explain, in_file, not_closed, unclosed};
pub use archive::Q3;
use conflicts::Conflict;
pub(crate) use parameters::{SizedParameter, explained};
use plan::Layer;
pub use plan::Plan;
pub use scenario::Scenario;
use section::Setting as _;
use settings::within;
use types::Strategy;

/// Where the configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file given by `-f`; `-` is standard input.
    pub file: Option<PathBuf>,
    /// The `KEY=VALUE` of each `--set`, in order.
    pub set: Vec<String>,
    /// Dedicated flags that were given: the flag, the key that it stands for, and its value.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// The scenario that it is for: with an archive, its settings must go together as well, and what is given
    /// on the command line must be the scenario's. `None` is none in particular.
    pub scenario: Option<Scenario>,
}

/// A configuration file may not be larger than this, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Reads every source and merges them into a plan.
///
/// # Errors
/// [`Diagnostics`] that point to all that is wrong, as far as the file is YAML.
pub fn load(sources: &Sources) -> anyhow::Result<Plan> {
    static DEFAULTS: LazyLock<Result<Plan, String>> =
        LazyLock::new(|| Plan::at_first().map_err(|error| error.to_string()));
    let mut plan = DEFAULTS.clone().map_err(anyhow::Error::msg).context("a default of pgk is not valid")?;
    let file = sources.file.as_deref().map(File::read).transpose()?;
    let mut wrong = Vec::new();
    if let Some(file) = &file {
        match parse(&file.text) {
            Ok(layer) => plan.apply(layer),
            Err(first) => wrong = file.all_that_is_wrong(&first, &mut plan),
        }
    }
    let set = sources.set.iter().map(|argument| {
        let (key, value) = split_set(argument)?;
        read_argument("--set", argument, key, value)
    });
    let flags = sources.flags.iter().map(|(flag, key, value)| read_argument(flag, value, key, value));
    for layer in set.chain(flags) {
        match layer {
            Ok(layer) => plan.apply(layer),
            Err(error) => wrong.push(*error),
        }
    }
    let scenario = sources.scenario.map(|asked| asked.with(plan.q2.strategy));
    let has_archive = scenario.is_some_and(Scenario::has_archive);
    let archive = if has_archive { plan.archive_conflicts() } else { Vec::new() };
    // In a file that is shared, what Q2 is set to does not matter to Q1.
    let conflicts = if scenario == Some(Scenario::Q1) { Vec::new() } else { plan.conflicts() };
    let parameters = plan.parameter_verdicts(scenario);
    let conflicts = archive.into_iter().chain(conflicts).chain(plan.resource_conflicts());
    let conflicts: Vec<_> = conflicts.chain(parameters.refused).collect();
    let place_of = |conflict: &Conflict| {
        if conflict.is_value {
            place::of_value(&conflict.key, sources, file.as_ref())
        } else {
            place::of(&conflict.key, sources, file.as_ref())
        }
    };
    let alone = wrong.len();
    for conflict in conflicts {
        let unknown = wrong.iter().take(alone).any(|Wrong { key, .. }| {
            within(key, &conflict.key) || conflict.others.iter().any(|other| within(key, other))
        });
        if !unknown {
            let diagnostic = Diagnostic { place: place_of(&conflict), ..conflict.diagnostic };
            wrong.push(Wrong { key: conflict.key, diagnostic });
        }
    }
    without_effect(sources, scenario, plan.q2.strategy == Strategy::Restore, &mut wrong);
    let unlisted = if has_archive { unlisted(sources, &plan, file.as_ref(), &mut wrong) } else { Vec::new() };
    Diagnostics::check(wrong.into_iter().map(|wrong| wrong.diagnostic).collect())?;
    plan.name_parameters();
    let warned = parameters.warned.into_iter().chain(plan.policy_doubts());
    let warned = warned.map(|it| Diagnostic { place: place_of(&it), ..it.diagnostic });
    plan.warnings = warned.chain(unlisted).collect();
    Ok(plan)
}

/// Something wrong with the setting `key`.
struct Wrong {
    key: String,
    diagnostic: Diagnostic,
}

/// What is set on the command line and is not the scenario's. In a file it may stay: several may share it.
fn without_effect(sources: &Sources, asked: Option<Scenario>, restores: bool, wrong: &mut Vec<Wrong>) {
    let set = sources.set.iter().filter_map(|argument| {
        let (key, _) = argument.split_once('=')?;
        Some((key, key, Place::argument("--set", argument, 0)))
    });
    let flags = sources.flags.iter().map(|(flag, key, value)| (*flag, *key, Place::argument(flag, value, 0)));
    let given: Vec<_> = set.chain(flags).collect();
    for (named, key, place) in given {
        let Some(setting) = settings::find(key) else { continue };
        let has = match asked {
            Some(asked) => setting.scenarios.contains(&asked),
            // Who names no scenario has no archive.
            None => setting.scenarios != [Scenario::Q3],
        };
        // Q3 and restore exclude each other, in a file as well: that is said already.
        let excluded = asked == Some(Scenario::Q3) && key == "q2.strategy" && restores;
        if has || excluded {
            continue;
        }
        // What is wrong with its value matters no more.
        let argument = |wrong: &Wrong| matches!(wrong.diagnostic.place, Some(Place::Argument { .. }));
        wrong.retain(|wrong| !(argument(wrong) && within(&wrong.key, key)));
        let whose = Scenario::list(&setting.scenarios);
        let diagnostic = match asked {
            Some(asked) => {
                // By which way, if that is what matters.
                let q2 = Scenario::EITHER_Q2;
                let is_of_q2 = q2.iter().any(|it| setting.scenarios.contains(it));
                let asked = if q2.contains(&asked) && !is_of_q2 {
                    asked.name().to_owned()
                } else {
                    Scenario::list(&[asked])
                };
                Diagnostic::new(format!("{named} is for {whose}, and has no effect in {asked}")).help(
                    format!("leave {named} out; in a file that several scenarios share, `{key}` may stay"),
                )
            }
            None => Diagnostic::new(format!("{named} is for {whose}"))
                .help(format!("name {whose} as the scenario, or leave {named} out")),
        };
        wrong.push(Wrong { key: key.to_owned(), diagnostic: diagnostic.at(place) });
    }
}

/// What is set of a repository that is not among `q3.repos`: on the command line an error, in a file a warning, as it
/// may be there for another day.
fn unlisted(sources: &Sources, plan: &Plan, file: Option<&File>, wrong: &mut Vec<Wrong>) -> Vec<Diagnostic> {
    use types::RepoKind::{Azure, Gcs, Posix, S3, Sftp};
    let mut warnings = Vec::new();
    // Where the list is wrong, there is no telling.
    if wrong.iter().any(|wrong| wrong.key == "q3.repos") {
        return warnings;
    }
    let listed: Vec<_> = plan.q3.repos.kinds().iter().map(|kind| kind.as_str()).collect();
    for kind in [Posix, S3, Gcs, Azure, Sftp].into_iter().filter(|kind| !plan.q3.repos.has(*kind)) {
        let section = format!("q3.{}", kind.as_str());
        let argument = place::of(&section, sources, None);
        let in_file = || place::in_section(&section, file?);
        let Some(place) = argument.or_else(in_file) else { continue };
        let is_argument = matches!(place, Place::Argument { .. });
        let diagnostic = Diagnostic::new(format!(
            "settings of {section} have no effect: the archive is in q3.repos, which is {}",
            listed.join(", ")
        ))
        .at(place)
        .help(format!("to use it as well: q3.repos={},{}", listed.join(","), kind.as_str()));
        if is_argument {
            wrong.push(Wrong { key: section, diagnostic });
        } else {
            warnings.push(diagnostic);
        }
    }
    warnings
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
            Err(why) => {
                let help = match why.kind() {
                    std::io::ErrorKind::NotFound => {
                        "`pgk init` writes a pgk.yaml to begin with; without -f, the defaults apply"
                    }
                    std::io::ErrorKind::PermissionDenied => "let this user read it",
                    _ => "a configuration is YAML in UTF-8, of at most 1 MiB",
                };
                Err(Diagnostic::new(format!("cannot read the configuration: {why}"))
                    .at(Place::path(Path::new(&shown)))
                    .help(help))
            }
        }
    }

    /// All that is wrong with the file of which the reader said `first`; what is not, is applied to `plan`.
    fn all_that_is_wrong(&self, first: &serde_yaml::Error, plan: &mut Plan) -> Vec<Wrong> {
        /// Who reads this far has enough to do.
        const ENOUGH: usize = 50;
        let mut found = Vec::new();
        if let Some(document) = Node::of_document(&self.text) {
            settings_in(document, &mut Vec::new(), &mut found);
        }
        let first_at = first.location().and_then(at);
        let mut wrong = Vec::new();
        let mut has_first = false;
        for found in found {
            let (key, error_at, diagnostic) = match found {
                Found::Twice(key, at) => {
                    let what = format!("{} is given twice", shown(&key));
                    (key, at, Diagnostic::new(what).help("keep one of the two"))
                }
                Found::Setting(keys, node) => match read_setting(&keys, node) {
                    Ok(layer) => {
                        plan.apply(layer);
                        continue;
                    }
                    Err(error) => *error,
                },
            };
            has_first |= Some(error_at) == first_at;
            let place = in_file(&self.shown, &self.text, Some(error_at));
            wrong.push(Wrong { key, diagnostic: diagnostic.at(place) });
            if wrong.len() == ENOUGH {
                break;
            }
        }
        // It says more than what the reader made of the beginning.
        if let Some((bracket, bracket_at)) = unclosed(&self.text) {
            let diagnostic = not_closed(bracket).at(in_file(&self.shown, &self.text, Some(bracket_at)));
            return vec![Wrong { key: String::new(), diagnostic }];
        }
        // An error of syntax, or in what is not looked into.
        if !has_first {
            let diagnostic = diagnose(first, &self.shown, &self.text, &words(KEYS));
            wrong.insert(0, Wrong { key: String::new(), diagnostic });
        }
        wrong
    }
}

/// What is in a file.
enum Found {
    /// A setting: the keys that lead to it, and what it is set to.
    Setting(Vec<Key>, Node),
    /// A key that was there before: the whole of it, and where.
    Twice(String, At),
}

/// Takes what stands below `keys` apart.
fn settings_in(node: Node, keys: &mut Vec<Key>, found: &mut Vec<Found>) {
    let path = dotted(keys);
    let section = path.is_empty()
        || settings::find(&path).is_some_and(|it| it.section || it.key == path && it.is_map());
    // What a target is may be said one way or another, and each is a setting.
    let one = |entries: &[(Key, Node)]| match entries {
        [((part, _), _)] => settings::all().iter().any(|it| it.key == format!("{path}.{part}")),
        _ => false,
    };
    match node.value {
        Value::Map(entries) if section || one(&entries) => {
            let mut seen = HashSet::new();
            for (key, node) in entries {
                if seen.insert(key.0.clone()) {
                    keys.push(key);
                    settings_in(node, keys, found);
                    keys.pop();
                } else {
                    let (part, at) = key;
                    found.push(Found::Twice(
                        if path.is_empty() { part } else { format!("{path}.{part}") },
                        at,
                    ));
                }
            }
        }
        _ => found.push(Found::Setting(keys.clone(), node)),
    }
}

/// The whole key.
fn dotted(keys: &[Key]) -> String {
    keys.iter().map(|(part, _)| part.as_str()).collect::<Vec<_>>().join(".")
}

/// Reads one setting; what is wrong with it is the key, where, and what.
fn read_setting(keys: &[Key], node: Node) -> Result<Layer, Box<(String, At, Diagnostic)>> {
    let value = if let Value::Text(text) = &node.value { Some(text.clone()) } else { None };
    written::read(&node.below(keys)).map_err(|error| {
        let (error, at) = *error;
        let key = dotted(keys);
        let is_key = keys.last().is_some_and(|(_, key_at)| *key_at == at);
        let help = help(&key, value.as_deref(), is_key);
        let mut diagnostic = explain(&error, &words(&help));
        if let serde_yaml::Error::SerdeUnknownField { field, expected, .. } = error.without_snippet()
            && similar(field, expected.iter().copied()).is_none()
            && let Some(meant) = settings::meant(field)
        {
            diagnostic = diagnostic.help(format!("did you mean `{meant}`?"));
        }
        Box::new((key, at, diagnostic))
    })
}

/// What to do about a wrong `value` of `key`, or about the key itself.
fn help(key: &str, value: Option<&str>, is_key: bool) -> String {
    let Some(setting) = settings::find(key) else { return KEYS.to_owned() };
    let more = format!("`pgk explain {}`", setting.key);
    if setting.section {
        return format!("{more} lists the settings in it");
    }
    if is_key && setting.key == "postgres.parameters" {
        return "correct the parameter's name, or take it out".to_owned();
    }
    let words = setting.words();
    // Of a list, there is no telling which one is meant.
    let value = value.filter(|value| !value.contains(','));
    if let Some(word) = value.and_then(|value| similar(value, words.iter().map(|(word, _)| word.as_str()))) {
        return format!("did you mean `{word}`?");
    }
    match setting.example().map(settings::inline) {
        Some(example) if words.is_empty() && example.len() <= 40 => {
            format!("for example `{}: {example}`; {more} says more", setting.name())
        }
        _ => format!("{more} says more"),
    }
}

/// Where a user finds what a configuration may hold.
pub(crate) const KEYS: &str = "`pgk explain` lists every key";

/// What an error of the configuration's YAML is said in.
fn words(help: &str) -> Words<'_> {
    Words {
        whole: "the configuration",
        map: "a map of settings",
        one: "describe one instance per file",
        help,
    }
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

fn split_set(argument: &str) -> Result<(&str, &str), Box<Wrong>> {
    argument.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
        let diagnostic = Diagnostic::new("a setting is KEY=VALUE")
            .at(Place::argument("--set", argument, 0))
            .help("for example --set replicas=3 or --set postgres.parameters.work_mem=16MB");
        Box::new(Wrong { key: String::new(), diagnostic })
    })
}

/// Reads `value` as if the file had it at `key`, whose parts are separated by dots. A parameter's name
/// may hold a dot itself, so all that follows `postgres.parameters.` is one part. The `argument` of `--set` has the
/// key in it, which an error can point to; that of another flag is the value.
fn read_argument(flag: &str, argument: &str, key: &str, value: &str) -> Result<Layer, Box<Wrong>> {
    let parts: Vec<&str> = match key.strip_prefix("postgres.parameters.") {
        Some(parameter) => vec!["postgres", "parameters", parameter],
        None => key.split('.').collect(),
    };
    let mut column = 0;
    let mut keys = Vec::new();
    for part in parts {
        keys.push((part.to_owned(), (1, column)));
        if flag == "--set" {
            column += part.chars().count() + 1;
        }
    }
    read_setting(&keys, Node::text(value, (1, column))).map_err(|error| {
        let (key, (_, column), diagnostic) = *error;
        Box::new(Wrong { key, diagnostic: diagnostic.at(Place::argument(flag, argument, column)) })
    })
}
