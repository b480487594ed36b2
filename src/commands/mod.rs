//! One thin file per command: it calls the steps of the pipeline in order.

mod check;
mod diff;
#[cfg(feature = "drill")]
mod drill;
mod explain;
mod generate;
mod graph;
mod init;
mod instances;
#[cfg(feature = "drill")]
mod live;
mod manual;
mod parallel;
mod parameters;
mod secret;

pub use check::check;
pub use diff::diff;
#[cfg(feature = "drill")]
pub use drill::drill;
pub use explain::{explain, schema};
pub use generate::generate;
pub use graph::graph;
pub use init::init;
pub use manual::{completion, man};
pub use secret::secret;

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Writes to stdout. A reader that has seen enough (`pgk gen q1 | head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    print_parts([text])
}

/// Writes one after the other to stdout.
fn print_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = parts.into_iter().try_for_each(|part| out.write_all(part.as_bytes()));
    match done.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("cannot write to stdout"),
    }
}

/// The files with one of these endings in a folder, and not in those below it, in the order of their names. A link to
/// nothing is among them, so that who reads it says so.
fn files_in(folder: &Path, endings: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| endings.contains(&ending)) && !path.is_dir()
    });
    paths.sort();
    Ok(paths)
}
