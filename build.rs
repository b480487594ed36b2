//! Lists the templates, and decides how pgk is linked.

#[path = "src/render/literal.rs"]
mod literal;

use std::env::var;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    for path in ["build.rs", "src/render/literal.rs", "templates"] {
        println!("cargo::rerun-if-changed={path}");
    }
    list_templates()?;
    if var("CARGO_CFG_TARGET_OS")? == "linux" && var("CARGO_CFG_TARGET_ENV")? == "gnu" {
        link();
    }
    Ok(())
}

/// Writes what `src/render/templates.rs` includes.
fn list_templates() -> Result<()> {
    let mut paths = Vec::new();
    files("templates", &mut paths)?;
    paths.sort();
    let mut list = format!("static ALL: [Template; {}] = [\n", paths.len());
    for path in paths {
        let text = fs::read_to_string(&path)?;
        let name = path.strip_prefix("templates/").unwrap_or(&path);
        let included = format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/\", {path:?}))");
        let fixed = fixed_block(&text).map(|block| {
            let sha256: [u8; 32] = Sha256::digest(text).into();
            format!("Some(Fixed {{ name: {name:?}, block: {block:?}, sha256: {sha256:?} }})")
        });
        let fixed = fixed.as_deref().unwrap_or("None");
        writeln!(list, "Template::new({name:?}, {included}, {fixed}),")?;
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

/// The block that a template is in a `ConfigMap`; `None` if there are values in it, or if a block cannot hold it.
fn fixed_block(template: &str) -> Option<String> {
    let is_fixed = !["{{", "{%", "{#"].iter().any(|tag| template.contains(tag));
    is_fixed.then(|| literal::block(template, literal::INDENT))?
}

/// To a fixed address: moving pgk somewhere else at its start, with the types of Kubernetes in it, took longer than
/// everything else that `pgk --version` does. And with as much of GCC's library as is called in it, where there is one
/// to link to: to load that takes as long as to read a configuration.
fn link() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let linker = var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let found = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output();
    // Where it knows of none, the compiler gives the name back.
    if found.is_ok_and(|found| found.stdout.starts_with(b"/")) {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
