//! `pgk check`: manifests in files, whoever wrote them.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::cli::Check;
use crate::error::{Diagnostic, Place};
use crate::manifest::{External, File, Manifests};
use crate::scenario::{CREDENTIAL_KEYS, Names, TLS_KEYS};

/// Checks manifests, prints every finding and a summary.
///
/// # Errors
/// A [`Diagnostic`] if there is nothing to check; a failure that counts the findings, if there are any.
pub fn check(arguments: &Check) -> anyhow::Result<()> {
    let mut outside =
        arguments.outside.iter().map(|object| split(object)).collect::<Result<Vec<_>, Diagnostic>>()?;
    let files = read(&arguments.path)?;
    let manifests = Manifests::read(&files);
    if manifests.is_empty() {
        return Err(nothing(&arguments.path).into());
    }
    // What `pgk secret` prints is in no file.
    let names: Vec<_> = manifests.instances().iter().map(|instance| Names::of(instance)).collect();
    let secrets: Vec<_> = names
        .iter()
        .flat_map(|names| {
            [(names.credentials.as_str(), &CREDENTIAL_KEYS[..]), (names.backrest_tls.as_str(), &TLS_KEYS[..])]
        })
        .collect();
    outside.extend(names.iter().map(|names| ("Secret".to_owned(), names.backrest.clone())));

    let mut text = String::new();
    for unchecked in manifests.unchecked() {
        text.extend(["not checked, a kind that pgk does not know: ", unchecked, "\n"]);
    }
    let (checked, complete) = (count(manifests.len(), "object"), manifests.is_complete());
    let findings = manifests.check(&External { secrets: &secrets, outside: &outside });
    for finding in &findings {
        text.extend([&finding.to_string(), "\n\n"]);
    }
    if findings.is_empty() {
        text.extend([&checked, " checked: nothing is wrong\n"]);
        return super::print(&text);
    }
    super::print(&text)?;
    let findings = count(findings.len(), "finding");
    anyhow::ensure!(
        complete,
        "{findings}; what cannot be read is left out, and so are the links between objects"
    );
    anyhow::bail!("{findings} in {checked}")
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `KIND/NAME`.
fn split(object: &str) -> Result<(String, String), Diagnostic> {
    match object.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok((kind.to_owned(), name.to_owned())),
        _ => Err(Diagnostic::new("an object is KIND/NAME")
            .at(Place::argument("--outside", object, 0))
            .help("for example --outside Secret/tls")),
    }
}

fn nothing(path: &Path) -> Diagnostic {
    Diagnostic::new("there is no manifest here")
        .at(place(path))
        .help("give a folder with .yaml, .yml or .json files, one such file, or - for standard input")
}

fn place(path: &Path) -> Place {
    Place::path(if path == Path::new("-") { Path::new("standard input") } else { path })
}

/// The files that `kubectl apply -f` would read.
fn read(path: &Path) -> anyhow::Result<Vec<File>> {
    let cannot = |path: &Path, error: &io::Error| {
        Diagnostic::new(format!("cannot read the manifests: {error}"))
            .at(place(path))
            .help("give the path of a folder or of a file, or - for standard input")
    };
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(|error| cannot(path, &error))?;
        return Ok(vec![File { path: "standard input".to_owned(), text }]);
    }
    let paths = if path.is_dir() {
        super::files_in(path, &["yaml", "yml", "json"]).map_err(|error| cannot(path, &error))?
    } else {
        vec![path.into()]
    };
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|error| cannot(&path, &error))?;
        Ok(File { path: path.display().to_string(), text })
    };
    paths.into_iter().map(text).collect()
}
