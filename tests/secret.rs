//! The Secrets of Q3: what is in them, and that it is what pgk was given.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing)]

#[path = "support/untried.rs"]
mod untried;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use insta::assert_snapshot;
use serde_json::Value as Json;

const S3: [&str; 3] = ["--backrest-repo=s3", "--set=q3.s3.bucket=backups", "--set=q3.s3.region=eu-west-3"];
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// Runs `pgk secret q3` with these arguments, and with no more in the environment than this.
fn pgk_secret<V: AsRef<OsStr>>(arguments: &[&str], environment: &[(&str, V)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pgk"))
        .args(["secret", "q3"])
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value.as_ref())))
        .output()
        .expect("pgk runs")
}

/// What it prints.
fn secret(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = pgk_secret(arguments, environment);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What it complains of.
fn error<V: AsRef<OsStr>>(arguments: &[&str], environment: &[(&str, V)]) -> String {
    let output = pgk_secret(arguments, environment);
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// What the one Secret holds that is printed for `--only`.
fn held(only: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Json {
    let stream = secret(&[&["--only", only], arguments].concat(), environment);
    let document: Json = serde_yaml::from_str(&stream).expect("one document");
    document["stringData"].clone()
}

/// The stream, with what kind of value it is in place of each that is made anew.
fn shape(stream: &str) -> String {
    let lines = stream.lines().map(|line| {
        let Some((key, value)) = line.split_once(": ") else { return line.to_owned() };
        let value = value.trim_matches('"');
        let kind = if value.len() == 48 && value.bytes().all(|b| b.is_ascii_hexdigit()) {
            "<48 hexadecimal digits>"
        } else if value.starts_with("-----BEGIN CERTIFICATE-----") {
            "<certificate>"
        } else if value.starts_with("-----BEGIN PRIVATE KEY-----") {
            "<private key>"
        } else {
            return line.to_owned();
        };
        format!("{key}: {kind}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn shapes() {
    assert_snapshot!("posix", shape(&secret(&["--name=shop", "--namespace=there"], &[])));
    assert_snapshot!("s3", shape(&secret(&S3, &KEYS)));
    assert_snapshot!("posix-s3", shape(&secret(&[&S3[..], &["--set=q3.repos=s3,posix"]].concat(), &KEYS)));
}

#[test]
fn one_alone() {
    let all = secret(&S3, &KEYS);
    let whole: Vec<_> = ["credentials", "backrest", "tls"]
        .map(|only| shape(&secret(&[&S3[..], &["--only", only]].concat(), &KEYS)))
        .into();
    assert_eq!(whole.join("\n"), shape(&all));
}

#[test]
fn what_is_made_anew_is_random() {
    let run = || {
        let held = [held("credentials", &S3, &KEYS), held("backrest", &S3, &KEYS), held("tls", &S3, &KEYS)];
        held.map(|held| held.as_object().expect("a map").clone()).into_iter().flatten().collect::<Vec<_>>()
    };
    let (one, other) = (run(), run());
    assert_eq!(one.len(), 9);
    for ((key, one), (_, other)) in one.iter().zip(&other) {
        assert_eq!(one == other, key.starts_with("s3-"), "{key}");
    }
}

/// To the byte, whatever YAML, shells or templates make of such a text.
#[test]
fn keys_are_those_in_the_environment() {
    let hostile = "a'b\"c\\d: e #f\n---\n- $(id) ${HOME} {{ 7 }} %s\t\u{e9}\u{2028}\u{1f418}\r\n ";
    for value in [hostile, "on", "0x1f", "1e3", "~", "- a", " ", "\n", "'", "!!str", "&a *a", "=", "null"] {
        let keys =
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PGK_CIPHER_PASS"].map(|name| (name, value));
        let expected = serde_json::json!({"cipher-pass": value, "s3-key": value, "s3-key-secret": value});
        assert_eq!(held("backrest", &S3, &keys), expected);
    }
    let azure = ["--backrest-repo=azure", "--set=q3.azure.account=abc", "--set=q3.azure.container=abc"];
    let azure = [&azure[..], &["--set=q3.cipher=false"]].concat();
    let both = [("AZURE_STORAGE_KEY", "shared"), ("AZURE_STORAGE_SAS_TOKEN", hostile)];
    assert_eq!(held("backrest", &azure, &both), serde_json::json!({"azure-key": "shared"}));
    let sas = [&azure[..], &["--set=q3.azure.key-type=sas"]].concat();
    assert_eq!(held("backrest", &sas, &both), serde_json::json!({"azure-key": hostile}));

    let folder = tempfile::tempdir().expect("a folder");
    let [gcs, sftp] = ["gcs", "sftp"].map(|name| folder.path().join(name));
    let ssh = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{hostile}\n-----END OPENSSH PRIVATE KEY-----\n");
    fs::write(&gcs, serde_json::json!({"private_key": hostile}).to_string()).expect("written");
    fs::write(&sftp, &ssh).expect("written");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let files = [("GOOGLE_APPLICATION_CREDENTIALS", text(&gcs)), ("PGK_SFTP_KEY", text(&sftp))];
    let files = files.each_ref().map(|(name, path)| (*name, path.as_str()));
    let arguments = [
        "--backrest-repo=gcs,sftp",
        "--set=q3.cipher=false",
        "--set=q3.gcs.bucket=backups",
        "--set=q3.sftp.host=backup",
        "--set=q3.sftp.user=pg",
        "--set=q3.sftp.known-hosts=backup ssh-ed25519 AAAA",
    ];
    let expected = serde_json::json!({
        "gcs-key.json": fs::read_to_string(&gcs).expect("text"),
        "sftp-key": ssh,
    });
    assert_eq!(held("backrest", &arguments, &files), expected);
}

#[test]
fn what_is_missing_is_said() {
    let gcs = ["--backrest-repo=gcs", "--set=q3.gcs.bucket=backups"];
    let pass = |bytes: &[u8]| [("PGK_CIPHER_PASS", OsString::from_vec(bytes.to_vec()))];
    let errors = [
        error(&S3, &KEYS[..1]),
        // An empty one counts as none.
        error(&S3, &[KEYS[1], ("AWS_ACCESS_KEY_ID", "")]),
        error(&gcs, &[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")]),
        // Not a new pass phrase instead of the one that was meant.
        error(&[&S3[..], &["--set=q3.s3.key-type=auto"]].concat(), &pass(b"caf\xe9")),
        error(&["--only=backrest"], &KEYS),
        // Nor instead of the one that CI did not have.
        error(&[&S3[..], &["--set=q3.s3.key-type=auto"]].concat(), &pass(b"")),
    ];
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn all_that_is_missing_is_said_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let junk = folder.path().join("junk");
    fs::write(&junk, "hello").expect("written");
    let junk = junk.to_str().expect("UTF-8");
    let arguments = [
        "--backrest-repo=s3,gcs,azure,sftp",
        "--set=q3.gcs.bucket=backups",
        "--set=q3.azure.account=abc",
        "--set=q3.sftp.host=backup",
        "--set=q3.sftp.user=pg",
        "--set=q3.sftp.known-hosts=backup ssh-ed25519 AAAA",
    ];
    let keys = [("GOOGLE_APPLICATION_CREDENTIALS", junk), ("PGK_SFTP_KEY", junk)];
    assert_snapshot!(error(&arguments, &keys).replace(junk, "JUNK"));
}

/// A new file, for its owner alone, whatever the mask is.
#[test]
fn into_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secrets.yaml");
    let path = path.to_str().expect("UTF-8");
    assert_eq!(secret(&["-o", path], &[]), "");
    let there = fs::read_to_string(path).expect("text");
    assert_eq!(shape(&there), shape(&secret(&[], &[])));
    assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o600);
    let said = error::<&str>(&["-o", path], &[]);
    assert!(said.starts_with("error: this already exists, and pgk does not replace it"), "{said}");
    assert_eq!(fs::read_to_string(path).expect("text"), there);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

/// What openssl prints, run in `folder`.
fn openssl(folder: &Path, arguments: &str) -> String {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The certificate is its authority's, for both sides, for years, and by the names under which they call each other.
#[test]
fn the_certificate_is_good() {
    if !untried::tool("openssl") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let tls = held("tls", &["--name=shop"], &[]);
    for (key, pem) in tls.as_object().expect("a map") {
        fs::write(folder.join(key), pem.as_str().expect("text")).expect("written");
    }
    // The members' names are in the snapshot: OpenSSL wants two dots behind a star, pgBackRest does not.
    for purpose in ["sslserver", "sslclient"] {
        let verify = format!(
            "verify -x509_strict -CAfile ca.crt -purpose {purpose} -verify_hostname shop-repo tls.crt"
        );
        openssl(folder, &verify);
    }
    let nine_years = 9 * 365 * 86_400;
    openssl(folder, &format!("x509 -in tls.crt -noout -checkend {nine_years}"));
    let of_certificate = openssl(folder, "x509 -in tls.crt -noout -pubkey");
    assert_eq!(of_certificate, openssl(folder, "pkey -in tls.key -pubout"));
    let names = openssl(
        folder,
        "x509 -in tls.crt -noout -subject -issuer -ext subjectAltName,extendedKeyUsage,keyUsage,basicConstraints -nameopt RFC2253",
    );
    let authority = openssl(
        folder,
        "x509 -in ca.crt -noout -subject -issuer -ext keyUsage,basicConstraints -nameopt RFC2253",
    );
    assert_snapshot!(names + &authority);
}
