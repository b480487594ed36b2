//! `pgk secret`: the Secret with fresh random passwords.

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::Secret;
use crate::config::{self, Plan};
use crate::emit;
use crate::manifest::{self, External};
use crate::render::{Document, Renderer, hex};
use crate::scenario::{CREDENTIAL_KEYS, Labels, Names, labels};

/// How many random bytes a password is made of.
const BYTES: usize = 24;

/// Prints the Secret.
///
/// # Errors
/// As for [`super::generate`]; the operating system has no random numbers.
pub fn secret(arguments: Secret) -> anyhow::Result<()> {
    let plan = config::load(&arguments.config.into())?;
    super::print(&emit::stream([&document(&plan)?]))
}

/// The Secret of `plan`'s instance, with new passwords.
pub(super) fn document(plan: &Plan) -> anyhow::Result<Document> {
    #[derive(Serialize)]
    struct Values<'a> {
        namespace: &'a Option<config::types::Namespace>,
        names: Names,
        labels: Labels<'a>,
        passwords: Vec<(&'static str, String)>,
    }
    let passwords = CREDENTIAL_KEYS.into_iter().map(|key| Ok((key, password()?)));
    let values = Values {
        namespace: &plan.namespace,
        names: Names::of(plan.name.as_str()),
        labels: labels(plan),
        passwords: passwords.collect::<anyhow::Result<_>>()?,
    };
    let text = Renderer::new(&values, Vec::new())?.render("common/secret.yaml")?;
    let document = Document { path: "secret.yaml".to_owned(), text };
    let findings = manifest::check(std::slice::from_ref(&document), &External { secrets: &[] });
    anyhow::ensure!(findings.is_empty(), "the rendered Secret is wrong, which is a defect of pgk");
    Ok(document)
}

fn password() -> anyhow::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).context("the operating system has no random numbers")?;
    Ok(hex(&bytes))
}
