//! `pgk check`: manifests in files, no matter who wrote them.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::{fs, panic, thread};

use anyhow::Context as _;

use crate::cli::Check;
use crate::error::{Diagnostic, Diagnostics, Place};
use crate::manifest::{External, File, Manifests};
use crate::scenario::{CREDENTIAL_KEYS, Names, TLS_KEYS};
use crate::yaml::STACK;

/// What `kubectl apply -f` reads in a folder, by the ending of its name.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Checks manifests, prints every finding and a summary.
///
/// # Errors
/// A [`Diagnostic`] if there is nothing to check; a failure that counts the findings, if there are any.
pub fn check(arguments: &Check) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let checker = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || check_all(arguments));
        let done = checker.context("cannot start a thread to read manifests")?.join();
        done.unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

fn check_all(arguments: &Check) -> anyhow::Result<()> {
    let mut outside =
        arguments.outside.iter().map(|object| split(object)).collect::<Result<Vec<_>, Diagnostic>>()?;
    let mut wrong = Vec::new();
    let mut files = Vec::new();
    for path in &arguments.paths {
        files.extend(Diagnostics::gather(&mut wrong, read(path, arguments.recursive))?.into_iter().flatten());
    }
    Diagnostics::check(wrong)?;
    let manifests = Manifests::read(&files);
    if manifests.is_empty() {
        let nothing = |path: &PathBuf| nothing(path, "there is no manifest here");
        Diagnostics::check(arguments.paths.iter().map(nothing).collect())?;
    }
    // The Secrets that `pgk secret` prints are in no file.
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
    let (number, complete) = (manifests.len(), manifests.is_complete());
    let checked = count(number, "object");
    let findings = manifests.check(&External { secrets: &secrets, outside: &outside, others: false });
    for finding in &findings {
        text.extend([&finding.to_string(), "\n\n"]);
    }
    if findings.is_empty() && number > 0 {
        text.extend([&checked, " checked: nothing is wrong\n"]);
    }
    // A terminal must not obey escape sequences from a manifest.
    let escaped =
        |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.into() };
    super::print(&text.chars().map(escaped).collect::<String>())?;
    if findings.is_empty() && number > 0 {
        return Ok(());
    }
    if findings.is_empty() {
        let unknown = |path: &PathBuf| {
            Diagnostic::new("nothing was checked: pgk knows none of these kinds").at(place(path))
        };
        Diagnostics::check(arguments.paths.iter().map(unknown).collect())?;
    }
    let findings = count(findings.len(), "finding");
    anyhow::ensure!(
        complete,
        "{findings}; unreadable documents were skipped, so links between objects were not checked"
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

fn nothing(path: &Path, what: &str) -> Diagnostic {
    let below = fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let help = match below.filter(|path| path.is_dir()).count() {
        0 => "give a folder with .yaml, .yml or .json files, such a file, or - for standard input".to_owned(),
        folders => format!("there {} in it: add -R to look into them", are(folders)),
    };
    Diagnostic::new(what).at(place(path)).help(help)
}

fn are(folders: usize) -> String {
    format!("{} {}", if folders == 1 { "is" } else { "are" }, count(folders, "folder"))
}

fn place(path: &Path) -> Place {
    Place::path(if path == Path::new("-") { Path::new("standard input") } else { path })
}

/// The files that `kubectl apply -f` would read, and with `recursive`, those that it would with `-R`.
fn read(path: &Path, recursive: bool) -> anyhow::Result<Vec<File>> {
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
        let mut paths = Vec::new();
        files_in(path, recursive, &mut paths).map_err(|error| cannot(path, &error))?;
        if paths.is_empty() {
            return Err(nothing(path, "there is no manifest here").into());
        }
        paths
    } else {
        vec![path.into()]
    };
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|error| cannot(&path, &error))?;
        Ok(File { path: path.display().to_string(), text })
    };
    paths.into_iter().map(text).collect()
}

/// Adds the files of a folder, and of those in it if `recursive`. Links to folders are not followed: kubectl follows none,
/// and they may lead in circles.
fn files_in(folder: &Path, recursive: bool, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    paths.extend(super::files_in(folder, &ENDINGS)?);
    if !recursive {
        return Ok(());
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    folders.iter().try_for_each(|folder| files_in(folder, recursive, paths))
}
