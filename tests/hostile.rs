//! Whatever a user writes as a value stays that value: in the escaped scalar itself, for any text, and in
//! whole renderings, for texts made to break out.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::process::Command;

use pgk::config::{self, Sources};
use pgk::render::escape::{self, Kind};
use pgk::scenario::{self, Rendered, Scenario};
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
        prop_assert_eq!(from_yaml(&format!("spec:{}\n", escape::yaml_tree(&tree, 2))), serde_json::json!({"spec": tree}));
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
    for hostile in HOSTILE {
        same_shape(hostile, hostile).expect("the same shape");
    }
}

fn render(scenario: &Scenario, set: Vec<String>) -> Option<Rendered> {
    let plan = config::load(&Sources { set, ..Sources::default() }).ok()?;
    Some(scenario::render(scenario, &plan).expect("a valid plan renders"))
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
/// found again in its place.
fn same_shape(value: &str, name: &str) -> Result<(), TestCaseError> {
    let parameter = |value: &str| format!("postgres.parameters.search_path={value}");
    let restore = "q2.strategy=restore".to_owned();
    let all = scenario::all()
        .into_values()
        .flat_map(|scenario| [(scenario, vec![]), (scenario, vec![restore.clone()])]);
    for (scenario, strategy) in all {
        let render = |scenario, set: Vec<String>| render(scenario, [strategy.clone(), set].concat());
        let plain = render(scenario, vec![parameter("x")]).expect("the defaults");
        if let Some(hostile) = render(scenario, vec![parameter(value)]) {
            prop_assert_eq!(paths(&hostile), paths(&plain));
            prop_assert_eq!(search_path(&hostile), Some(value.to_owned()));
        }
        let names = [format!("postgres.database={name}"), format!("postgres.user={name}")];
        if let Some(hostile) = render(scenario, [vec![parameter("x")], names.to_vec()].concat()) {
            prop_assert_eq!(paths(&hostile), paths(&plain));
            let [config, expected] =
                [&hostile, &plain].map(|rendered| from_yaml(&rendered.manifests[0].text));
            let [sql, expected] =
                [&config, &expected].map(|config| config["data"]["roles.sql"].as_str().expect("a file"));
            let expected = expected
                .replace("'app'", &escape::sql_literal(name))
                .replace("\"app\"", &escape::sql_identifier(name));
            prop_assert_eq!(sql, expected);
        }
    }
    Ok(())
}

/// The path of every key in every document.
fn paths(rendered: &Rendered) -> BTreeSet<String> {
    fn walk(tree: &Json, path: &str, paths: &mut BTreeSet<String>) {
        paths.insert(path.to_owned());
        match tree {
            Json::Object(map) => {
                map.iter().for_each(|(key, value)| walk(value, &format!("{path}/{key}"), paths));
            }
            Json::Array(list) => {
                list.iter().enumerate().for_each(|(i, value)| walk(value, &format!("{path}/{i}"), paths));
            }
            _ => {}
        }
    }
    let mut all = BTreeSet::new();
    for document in &rendered.manifests {
        walk(&from_yaml(&document.text), &document.path, &mut all);
    }
    all
}
