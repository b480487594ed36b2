//! What the JSON Schema says of PostgreSQL's parameters.

use serde_json::{Map, Value as Json, json};

use super::super::types::{Version, any_case};
use crate::postgres::{self, Kind, Parameter, Unit};

/// What the schema says of each parameter that pgk knows; of two versions, what either takes.
pub(in crate::config) fn schema(value: &Json) -> Json {
    let mut properties = Map::new();
    for version in Version::ALL {
        for parameter in postgres::all(version).filter(|it| !it.name.contains('.')) {
            let name = parameter.name.to_ascii_lowercase();
            let Some(parameter) = postgres::find(version, &name) else { continue };
            let mut schema = if parameter.is_preset() { json!({"not": {}}) } else { of(&parameter, value) };
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_owned(), parameter.meaning.into());
            }
            // What differs is what the newer one takes beyond the older.
            match properties.get_mut(&name) {
                Some(known) if *known != schema => *known = json!({"anyOf": [known.clone(), schema]}),
                Some(_) => {}
                None => drop(properties.insert(name, schema)),
            }
        }
    }
    json!({
        "properties": properties,
        // Of an extension, or not in lower case, which PostgreSQL does not mind.
        "patternProperties": {r"[A-Z]|\.": value},
        "additionalProperties": false,
    })
}

/// What the schema says of a parameter: a bound or a word that is wrong, and leaves the finer points to the reader.
fn of(parameter: &Parameter, text: &Json) -> Json {
    let any = |words: &[&str]| words.iter().map(|word| any_case(word)).collect::<Vec<_>>().join("|");
    match parameter.kind {
        Kind::Text | Kind::Hidden => text.clone(),
        Kind::Bool => {
            let (on, off) = (
                "[Tt]([Rr]([Uu][Ee]?)?)?|[Yy]([Ee][Ss]?)?|[Oo][Nn]|1",
                "[Ff]([Aa]([Ll]([Ss][Ee]?)?)?)?|[Nn][Oo]?|[Oo][Ff][Ff]?|0",
            );
            let words = parameter.words().0;
            let taken: Vec<_> =
                [("on", on), ("off", off)].iter().filter(|it| words.contains(&it.0)).map(|it| it.1).collect();
            let mut schema = json!({
                "type": ["boolean", "string", "integer"], "minimum": 0, "maximum": 1,
                "pattern": format!("^({})$", taken.join("|")),
            });
            if let ([word], Some(schema)) = (&words[..], schema.as_object_mut()) {
                schema.insert("not".to_owned(), json!({"enum": [*word != "on", i32::from(*word != "on")]}));
            }
            schema
        }
        Kind::Enum => {
            let (shown, unseen) = parameter.words();
            let words = [&shown[..], &unseen[..]].concat();
            let mut types = vec!["string"];
            if words.contains(&"true") {
                types.extend(["boolean", "integer"]);
            }
            json!({"anyOf": [
                {"enum": shown},
                {"type": types, "minimum": 0, "maximum": 1, "pattern": format!("^({})$", any(&words))},
            ]})
        }
        Kind::Integer | Kind::Real => {
            const NUMBER: &str = r"[-+]?(0[xX]([0-9A-Fa-f]+\.?[0-9A-Fa-f]*|\.[0-9A-Fa-f]+)([pP][-+]?[0-9]+)?|0[bB][01]+|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?)";
            let unit = match parameter.base() {
                Some((Unit::Memory, _)) => "(B|kB|MB|GB|TB)?",
                Some((Unit::Time, _)) => "(us|ms|s|min|h|d)?",
                None => "",
            };
            // What is rounded is not out of range yet.
            let slack = if parameter.kind == Kind::Integer { 0.5 } else { 0.0 };
            let (least, most) = parameter.span().unwrap_or_default();
            let bound = |text: &str| text.parse::<f64>().ok().filter(|it| it.abs() < 1e300);
            let mut schema =
                json!({"type": ["number", "string"], "pattern": format!(r"^\s*{NUMBER}\s*{unit}\s*$")});
            if let Some(schema) = schema.as_object_mut() {
                schema.extend(bound(least).map(|it| ("minimum".to_owned(), json!(it - slack))));
                schema.extend(bound(most).map(|it| ("maximum".to_owned(), json!(it + slack))));
                if parameter.base().is_some() {
                    schema.insert("x-unit".to_owned(), parameter.unit.into());
                }
            }
            schema
        }
    }
}
