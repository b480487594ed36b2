//! `pgk secret`: the Secrets, with fresh random passwords and a fresh certificate.

use std::env::VarError;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::Serialize;
use serde_json::Value as Json;

use super::instances::Instances;
use crate::cli::{Secret, Which};
use crate::config::types::{AzureKey, Namespace};
use crate::config::{Plan, Scenario};
use crate::emit;
use crate::error::{Diagnostic, Diagnostics};
use crate::manifest::{self, External};
use crate::render::{Document, Renderer, hex};
use crate::scenario::{Archive, CIPHER_PASS, CREDENTIAL_KEYS, Labels, Names, TLS_KEYS, labels};

/// How many random bytes a password is made of.
const BYTES: usize = 24;

/// How long a certificate holds.
const TEN_YEARS: Duration = Duration::from_secs(3653 * 86_400);
/// How much its beginning lies before now: clocks differ.
const DAY: Duration = Duration::from_secs(86_400);

/// Prints the Secrets, or writes them into a file.
///
/// # Errors
/// As for [`super::generate`]; what a repository needs is not in the environment; the operating system has no
/// random numbers.
pub fn secret(arguments: Secret) -> anyhow::Result<()> {
    let archive = arguments.scenario.is_some_and(Scenario::has_archive);
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    for plan in Instances::load(arguments.config, arguments.scenario)?.plans() {
        let documents = documents(plan, archive, arguments.only);
        all.extend(Diagnostics::gather(&mut wrong, documents)?.into_iter().flatten());
    }
    Diagnostics::check(wrong)?;
    match arguments.output {
        Some(path) => emit::write_file(&path, &emit::stream(&all).collect::<String>(), true),
        None => super::print_parts(emit::stream(&all)),
    }
}

/// The Secrets of `plan`'s instance: with an archive all three, if the second is needed.
pub(super) fn documents(plan: &Plan, archive: bool, only: Option<Which>) -> anyhow::Result<Vec<Document>> {
    let wanted = |which| only.is_none_or(|only| only == which);
    let mut documents = Vec::new();
    if wanted(Which::Credentials) {
        documents.push(document(plan, "common/secret.yaml", passwords()?)?);
    }
    if archive {
        let keys = Archive::of(plan).secret_keys();
        if wanted(Which::Backrest) && !keys.is_empty() {
            documents.push(document(plan, "archive/secret-backrest.yaml", repository_keys(plan, &keys)?)?);
        }
        if wanted(Which::Tls) {
            documents.push(document(plan, "archive/secret-backrest-tls.yaml", certificate(plan)?)?);
        }
    }
    if documents.is_empty() {
        let (what, help) = if archive {
            ("these repositories need no Secret", "leave --only out, or print another one")
        } else {
            ("only q3 has this Secret", "for example: pgk secret q3 --only tls")
        };
        return Err(Diagnostic::new(what).help(help).into());
    }
    Ok(documents)
}

/// What a Secret holds, in the order in which it is written.
type Keys = Vec<(&'static str, String)>;

/// The Secret that `template` makes of these keys.
fn document(plan: &Plan, template: &str, keys: Keys) -> anyhow::Result<Document> {
    #[derive(Serialize)]
    struct Values<'a> {
        namespace: &'a Option<Namespace>,
        names: Names,
        labels: Labels<'a>,
        keys: Keys,
    }
    let values = Values {
        namespace: &plan.namespace,
        names: Names::of(plan.name.as_str()),
        labels: labels(plan),
        keys,
    };
    let text = Renderer::new(&values)?.render(template)?;
    let document = Document { path: "secret.yaml".to_owned(), text };
    let findings = manifest::check(std::slice::from_ref(&document), &External::default());
    anyhow::ensure!(findings.is_empty(), "the rendered Secret is wrong, which is a bug in pgk");
    Ok(document)
}

fn passwords() -> anyhow::Result<Keys> {
    CREDENTIAL_KEYS.into_iter().map(|key| Ok((key, random()?))).collect()
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).context("the operating system has no random numbers")?;
    Ok(hex(&bytes))
}

/// What the repositories are opened with: from the environment, and a new pass phrase unless one is given.
fn repository_keys(plan: &Plan, keys: &[&'static str]) -> anyhow::Result<Keys> {
    let (mut all, mut wrong) = (Keys::new(), Vec::new());
    for &key in keys {
        match repository_key(plan, key) {
            Ok(value) => all.push((key, value)),
            Err(error) => drop(Diagnostics::gather::<()>(&mut wrong, Err(error))?),
        }
    }
    Diagnostics::check(wrong)?;
    Ok(all)
}

fn repository_key(plan: &Plan, key: &str) -> anyhow::Result<String> {
    let value = match key {
        CIPHER_PASS => match given("PGK_CIPHER_PASS")? {
            Some(given) if given.is_empty() => {
                return Err(Diagnostic::new("the environment variable PGK_CIPHER_PASS is set, and empty")
                    .help("set it to the pass phrase of the existing repository, or unset it for a new one")
                    .into());
            }
            Some(given) => given,
            None => random()?,
        },
        "s3-key" => variable(key, "AWS_ACCESS_KEY_ID")?,
        "s3-key-secret" => variable(key, "AWS_SECRET_ACCESS_KEY")?,
        "azure-key" if plan.q3.azure.key_type == AzureKey::Sas => variable(key, "AZURE_STORAGE_SAS_TOKEN")?,
        "azure-key" => variable(key, "AZURE_STORAGE_KEY")?,
        "gcs-key.json" => {
            let is_key = |text: &str| {
                serde_json::from_str::<Json>(text).is_ok_and(|it| it.get("private_key").is_some())
            };
            file(key, "GOOGLE_APPLICATION_CREDENTIALS", is_key, "a service account's key in JSON")?
        }
        _ => {
            let is_key = |text: &str| text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY-----");
            file(key, "PGK_SFTP_KEY", is_key, "a private key, as `ssh-keygen -m PEM` writes it")?
        }
    };
    Ok(value)
}

/// What the environment variable holds, if it is set.
fn given(name: &str) -> Result<Option<String>, Diagnostic> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(Diagnostic::new(format!("the environment variable {name} is not UTF-8"))
                .help("a Secret holds text: set it again"))
        }
    }
}

fn variable(key: &str, name: &str) -> Result<String, Diagnostic> {
    given(name)?.filter(|value| !value.is_empty()).ok_or_else(|| {
        Diagnostic::new(format!(
            "the Secret's `{key}` is taken from the environment variable {name}, which is not set"
        ))
        .help("`pgk secret --help` lists the variables")
    })
}

fn file(key: &str, name: &str, is_key: fn(&str) -> bool, what: &str) -> Result<String, Diagnostic> {
    let path = variable(key, name)?;
    let text = std::fs::read_to_string(&path).map_err(|why| {
        Diagnostic::new(format!("cannot read {path}, the file that {name} names: {why}"))
            .help(format!("it is what becomes the Secret's `{key}`"))
    })?;
    if is_key(&text) {
        return Ok(text);
    }
    Err(Diagnostic::new(format!("{path}, the file that {name} names, is not {what}"))
        .help(format!("it is what becomes the Secret's `{key}`")))
}

/// One certificate for both sides, whose authority is forgotten at once.
fn certificate(plan: &Plan) -> anyhow::Result<Keys> {
    let names = Names::of(plan.name.as_str());
    let now = SystemTime::now();
    let params = |common_name: &str, hosts: Vec<String>| -> anyhow::Result<CertificateParams> {
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = (now - DAY).into();
        params.not_after = (now + TEN_YEARS).into();
        Ok(params)
    };
    let mut authority = params(&format!("{}-ca", names.backrest_client), Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let hosts = vec![names.repo.clone(), format!("*.{}", names.peers)];
    let mut leaf = params(&names.backrest_client, hosts)?;
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let pem = leaf.signed_by(&key, &issuer)?.pem();
    Ok(TLS_KEYS.into_iter().zip([authority_pem, pem, key.serialize_pem()]).collect())
}
