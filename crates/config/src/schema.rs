//! The configuration as a JSON schema, for editors that complete and check TOML by one.

use serde_json::{Map, Value, json};

use crate::table::{Row, SHORTHANDS, rows};

/// The whole table as a JSON schema (draft 2020-12).
pub fn schema() -> Value {
    let mut schema = section("");
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Gatepost's configuration");
    schema
}

/// What may stand in the section of this pattern.
fn section(pattern: &str) -> Value {
    let mut properties = Map::new();
    let mut of_names = None;
    for row in rows() {
        let Some(rest) = below(&row.key, pattern) else {
            continue;
        };
        let name = rest.split('.').next().unwrap_or_default();
        let plain = name.trim_end_matches("[]");
        if properties.contains_key(plain) {
            continue;
        }
        let child = match pattern {
            "" => name.to_owned(),
            _ => format!("{pattern}.{name}"),
        };
        if rest == "*" {
            of_names = Some(option(row));
        } else if name == rest {
            properties.insert(plain.to_owned(), option(row));
        } else if name == "*" {
            of_names.get_or_insert_with(|| section(&child));
        } else {
            properties.insert(plain.to_owned(), subsection(&child));
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": of_names.unwrap_or(json!(false)),
    })
}

/// The part of `key` behind the section of this pattern.
fn below<'a>(key: &'a str, pattern: &str) -> Option<&'a str> {
    if pattern.is_empty() {
        return Some(key);
    }
    key.strip_prefix(pattern)?.strip_prefix('.')
}

fn subsection(pattern: &str) -> Value {
    let inner = section(pattern);
    if pattern.ends_with("[]") {
        json!({"type": "array", "items": inner})
    } else if SHORTHANDS.contains(&pattern) {
        json!({"anyOf": [{"type": "string"}, inner]})
    } else {
        inner
    }
}

/// The values of one option.
pub(crate) fn option(row: &Row) -> Value {
    let facts = row.definition.facts();
    let mut schema = row.definition.schema();
    schema["description"] = json!(facts.meaning);
    if let Some(default) = default_of(facts.default) {
        schema["default"] = default;
    }
    schema
}

/// A default of the table as JSON: TOML writes words, numbers and lists of them in the same way.
fn default_of(toml: &str) -> Option<Value> {
    serde_json::from_str(toml).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::options;

    #[test]
    fn every_option_has_its_place_in_the_schema() {
        let schema = schema();
        let mut defaults = 0;
        for facts in options() {
            let mut at = &schema;
            for step in facts.key().split('.') {
                let inner = &at["anyOf"][1];
                at = if inner.is_null() { at } else { inner };
                at = match step.strip_suffix("[]") {
                    _ if step == "*" => &at["additionalProperties"],
                    Some(list) => &at["properties"][list]["items"],
                    None => &at["properties"][step],
                };
            }
            assert_eq!(at["description"], facts.meaning, "{}", facts.key());
            if !facts.default.is_empty() {
                assert!(!at["default"].is_null(), "{}", facts.key());
                defaults += 1;
            }
        }
        assert!(defaults > 50, "{defaults}");
        assert_eq!(schema["properties"]["relay"]["additionalProperties"], false);
    }
}
