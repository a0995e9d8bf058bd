//! The rules of screening, in their order, which can be changed.

use std::collections::BTreeMap;

use askama::Template;
use daemon::api::ConfigOption;

use super::{TABS, sections};
use crate::cx::{Cx, address};
use crate::page::{Page, Section};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words;

/// Options of rules that are read, some for each rule.
const RULE_OPTIONS_MAX: usize = 20_000;

#[derive(Template)]
#[template(path = "rules.html")]
struct Rules {
    tabs: &'static [(&'static str, &'static str)],
    rows: Vec<Rule>,
}

struct Rule {
    /// From 1, as the log has it.
    number: usize,
    name: String,
    then: String,
    place: String,
    /// What can be done: words, link.
    acts: Vec<(&'static str, String)>,
}

/// `GET /configuration/rules`: the rules of screening in their order.
pub(crate) async fn rules(cx: Cx) -> Result<Page, Trouble> {
    let limit = RULE_OPTIONS_MAX.to_string();
    let fields = [("sections", "screen"), ("limit", &*limit)];
    let path = address("/v1/config/options", &fields);
    let all: Vec<ConfigOption> = cx.api.get(&path).await?;
    let mut rules: BTreeMap<(usize, usize), [String; 3]> = BTreeMap::new();
    for value in all.iter().flat_map(|option| &option.values) {
        let Some((at, rest)) = rule_of(&value.key) else {
            continue;
        };
        let [name, then, place] = rules.entry(at).or_default();
        match rest {
            "name" => *name = bare(&value.value),
            "then" => *then = bare(&value.value),
            _ => {}
        }
        // Of its first line.
        let line = words::place(&value.place);
        if place.is_empty() || line_of(line) < line_of(place) {
            line.clone_into(place);
        }
    }
    let may_change = cx.may(Role::Admin);
    let seen = sections::in_force(&cx).await?;
    let count = rules.keys().filter(|(file, _)| *file == 0).count();
    let rows = (1..).zip(rules).map(|(number, ((file, at), said))| {
        let [name, then, place] = said;
        Rule {
            number,
            name,
            then,
            place,
            acts: match may_change && file == 0 {
                true => acts(at, count, &seen),
                false => Vec::new(),
            },
        }
    });
    let page = Rules {
        tabs: &TABS,
        rows: rows.collect(),
    };
    Page::still(Section::Configuration, "Rules of screening", &page)
}

/// File and number of the rule in whose table an option stands, and its name there.
fn rule_of(key: &str) -> Option<((usize, usize), &str)> {
    let (table, rest) = key.strip_prefix("screen.")?.split_once('.')?;
    let (file, number) = table.split_once('-')?;
    Some(((file.parse().ok()?, number.parse().ok()?), rest))
}

fn line_of(place: &str) -> Option<u64> {
    place.rsplit_once(':')?.1.parse().ok()
}

/// A text of TOML without its quotes.
fn bare(value: &str) -> String {
    let text = serde_json::from_str(value);
    text.unwrap_or_else(|_| value.trim_matches('\'').to_owned())
}

/// What can be done with the rule at this place of the main file, which has so many; `seen`: a digest of
/// the configuration in which it stands there.
fn acts(at: usize, count: usize, seen: &str) -> Vec<(&'static str, String)> {
    let key = format!("screen[{at}]");
    let to = |place: usize| {
        let fields = [
            ("edit", &*key),
            ("verb", "move"),
            ("value", &place.to_string()),
            ("seen", seen),
        ];
        address("/configuration/try", &fields)
    };
    let (first, last) = (at == 0, at + 1 == count);
    let remove = [("edit", &*key), ("verb", "remove"), ("seen", seen)];
    let remove = address("/configuration/try", &remove);
    let all = [
        ("first", (at > 1).then(|| to(0))),
        ("up", (!first).then(|| to(at - 1))),
        ("down", (!last).then(|| to(at + 1))),
        ("last", (at + 2 < count).then(|| to(count - 1))),
        ("remove", Some(remove)),
    ];
    let all = all.into_iter();
    all.filter_map(|(word, link)| Some((word, link?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_moves_within_its_file() {
        let words = |at, count| -> Vec<&str> {
            let all = acts(at, count, "").into_iter();
            all.map(|(word, _)| word).collect()
        };
        assert_eq!(words(0, 1), ["remove"]);
        assert_eq!(words(0, 4), ["down", "last", "remove"]);
        assert_eq!(words(1, 2), ["up", "remove"]);
        assert_eq!(words(2, 4), ["first", "up", "down", "remove"]);
        assert_eq!(rule_of("screen.0-12.when.to"), Some(((0, 12), "when.to")));
        assert_eq!(rule_of("scanner.0-1.name"), None);
    }
}
