//! Templates in, documents out.
//!
//! Every value that a template prints passes through [`escape`], by the kind of file the template is:
//! `{{ value }}` is always one whole scalar, word or string constant, and a template never puts quotes
//! around one. Filters and functions for the other cases:
//!
//! | in a template | gives |
//! |---|---|
//! | `{{ labels \| tree(4) }}` | a map or list as block YAML, on lines indented by 4 spaces |
//! | `{{ file("q1/primary.sh") }}` | another template, rendered as its own kind, as a YAML block |
//! | `{% filter indented(4) %}` | what stands in it, 4 spaces further to the right |
//! | `{{ path \| basename }}` | what stands after the last `/` |
//! | `{{ checksum() }}` | SHA-256 over all files that the scenario's `ConfigMaps` hold |
//! | `{{ user \| ident }}` | an SQL identifier |

pub mod escape;
mod templates;

use std::fmt::Write as _;
use std::sync::OnceLock;

use escape::Kind;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use templates::TEMPLATES;

/// A rendered file: its name in the folder and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// File name in the output folder, for example `07-service-rw.yaml`.
    pub path: String,
    /// The whole text. A manifest holds one Kubernetes object.
    pub text: String,
}

/// The templates and the values that they all see.
#[derive(Debug)]
pub struct Renderer {
    environment: Environment<'static>,
}

impl Renderer {
    /// A renderer whose templates see the fields of `values`, and whose `checksum()` covers `files`.
    ///
    /// # Errors
    /// `values` is no map.
    pub fn new(values: &impl Serialize, files: Vec<&'static str>) -> anyhow::Result<Self> {
        let mut environment = match COMPILED.get() {
            Some(compiled) => compiled.clone(),
            None => COMPILED
                .get_or_init({
                    let compiled = compile()?;
                    move || compiled
                })
                .clone(),
        };
        environment.add_function("checksum", move |state: &State| checksum(state, &files));
        let values = Value::from(Serde(values));
        for key in values.try_iter()? {
            let value = values.get_item(&key)?;
            environment.add_global(key.to_string(), value);
        }
        Ok(Self { environment })
    }

    /// Adds a value that all templates see from now on.
    pub fn set(&mut self, name: &'static str, value: impl Serialize) {
        self.environment.add_global(name, Value::from(Serde(value)));
    }

    /// The template `name`, filled in.
    ///
    /// # Errors
    /// The template is missing, broken, or uses a value that there is none of: a defect of pgk.
    pub fn render(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.environment.get_template(name)?.render(())?)
    }
}

/// The templates, compiled once however many instances are rendered: a clone shares them.
static COMPILED: OnceLock<Environment<'static>> = OnceLock::new();

fn compile() -> anyhow::Result<Environment<'static>> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A comment is not `{#`, which Bash has in `${#array[@]}`.
    let mut syntax = SyntaxConfig::builder();
    syntax.comment_delimiters("{//", "//}").trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build()?);
    environment.set_auto_escape_callback(|name| match Kind::of(name) {
        Some(kind) => AutoEscape::Custom(kind.name().into()),
        None => AutoEscape::Custom("unknown".into()),
    });
    environment.set_formatter(print);
    environment.add_filter("tree", tree);
    environment.add_filter("ident", |name: String| Value::from_safe_string(escape::sql_identifier(&name)));
    environment
        .add_filter("indented", |text: String, by: usize| Value::from_safe_string(indented(&text, by)));
    environment.add_filter("basename", |path: String| basename(&path).to_owned());
    environment.add_function("file", file);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// What stands after the last `/` of `path`.
pub fn basename(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Prints one value into a template: as it is where a filter made it, escaped otherwise.
fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let written = if value.is_safe() || matches!(value.kind(), ValueKind::Number | ValueKind::Bool) {
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

#[allow(clippy::needless_pass_by_value)] // the shape that minijinja asks of a filter
fn tree(Serde(value): Serde<Json>, indent: usize) -> Value {
    Value::from_safe_string(escape::yaml_tree(&value, indent))
}

/// `text` moved to the right by so many spaces.
fn indented(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    let lines = text.split_inclusive('\n');
    lines.fold(String::new(), |done, line| done + if line.trim().is_empty() { "" } else { &pad } + line)
}

/// How deep a `ConfigMap`'s files are indented under its `data`.
const FILE_INDENT: usize = 4;

fn file(state: &State<'_, '_>, name: &str) -> Result<Value, Error> {
    let text = state.env().get_template(name)?.render(())?;
    Ok(Value::from_safe_string(escape::yaml_block(&text, FILE_INDENT)))
}

fn checksum(state: &State<'_, '_>, files: &[&str]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for name in files {
        hash.update(name);
        hash.update([0]);
        hash.update(state.env().get_template(name)?.render(())?);
        hash.update([0]);
    }
    Ok(hex(&hash.finalize()))
}

/// `bytes` in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
