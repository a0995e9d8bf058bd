use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fault::{shown, text};
use crate::field::{field_name, field_value};
use crate::{Class, Edit, Fault, Finding, Position, Which, Wish};

/// Symbols that are kept, those that count most first.
const SYMBOLS_MAX: usize = 200;
/// Characters of the name of one.
const SYMBOL_MAX: usize = 128;
/// Characters of a reply for the client.
const REPLY_MAX: usize = 512;
/// Octets of an address. RFC 5321 section 4.5.3.1.3 has 254 of them.
const ADDRESS_MAX: usize = 1000;
/// Changes that one answer may ask for.
const EDITS_MAX: usize = 200;

/// What an answer to `/checkv2` has that counts here. All else is passed over as it is read, since
/// that is most of it.
#[derive(Deserialize)]
struct Checked {
    action: String,
    score: Option<f64>,
    required_score: Option<f64>,
    #[serde(default)]
    symbols: BTreeMap<String, Symbol>,
    messages: Option<Messages>,
    subject: Option<String>,
    #[serde(rename = "dkim-signature")]
    signatures: Option<Value>,
    milter: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Symbol {
    #[serde(default)]
    score: f64,
}

#[derive(Deserialize)]
struct Messages {
    smtp_message: Option<String>,
}

/// What an answer to `/checkv2` says.
pub(super) fn finding(answer: &[u8]) -> Result<Finding, Fault> {
    let checked: Checked = serde_json::from_slice(answer)
        .map_err(|_| Fault::malformed("an answer with an action", answer))?;
    let empty = Map::new();
    let milter = checked.milter.as_ref().unwrap_or(&empty);
    let (class, wish) = class_and_wish(&checked.action, milter)?;
    let edits = edits(&checked, milter)?;
    let reply = checked.messages.and_then(|messages| messages.smtp_message);
    Ok(Finding {
        class,
        wish,
        names: Vec::new(),
        score: checked.score,
        threshold: checked.required_score,
        symbols: symbols(checked.symbols),
        action: Some(shown(checked.action.as_bytes())),
        reply: reply.map(|reply| text(reply.as_bytes(), REPLY_MAX)),
        edits,
        engine: None,
    })
}

/// What its action means. `greylist` alone asks for nothing: the module that does it says
/// `soft reject` where the client has to come again.
fn class_and_wish(action: &str, milter: &Map<String, Value>) -> Result<(Class, Wish), Fault> {
    let (class, wish) = match action {
        "no action" | "greylist" => (Class::Clean, Wish::None),
        "add header" | "rewrite subject" => (Class::Spam, Wish::Mark),
        "soft reject" => (Class::Unscanned, Wish::Postpone),
        "reject" => match milter.get("reject").and_then(Value::as_str) {
            Some("discard") => (Class::Spam, Wish::Discard),
            Some("quarantine") => (Class::Spam, Wish::Hold),
            _ => (Class::Spam, Wish::Refuse),
        },
        "quarantine" => (Class::Spam, Wish::Hold),
        "discard" => (Class::Spam, Wish::Discard),
        _ => return Err(Fault::malformed("an action", action.as_bytes())),
    };
    match milter.get("no_action") {
        Some(Value::Bool(true)) => Ok((class, Wish::None)),
        _ => Ok((class, wish)),
    }
}

fn symbols(symbols: BTreeMap<String, Symbol>) -> Vec<(String, f64)> {
    let mut symbols: Vec<(String, f64)> = symbols
        .into_iter()
        .map(|(name, symbol)| (name, symbol.score))
        .collect();
    symbols.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    symbols.truncate(SYMBOLS_MAX);
    for (name, _) in &mut symbols {
        *name = text(name.as_bytes(), SYMBOL_MAX);
    }
    symbols
}

/// The changes in the order in which its own milter asks for them: what is taken out first.
fn edits(checked: &Checked, milter: &Map<String, Value>) -> Result<Vec<Edit>, Fault> {
    let object = |name: &str| milter.get(name).and_then(Value::as_object);
    let mut edits = Vec::new();
    for (name, places) in object("remove_headers").into_iter().flatten() {
        for place in one_or_several(places) {
            edits.push(removed(name, place)?);
        }
    }
    for (name, values) in object("add_headers").into_iter().flatten() {
        for value in one_or_several(values) {
            edits.push(added(name, value)?);
        }
    }
    if let Some(signatures) = &checked.signatures {
        for signature in one_or_several(signatures) {
            edits.push(added("DKIM-Signature", signature)?);
        }
    }
    match &*checked.action {
        "add header" => marks(milter.get("spam_header"), &mut edits)?,
        "rewrite subject" => {
            if let Some(subject) = &checked.subject {
                edits.push(set("Subject", subject)?);
            }
        }
        _ => {}
    }
    envelope(milter, &mut edits)?;
    if edits.len() > EDITS_MAX {
        return Err(Fault::TooLong("changes of fields", EDITS_MAX));
    }
    Ok(edits)
}

/// The changes of sender and recipients that rules of its own ask for.
fn envelope(milter: &Map<String, Value>, edits: &mut Vec<Edit>) -> Result<(), Fault> {
    type Make = fn(String) -> Edit;
    let wanted: [(&str, Make); 3] = [
        ("change_from", Edit::Sender),
        ("add_rcpt", Edit::AddRecipient),
        ("del_rcpt", Edit::RemoveRecipient),
    ];
    for (name, make) in wanted {
        for value in milter.get(name).map(one_or_several).unwrap_or_default() {
            let malformed = || Fault::malformed("an address", value.to_string().as_bytes());
            let address = value.as_str().ok_or_else(malformed)?.trim();
            let bare = address
                .strip_prefix('<')
                .and_then(|rest| rest.strip_suffix('>'));
            let address = bare.unwrap_or(address);
            if address.len() > ADDRESS_MAX || address.chars().any(char::is_control) {
                return Err(malformed());
            }
            edits.push(make(address.to_owned()));
        }
    }
    Ok(())
}

/// Where there may be one value or a list of them.
fn one_or_several(value: &Value) -> &[Value] {
    match value {
        Value::Array(several) => several,
        one => std::slice::from_ref(one),
    }
}

fn removed(name: &str, place: &Value) -> Result<Edit, Fault> {
    let which = place.as_i64().and_then(Which::of);
    let which = which
        .ok_or_else(|| Fault::malformed("a place of a field", place.to_string().as_bytes()))?;
    Ok(Edit::Remove {
        name: field_name(name)?,
        which,
    })
}

/// A value, or one with its place.
fn added(name: &str, added: &Value) -> Result<Edit, Fault> {
    let (value, order) = match added {
        Value::Object(object) => (
            object.get("value").unwrap_or(&Value::Null),
            object.get("order").or_else(|| object.get("index")),
        ),
        value => (value, None),
    };
    let value = match value {
        Value::String(text) => field_value(text)?,
        Value::Number(number) => number.to_string(),
        _ => {
            return Err(Fault::malformed(
                "a header field",
                added.to_string().as_bytes(),
            ));
        }
    };
    // As in the milter protocol, 0 and 1 both stand for the top; -1 is behind all.
    let place = match order.map(|order| order.as_i64().and_then(|order| i32::try_from(order).ok()))
    {
        None if name.eq_ignore_ascii_case("DKIM-Signature") => Position::Top(0),
        None => Position::End(0),
        Some(Some(order @ 0..)) => Position::Top(order.unsigned_abs().saturating_sub(1)),
        Some(Some(order)) => Position::End(order.unsigned_abs() - 1),
        Some(None) => {
            return Err(Fault::malformed(
                "a place of a field",
                added.to_string().as_bytes(),
            ));
        }
    };
    Ok(Edit::Add {
        name: field_name(name)?,
        value,
        place,
    })
}

fn set(name: &str, value: &str) -> Result<Edit, Fault> {
    Ok(Edit::Set {
        name: field_name(name)?,
        value: field_value(value)?,
    })
}

/// The fields by which it would mark spam; without any, the caller has a mark of its own.
fn marks(spam_header: Option<&Value>, edits: &mut Vec<Edit>) -> Result<(), Fault> {
    let mut mark = |name: &str, value: &str| -> Result<(), Fault> {
        edits.push(Edit::Remove {
            name: field_name(name)?,
            which: Which::All,
        });
        edits.push(set(name, value)?);
        Ok(())
    };
    match spam_header {
        Some(Value::String(value)) => mark("X-Spam", value),
        Some(Value::Object(fields)) => {
            for (name, value) in fields {
                mark(name, value.as_str().unwrap_or_default())?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn finding(answer: &Value) -> Result<Finding, Fault> {
        super::finding(answer.to_string().as_bytes())
    }

    fn class(action: &str) -> (Class, Wish) {
        let finding = finding(&json!({"action": action, "is_skipped": true})).unwrap();
        assert_eq!(finding.action.as_deref(), Some(action));
        (finding.class, finding.wish)
    }

    #[test]
    fn the_action_alone_decides() {
        assert_eq!(class("no action"), (Class::Clean, Wish::None));
        assert_eq!(class("greylist"), (Class::Clean, Wish::None));
        assert_eq!(class("add header"), (Class::Spam, Wish::Mark));
        assert_eq!(class("rewrite subject"), (Class::Spam, Wish::Mark));
        assert_eq!(class("soft reject"), (Class::Unscanned, Wish::Postpone));
        assert_eq!(class("reject"), (Class::Spam, Wish::Refuse));
        assert_eq!(class("discard"), (Class::Spam, Wish::Discard));
        assert_eq!(class("quarantine"), (Class::Spam, Wish::Hold));
        for wrong in [
            json!({}),
            json!([]),
            json!({"action": 1}),
            json!({"action": "reject "}),
        ] {
            assert!(finding(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reject_may_be_meant_otherwise() {
        let wish = |milter: Value| {
            let answer = json!({"action": "reject", "milter": milter});
            finding(&answer).unwrap().wish
        };
        assert_eq!(wish(json!({"reject": "discard"})), Wish::Discard);
        assert_eq!(wish(json!({"reject": "quarantine"})), Wish::Hold);
        assert_eq!(wish(json!({"no_action": true})), Wish::None);
        assert_eq!(wish(json!(null)), Wish::Refuse);
    }

    #[test]
    fn what_is_refused_at_once_has_its_reply_beside() {
        // As it answers the test text of spam scanners.
        let found = finding(&json!({
            "is_skipped": true, "score": 15.0, "required_score": 15.0, "action": "reject",
            "symbols": {"GTUBE": {"name": "GTUBE", "score": 0.0, "metric_score": 0.0}},
            "messages": {"smtp_message": "Gtube\r\n pattern"}
        }))
        .unwrap();
        assert_eq!((found.class, found.wish), (Class::Spam, Wish::Refuse));
        assert_eq!((found.score, found.threshold), (Some(15.0), Some(15.0)));
        assert_eq!(found.symbols, [("GTUBE".to_owned(), 0.0)]);
        assert_eq!(found.reply.as_deref(), Some("Gtube\\x0d\\x0a pattern"));
        assert!(found.edits.is_empty());
    }

    #[test]
    fn fields_are_taken_out_before_others_are_added() {
        let answer = json!({
            "action": "no action",
            "dkim-signature": ["v=1;\n\tb=x", "v=1;\r\n b=y"],
            "milter": {
                "add_headers": {
                    "A": "end", "B": {"value": "top", "order": 1}, "C": ["x", {"value": "y"}],
                    "D": {"value": "third", "order": 3}, "E": {"value": "last but one", "order": -2},
                    "F": 5, "G": {"value": "zero", "order": 0}
                },
                "remove_headers": {"P": 0, "Q": 2, "R": -1, "S": [0, 1]}
            }
        });
        let remove = |name: &str, which| Edit::Remove {
            name: name.to_owned(),
            which,
        };
        let add = |name: &str, value: &str, place| Edit::Add {
            name: name.to_owned(),
            value: value.to_owned(),
            place,
        };
        assert_eq!(
            finding(&answer).unwrap().edits,
            [
                remove("P", Which::All),
                remove("Q", Which::FromTop(2)),
                remove("R", Which::FromEnd(1)),
                remove("S", Which::All),
                remove("S", Which::FromTop(1)),
                add("A", "end", Position::End(0)),
                add("B", "top", Position::Top(0)),
                add("C", "x", Position::End(0)),
                add("C", "y", Position::End(0)),
                add("D", "third", Position::Top(2)),
                add("E", "last but one", Position::End(1)),
                add("F", "5", Position::End(0)),
                add("G", "zero", Position::Top(0)),
                add("DKIM-Signature", "v=1;\r\n\tb=x", Position::Top(0)),
                add("DKIM-Signature", "v=1;\r\n b=y", Position::Top(0)),
            ]
        );
    }

    #[test]
    fn spam_is_marked_as_it_says() {
        let edits = |milter: Value| {
            let answer = json!({"action": "add header", "milter": milter});
            finding(&answer).unwrap().edits.len()
        };
        assert_eq!(edits(json!({"spam_header": "Yes"})), 2);
        assert_eq!(edits(json!({"spam_header": {"X-A": "1", "X-B": "2"}})), 4);
        assert_eq!(edits(json!({})), 0);
        let subject = finding(&json!({"action": "rewrite subject", "subject": "*** x"})).unwrap();
        assert_eq!(
            subject.edits,
            [Edit::Set {
                name: "Subject".to_owned(),
                value: "*** x".to_owned()
            }]
        );
    }

    #[test]
    fn sender_and_recipients_are_changed_by_addresses_in_brackets_or_not() {
        let answer = json!({"action": "no action", "milter": {
            "change_from": "<>", "add_rcpt": ["a@b.example", " <c@d.example> "], "del_rcpt": "e@f.example"
        }});
        assert_eq!(
            finding(&answer).unwrap().edits,
            [
                Edit::Sender(String::new()),
                Edit::AddRecipient("a@b.example".to_owned()),
                Edit::AddRecipient("c@d.example".to_owned()),
                Edit::RemoveRecipient("e@f.example".to_owned()),
            ]
        );
    }

    #[test]
    fn edits_that_are_none_are_faults() {
        for milter in [
            json!({"add_headers": {"A B": "x"}}),
            json!({"add_headers": {"A": "x\u{0}"}}),
            json!({"add_headers": {"A": {"order": 1}}}),
            json!({"add_headers": {"A": {"value": "x", "order": 1.5}}}),
            json!({"add_headers": {"A": {"value": "x", "order": 99_999_999_999_u64}}}),
            json!({"add_headers": {"A": vec!["x"; EDITS_MAX + 1]}}),
            json!({"remove_headers": {"A": "x"}}),
            json!({"remove_headers": {"": 0}}),
            json!({"remove_headers": {"A": i64::MIN}}),
            json!({"add_rcpt": vec!["a@b.example"; EDITS_MAX + 1]}),
            json!({"add_rcpt": {"a@b.example": 1}}),
            json!({"del_rcpt": [1]}),
            json!({"change_from": "a@b.example\r\nX: y"}),
        ] {
            let answer = json!({"action": "no action", "milter": milter});
            assert!(finding(&answer).is_err(), "{answer}");
        }
    }

    #[test]
    fn of_too_many_symbols_those_are_kept_that_count() {
        let mut symbols = Map::new();
        for number in 0..1000 {
            symbols.insert(
                format!("S{number}"),
                json!({"score": f64::from(number) - 500.0}),
            );
        }
        let kept = finding(&json!({"action": "no action", "symbols": symbols}))
            .unwrap()
            .symbols;
        assert_eq!(kept.len(), SYMBOLS_MAX);
        assert_eq!(kept[0], ("S0".to_owned(), -500.0));
        assert!(kept.iter().all(|(_, score)| score.abs() >= 400.0));
    }
}
