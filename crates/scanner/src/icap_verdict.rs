//! What an ICAP service says that it found: in fields that vendors agreed upon (Internet-Draft
//! "ICAP Extensions"), or by another answer of HTTP than the one that it was shown.

use crate::fault::{shown, text};
use crate::http::Head;
use crate::icap_options::Method;
use crate::{Class, Fault, Finding, Wish};

/// Characters of a name that are kept.
const NAME_MAX: usize = 256;
/// Names that are kept.
const NAMES_MAX: usize = 20;
/// Lines of `X-Violations-Found` about one of them: file, threat, number, what was done.
const VIOLATION_LINES: usize = 4;

/// What the fields of an answer say was found.
pub(crate) fn found_in(head: &Head) -> Option<Finding> {
    let (class, names) = infection(head)
        .or_else(|| violations(head))
        .or_else(|| virus_id(head))?;
    let name = |name: String| text(name.as_bytes(), NAME_MAX);
    let names: Vec<String> = names.into_iter().take(NAMES_MAX).map(name).collect();
    // ClamAV may stand behind it.
    let class = match class {
        Class::Infected => names.first().map_or(class, |name| Class::of_name(name)),
        _ => class,
    };
    Some(Finding {
        wish: Wish::Refuse,
        names,
        engine: head.text("Service").map(name),
        ..Finding::of(class)
    })
}

/// `X-Infection-Found: Type=0; Resolution=2; Threat=NAME;`
fn infection(head: &Head) -> Option<(Class, Vec<String>)> {
    let field = head.text("X-Infection-Found")?;
    let mut class = Class::Infected;
    let mut names = Vec::new();
    for part in field.split(';') {
        let Some((name, value)) = part.split_once('=') else {
            continue;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "threat" => names.push(value.trim().to_owned()),
            // 0 is a virus, 1 breaks a rule, 2 is a container that could not be looked into.
            "type" => match value.trim() {
                "1" => class = Class::Rejected,
                "2" => class = Class::Limit,
                _ => {}
            },
            _ => {}
        }
    }
    Some((class, names))
}

/// `X-Violations-Found: 1` with the four lines of each behind it.
fn violations(head: &Head) -> Option<(Class, Vec<String>)> {
    let (count, lines) = head.lines("X-Violations-Found").split_first()?;
    if count == "0" {
        return None;
    }
    let threats = lines
        .chunks(VIOLATION_LINES)
        .filter_map(|lines| lines.get(1));
    Some((Class::Infected, threats.cloned().collect()))
}

/// `X-Virus-ID: NAME`
fn virus_id(head: &Head) -> Option<(Class, Vec<String>)> {
    let name = head.text("X-Virus-ID")?;
    let is_none = ["", "-", "none", "clean", "no threats"];
    let is_none = is_none.iter().any(|word| name.eq_ignore_ascii_case(word));
    (!is_none).then(|| (Class::Infected, vec![name]))
}

/// What it means that a service would have these heads of HTTP instead of ours: nothing, where they
/// are of the same kind with the same status.
pub(crate) fn other_answer(method: Method, http: &[u8]) -> Result<Option<Finding>, Fault> {
    if !http.starts_with(b"HTTP/") {
        // A request, passed on.
        return match method {
            Method::Request => Ok(None),
            Method::Response => Err(Fault::malformed("the head of an HTTP answer", http)),
        };
    }
    let head = Head::read(http)?;
    if method == Method::Response && head.status == 200 {
        return Ok(None);
    }
    let said = format!("HTTP {} {}", head.status, head.reason);
    Ok(Some(Finding {
        wish: Wish::Refuse,
        action: Some(shown(said.as_bytes())),
        ..Finding::of(Class::Rejected)
    }))
}
