//! Sections as forms: those with a name of the administrator's (virtual servers, domains, routes), and
//! those of which there is one.

use askama::Template;
use axum::http::StatusCode;
use daemon::api::{ConfigEdit, ConfigOption, ConfigText, ConfigVerb};

use super::{SETTINGS, TABS};
use crate::cx::{Cx, Fields, address};
use crate::page::{Page, Section};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words;

/// Sections on a page.
const ROWS: usize = 200;
/// Begins the names of fields for options.
const FIELD: &str = "o.";

/// What has a form: a section, or each of those that begin with a word.
struct Form {
    word: &'static str,
    title: &'static str,
    /// What is asked for first.
    first: &'static [&'static str],
    /// Of sections with names.
    named: Option<Named>,
}

struct Named {
    one: &'static str,
    /// An option that each has.
    told: &'static str,
    /// What stands for a name.
    example: &'static str,
}

const FORMS: [Form; 8] = [
    Form {
        word: "listener",
        title: "Listeners (virtual servers)",
        first: &["bind", "kind", "tls", "connect.mode", "connect.allow"],
        named: Some(Named {
            one: "listener",
            told: "bind",
            example: "internet",
        }),
    },
    Form {
        word: "domain",
        title: "Domains",
        first: &["type", "route", "recipients", "tls"],
        named: Some(Named {
            one: "domain",
            told: "route",
            example: "example.com",
        }),
    },
    Form {
        word: "route",
        title: "Routes (smart hosts, remote domains)",
        first: &["hosts", "preset", "tls", "rate", "auth.user", "auth.secret"],
        named: Some(Named {
            one: "route",
            told: "hosts",
            example: "exchange",
        }),
    },
    Form {
        word: "relay",
        title: "Relay restrictions",
        first: &["mode", "allow", "except", "deny", "signed_in"],
        named: None,
    },
    Form {
        word: "auth",
        title: "Sign-in",
        first: &["users_file", "mechanisms", "sender_match", "ldap"],
        named: None,
    },
    Form {
        word: "tls",
        title: "TLS and certificates",
        first: &["certificate", "key", "min_version", "client_ca"],
        named: None,
    },
    Form {
        word: "limits",
        title: "Limits",
        first: &["message_size", "recipients", "messages", "errors"],
        named: None,
    },
    Form {
        word: "queue",
        title: "Retry and expiry",
        first: &["preset", "retry", "delay_notice", "expire"],
        named: None,
    },
];

fn form_of(word: &str) -> Result<&'static Form, Trouble> {
    let found = FORMS.iter().find(|form| form.word == word);
    found.ok_or_else(|| Trouble::not_found("there is no form for these sections"))
}

impl Form {
    /// What comes before the name of an option.
    fn pattern(&self) -> String {
        match self.named {
            Some(_) => format!("{}.NAME", self.word),
            None => self.word.to_owned(),
        }
    }

    /// The page from which one comes to the form.
    fn page(&self) -> String {
        match self.named {
            Some(_) => address("/configuration/sections", &[("of", self.word)]),
            None => SETTINGS.to_owned(),
        }
    }
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    tabs: &'static [(&'static str, &'static str)],
    rows: Vec<Setting>,
    may_change: bool,
}

struct Setting {
    word: &'static str,
    title: &'static str,
    /// What is written in it: option and value.
    said: Vec<(String, String)>,
}

/// `GET /configuration/settings`: the sections of which there is one.
pub(crate) async fn settings(cx: Cx) -> Result<Page, Trouble> {
    let mut rows = Vec::new();
    for form in FORMS.iter().filter(|form| form.named.is_none()) {
        let options = within(&cx, form.word).await?;
        let said = options.iter().filter(|option| !written(option).is_empty());
        let said = said.map(|option| {
            let rest = rest_of(option, form.word);
            (rest.to_owned(), written(option).to_owned())
        });
        rows.push(Setting {
            word: form.word,
            title: form.title,
            said: said.collect(),
        });
    }
    let page = SettingsPage {
        tabs: &TABS,
        rows,
        may_change: cx.may(Role::Admin),
    };
    Page::still(Section::Configuration, "Settings", &page)
}

#[derive(Template)]
#[template(path = "sections.html")]
struct Sections {
    tabs: &'static [(&'static str, &'static str)],
    here: String,
    title: &'static str,
    named: &'static Named,
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
    let form = form_of(cx.query.get("of"))?;
    let Some(named) = &form.named else {
        return Err(Trouble::not_found("there is one such section alone"));
    };
    let text: ConfigText = cx.api.get("/v1/config?brief=true").await?;
    let key = format!("{}.{}", form.pattern(), named.told);
    let skip = cx.query.get("skip").parse().unwrap_or(0_usize);
    let (skipped, limit) = (skip.to_string(), (ROWS + 1).to_string());
    let fields = [("key", &*key), ("skip", &*skipped), ("limit", &*limit)];
    let path = address("/v1/config/options", &fields);
    let all: Vec<ConfigOption> = cx.api.get(&path).await?;
    let may_change = cx.may(Role::Admin);
    let values = all.iter().flat_map(|option| &option.values);
    let mut rows: Vec<Row> = values
        .filter_map(|value| {
            let key = value.key.strip_suffix(named.told)?.strip_suffix('.')?;
            let edit = |path, name| address(path, &[(name, key)]);
            Some(Row {
                change: may_change.then(|| edit("/configuration/section", "key")),
                remove: address(
                    "/configuration/try",
                    &[("edit", key), ("verb", "remove"), ("seen", &text.hash)],
                ),
                key: key.to_owned(),
                value: value.value.clone(),
                place: words::place(&value.place).to_owned(),
                is_default: value.place == "default",
            })
        })
        .collect();
    let is_more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let add = address("/configuration/section", &[("of", form.word)]);
    let page = Sections {
        tabs: &TABS,
        here: form.page(),
        why_not: text.why_not,
        next: is_more.then(|| cx.with("skip", &(skip + ROWS).to_string())),
        first: (skip > 0).then(|| cx.with("skip", "")),
        add: may_change.then_some(add),
        rows,
        title: form.title,
        named,
    };
    Page::still(Section::Configuration, form.title, &page)
}

#[derive(Template)]
#[template(path = "section.html")]
struct SectionForm {
    tabs: &'static [(&'static str, &'static str)],
    here: String,
    title: String,
    form: &'static Form,
    token: String,
    /// A digest of the configuration from which its values are.
    seen: String,
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
    /// A field of one line would lose the ends of the others.
    has_lines: bool,
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
    let form = form_of(word)?;
    let pattern = form.pattern();
    let options = within(&cx, key.as_deref().unwrap_or(&pattern)).await?;
    let is_there = form.named.is_none() || has_values(&options);
    if let Some(key) = key.as_ref().filter(|_| !is_there) {
        return Err(Trouble::not_found(format!("there is no section [{key}]")));
    }
    let (mut first, mut more) = (Vec::new(), Vec::new());
    for option in &options {
        let rest = rest_of(option, &pattern);
        let field = field(option, rest);
        if !field.value.is_empty() || form.first.contains(&rest) {
            first.push(field);
        } else {
            more.push(field);
        }
    }
    let title = match (&form.named, &key) {
        (Some(named), None) => format!("Add a {}", named.one),
        (Some(_), Some(key)) => format!("Change [{key}]"),
        (None, _) => form.title.to_owned(),
    };
    let page = SectionForm {
        token: cx.visitor.token.clone(),
        seen: in_force(&cx).await?,
        tabs: &TABS,
        here: form.page(),
        title: title.clone(),
        parts: [first, more],
        key,
        form,
    };
    Page::still(Section::Configuration, title, &page)
}

/// Whether the section that they are of stands in the configuration.
fn has_values(options: &[ConfigOption]) -> bool {
    options.iter().any(|option| !option.values.is_empty())
}

/// A digest of the configuration in force.
pub(super) async fn in_force(cx: &Cx) -> Result<String, Trouble> {
    let text: ConfigText = cx.api.get("/v1/config?brief=true").await?;
    Ok(text.hash)
}

async fn within(cx: &Cx, section: &str) -> Result<Vec<ConfigOption>, Trouble> {
    let path = address("/v1/config/options", &[("within", section)]);
    cx.api.get(&path).await
}

/// The option's name within its section.
fn rest_of<'a>(option: &'a ConfigOption, pattern: &str) -> &'a str {
    let rest = option.key.strip_prefix(pattern);
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
        has_lines: written(option).contains('\n'),
        hint: format!("{} {}{default}", option.meaning, option.takes),
    }
}

/// A form, or a link, is of a configuration that is another one now.
pub(super) fn stale() -> Trouble {
    let why = "the configuration was changed since this was opened, or its file was, and is not in force: \
               look at it under Options, where it can be reloaded, then open it again";
    Trouble::new(StatusCode::CONFLICT, why)
}

/// The changes that a form of a section asks for: its key, fields to ask for them again, changes.
pub(super) type Asked = (String, Vec<(String, String)>, Vec<ConfigEdit>);

/// What a form of a section asks for.
///
/// # Errors
/// It names no section, or changes nothing; or its values are those of a configuration that is in force no
/// longer: what somebody else changed meanwhile would be changed back.
pub(super) async fn asked(cx: &Cx, form: &Fields) -> Result<Asked, Trouble> {
    let of = form_of(form.get("of"))?;
    if form.has("seen") && form.get("seen") != in_force(cx).await? {
        return Err(stale());
    }
    let pattern = of.pattern();
    let key = match (&of.named, form.get("key"), form.get("name")) {
        (None, _, _) => of.word.to_owned(),
        (_, "", "") => return Err(Trouble::asked_wrongly("a section needs a name")),
        (_, "", name) => format!("{}.{}", of.word, as_key(name)),
        (_, key, _) => key.to_owned(),
    };
    let options = within(cx, &key).await?;
    if of.named.is_some() && !form.has("key") && has_values(&options) {
        let why = format!("there is a section [{key}] already: change that");
        return Err(Trouble::asked_wrongly(why));
    }
    let edits = options.iter().filter_map(|option| {
        let rest = rest_of(option, &pattern);
        let after = form.field(&format!("{FIELD}{rest}"))?;
        // Forms send lines with CRLF.
        let after = after.replace("\r\n", "\n");
        if written(option).replace("\r\n", "\n") == after {
            return None;
        }
        let value = Some(as_toml(&after)).filter(|_| !after.is_empty());
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
    let is_ours =
        |name: &str| ["of", "seen", "key", "name"].contains(&name) || name.starts_with(FIELD);
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
        || text
            .parse()
            .is_ok_and(|number: i64| number.to_string() == text);
    match is_toml {
        true => text.to_owned(),
        false => super::change::quoted(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_may_go_without_quotes_and_names_are_quoted_where_they_have_to() {
        for (text, toml) in [
            ("mx", "\"mx\""),
            ("25", "25"),
            ("007", "\"007\""),
            ("+41", "\"+41\""),
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
}
