//! `pgk init`: a commented file of settings to begin with.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;

use crate::cli::Init;
use crate::config::Scenario;
use crate::config::settings::{self, Setting, inline, wrapped};
use crate::emit;
use crate::error::{Diagnostic, Place};

/// The JSON Schema, next to the file.
const SCHEMA: &str = "pgk.schema.json";

/// How wide the text is, in characters.
const WIDTH: usize = 110;

/// Writes the file, and the schema that it names unless that exists already.
///
/// # Errors
/// The file already exists, or another schema does; a failure to write.
pub fn init(arguments: &Init) -> anyhow::Result<()> {
    let path = &arguments.output;
    if path.symlink_metadata().is_ok() {
        return Err(emit::is_there(path).into());
    }
    let schema_path = path.with_file_name(SCHEMA);
    let schema = super::explain::schema_text();
    match std::fs::read_to_string(&schema_path) {
        Ok(there) if there == schema => {}
        Ok(_) => {
            return Err(Diagnostic::new("this already exists, and is not the schema of this pgk")
                .at(Place::path(&schema_path))
                .help("move it away: pgk does not replace it")
                .into());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => emit::write_file(&schema_path, &schema, false)?,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", schema_path.display()));
        }
    }
    emit::write_file(path, &text(arguments.scenario, path), false)?;
    eprintln!("pgk: wrote {}; pgk gen {} -f {0} renders it", path.display(), arguments.scenario.name());
    Ok(())
}

/// The settings of a scenario: those that matter are set to their defaults, the others are mentioned. A line
/// that begins with `#` and no space is a setting that is left out.
fn text(scenario: Scenario, path: &Path) -> String {
    let mut text = format!(
        "# yaml-language-server: $schema={SCHEMA}\n\n# Settings of `pgk gen {} -f {}`. Each has its default here, or an example if it has no\n# default. Remove the `#` in front of what you want to set; `pgk explain KEY` says more.\n",
        scenario.name(),
        path.display()
    );
    let has = |setting: &&Setting| setting.scenarios.iter().any(|of| of.name() == scenario.name());
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
