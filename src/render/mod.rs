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
//! | `{{ checksum() }}` | SHA-256 over the names and SHA-256 of all files that the scenario's `ConfigMaps` hold |
//! | `{{ user \| ident }}` | an SQL identifier |

pub mod escape;
pub(crate) mod literal;
mod templates;
mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use escape::Kind;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, Serde, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, Template, UndefinedBehavior, Value,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
pub use text::Text;

/// A rendered file: its name in the folder and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// File name in the output folder, for example `07-service-rw.yaml`.
    pub path: String,
    /// The whole text. A manifest holds one Kubernetes object.
    pub text: Text,
}

/// The templates and the values that they all see.
#[derive(Debug)]
pub struct Renderer {
    context: Arc<Context>,
}

/// What a template sees, and those see which `file()` and `checksum()` render in its midst.
#[derive(Debug, Clone)]
struct Context {
    values: BTreeMap<String, Value>,
    /// What `checksum()` covers.
    files: Vec<&'static str>,
    /// What several templates want of these values, made once.
    made: Arc<Made>,
}

/// Files with the values filled in, and what `checksum()` makes of them.
#[derive(Debug, Default)]
struct Made {
    texts: Mutex<BTreeMap<String, Arc<str>>>,
    checksum: OnceLock<String>,
}

/// The name by which [`file`] and [`checksum`] find the context that they are called in.
const CONTEXT: &str = "context";

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            CONTEXT => Some(Value::from_dyn_object(Arc::clone(self))),
            key => self.values.get(key).cloned(),
        }
    }
}

impl Renderer {
    /// A renderer whose templates see the fields of `values`, and whose `checksum()` covers `files`.
    ///
    /// # Errors
    /// `values` is no map.
    pub fn new(values: &impl Serialize, files: Vec<&'static str>) -> anyhow::Result<Self> {
        let all = Value::from(Serde(values));
        let mut values = BTreeMap::new();
        for key in all.try_iter()? {
            let value = all.get_item(&key)?;
            values.insert(key.to_string(), value);
        }
        Ok(Self { context: Arc::new(Context { values, files, made: Arc::default() }) })
    }

    /// Adds a value that all templates see from now on.
    pub fn set(&mut self, name: &'static str, value: impl Serialize) {
        let context = Arc::make_mut(&mut self.context);
        context.values.insert(name.to_owned(), Value::from(Serde(value)));
        context.made = Arc::default();
    }

    /// What `checksum()` gave; `None` if no template asked for it.
    pub fn checksum(&self) -> Option<&str> {
        self.context.made.checksum.get().map(String::as_str)
    }

    /// The template `name`, filled in.
    ///
    /// # Errors
    /// The template is missing, broken, or uses a value that there is none of: a defect of pgk.
    pub fn render(&self, name: &str) -> anyhow::Result<Text> {
        let context = Value::from_dyn_object(Arc::clone(&self.context));
        Ok(Text::of_template(compiled(name)?.render(context)?))
    }
}

/// The template `name`, compiled. One is kept from its second use on: most are used once, and take 9 KB each.
fn compiled(name: &str) -> Result<Template<'static, 'static>, Error> {
    let environment = environment()?;
    match templates::find(name) {
        Some(first) if !first.is_used_again() => environment.template_from_named_str(first.name, first.text),
        _ => environment.get_template(name),
    }
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
    environment.set_loader(|name| Ok(templates::find(name).map(|template| template.text)));
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

/// In a manifest alone: of a file without values, a mark is left, which becomes a part of the [`Text`].
fn file(state: &State<'_, '_>, name: &str) -> Result<Value, Error> {
    Ok(Value::from_safe_string(match templates::fixed(name) {
        Some(file) => text::mark(file),
        None => escape::yaml_block(&filled(state, name)?, literal::INDENT),
    }))
}

fn checksum(state: &State<'_, '_>) -> Result<String, Error> {
    let context = context(state)?;
    let Context { files, made, .. } = context.downcast_object_ref().ok_or(ErrorKind::UndefinedError)?;
    if let Some(known) = made.checksum.get() {
        return Ok(known.clone());
    }
    let mut hash = Sha256::new();
    for name in files {
        hash.update(name);
        hash.update([0]);
        match templates::fixed(name) {
            Some(fixed) => hash.update(fixed.sha256),
            None => hash.update(Sha256::digest(filled(state, name)?.as_bytes())),
        }
    }
    Ok(made.checksum.get_or_init(|| hex(&hash.finalize())).clone())
}

/// The file `name` with its values filled in.
fn filled(state: &State<'_, '_>, name: &str) -> Result<Arc<str>, Error> {
    let context = context(state)?;
    let Context { made, .. } = context.downcast_object_ref().ok_or(ErrorKind::UndefinedError)?;
    let known = made.texts.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone);
    if let Some(known) = known {
        return Ok(known);
    }
    let text: Arc<str> = compiled(name)?.render(&context)?.into();
    made.texts.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::clone(&text));
    Ok(text)
}

fn context(state: &State<'_, '_>) -> Result<Value, Error> {
    state.lookup(CONTEXT).ok_or_else(|| ErrorKind::UndefinedError.into())
}

/// `bytes` in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
