//! A smart host as a route writes it: text, or a table of the text and what is said of this host
//! alone.

use route::HostSpec;
use serde_json::{Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::form::{Form, Origin, Problem};
use crate::suggest::nearest;
use crate::values::{HOST, NAME};
use crate::words::HOST_WEIGHT;

/// `"[10.0.0.5]:25"`, or `{ host = "[10.0.0.5]:25", weight = 3, tls_name = "mx.example" }`.
pub(crate) struct SmartHost;

const HOST_KEY: &str = "host";
const WEIGHT: &str = "weight";
const TLS_NAME: &str = "tls_name";

impl Form<HostSpec> for SmartHost {
    fn expected(&self) -> String {
        format!(
            "{}; or {{ host, weight, tls_name }}",
            Form::<HostSpec>::expected(&HOST)
        )
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, origin: Origin) -> Result<HostSpec, Vec<Problem>> {
        let DeValue::Table(table) = value.get_ref() else {
            return HOST.read(value, origin);
        };
        let mut problems = unknown_keys(table, origin);
        let mut spec = None;
        match table.get(HOST_KEY) {
            Some(host) => spec = noted(HOST.read(host, origin), &mut problems),
            None => problems.extend(self.problem(value, origin, "it has no `host`".to_owned())),
        }
        let weight = table
            .get(WEIGHT)
            .map(|weight| HOST_WEIGHT.read(weight, origin));
        let weight = weight.and_then(|read| noted(read, &mut problems));
        let name = table.get(TLS_NAME).map(|name| NAME.read(name, origin));
        let name = name.and_then(|read| noted(read, &mut problems));
        match spec {
            Some(spec) if problems.is_empty() => Ok(HostSpec {
                weight: weight.unwrap_or(spec.weight),
                tls_name: name,
                ..spec
            }),
            Some(_) | None => Err(problems),
        }
    }

    fn schema(&self) -> Value {
        let host = Form::<HostSpec>::schema(&HOST);
        let table = json!({
            "type": "object",
            "properties": {
                HOST_KEY: host,
                WEIGHT: Form::<u32>::schema(&HOST_WEIGHT),
                TLS_NAME: NAME.schema(),
            },
            "required": [HOST_KEY],
            "additionalProperties": false,
        });
        json!({"anyOf": [host, table]})
    }
}

fn noted<T>(read: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    read.map_err(|more| problems.extend(more)).ok()
}

fn unknown_keys(table: &DeTable<'_>, origin: Origin) -> Vec<Problem> {
    let known = [HOST_KEY, WEIGHT, TLS_NAME];
    let unknown = |name: &str| !known.contains(&name);
    let keys = table.iter().map(|(key, _)| key);
    let keys = keys.filter(|key| unknown(key.get_ref()));
    let problem = |key: &Spanned<_>| Problem {
        span: origin.span(&key.span()),
        expected: SmartHost.expected(),
        label: match nearest(AsRef::<str>::as_ref(key.get_ref()), known) {
            Some(word) => format!("did you mean `{word}`?"),
            None => "no such key belongs to a host".to_owned(),
        },
    };
    keys.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HostSpec, Vec<String>> {
        let value = DeValue::parse(text).unwrap();
        let read = SmartHost.read(&value, Origin::NOWHERE);
        read.map_err(|problems| problems.into_iter().map(|problem| problem.label).collect())
    }

    #[test]
    fn a_host_is_a_text_or_a_table_with_its_weight_and_name() {
        for (text, host, port, weight, name) in [
            (r#""mx.test:26""#, "mx.test", Some(26), 1, None),
            (r#"{ host = "[192.0.2.1]" }"#, "[192.0.2.1]", None, 1, None),
            (
                r#"{ host = "[mx.test]:26", weight = 7, tls_name = "b.test" }"#,
                "mx.test",
                Some(26),
                7,
                Some("b.test"),
            ),
        ] {
            let spec = read(text).unwrap();
            let tls_name = spec.tls_name.as_ref().map(|name| name.as_str());
            assert_eq!(
                (&*spec.at.to_string(), spec.port, spec.weight, tls_name),
                (host, port, weight, name)
            );
        }
    }

    #[test]
    fn what_is_wrong_with_a_table_is_told_where_it_is() {
        for (text, labels) in [
            ("{ weight = 2 }", &["it has no `host`"][..]),
            (
                r#"{ host = "a.test", weight = 0, tls_nam = "b.test" }"#,
                &["did you mean `tls_name`?", "0 is out of range"],
            ),
            (
                r#"{ host = "a.test:x" }"#,
                &["a port is a number from 1 to 65535"],
            ),
            (
                r#"{ host = "a.test", colour = 3 }"#,
                &["no such key belongs to a host"],
            ),
            ("7", &["this is an integer"]),
        ] {
            assert_eq!(read(text).unwrap_err(), labels, "{text}");
        }
    }
}
