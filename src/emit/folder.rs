//! A folder of rendered files, written whole or not at all.
//!
//! A folder that is not there yet appears by one rename. In one that is, the files that change are first written into
//! [`STAGING`]. One rename then makes that [`SWITCH`], from where each file is moved over the one that it replaces. A
//! failure puts back what was there. What pgk was killed in the middle of, its next run finds: it throws
//! [`STAGING`] away, and finishes [`SWITCH`]. A lock on the folder, or on the one that it appears in, keeps out another
//! pgk meanwhile.
//!
//! The folder holds the list of what pgk wrote in it ([`LIST`]), in the format of `sha256sum`, so that
//! the next rendering knows which files are pgk's to replace or remove.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use sha2::{Digest, Sha256};

use super::signals;
use crate::error::{Diagnostic, Diagnostics, Place};
use crate::render::{Document, hex};

/// The name of the list of files that pgk wrote, with their checksums. `sha256sum --check` reads it.
pub const LIST: &str = ".pgk-files";

/// What is being written and does not count yet.
const STAGING: &str = ".pgk-new";
/// What is written, and on its way into the folder.
const SWITCH: &str = ".pgk-switch";

/// What [`write_folder`] did to files that somebody else wrote or changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// Replaced, as `force` asks for.
    pub replaced: Vec<String>,
    /// Left alone: no longer rendered.
    pub left: Vec<String>,
}

/// Writes `documents` into `folder` and removes what an earlier rendering wrote there and this one does
/// not. Files that pgk did not write are left alone, and so is one that it wrote but somebody changed
/// since, if it is to be removed. Where nothing changes, nothing is written.
///
/// # Errors
/// [`Diagnostics`] if a file to be written is there and pgk did not write it, or somebody changed it since, unless
/// `force`; a [`Diagnostic`] for a folder that is not pgk's; a failure of the file system. The folder is then as it was.
pub fn write_folder(folder: &Path, documents: &[&Document], force: bool) -> anyhow::Result<Edited> {
    signals::held(|| {
        loop {
            refuse(folder, force)?;
            let is_new = !folder.exists();
            let base = if is_new { parent(folder) } else { folder };
            let cannot = || format!("cannot write the folder {}", folder.display());
            fs::create_dir_all(base).with_context(cannot)?;
            let _lock = lock(base).with_context(cannot)?;
            // Meanwhile another pgk may have made it.
            if is_new == folder.exists() {
                continue;
            }
            return if is_new {
                let list = list(documents);
                let all: Vec<_> = documents.iter().copied().chain([&list]).collect();
                let done = stage(base, &all).and_then(|new| fs::rename(new, folder));
                clear(base, done).with_context(cannot).map(|()| Edited::default())
            } else {
                finish(folder).with_context(cannot)?;
                update(folder, documents, force)
            };
        }
    })
}

/// Writes a new file that only its owner may read where it is `private`, whole or not at all.
///
/// # Errors
/// A [`Diagnostic`] if there is something of this name; a failure of the file system.
pub fn write_file(path: &Path, text: &str, private: bool) -> anyhow::Result<()> {
    let folder = parent(path);
    let cannot = || format!("cannot write {}", path.display());
    signals::held(|| {
        fs::create_dir_all(folder).with_context(cannot)?;
        let _lock = lock(folder).with_context(cannot)?;
        if path.symlink_metadata().is_ok() {
            return Err(is_there(path).into());
        }
        let new = folder.join(STAGING);
        let done =
            remove(&new).and_then(|()| write(&new, text, private)).and_then(|()| fs::rename(&new, path));
        clear(folder, done).with_context(cannot)
    })
}

/// That a new file cannot be written.
pub fn is_there(path: &Path) -> Diagnostic {
    Diagnostic::new("this already exists, and pgk does not replace it")
        .at(Place::path(path))
        .help("choose another place with -o, or move it away")
}

/// The folder that this one, or this file, is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or_else(|| Path::new("."))
}

/// Waits until no other pgk writes into the folder. The lock ends with the process at the latest. Where there is none to
/// have, of this file system or of a folder that cannot be read, two at once are the user's affair.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let Ok(file) = File::open(folder) else { return Ok(None) };
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(_)) => return Ok(None),
            Err(TryLockError::WouldBlock) => signals::check()?,
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether all that is in the folder is as pgk wrote it: no edit is then in the way of another rendering.
pub fn is_as_written(folder: &Path) -> bool {
    let Ok(Some(list)) = read_list(folder) else { return false };
    let is_same = |entry: io::Result<fs::DirEntry>| -> io::Result<bool> {
        let entry = entry?;
        let name = entry.file_name();
        let Some(sum) = name.to_str().and_then(|name| list.get(name)) else { return Ok(name == LIST) };
        Ok(checksum(&fs::read(entry.path())?) == *sum)
    };
    fs::read_dir(folder).is_ok_and(|mut all| all.all(|entry| is_same(entry).unwrap_or(false)))
}

/// Refuses what [`write_folder`] would, without `force`, for the sake of files that somebody changed.
///
/// # Errors
/// As for [`write_folder`].
pub fn refuse_edits(folder: &Path, documents: &[&Document]) -> anyhow::Result<()> {
    // An interrupted write is finished first, and compared then.
    if !folder.exists() || folder.join(SWITCH).is_dir() {
        return Ok(());
    }
    wanted(folder, documents, false).map(drop)
}

/// What is to change in a folder that is there, and what that does to files that somebody changed.
fn wanted(folder: &Path, documents: &[&Document], force: bool) -> anyhow::Result<(Vec<Change>, Edited)> {
    let earlier = earlier(folder, force)?;
    let changes = compare(folder, documents, &earlier)?;
    let (left, replaced): (Vec<_>, Vec<_>) =
        changes.iter().filter(|change| change.edited).partition(|change| change.after.is_none());
    if !force {
        Diagnostics::check(replaced.iter().map(|change| change.refusal(folder, &earlier)).collect())?;
    }
    let names = |changes: Vec<&Change>| changes.into_iter().map(|change| change.name.clone()).collect();
    let edited = Edited { replaced: names(replaced), left: names(left) };
    Ok((changes, edited))
}

/// Brings a folder that is there up to date.
fn update(folder: &Path, documents: &[&Document], force: bool) -> anyhow::Result<Edited> {
    let (changes, edited) = wanted(folder, documents, force)?;
    let list = list(documents);
    let old_list = contents(&folder.join(LIST))?;
    let changes: Vec<_> =
        changes.into_iter().filter(|change| change.after.is_some() || !change.edited).collect();
    if changes.is_empty() && old_list.as_deref() == Some(list.text.as_bytes()) {
        return Ok(edited);
    }
    let differs = |document: &&&Document| changes.iter().any(|change| change.name == document.path);
    let new: Vec<_> = documents.iter().filter(differs).copied().chain([&list]).collect();
    let cannot = || format!("cannot write the folder {}", folder.display());
    let done = stage(folder, &new).and_then(|staged| fs::rename(staged, folder.join(SWITCH)));
    clear(folder, done).with_context(cannot)?;
    let before = changes.iter().map(|change| (&*change.name, change.before.as_deref()));
    let before = before.chain([(LIST, old_list.as_deref())]);
    switch(folder).or_else(|error| put_back(folder, before).and(Err(error))).with_context(cannot)?;
    Ok(edited)
}

/// A file of a folder that [`write_folder`] would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it holds; `None` where there is none.
    pub before: Option<Vec<u8>>,
    /// What it would hold; `None` where it is no longer rendered.
    pub after: Option<String>,
    /// Whether somebody changed it since pgk wrote it, or pgk never did. One that is no longer rendered is then left
    /// alone.
    pub edited: bool,
}

impl Change {
    /// Why it is not made.
    fn refusal(&self, folder: &Path, earlier: &BTreeMap<String, String>) -> Diagnostic {
        let (what, help) = if earlier.contains_key(&self.name) {
            (
                "this file was changed since pgk wrote it",
                "`pgk diff` shows the change: set what you want in the configuration, or add --force to lose it",
            )
        } else {
            (
                "a file of this name exists, and pgk did not write it",
                "move it away, or add --force to replace it",
            )
        };
        Diagnostic::new(what).at(Place::path(&folder.join(&self.name))).help(help)
    }
}

/// What [`write_folder`] would change in `folder`, in the order of the documents, and what is removed last; and the
/// names of manifests that are there and not pgk's.
///
/// # Errors
/// As for [`write_folder`], but for files that somebody changed.
pub fn changes(folder: &Path, documents: &[&Document]) -> anyhow::Result<(Vec<Change>, Vec<String>)> {
    const HELP: &str = "give a folder that pgk wrote: `pgk gen -o` refuses this one too";
    if folder.join(SWITCH).is_dir() {
        return Err(Diagnostic::new("pgk was stopped while it wrote this folder")
            .at(Place::path(folder))
            .help("run `pgk gen -o` again to finish it")
            .into());
    }
    let earlier = earlier(folder, false).map_err(|error| match error.downcast::<Diagnostic>() {
        Ok(diagnostic) => diagnostic.help(HELP).into(),
        Err(error) => error,
    })?;
    let changes = compare(folder, documents, &earlier)?;
    let foreign = |change: &&Change| change.edited && !earlier.contains_key(&change.name);
    let foreign = changes.iter().filter(foreign).map(|change| change.refusal(folder, &earlier).help(HELP));
    Diagnostics::check(foreign.collect())?;

    let is_manifest = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|other| ending == *other))
    };
    let known = |name: &String| earlier.contains_key(name) || documents.iter().any(|it| it.path == *name);
    let mut others: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            Some(entry.ok()?.path()).filter(is_manifest)?.file_name()?.to_str().map(ToOwned::to_owned)
        })
        .filter(|name| !known(name))
        .collect();
    others.sort();
    Ok((changes, others))
}

fn compare(
    folder: &Path,
    documents: &[&Document],
    earlier: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<Change>> {
    let (mut changes, mut wrong) = (Vec::new(), Vec::new());
    let rendered = documents.iter().map(|document| (&document.path, Some(&document.text)));
    let removed = earlier.keys().filter(|name| documents.iter().all(|document| document.path != **name));
    for (name, after) in rendered.chain(removed.map(|name| (name, None))) {
        let path = folder.join(name);
        // If something else replaced a file that would be removed, it stays.
        if after.is_none() && !path.is_file() {
            continue;
        }
        if path.symlink_metadata().is_ok() && !path.is_file() {
            wrong.push(
                Diagnostic::new("pgk writes a file of this name, and what is there is not a file")
                    .at(Place::path(&path))
                    .help("move it away"),
            );
            continue;
        }
        let before = contents(&path)?;
        if before.as_deref() == after.map(String::as_bytes) {
            continue;
        }
        let edited = before.as_ref().is_some_and(|bytes| earlier.get(name) != Some(&checksum(bytes)));
        changes.push(Change { name: name.clone(), before, after: after.cloned(), edited });
    }
    Diagnostics::check(wrong)?;
    Ok(changes)
}

/// What a file holds; `None` where there is none.
fn contents(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The files that pgk wrote and their checksums; `None` where it never wrote.
fn read_list(folder: &Path) -> io::Result<Option<BTreeMap<String, String>>> {
    let text = match fs::read_to_string(folder.join(LIST)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
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
/// A [`Diagnostic`] if it is none, or a folder that holds something and that pgk did not write, unless `force`.
pub fn refuse(folder: &Path, force: bool) -> anyhow::Result<()> {
    // After an interrupted write, the list may not be in place yet.
    if folder.join(SWITCH).is_dir() { Ok(()) } else { earlier(folder, force).map(drop) }
}

/// Whether pgk wrote this folder.
pub fn is_ours(folder: &Path) -> bool {
    folder.join(LIST).is_file()
}

/// What pgk wrote there earlier, unless the folder is to be refused.
fn earlier(folder: &Path, force: bool) -> anyhow::Result<BTreeMap<String, String>> {
    let refused =
        |what: &str, help: &str| Err(Diagnostic::new(what).at(Place::path(folder)).help(help).into());
    let unreadable = |error: io::Error| {
        anyhow::Error::from(Diagnostic::new(format!("cannot write there: {error}")).at(Place::path(folder)))
    };
    match fs::metadata(folder) {
        Ok(it) if !it.is_dir() => return refused("this is a file, not a folder", "choose another path"),
        Ok(_) => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unreadable(error)),
        Err(_) if folder.symlink_metadata().is_ok() => {
            return refused(
                "this is a dangling link",
                "choose another path, or create the target of the link",
            );
        }
        Err(_) => return Ok(BTreeMap::new()),
    }
    let list = read_list(folder).map_err(unreadable)?;
    if force || list.is_some() {
        return Ok(list.unwrap_or_default());
    }
    // An unfinished write of pgk does not count.
    let other = |entry: io::Result<fs::DirEntry>| entry.map_or(true, |entry| entry.file_name() != STAGING);
    if !fs::read_dir(folder).map_err(unreadable)?.any(other) {
        return Ok(BTreeMap::new());
    }
    refused(
        "the folder is not empty, and pgk did not write it",
        "choose another folder, or add --force: it replaces files of the same name, and leaves others alone",
    )
}

fn checksum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The list of these files, as a file.
fn list(documents: &[&Document]) -> Document {
    let line = |document: &&Document| format!("{}  {}\n", checksum(document.text.as_bytes()), document.path);
    Document { path: LIST.to_owned(), text: documents.iter().map(line).collect() }
}

/// Writes these files into [`STAGING`] in a folder that is locked, so that what is there of it is an earlier run's.
fn stage(folder: &Path, documents: &[&Document]) -> io::Result<PathBuf> {
    let staging = folder.join(STAGING);
    remove(&staging)?;
    fs::create_dir(&staging)?;
    for document in documents {
        signals::check()?;
        write(&staging.join(&document.path), &document.text, false)?;
    }
    signals::check()?;
    Ok(staging)
}

fn write(path: &Path, text: &str, private: bool) -> io::Result<()> {
    let mut options = File::options();
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file = options.write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Removes what `done` left in [`STAGING`] where it failed.
fn clear(folder: &Path, done: io::Result<()>) -> io::Result<()> {
    // Report the first failure, not one of the clean-up.
    done.inspect_err(|_| drop(remove(&folder.join(STAGING))))
}

/// Removes a file, or a folder and what is in it; links are not followed.
fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(it) if it.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// Finishes what an earlier run was killed in the middle of.
fn finish(folder: &Path) -> io::Result<()> {
    if folder.join(SWITCH).join(LIST).is_file() {
        switch(folder)?;
    }
    remove(&folder.join(SWITCH))?;
    remove(&folder.join(STAGING))
}

/// Moves the files of [`SWITCH`] into the folder and removes those that are no longer listed and that nobody changed.
/// Each step may have been done before: the list comes last.
fn switch(folder: &Path) -> io::Result<()> {
    let from = folder.join(SWITCH);
    let [new, old] = [&*from, folder].map(read_list);
    let (new, old) = (new?.unwrap_or_default(), old?.unwrap_or_default());
    for name in new.keys() {
        match fs::rename(from.join(name), folder.join(name)) {
            // It did not change, or was moved before.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    for (name, sum) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        let path = folder.join(name);
        if path.is_file() && checksum(&fs::read(&path)?) == *sum {
            fs::remove_file(path)?;
        }
    }
    fs::rename(from.join(LIST), folder.join(LIST))?;
    fs::remove_dir(from)
}

/// Makes the folder what it was, after a failure in the middle.
fn put_back<'a>(folder: &Path, before: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> io::Result<()> {
    let from = folder.join(SWITCH);
    for (name, before) in before {
        let path = folder.join(name);
        match before {
            _ if path.is_dir() => {}
            Some(bytes) => {
                fs::write(from.join(STAGING), bytes)?;
                fs::rename(from.join(STAGING), path)?;
            }
            None => remove(&path)?,
        }
    }
    remove(&from)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn document(path: &str, text: &str) -> Document {
        Document { path: path.into(), text: text.into() }
    }

    fn write(folder: &Path, documents: &[Document], force: bool) -> anyhow::Result<Edited> {
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
        assert_eq!(kept, Edited { replaced: vec![], left: vec!["3.yaml".to_owned()] });
        assert_eq!(names(&folder), [LIST, "1.yaml", "3.yaml", "mine"]);
        assert_eq!(fs::read_to_string(folder.join("1.yaml")).unwrap(), "new");
        assert_eq!(names(folder.parent().unwrap()), ["b"]);
    }

    #[test]
    fn what_somebody_changed_or_added_is_seen() {
        let parent = TempDir::new().unwrap();
        let folder = parent.path().join("out");
        assert!(!is_as_written(&folder));
        write(&folder, &[document("1.yaml", "1"), document("2.yaml", "2")], false).unwrap();
        assert!(is_as_written(&folder));
        // What is missing is no edit.
        fs::remove_file(folder.join("1.yaml")).unwrap();
        assert!(is_as_written(&folder));
        fs::write(folder.join("mine.yaml"), "x").unwrap();
        assert!(!is_as_written(&folder));
        fs::remove_file(folder.join("mine.yaml")).unwrap();
        fs::write(folder.join("2.yaml"), "edited").unwrap();
        assert!(!is_as_written(&folder));
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
        assert!(error.is::<Diagnostics>(), "{error}");
        assert_eq!(fs::read_to_string(parent.path().join("2.yaml")).unwrap(), "x");
    }

    #[test]
    fn a_failure_leaves_the_folder_as_it_was() {
        let parent = TempDir::new().unwrap();
        let folder = parent.path().join("out");
        write(&folder, &[document("1.yaml", "1"), document("2.yaml", "2")], false).unwrap();
        // A folder in the place of `2.yaml` fails its rename, after `1.yaml` was replaced and `0.yaml` came.
        let before = [("0.yaml", None), ("1.yaml", Some(&b"1"[..])), ("2.yaml", None), (LIST, Some(b"list"))];
        fs::remove_file(folder.join("2.yaml")).unwrap();
        fs::create_dir_all(folder.join("2.yaml/mine")).unwrap();
        let new = ["0.yaml", "1.yaml", "2.yaml"].map(|name| document(name, "new"));
        let list = list(&new.iter().collect::<Vec<_>>());
        let new: Vec<_> = new.iter().chain([&list]).collect();
        fs::rename(stage(&folder, &new).unwrap(), folder.join(SWITCH)).unwrap();
        switch(&folder).unwrap_err();
        assert_eq!(fs::read_to_string(folder.join("1.yaml")).unwrap(), "new");
        put_back(&folder, before.into_iter()).unwrap();
        assert_eq!(names(&folder), [LIST, "1.yaml", "2.yaml"]);
        assert_eq!(names(&folder.join("2.yaml")), ["mine"]);
        assert_eq!(fs::read_to_string(folder.join("1.yaml")).unwrap(), "1");
        assert_eq!(fs::read_to_string(folder.join(LIST)).unwrap(), "list");
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
