//! Sections with a name of the administrator's, as forms: virtual servers (listeners) and domains; and
//! the order of the rules of screening.

use std::collections::BTreeMap;

use askama::Template;
use daemon::api::{ConfigEdit, ConfigOption, ConfigText, ConfigVerb};

use super::TABS;
use crate::cx::{Cx, Fields, address};
use crate::page::{Page, Section};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words;

/// Sections on a page.
const ROWS: usize = 200;
/// Options of rules that are read, some for each rule.
const RULE_OPTIONS_MAX: usize = 20_000;
/// Begins the names of fields for options.
const FIELD: &str = "o.";

/// A kind of section that has a form.
struct Family {
    word: &'static str,
    one: &'static str,
    many: &'static str,
    /// An option that each has.
    told: &'static str,
    /// What is asked for first.
    first: &'static [&'static str],
    /// What stands for a name.
    example: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        word: "listener",
        one: "listener",
        many: "Listeners (virtual servers)",
        told: "bind",
        first: &["bind", "kind", "tls", "connect.mode", "connect.allow"],
        example: "internet",
    },
    Family {
        word: "domain",
        one: "domain",
        many: "Domains",
        told: "route",
        first: &["type", "route", "recipients", "tls"],
        example: "example.com",
    },
];

fn family(word: &str) -> Result<&'static Family, Trouble> {
    let found = FAMILIES.iter().find(|family| family.word == word);
    found.ok_or_else(|| Trouble::not_found("there is no form for these sections"))
}

#[derive(Template)]
#[template(path = "sections.html")]
struct Sections {
    tabs: &'static [(&'static str, &'static str)],
    here: String,
    family: &'static Family,
    why_not: Option<String>,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
    add: Option<String>,
}

struct Row {
    key: String,
    value: String,
    place: String,
    is_default: bool,
    change: Option<String>,
    remove: String,
}

/// `GET /configuration/sections?of=FAMILY`
pub(crate) async fn sections(cx: Cx) -> Result<Page, Trouble> {
    let family = family(cx.query.get("of"))?;
    let text: ConfigText = cx.api.get("/v1/config?brief=true").await?;
    let key = format!("{}.NAME.{}", family.word, family.told);
    let skip = cx.query.get("skip").parse().unwrap_or(0_usize);
    let (skipped, limit) = (skip.to_string(), (ROWS + 1).to_string());
    let fields = [("key", &*key), ("skip", &*skipped), ("limit", &*limit)];
    let path = address("/v1/config/options", &fields);
    let all: Vec<ConfigOption> = cx.api.get(&path).await?;
    let may_change = cx.may(Role::Admin);
    let values = all.iter().flat_map(|option| &option.values);
    let mut rows: Vec<Row> = values
        .filter_map(|value| {
            let key = value.key.strip_suffix(family.told)?.strip_suffix('.')?;
            let edit = |path, name| address(path, &[(name, key)]);
            Some(Row {
                change: may_change.then(|| edit("/configuration/section", "key")),
                remove: address("/configuration/try", &[("edit", key), ("verb", "remove")]),
                key: key.to_owned(),
                value: value.value.clone(),
                place: words::place(&value.place).to_owned(),
                is_default: value.place == "default",
            })
        })
        .collect();
    let is_more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let add = address("/configuration/section", &[("of", family.word)]);
    let page = Sections {
        tabs: &TABS,
        here: address("/configuration/sections", &[("of", family.word)]),
        why_not: text.why_not,
        next: is_more.then(|| cx.with("skip", &(skip + ROWS).to_string())),
        first: (skip > 0).then(|| cx.with("skip", "")),
        add: may_change.then_some(add),
        rows,
        family,
    };
    Page::still(Section::Configuration, family.many, &page)
}

#[derive(Template)]
#[template(path = "section.html")]
struct SectionForm {
    tabs: &'static [(&'static str, &'static str)],
    here: String,
    family: &'static Family,
    /// Of one that is there.
    key: Option<String>,
    /// What is asked for at once, and what else there is.
    parts: [Vec<Field>; 2],
}

struct Field {
    name: String,
    id: String,
    label: String,
    value: String,
    hint: String,
}

/// `GET /configuration/section?key=SECTION`, or `?of=FAMILY` for a new one.
pub(crate) async fn section(cx: Cx) -> Result<Page, Trouble> {
    cx.require(Role::Admin)?;
    let key = Some(cx.query.get("key").to_owned()).filter(|key| !key.is_empty());
    let word = match &key {
        Some(key) => key.split('.').next().unwrap_or_default(),
        None => cx.query.get("of"),
    };
    let family = family(word)?;
    let new = format!("{}.NAME", family.word);
    let options = within(&cx, key.as_deref().unwrap_or(&new)).await?;
    let is_there = options.iter().any(|option| !option.values.is_empty());
    if let Some(key) = key.as_ref().filter(|_| !is_there) {
        return Err(Trouble::not_found(format!("there is no section [{key}]")));
    }
    let (mut first, mut more) = (Vec::new(), Vec::new());
    for option in &options {
        let rest = rest_of(option, &new);
        let field = field(option, rest);
        if !field.value.is_empty() || family.first.contains(&rest) {
            first.push(field);
        } else {
            more.push(field);
        }
    }
    let title = match &key {
        Some(key) => format!("Change [{key}]"),
        None => format!("Add a {}", family.one),
    };
    let page = SectionForm {
        tabs: &TABS,
        here: address("/configuration/sections", &[("of", family.word)]),
        parts: [first, more],
        key,
        family,
    };
    Page::still(Section::Configuration, title, &page)
}

async fn within(cx: &Cx, section: &str) -> Result<Vec<ConfigOption>, Trouble> {
    let path = address("/v1/config/options", &[("within", section)]);
    cx.api.get(&path).await
}

/// The option's name within its section.
fn rest_of<'a>(option: &'a ConfigOption, new: &str) -> &'a str {
    let rest = option.key.strip_prefix(new);
    rest.and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(&option.key)
}

/// What somebody wrote there.
fn written(option: &ConfigOption) -> &str {
    let mut values = option.values.iter();
    let found = values.find(|value| !matches!(&*value.place, "default" | "preset"));
    found.map_or("", |value| &value.value)
}

fn field(option: &ConfigOption, rest: &str) -> Field {
    let default = match option.values.iter().find(|value| value.place == "preset") {
        Some(preset) => format!("; by its preset {}", preset.value),
        None if option.default.is_empty() => String::new(),
        None => format!("; default {}", option.default),
    };
    Field {
        name: format!("{FIELD}{rest}"),
        id: format!("o-{}", rest.replace('.', "-")),
        label: rest.to_owned(),
        value: written(option).to_owned(),
        hint: format!("{} {}{default}", option.meaning, option.takes),
    }
}

/// The changes that a form of a section asks for: its key, fields to ask for them again, changes.
pub(super) type Asked = (String, Vec<(String, String)>, Vec<ConfigEdit>);

/// What a form of a section asks for.
///
/// # Errors
/// It names no section, or changes nothing.
pub(super) async fn asked(cx: &Cx, form: &Fields) -> Result<Asked, Trouble> {
    let family = family(form.get("of"))?;
    let new = format!("{}.NAME", family.word);
    let key = match form.get("key") {
        "" => match form.get("name") {
            "" => return Err(Trouble::asked_wrongly("a section needs a name")),
            name => format!("{}.{}", family.word, as_key(name)),
        },
        key => key.to_owned(),
    };
    let options = within(cx, &key).await?;
    if !form.has("key") && options.iter().any(|option| !option.values.is_empty()) {
        let why = format!("there is a section [{key}] already: change that");
        return Err(Trouble::asked_wrongly(why));
    }
    let edits = options.iter().filter_map(|option| {
        let rest = rest_of(option, &new);
        let (before, after) = (written(option), form.get(&format!("{FIELD}{rest}")));
        if before == after {
            return None;
        }
        let value = Some(as_toml(after)).filter(|_| !after.is_empty());
        Some(ConfigEdit {
            key: format!("{key}.{rest}"),
            change: match value {
                Some(_) => ConfigVerb::Set,
                None => ConfigVerb::Remove,
            },
            value,
        })
    });
    let edits: Vec<ConfigEdit> = edits.collect();
    if edits.is_empty() {
        return Err(Trouble::asked_wrongly("nothing in the form was changed"));
    }
    let is_ours = |name: &str| ["of", "key", "name"].contains(&name) || name.starts_with(FIELD);
    let fields = form.0.iter().filter(|(name, _)| is_ours(name));
    Ok((key, fields.cloned().collect(), edits))
}

/// A name as it stands in a key.
fn as_key(name: &str) -> String {
    let is_bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    match name.bytes().all(is_bare) {
        true => name.to_owned(),
        false => super::change::quoted(name),
    }
}

/// A value as TOML, where text may go without its quotes: an address in brackets is no list.
fn as_toml(text: &str) -> String {
    let within = text.strip_prefix('[').unwrap_or_default();
    let is_address = within.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':')
        && within.contains(['.', ':']);
    let is_toml = text.starts_with(['"', '\'', '[', '{']) && !is_address
        || matches!(text, "true" | "false")
        || text.parse::<i64>().is_ok();
    match is_toml {
        true => text.to_owned(),
        false => super::change::quoted(text),
    }
}

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
    let count = rules.keys().filter(|(file, _)| *file == 0).count();
    let rows = (1..).zip(rules).map(|(number, ((file, at), said))| {
        let [name, then, place] = said;
        Rule {
            number,
            name,
            then,
            place,
            acts: match may_change && file == 0 {
                true => acts(at, count),
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

/// What can be done with the rule at this place of the main file, which has so many.
fn acts(at: usize, count: usize) -> Vec<(&'static str, String)> {
    let key = format!("screen[{at}]");
    let to = |place: usize| {
        let fields = [
            ("edit", &*key),
            ("verb", "move"),
            ("value", &place.to_string()),
        ];
        address("/configuration/try", &fields)
    };
    let (first, last) = (at == 0, at + 1 == count);
    let remove = address("/configuration/try", &[("edit", &*key), ("verb", "remove")]);
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
    fn text_may_go_without_quotes_and_names_are_quoted_where_they_have_to() {
        for (text, toml) in [
            ("mx", "\"mx\""),
            ("25", "25"),
            ("true", "true"),
            ("\"a\"", "\"a\""),
            ("'a'", "'a'"),
            ("[\"a.b\", \"b\"]", "[\"a.b\", \"b\"]"),
            ("[25, 26]", "[25, 26]"),
            ("[]", "[]"),
            ("[192.0.2.1]:25", "\"[192.0.2.1]:25\""),
            ("[::1]:25", "\"[::1]:25\""),
            ("[IPv6:2001:db8::1]", "\"[IPv6:2001:db8::1]\""),
            ("C:\\mail", "\"C:\\\\mail\""),
            ("192.0.2.1:25", "\"192.0.2.1:25\""),
        ] {
            assert_eq!(as_toml(text), toml);
        }
        assert_eq!(as_key("internet-2"), "internet-2");
        assert_eq!(as_key("example.com"), "\"example.com\"");
        assert_eq!(as_key("a\"b"), "\"a\\\"b\"");
    }

    #[test]
    fn a_rule_moves_within_its_file() {
        let words = |at, count| -> Vec<&str> {
            let all = acts(at, count).into_iter();
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
