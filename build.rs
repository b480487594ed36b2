//! Lists the templates, for `src/render/templates.rs` to include.

use std::env::var;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=templates");
    let mut paths = Vec::new();
    files("templates", &mut paths)?;
    paths.sort();
    let mut list = format!("static ALL: [(&str, &str); {}] = [\n", paths.len());
    for path in paths {
        let name = path.strip_prefix("templates/").unwrap_or(&path);
        let included = format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/\", {path:?}))");
        writeln!(list, "({name:?}, {included}),")?;
    }
    list.push_str("];\n");
    Ok(fs::write(Path::new(&var("OUT_DIR")?).join("templates.rs"), list)?)
}

/// Adds the paths of all files in `folder` and below.
fn files(folder: &str, paths: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string().map_err(|_| "a template's name is not UTF-8")?;
        let path = format!("{folder}/{name}");
        if Path::new(&path).is_dir() {
            files(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
