//! What becomes of PostgreSQL's parameters that a rendering changes: a reload, or a restart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::config::settings::plain;
use crate::config::types::Version;
use crate::postgres;
use crate::yaml;

/// The parameters in the `ConfigMap` of configuration, and who reads them there.
struct Parameters {
    patroni: bool,
    values: BTreeMap<String, String>,
}

impl Parameters {
    /// Those of `object`; `None` where it is another.
    fn of(object: &Json) -> Option<Self> {
        let file = |name: &str| object.get("data")?.get(name)?.as_str();
        if let Some(text) = file("postgresql.conf") {
            let values = text.lines().filter_map(|line| {
                let (name, value) = line.split_once(" = ")?;
                let plain =
                    value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(value);
                (!name.starts_with('#')).then(|| (name.to_owned(), plain.to_owned()))
            });
            return Some(Self { patroni: false, values: values.collect() });
        }
        let read = |name: &str| yaml::parse(file(name)?).ok()?.into_iter().next();
        let (patroni, more) = (read("patroni.yaml")?, read("parameters.yaml").unwrap_or_default());
        let rendered = patroni.pointer("/bootstrap/dcs/postgresql/parameters").and_then(Json::as_object);
        let all = rendered.into_iter().chain(more.as_object()).flat_map(Map::iter);
        let values = all.map(|(name, value)| (name.clone(), plain(value))).collect();
        Some(Self { patroni: true, values })
    }
}

/// A line on each parameter that differs between two states of an object.
pub(super) fn changed(before: &Json, after: &Json) -> Vec<String> {
    let (Some(before), Some(after)) = (Parameters::of(before), Parameters::of(after)) else {
        return Vec::new();
    };
    // Another scenario: every parameter differs.
    if before.patroni != after.patroni {
        return Vec::new();
    }
    let names: BTreeSet<_> = before.values.keys().chain(after.values.keys()).collect();
    let line = |name: &String| {
        let (old, new) = (before.values.get(name), after.values.get(name));
        (old != new).then_some(())?;
        let found = Version::ALL.into_iter().rev().find_map(|version| postgres::find(version, name));
        let restart = found.is_some_and(|parameter| parameter.takes_a_restart());
        let what = match (after.patroni, restart) {
            (true, false) => "a reload",
            (true, true) => "a restart of PostgreSQL, of one member after the other",
            // Their file is read by a script at the start.
            (false, false) => {
                "PostgreSQL could reload it, but applying replaces the pods, one after the other"
            }
            (false, true) => "a restart: applying replaces the pods, one after the other",
        };
        let shown = |value: Option<&String>| value.map_or("unset", String::as_str).to_owned();
        Some(format!("{name}: {} -> {}: {what}", shown(old), shown(new)))
    };
    names.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_a_reload_or_a_restart() {
        let patroni = |more: &str| {
            let text = "bootstrap: {dcs: {postgresql: {parameters: {wal_keep_size: 512MB, allow_alter_system: 'off'}}}}";
            json!({"data": {"patroni.yaml": text, "parameters.yaml": more}})
        };
        assert_eq!(changed(&patroni("{}"), &patroni("{}")), [""; 0]);
        assert_eq!(
            changed(&patroni("{}"), &patroni("work_mem: 16MB\nmax_connections: 200\nwal_keep_size: 1GB")),
            [
                "max_connections: unset -> 200: a restart of PostgreSQL, of one member after the other",
                "wal_keep_size: 512MB -> 1GB: a reload",
                "work_mem: unset -> 16MB: a reload",
            ]
        );
        let plain = |text: &str| json!({"data": {"postgresql.conf": text}});
        assert_eq!(
            changed(&plain("# work_mem = 1\nport = 5432\n"), &plain("port = 5432\nwork_mem = '4MB'\n")),
            [
                "work_mem: unset -> 4MB: PostgreSQL could reload it, but applying replaces the pods, one after the other"
            ]
        );
    }
}
