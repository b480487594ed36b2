//! Whatever a user writes as a value stays that value: in the escaped scalar itself, for any text, and in
//! whole renderings, for texts made to break out.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use minijinja::Value;
use minijinja::value::Serde;
use pgk::config::types::Peers;
use pgk::config::{self, Scenario, Sources};
use pgk::render::Document;
use pgk::render::escape::{self, Kind};
use pgk::scenario::{self, Rendered};
use proptest::prelude::*;
use serde_json::Value as Json;

/// Texts that end, or begin, something in one of the files that values land in.
const HOSTILE: &[&str] = &[
    "'",
    "\"",
    "`",
    "\\",
    "\\'",
    "''",
    "$(touch /tmp/x)",
    "${HOME}",
    "$$",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{#",
    "#",
    " #",
    "; DROP DATABASE app; --",
    "'; DROP ROLE app; --",
    "\"; DROP ROLE app; --",
    "%I",
    ":app_password",
    ":'app_password'",
    "---",
    "...",
    "- ",
    ": ",
    "&a",
    "*a",
    "!!str",
    "|",
    ">",
    "%",
    "@",
    "~",
    "on",
    "off",
    "yes",
    "no",
    "null",
    "true",
    "1",
    "1e3",
    "0x10",
    "1:30",
    "<<",
    "=",
    "\n",
    "\r\n",
    "\n---\nkind: Pod",
    "\t",
    " ",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "é",
    "\u{1f418}",
    "EOF",
    "```",
    "all",
    "replication",
    "+app",
    "/etc/passwd",
    "@include x",
    "\\gexec",
    "\\! id",
    "$(VAR)",
];

/// Any text, with hostile pieces in it more often than chance would have it.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        2 => proptest::sample::select(HOSTILE).prop_map(ToOwned::to_owned),
        1 => any::<String>(),
        1 => "[a-z0-9]{0,8}",
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// A selector of labels, among whose keys and values are words that mean something in YAML.
fn selector() -> impl Strategy<Value = String> {
    let word = || {
        prop_oneof![
            proptest::sample::select(&["on", "null", "1e3", "0x1", "y", "in"][..])
                .prop_map(ToOwned::to_owned),
            "[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,5}[a-zA-Z0-9])?"
        ]
    };
    let key = (proptest::option::of("[a-z0-9]{1,3}(\\.[a-z]{1,3})?/"), word())
        .prop_map(|(prefix, name)| prefix.unwrap_or_default() + &name);
    let one = (key, word(), 0..7_usize).prop_map(|(key, value, form)| match form {
        0 => format!("{key}={value}"),
        1 => format!("{key} == {value}"),
        2 => format!("{key}!={value}"),
        3 => format!("{key} in ({value}, a)"),
        4 => format!("{key} notin ({value})"),
        5 => format!("!{key}"),
        _ => key,
    });
    proptest::collection::vec(one, 1..4)
        .prop_map(|all| all.join(", "))
        .prop_filter("no label has two values", |text| text.matches('=').count() < 2)
}

fn from_yaml(yaml: &str) -> Json {
    let options = serde_yaml::options! { with_snippet: false };
    serde_yaml::from_str_with_options(yaml, options).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// Undoes the doubling of `quote`; `None` where the text between the quotes ends early.
fn undouble(quoted: &str, quote: char) -> Option<String> {
    let inner = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
    let pair: String = [quote, quote].iter().collect();
    let parts: Vec<&str> = inner.split(&pair).collect();
    parts.iter().all(|part| !part.contains(quote)).then(|| parts.join(&quote.to_string()))
}

/// What PostgreSQL reads from a quoted value of its configuration file.
fn read_conf(quoted: &str) -> Option<String> {
    let mut read = String::new();
    let mut chars = quoted.strip_prefix('\'')?.strip_suffix('\'')?.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\r' => return None,
            '\'' if chars.next() != Some('\'') => return None,
            '\\' => read.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                c => c,
            }),
            c => read.push(c),
        }
    }
    Some(read)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn yaml_scalars_read_back(text in text()) {
        prop_assert_eq!(from_yaml(&format!("key: {}\nnext: 1\n", escape::yaml(&text))), serde_json::json!({"key": text, "next": 1}));
    }

    #[test]
    fn yaml_blocks_read_back(text in text(), indent in 3..8_usize) {
        let yaml = format!("data:\n  key: {}\n  next: 1\n", escape::yaml_block(&text, indent));
        prop_assert_eq!(from_yaml(&yaml), serde_json::json!({"data": {"key": text, "next": 1}}));
    }

    #[test]
    fn yaml_trees_read_back(key in text(), value in text()) {
        let tree = serde_json::json!({key: {"list": [value, {"a": value, "b": []}]}});
        let yaml = escape::yaml_tree(&Value::from(Serde(&tree)), 2).unwrap();
        prop_assert_eq!(from_yaml(&format!("spec:{yaml}\n")), serde_json::json!({"spec": tree}));
    }

    #[test]
    fn sql_conf_and_hba_end_where_they_should(text in text()) {
        let plain = !text.contains('\0');
        prop_assert_eq!(undouble(&escape::sql_literal(&text), '\''), Some(text.clone()));
        prop_assert_eq!(undouble(&escape::sql_identifier(&text), '"'), Some(text.clone()));
        prop_assert_eq!(Kind::Conf.escape(&text).and_then(|quoted| read_conf(&quoted)), plain.then(|| text.clone()));
        let hba = Kind::Hba.escape(&text).and_then(|quoted| undouble(&quoted, '"'));
        prop_assert_eq!(hba, (plain && !text.contains(['\n', '\r'])).then_some(text));
    }
}

proptest! {
    // Each case starts a shell.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shell_words_read_back(text in text()) {
        let Some(quoted) = Kind::Shell.escape(&text) else {
            prop_assert!(text.contains('\0'));
            return Ok(());
        };
        let output = Command::new("sh").arg("-c").arg(format!("set -u; printf %s {quoted}")).output().expect("sh runs");
        prop_assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), text);
    }

    /// The shape of every document is that of the defaults, whatever the values are.
    #[test]
    fn renderings_keep_their_shape(value in text(), name in text()) {
        same_shape(&value, &name)?;
    }

    #[test]
    fn texts_stay_in_the_archive(text in text()) {
        stays_in_the_archive(&text)?;
    }

    #[test]
    fn texts_stay_in_a_selector(text in text()) {
        stays_in_a_selector(&text)?;
    }

    #[test]
    fn selectors_are_what_was_meant(text in selector()) {
        prop_assert!(stays_in_a_selector(&text)? > 0, "{} is a selector", text);
    }
}

#[test]
fn a_megabyte_stays_in_its_scalar() {
    let text = HOSTILE.concat().repeat((1 << 20) / HOSTILE.concat().len());
    assert_eq!(from_yaml(&escape::yaml(&text)), Json::from(text.as_str()));
    assert_eq!(
        from_yaml(&format!("key: {}\n", escape::yaml_block(&text, 4)))["key"],
        Json::from(text.as_str())
    );
    assert_eq!(undouble(&escape::sql_literal(&text), '\'').as_deref(), Some(text.as_str()));
    assert_eq!(
        Kind::Conf.escape(&text).and_then(|quoted| read_conf(&quoted)).as_deref(),
        Some(text.as_str())
    );
}

#[test]
fn every_hostile_text_alone() {
    let taken = HOSTILE.iter().map(|hostile| same_shape(hostile, hostile).expect("the same shape"));
    let (parameters, names): (Vec<_>, Vec<_>) = taken.unzip();
    let count = |taken: Vec<bool>| taken.into_iter().filter(|taken| *taken).count();
    assert!(count(parameters) >= 60 && count(names) >= 55, "or nothing hostile is tried");
}

#[test]
fn every_hostile_text_alone_in_a_selector() {
    let taken = HOSTILE.iter().map(|hostile| stays_in_a_selector(hostile).expect("the same shape"));
    assert!(taken.sum::<usize>() >= 20, "or nothing hostile is tried");
}

#[test]
fn every_hostile_text_alone_in_the_archive() {
    let taken: BTreeSet<_> =
        HOSTILE.iter().flat_map(|hostile| stays_in_the_archive(hostile).expect("the same shape")).collect();
    assert_eq!(taken.len(), ARCHIVE_TEXTS.len(), "{taken:?}");
}

/// The rendering of these settings, which pgk takes.
fn render(scenario: Scenario, set: &[String]) -> Rendered {
    let sources = Sources { set: set.to_vec(), scenario: Some(scenario), ..Sources::default() };
    let plan = config::load(&sources).expect("settings that pgk takes");
    scenario::render(scenario, &plan).expect("a valid plan renders")
}

/// Whether pgk takes these settings.
fn takes(set: &[String]) -> bool {
    config::load(&Sources { set: set.to_vec(), scenario: Some(Scenario::Q3), ..Sources::default() }).is_ok()
}

/// A rendering without anything hostile in it, to compare with.
struct Plain {
    scenario: Scenario,
    settings: Vec<String>,
    rendered: Rendered,
}

impl Plain {
    fn of(scenario: &str, settings: &[&str]) -> Self {
        let scenario = scenario.parse().expect("a scenario");
        let settings: Vec<_> = settings.iter().map(ToString::to_string).collect();
        let rendered = render(scenario, &settings);
        Self { scenario, settings, rendered }
    }

    /// The same with these settings on top.
    fn with(&self, set: &[String]) -> Rendered {
        render(self.scenario, &[&self.settings, set].concat())
    }

    /// The same documents with the same keys.
    fn has_the_shape_of(&self, other: &Rendered) -> Result<(), TestCaseError> {
        let (plain, other) = (&self.rendered.manifests, &other.manifests);
        prop_assert_eq!(plain.len(), other.len());
        // What is the same text needs no second look.
        for (plain, other) in plain.iter().zip(other).filter(|(plain, other)| plain != other) {
            prop_assert_eq!(paths(plain), paths(other));
        }
        Ok(())
    }
}

/// What a file of the first `ConfigMap`, that of configuration, holds.
fn config_file(config: &Json, name: &str) -> String {
    config["data"][name].as_str().expect("a file").to_owned()
}

/// What PostgreSQL is to be configured with for `search_path`, found in the file that is for it.
fn search_path(rendered: &Rendered) -> Option<String> {
    let config = from_yaml(&rendered.manifests[0].text);
    if let Some(conf) = config["data"]["postgresql.conf"].as_str() {
        let last = conf.trim_end_matches('\n').rsplit('\n').next()?;
        last.strip_prefix("search_path = ").and_then(read_conf)
    } else {
        let parameters = from_yaml(config["data"]["parameters.yaml"].as_str()?);
        parameters["search_path"].as_str().map(ToOwned::to_owned)
    }
}

/// Renders with `value` as a parameter's and `name` as the database's and the role's, where pgk takes
/// them, and compares with the defaults' rendering: the same keys in every document, and each value
/// found again in its place. Returns whether it takes the parameter and the names.
fn same_shape(value: &str, name: &str) -> Result<(bool, bool), TestCaseError> {
    static PLAIN: LazyLock<[Plain; 4]> = LazyLock::new(|| {
        let restore: &[&str] = &["q2.strategy=restore"];
        [("q1", &[][..]), ("q2", &[]), ("q2", restore), ("q3", &[])].map(|(scenario, settings)| {
            Plain::of(scenario, &[settings, &["postgres.parameters.search_path=x"]].concat())
        })
    });
    let parameter = vec![format!("postgres.parameters.search_path={value}")];
    let (parameter, value) = if takes(&parameter) { (parameter, value) } else { (vec![], "x") };
    let names = vec![format!("postgres.database={name}"), format!("postgres.user={name}")];
    let (names, name) = if takes(&names) { (names, name) } else { (vec![], "app") };
    let taken = (!parameter.is_empty(), !names.is_empty());
    let hostile = [parameter, names].concat();
    if hostile.is_empty() {
        return Ok(taken);
    }
    for plain in PLAIN.iter() {
        let hostile = plain.with(&hostile);
        plain.has_the_shape_of(&hostile)?;
        prop_assert_eq!(search_path(&hostile), Some(value.to_owned()));
        let [sql, expected] = [&hostile, &plain.rendered]
            .map(|rendered| config_file(&from_yaml(&rendered.manifests[0].text), "roles.sql"));
        let expected = expected
            .replace("'app'", &escape::sql_literal(name))
            .replace("\"app\"", &escape::sql_identifier(name));
        prop_assert_eq!(sql, expected);
    }
    Ok(taken)
}

/// Settings of Q3 that are texts: the key, a value with `{}` where the hostile text comes, and where the value is
/// found in what is rendered.
const ARCHIVE_TEXTS: [(&str, &str, &str); 14] = [
    ("q3.path", "/a{}", "pgbackrest.conf repo1-path"),
    ("q3.s3.bucket", "abc{}abc", "pgbackrest.conf repo1-s3-bucket"),
    ("q3.s3.endpoint", "a{}a.example:9000", "pgbackrest.conf repo1-s3-endpoint"),
    ("q3.s3.region", "{}", "pgbackrest.conf repo1-s3-region"),
    ("q3.s3.ca", "# {}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "s3-ca.crt"),
    ("q3.gcs.bucket", "abc{}abc", "pgbackrest.conf repo2-gcs-bucket"),
    ("q3.gcs.endpoint", "a{}a", "pgbackrest.conf repo2-gcs-endpoint"),
    ("q3.azure.account", "abc{}", "pgbackrest.conf repo3-azure-account"),
    ("q3.azure.container", "abc{}abc", "pgbackrest.conf repo3-azure-container"),
    ("q3.azure.endpoint", "a{}a", "pgbackrest.conf repo3-azure-endpoint"),
    ("q3.sftp.host", "a{}a", "pgbackrest.conf repo4-sftp-host"),
    ("q3.sftp.user", "a{}", "pgbackrest.conf repo4-sftp-host-user"),
    ("q3.sftp.known-hosts", "host ssh-ed25519 AAAA {}a\n", "known-hosts.txt"),
    ("q3.restore.target.name", "{}", "settings.yaml /archive/restore/target"),
];

/// What is configured, by the file and its option; a file of plain text is one value.
fn configured(rendered: &Rendered) -> BTreeMap<String, String> {
    let config = from_yaml(&rendered.manifests[0].text);
    let mut all = BTreeMap::new();
    for (name, text) in config["data"].as_object().expect("files") {
        let text = text.as_str().expect("text");
        if name.starts_with("pgbackrest") {
            // As pgBackRest reads it.
            let mut section = "";
            for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
                if line.starts_with('[') {
                    section = if line == "[global]" { "" } else { line };
                }
                let (option, value) = line.split_once('=').unwrap_or((line, ""));
                let place = format!("{name} {section}{option}");
                assert!(all.insert(place, value.to_owned()).is_none(), "{option} once");
            }
        } else if name == "settings.yaml" {
            walk(&from_yaml(text), "", &mut |path, value| {
                if let Some(leaf) = value.as_str() {
                    all.insert(format!("{name} {path}"), leaf.to_owned());
                }
            });
        } else {
            all.insert(name.clone(), text.to_owned());
        }
    }
    all
}

/// What stands in the place of a setting's hostile text in the rendering to compare with. Nothing else is like it.
fn harmless(key: &str) -> String {
    let number = ARCHIVE_TEXTS.iter().position(|(other, ..)| *other == key).expect("one of them");
    format!("zzq{}", ('a'..).nth(number).expect("a letter"))
}

/// Renders Q3 with `text` in every setting that takes it: each value is found in its place, and nothing else is
/// changed but what is made of it. Returns the settings that take it.
fn stays_in_the_archive(text: &str) -> Result<Vec<&'static str>, TestCaseError> {
    static PLAIN: LazyLock<Plain> = LazyLock::new(|| {
        let texts =
            ARCHIVE_TEXTS.map(|(key, around, _)| format!("{key}={}", around.replace("{}", &harmless(key))));
        let repos = "q3.repos=s3,gcs,azure,sftp";
        Plain::of("q3", &[&[repos], &texts.each_ref().map(String::as_str)[..]].concat())
    });
    static CONFIGURED: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| configured(&PLAIN.rendered));
    let taken = ARCHIVE_TEXTS.map(|(key, around, place)| (key, around.replace("{}", text), place));
    // Beside what asks for the repositories, without which their settings are refused.
    let fits = |key: &str, value: &str| takes(&[&PLAIN.settings[..], &[format!("{key}={value}")]].concat());
    let taken: Vec<_> = taken.into_iter().filter(|(key, value, _)| fits(key, value)).collect();
    let settings: Vec<_> = taken.iter().map(|(key, value, _)| format!("{key}={value}")).collect();
    let hostile = PLAIN.with(&settings);
    PLAIN.has_the_shape_of(&hostile)?;
    // No script and no manifest has it; other files only where they name it.
    prop_assert_eq!(&hostile.manifests[1..], &PLAIN.rendered.manifests[1..]);
    let others = PLAIN.rendered.others.iter().map(|plain| Document {
        path: plain.path.clone(),
        text: taken.iter().fold(plain.text.clone(), |named, (key, ..)| named.replace(&harmless(key), text)),
    });
    prop_assert_eq!(&hostile.others, &others.collect::<Vec<_>>());
    let now = configured(&hostile);
    for (key, value, place) in &taken {
        prop_assert_eq!(now.get(*place), Some(value), "{}", key);
    }
    prop_assert!(now.keys().eq(CONFIGURED.keys()), "{:?}", now);
    for (option, now) in &now {
        prop_assert!(now.contains(text) || *now == CONFIGURED[option], "{} is {}", option, now);
    }
    Ok(taken.into_iter().map(|(key, ..)| key).collect())
}

/// Renders with `text` in selectors, where pgk takes it: they say what was meant, and nothing else is changed. Returns how
/// many took it.
fn stays_in_a_selector(text: &str) -> Result<usize, TestCaseError> {
    const CLIENTS: &str = "network-policy.clients";
    static PLAIN: LazyLock<[Plain; 4]> = LazyLock::new(|| {
        let restore: &[&str] = &["q2.strategy=restore"];
        let policies = ["network-policy.enabled=true", "network-policy.clients=app=web"];
        [("q1", &[][..]), ("q2", &[]), ("q2", restore), ("q3", &[])]
            .map(|(scenario, settings)| Plain::of(scenario, &[settings, &policies].concat()))
    });
    let values =
        [text.to_owned(), format!("app={text}"), format!("a.b/{text}"), format!("app in (x,{text})")];
    let mut taken = 0;
    for value in values.iter().filter(|value| takes(&[format!("{CLIENTS}={value}")])) {
        taken += 1;
        let expected: Peers = value.parse().expect("it was taken");
        let Json::Array(expected) = serde_json::to_value(expected).expect("JSON") else { panic!("a list") };
        for plain in PLAIN.iter() {
            let hostile = plain.with(&[format!("{CLIENTS}={value}")]);
            prop_assert_eq!(plain.rendered.manifests.len(), hostile.manifests.len());
            for (plain, hostile) in plain.rendered.manifests.iter().zip(&hostile.manifests) {
                if !hostile.path.ends_with("-networkpolicy.yaml") {
                    prop_assert_eq!(plain, hostile);
                    continue;
                }
                let [mut plain, mut now] = [plain, hostile].map(|document| from_yaml(&document.text));
                let list = |tree: &mut Json| {
                    let from = tree.pointer_mut("/spec/ingress/0/from").expect("the clients");
                    // The first are the pods of `pgk drill`.
                    from.as_array_mut().expect("a list").split_off(1)
                };
                prop_assert_eq!(list(&mut plain).len(), 1);
                prop_assert_eq!(list(&mut now), expected.clone());
                prop_assert_eq!(plain, now);
            }
        }
    }
    Ok(taken)
}

/// Calls `see` with every part of a tree and the path to it.
fn walk(tree: &Json, path: &str, see: &mut impl FnMut(&str, &Json)) {
    see(path, tree);
    match tree {
        Json::Object(map) => map.iter().for_each(|(key, value)| walk(value, &format!("{path}/{key}"), see)),
        Json::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| walk(value, &format!("{path}/{i}"), see));
        }
        _ => {}
    }
}

/// The path of every key in a document.
fn paths(document: &Document) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    walk(&from_yaml(&document.text), &document.path, &mut |path, _| {
        all.insert(path.to_owned());
    });
    all
}
