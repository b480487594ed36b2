//! Templates in, documents out.
//!
//! Every value that a template prints passes through [`escape`], by the kind of file the template is:
//! `{{ value }}` is always one whole scalar, word or string constant, and a template never puts quotes
//! around one. Filters and functions for the other cases:
//!
//! | in a template | gives |
//! |---|---|
//! | `{{ labels \| tree(4) }}` | a map or list as block YAML, on lines indented by 4 spaces |
//! | `{{ file("streaming/primary.sh") }}` | another template, rendered as its own kind, as a YAML block |
//! | `{% filter indented(4) %}` | what stands in it, 4 spaces further to the right |
//! | `{{ path \| basename }}` | what stands after the last `/` |
//! | `{{ checksum() }}` | SHA-256 over the names and SHA-256 of all files that the scenario's `ConfigMaps` hold |
//! | `{{ checksum("store") }}` | the same over those alone that the store's pod uses |
//! | `{{ user \| ident }}` | an SQL identifier |

pub mod escape;
mod templates;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use escape::Kind;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A rendered file: its name in the folder and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// File name in the output folder, for example `07-service-rw.yaml`.
    pub path: String,
    /// The whole text. A manifest holds one Kubernetes object.
    pub text: String,
}

/// The values that all templates see.
#[derive(Debug)]
pub struct Renderer {
    context: Arc<Context>,
}

/// What a template sees, and those which `file()` renders in its midst.
#[derive(Debug, Clone)]
struct Context(BTreeMap<String, Value>);

/// The name by which [`file`] finds the context that it is called in.
const CONTEXT: &str = "context";
/// How deep a `ConfigMap`'s files are indented under its `data`.
const INDENT: usize = 4;
/// The name of what [`checksum`] gives, before the name of what it is of.
const CHECKSUM: &str = "checksum of ";

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            CONTEXT => Some(Value::from_dyn_object(Arc::clone(self))),
            key => self.0.get(key).cloned(),
        }
    }
}

impl Renderer {
    /// A renderer whose templates see the fields of `values`.
    ///
    /// # Errors
    /// `values` is no map.
    pub fn new(values: &impl Serialize) -> anyhow::Result<Self> {
        let all = Value::from(Serde(values));
        let mut values = BTreeMap::new();
        for key in all.try_iter()? {
            let value = all.get_item(&key)?;
            values.insert(key.to_string(), value);
        }
        Ok(Self { context: Arc::new(Context(values)) })
    }

    /// Adds a value that all templates see from now on.
    pub fn set(&mut self, name: impl Into<String>, value: impl Serialize) {
        Arc::make_mut(&mut self.context).0.insert(name.into(), Value::from(Serde(value)));
    }

    /// Makes `checksum(of)` that of these files, as they are with the values now; `checksum()` is that of `""`.
    ///
    /// # Errors
    /// As for [`Self::render`].
    pub fn set_checksum<'a>(
        &mut self,
        of: &str,
        files: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<()> {
        let mut hash = Sha256::new();
        for name in files {
            // As the pods know it: where its template is stands in no manifest.
            hash.update(basename(name));
            hash.update([0]);
            hash.update(Sha256::digest(filled(name, &self.values())?));
        }
        self.set(format!("{CHECKSUM}{of}"), hex(&hash.finalize()));
        Ok(())
    }

    /// The template `name`, filled in.
    ///
    /// # Errors
    /// The template is missing, broken, or uses a value that there is none of: a defect of pgk.
    pub fn render(&self, name: &str) -> anyhow::Result<String> {
        Ok(filled(name, &self.values())?)
    }

    fn values(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.context))
    }
}

/// The template `name` with the values filled in.
fn filled(name: &str, values: &Value) -> Result<String, Error> {
    environment()?.get_template(name)?.render(values)
}

/// What templates are compiled and found by.
fn environment() -> Result<&'static Environment<'static>, Error> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build()?);
    environment.set_auto_escape_callback(|name| match Kind::of(name) {
        Some(kind) => AutoEscape::Custom(kind.name().into()),
        None => AutoEscape::Custom("unknown".into()),
    });
    environment.set_formatter(print);
    environment.add_filter("tree", |tree: &Value, indent: usize| {
        escape::yaml_tree(tree, indent).map(Value::from_safe_string)
    });
    environment.add_filter("ident", |name: String| Value::from_safe_string(escape::sql_identifier(&name)));
    environment
        .add_filter("indented", |text: String, by: usize| Value::from_safe_string(indented(&text, by)));
    environment.add_filter("basename", |path: String| basename(&path).to_owned());
    environment.add_function("file", file);
    environment.add_function("checksum", checksum);
    environment.set_loader(|name| Ok(templates::find(name)));
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// What stands after the last `/` of `path`.
pub fn basename(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Prints one value into a template: as it is where a filter made it, escaped otherwise.
fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let written = if value.is_safe() || value.kind() == ValueKind::Number {
        write!(out, "{value}")
    } else if let Some(text) = value.as_str() {
        let escaped = kind(state)?.escape(text).ok_or_else(|| {
            let text = text.escape_debug();
            Error::new(ErrorKind::BadEscape, format!("{} cannot hold the value {text}", state.name()))
        })?;
        out.write_str(&escaped)
    } else {
        return Err(Error::new(ErrorKind::BadEscape, format!("no way to print a {}", value.kind())));
    };
    written.map_err(Into::into)
}

fn kind(state: &State<'_, '_>) -> Result<Kind, Error> {
    match state.auto_escape() {
        AutoEscape::Custom(name) => Kind::named(name),
        _ => None,
    }
    .ok_or_else(|| Error::new(ErrorKind::BadEscape, format!("no way to escape values in {}", state.name())))
}

/// `text` moved to the right by so many spaces.
fn indented(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    let mut moved = String::with_capacity(2 * text.len());
    for line in text.split_inclusive('\n') {
        moved.extend([if line.bytes().all(|b| b.is_ascii_whitespace()) { "" } else { &pad }, line]);
    }
    moved
}

fn file(state: &State<'_, '_>, name: &str) -> Result<Value, Error> {
    let text = filled(name, &lookup(state, CONTEXT)?)?;
    Ok(Value::from_safe_string(escape::yaml_block(&text, INDENT)))
}

fn checksum(state: &State<'_, '_>, of: Option<&str>) -> Result<Value, Error> {
    lookup(state, &format!("{CHECKSUM}{}", of.unwrap_or_default()))
}

fn lookup(state: &State<'_, '_>, name: &str) -> Result<Value, Error> {
    state.lookup(name).ok_or_else(|| ErrorKind::UndefinedError.into())
}

/// `bytes` in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
