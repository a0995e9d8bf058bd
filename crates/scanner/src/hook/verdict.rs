use serde_json::{Map, Value};

use crate::fault::text;
use crate::field::{field_name, field_value};
use crate::{Class, Edit, Fault, Finding, Position, Which, Wish};

/// Names and symbols that are kept.
const NAMES_MAX: usize = 200;
/// Characters of one of them.
const NAME_MAX: usize = 128;
/// Characters of a reply for the client.
const REPLY_MAX: usize = 512;
/// Changes that one answer may ask for.
const CHANGES_MAX: usize = 200;

/// What a hook's answer says. A hook is the site's own, so what is not understood is a fault, lest a
/// slip in it lets everything pass.
pub(super) fn finding(body: &[u8]) -> Result<Finding, Fault> {
    let whole: Value = serde_json::from_slice(body).map_err(|_| malformed("JSON", body))?;
    let answer = whole
        .as_object()
        .ok_or_else(|| malformed("an object of JSON", body))?;
    let word = |name: &str| match answer.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) => Ok(Some(word.as_str())),
        Some(_) => Err(malformed("an answer of a hook", body)),
    };
    let number = |name: &str| match answer.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_f64()
            .map(Some)
            .ok_or_else(|| malformed("an answer of a hook", body)),
    };
    let verdict = word("verdict")?.ok_or_else(|| malformed("an answer with a verdict", body))?;
    let class = class(verdict)?;
    let kept = |word: &str, max| text(word.as_bytes(), max);
    Ok(Finding {
        class,
        wish: word("action")?.map_or(Ok(Wish::None), wish)?,
        names: names(answer.get("names"))?,
        score: number("score")?,
        threshold: number("threshold")?,
        symbols: symbols(answer.get("symbols"))?,
        action: word("action")?.map(|word| kept(word, NAME_MAX)),
        reply: word("reply")?.map(|word| kept(word, REPLY_MAX)),
        edits: changes(answer.get("changes"))?,
        engine: word("engine")?.map(|word| kept(word, NAME_MAX)),
    })
}

fn malformed(what: &'static str, body: &[u8]) -> Fault {
    Fault::malformed(what, body)
}

fn class(word: &str) -> Result<Class, Fault> {
    Ok(match word {
        "clean" => Class::Clean,
        "infected" => Class::Infected,
        "spam" => Class::Spam,
        "encrypted" => Class::Encrypted,
        "limit" => Class::Limit,
        "rejected" => Class::Rejected,
        "unscanned" => Class::Unscanned,
        _ => return Err(malformed("a verdict", word.as_bytes())),
    })
}

fn wish(word: &str) -> Result<Wish, Fault> {
    Ok(match word {
        "none" => Wish::None,
        "mark" => Wish::Mark,
        "hold" => Wish::Hold,
        "postpone" => Wish::Postpone,
        "refuse" => Wish::Refuse,
        "discard" => Wish::Discard,
        _ => return Err(malformed("an action", word.as_bytes())),
    })
}

fn names(names: Option<&Value>) -> Result<Vec<String>, Fault> {
    let name = |name: &Value| match name {
        Value::String(name) => Ok(text(name.as_bytes(), NAME_MAX)),
        other => Err(malformed("a name", other.to_string().as_bytes())),
    };
    match names {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => names.iter().take(NAMES_MAX).map(name).collect(),
        Some(other) => Err(malformed("a list of names", other.to_string().as_bytes())),
    }
}

fn symbols(symbols: Option<&Value>) -> Result<Vec<(String, f64)>, Fault> {
    let symbol = |(name, score): (&String, &Value)| match score.as_f64() {
        Some(score) => Ok((text(name.as_bytes(), NAME_MAX), score)),
        None => Err(malformed("a score", score.to_string().as_bytes())),
    };
    match symbols {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(symbols)) => symbols.iter().take(NAMES_MAX).map(symbol).collect(),
        Some(other) => Err(malformed(
            "symbols with scores",
            other.to_string().as_bytes(),
        )),
    }
}

fn changes(changes: Option<&Value>) -> Result<Vec<Edit>, Fault> {
    match changes {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(changes)) if changes.len() > CHANGES_MAX => {
            Err(Fault::TooLong("changes of fields", CHANGES_MAX))
        }
        Some(Value::Array(changes)) => changes.iter().map(change).collect(),
        Some(other) => Err(malformed("a list of changes", other.to_string().as_bytes())),
    }
}

/// `{"add": NAME, "value": TEXT, "place": "top"}`, `{"remove": NAME, "which": 0}` or
/// `{"set": NAME, "value": TEXT}`.
fn change(change: &Value) -> Result<Edit, Fault> {
    let wrong = || malformed("a change of a field", change.to_string().as_bytes());
    let empty = Map::new();
    let object = change.as_object().unwrap_or(&empty);
    let word = |name: &str| object.get(name).and_then(Value::as_str);
    let value = || field_value(word("value").ok_or_else(wrong)?);
    match (word("add"), word("remove"), word("set")) {
        (Some(name), None, None) => Ok(Edit::Add {
            name: field_name(name)?,
            value: value()?,
            place: match object.get("place").map(Value::as_str) {
                None | Some(Some("top")) => Position::Top(0),
                Some(Some("end")) => Position::End(0),
                Some(_) => return Err(wrong()),
            },
        }),
        (None, Some(name), None) => Ok(Edit::Remove {
            name: field_name(name)?,
            which: match object.get("which") {
                None => Which::All,
                Some(which) => which.as_i64().and_then(Which::of).ok_or_else(wrong)?,
            },
        }),
        (None, None, Some(name)) => Ok(Edit::Set {
            name: field_name(name)?,
            value: value()?,
        }),
        _ => Err(wrong()),
    }
}
