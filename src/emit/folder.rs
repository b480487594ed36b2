//! A folder of rendered files, written whole or not at all.
//!
//! Files are first written into a temporary folder on the same file system: inside the folder, or beside
//! one that is not there yet, which then appears by one rename. In one that is, each file is replaced by
//! a rename, what it replaces is kept until all are done, and any failure puts it back.
//!
//! The folder holds the list of what pgk wrote in it ([`LIST`]), in the format of `sha256sum`, so that
//! the next rendering knows which files are pgk's to replace or remove.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::error::{Diagnostic, Place};
use crate::render::{Document, hex};

/// The name of the list of files that pgk wrote, with their checksums. `sha256sum --check` reads it.
pub const LIST: &str = ".pgk-files";

/// Writes `documents` into `folder` and removes what an earlier rendering wrote there and this one does
/// not. Files that pgk did not write are left alone, and so is one that it wrote but somebody changed
/// since, if it is to be removed: the names of those are returned.
///
/// # Errors
/// A [`Diagnostic`] if the folder, or a file to be written, is there and pgk did not write it, unless
/// `force`; a failure of the file system. The folder is then as it was.
pub fn write_folder(folder: &Path, documents: &[&Document], force: bool) -> anyhow::Result<Vec<String>> {
    let earlier = earlier(folder, force)?;
    if !force {
        refuse_foreign(folder, documents, &earlier)?;
    }
    let stale = stale(folder, documents, &earlier)?;

    let cannot = || format!("cannot write the folder {}", folder.display());
    let beside = match folder.parent() {
        _ if folder.exists() => folder,
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(beside).with_context(cannot)?;
    let staging = tempfile::Builder::new().prefix(".pgk-").tempdir_in(beside).with_context(cannot)?;
    let new = stage(&staging, documents).with_context(cannot)?;
    if folder.exists() {
        let old = staging.path().join("old");
        fs::create_dir(&old).with_context(cannot)?;
        let names = documents.iter().map(|document| document.path.as_str()).chain([LIST]);
        replace(folder, &new, &old, names, &stale.unchanged).with_context(cannot)?;
    } else {
        fs::rename(&new, folder).with_context(cannot)?;
    }
    Ok(stale.changed)
}

/// A file of a folder that [`write_folder`] would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it holds; `None` where there is none.
    pub before: Option<String>,
    /// What it would hold; `None` where it is no longer rendered.
    pub after: Option<String>,
    /// Whether somebody changed it since pgk wrote it, or pgk never did. One that is no longer rendered is then left
    /// alone.
    pub edited: bool,
}

/// What [`write_folder`] would change in `folder`, in the order of the documents, and what is removed last.
///
/// # Errors
/// As for [`write_folder`], without `force`.
pub fn changes(folder: &Path, documents: &[&Document]) -> anyhow::Result<Vec<Change>> {
    let earlier = earlier(folder, false).and_then(|earlier| {
        refuse_foreign(folder, documents, &earlier)?;
        Ok(earlier)
    });
    let earlier = earlier.map_err(|error| match error.downcast::<Diagnostic>() {
        Ok(diagnostic) => {
            diagnostic.help("give a folder that pgk wrote: `pgk gen -o` refuses this one too").into()
        }
        Err(error) => error,
    })?;
    let mut changes = Vec::new();
    let rendered = documents.iter().map(|document| (&document.path, Some(document.text.to_string())));
    let removed = earlier.keys().filter(|name| documents.iter().all(|document| document.path != **name));
    for (name, after) in rendered.chain(removed.map(|name| (name, None))) {
        let path = folder.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        if bytes.as_deref() == after.as_deref().map(str::as_bytes) {
            continue;
        }
        let edited = bytes.as_ref().is_some_and(|bytes| earlier.get(name) != Some(&checksum(bytes)));
        let before = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        changes.push(Change { name: name.clone(), before, after, edited });
    }
    Ok(changes)
}

/// The files that pgk wrote and their checksums; `None` where it never wrote.
fn read_list(folder: &Path) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    let path = folder.join(LIST);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let entry = |line: &str| {
        let (sum, name) = line.split_once("  ")?;
        // Names of files in this folder, and no others: the list may come from anywhere.
        (!name.contains('/') && name != "..").then(|| (name.to_owned(), sum.to_owned()))
    };
    Ok(Some(text.lines().filter_map(entry).collect()))
}

/// Refuses a folder that pgk may not write to, as far as it shows before anything is rendered.
///
/// # Errors
/// A [`Diagnostic`] if it is a file, or a folder that holds something and that pgk did not write, unless `force`.
pub fn refuse(folder: &Path, force: bool) -> anyhow::Result<()> {
    earlier(folder, force).map(drop)
}

/// What pgk wrote there earlier, unless the folder is to be refused.
fn earlier(folder: &Path, force: bool) -> anyhow::Result<BTreeMap<String, String>> {
    let place = || Place::path(folder);
    if folder.is_file() {
        return Err(Diagnostic::new("this is a file, not a folder")
            .at(place())
            .help("choose another path")
            .into());
    }
    let list = read_list(folder)?;
    if force || list.is_some() {
        return Ok(list.unwrap_or_default());
    }
    let empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(Diagnostic::new(format!("cannot write there: {error}")).at(place()).into());
        }
    };
    if empty {
        return Ok(BTreeMap::new());
    }
    Err(Diagnostic::new("the folder is not empty, and pgk did not write it")
        .at(place())
        .help("choose another folder, or add --force: files of the same name are then replaced, others left alone")
        .into())
}

fn refuse_foreign(
    folder: &Path,
    documents: &[&Document],
    earlier: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let foreign = documents
        .iter()
        .find(|document| !earlier.contains_key(&document.path) && folder.join(&document.path).exists());
    match foreign {
        None => Ok(()),
        Some(document) => Err(Diagnostic::new("a file of this name is there, and pgk did not write it")
            .at(Place::path(&folder.join(&document.path)))
            .help("move it away, or add --force to replace it")
            .into()),
    }
}

/// What an earlier rendering wrote and this one does not.
struct Stale {
    /// As pgk wrote it.
    unchanged: Vec<String>,
    /// Changed by somebody since.
    changed: Vec<String>,
}

fn stale(
    folder: &Path,
    documents: &[&Document],
    earlier: &BTreeMap<String, String>,
) -> anyhow::Result<Stale> {
    let mut stale = Stale { unchanged: Vec::new(), changed: Vec::new() };
    for (name, sum) in earlier {
        if documents.iter().any(|document| document.path == *name) {
            continue;
        }
        match fs::read(folder.join(name)) {
            Ok(bytes) if checksum(&bytes) == *sum => stale.unchanged.push(name.clone()),
            Ok(_) => stale.changed.push(name.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", folder.join(name).display()));
            }
        }
    }
    Ok(stale)
}

fn checksum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Writes everything into a new folder in `staging`.
fn stage(staging: &TempDir, documents: &[&Document]) -> io::Result<PathBuf> {
    let new = staging.path().join("new");
    fs::create_dir(&new)?;
    let mut list = String::new();
    for document in documents {
        let text = document.text.to_string();
        write_file(&new.join(&document.path), &text)?;
        list.extend([&checksum(text.as_bytes()), "  ", &document.path, "\n"]);
    }
    write_file(&new.join(LIST), &list)?;
    Ok(new)
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Moves the files `names` from `new` to `folder`, and those they replace, and `stale` ones, to `old`.
fn replace<'a>(
    folder: &Path,
    new: &Path,
    old: &Path,
    names: impl Iterator<Item = &'a str>,
    stale: &[String],
) -> io::Result<()> {
    let mut moved: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut step = |from: PathBuf, to: PathBuf| -> io::Result<()> {
        fs::rename(&from, &to)?;
        moved.push((from, to));
        Ok(())
    };
    let done = names
        .map(|name| (name, true))
        .chain(stale.iter().map(|name| (name.as_str(), false)))
        .try_for_each(|(name, renew)| {
            let target = folder.join(name);
            if target.symlink_metadata().is_ok() {
                step(target.clone(), old.join(name))?;
            }
            if renew { step(new.join(name), target) } else { Ok(()) }
        });
    if done.is_err() {
        for (from, to) in moved.into_iter().rev() {
            fs::rename(to, from)?;
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, text: &str) -> Document {
        Document { path: path.into(), text: text.into() }
    }

    fn write(folder: &Path, documents: &[Document], force: bool) -> anyhow::Result<Vec<String>> {
        write_folder(folder, &documents.iter().collect::<Vec<_>>(), force)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn removes_what_it_wrote_and_nothing_else() {
        let parent = TempDir::new().unwrap();
        let folder = parent.path().join("a/b");
        write(&folder, &[document("1.yaml", "1"), document("2.yaml", "2"), document("3.yaml", "3")], false)
            .unwrap();
        fs::write(folder.join("mine"), "x").unwrap();
        fs::write(folder.join("3.yaml"), "edited").unwrap();
        let kept = write(&folder, &[document("1.yaml", "new")], false).unwrap();
        assert_eq!(kept, ["3.yaml"]);
        assert_eq!(names(&folder), [LIST, "1.yaml", "3.yaml", "mine"]);
        assert_eq!(fs::read_to_string(folder.join("1.yaml")).unwrap(), "new");
        assert_eq!(names(folder.parent().unwrap()), ["b"]);
    }

    #[test]
    fn a_folder_of_somebody_else_needs_force() {
        let parent = TempDir::new().unwrap();
        fs::write(parent.path().join("mine"), "x").unwrap();
        let error = write(parent.path(), &[document("1.yaml", "1")], false).unwrap_err();
        assert!(error.is::<Diagnostic>(), "{error}");
        assert_eq!(names(parent.path()), ["mine"]);
        write(parent.path(), &[document("1.yaml", "1")], true).unwrap();
        assert_eq!(names(parent.path()), [LIST, "1.yaml", "mine"]);
        fs::write(parent.path().join("2.yaml"), "x").unwrap();
        let error = write(parent.path(), &[document("2.yaml", "2")], false).unwrap_err();
        assert!(error.is::<Diagnostic>(), "{error}");
        assert_eq!(fs::read_to_string(parent.path().join("2.yaml")).unwrap(), "x");
    }

    #[test]
    fn a_failure_leaves_the_folder_as_it_was() {
        let parent = TempDir::new().unwrap();
        let folder = parent.path().join("out");
        write(&folder, &[document("1.yaml", "1"), document("2.yaml", "2")], false).unwrap();
        let (new, old) = (parent.path().join("new"), parent.path().join("old"));
        fs::create_dir(&new).unwrap();
        fs::create_dir(&old).unwrap();
        fs::write(new.join("1.yaml"), "new").unwrap();
        // `2.yaml` was not staged, so its rename fails after `1.yaml` was replaced.
        replace(&folder, &new, &old, ["1.yaml", "2.yaml"].into_iter(), &[]).unwrap_err();
        assert_eq!(fs::read_to_string(folder.join("1.yaml")).unwrap(), "1");
        assert_eq!(fs::read_to_string(folder.join("2.yaml")).unwrap(), "2");
    }

    #[test]
    fn a_list_cannot_name_files_elsewhere() {
        let parent = TempDir::new().unwrap();
        let folder = parent.path().join("out");
        fs::create_dir(&folder).unwrap();
        fs::write(parent.path().join("x"), "x").unwrap();
        fs::write(folder.join(LIST), format!("{}  ../x\n", checksum(b"x"))).unwrap();
        write(&folder, &[document("1.yaml", "1")], false).unwrap();
        assert!(parent.path().join("x").exists());
    }
}
