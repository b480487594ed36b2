//! `pgk init`: a commented file of settings to begin with.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cli::Init;
use crate::config::settings::{self, Setting, inline, wrapped};

/// The JSON Schema, beside the file.
const SCHEMA: &str = "pgk.schema.json";

/// How wide the text is, in characters.
const WIDTH: usize = 110;

/// Writes the file, and the schema that it names unless that is there already.
///
/// # Errors
/// The file is there already, or another schema is; a failure to write.
pub fn init(arguments: &Init) -> anyhow::Result<()> {
    let path = &arguments.output;
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if path.exists() {
        bail!(
            "{} is there already, and is left alone: choose another place with -o, or move it away",
            path.display()
        );
    }
    let schema_path = path.with_file_name(SCHEMA);
    let schema = super::explain::schema_text();
    match std::fs::read_to_string(&schema_path) {
        Ok(there) if there == schema => {}
        Ok(_) => bail!(
            "{} is there already, is not the schema of this pgk, and is left alone: move it away",
            schema_path.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => write_new(folder, &schema_path, &schema)?,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", schema_path.display()));
        }
    }
    write_new(folder, path, &text(&arguments.scenario, path))?;
    eprintln!("pgk: wrote {}; pgk gen {} -f {0} renders it", path.display(), arguments.scenario);
    Ok(())
}

/// Writes a file that is not there yet, whole or not at all.
fn write_new(folder: &Path, path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    // With the permissions of any other new file.
    let open = |path: &Path| File::options().write(true).create_new(true).open(path);
    let mut file = tempfile::Builder::new().prefix(".pgk-").make_in(folder, open).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    file.persist_noclobber(path).map_err(|error| error.error).with_context(cannot)?;
    Ok(())
}

/// The settings of a scenario: those that matter are set to their defaults, the others are mentioned. A line
/// that begins with `#` and no space is a setting that is left out.
fn text(scenario: &str, path: &Path) -> String {
    let mut text = format!(
        "# yaml-language-server: $schema={SCHEMA}\n\n# Settings of `pgk gen {scenario} -f {}`. All of them have their default here, or an example where there\n# is none and nothing is set. Take the `#` away in front of what you want to set; `pgk explain KEY` says more.\n",
        path.display()
    );
    let has = |setting: &&Setting| {
        setting.scenarios.iter().any(|it| it == scenario || (scenario == "q2" && it == "q2-restore"))
    };
    let all: Vec<_> = settings::all().iter().filter(has).collect();
    // What a setting may be when it is a map is for `pgk explain`.
    let is_setting = |key: &str| all.iter().any(|it| !it.section && it.key == key);
    for setting in &all {
        if setting.key.rsplit_once('.').is_some_and(|(parent, _)| is_setting(parent)) {
            continue;
        }
        let depth = setting.key.matches('.').count();
        let indent = "  ".repeat(depth);
        if depth == 0 || (setting.section && !text.ends_with(":\n")) {
            text.push('\n');
        }
        for line in wrapped(&comment(setting), WIDTH - indent.len()) {
            text.extend([&indent, "# ", &line, "\n"]);
        }
        let name = setting.name();
        let line = match setting.example() {
            Some(value) if !setting.section => {
                let out = if setting.is_main() { "" } else { "#" };
                format!("{indent}{out}{name}: {}\n", inline(value))
            }
            _ => format!("{indent}{name}:\n"),
        };
        text.push_str(&line);
    }
    text
}

/// What a setting means, in a line or two.
fn comment(setting: &Setting) -> String {
    let mut comment = setting.meaning.clone();
    let words: Vec<_> = setting.words().into_iter().map(|(word, _)| word).collect();
    if words.len() > 2 || (words.len() == 2 && words != ["true", "false"]) {
        comment.extend([" One of ", &words.join(", "), "."]);
    }
    if let Some(otherwise) = setting.otherwise().filter(|otherwise| *otherwise != "none") {
        comment.extend([" Left out: ", otherwise, "."]);
    }
    comment
}
