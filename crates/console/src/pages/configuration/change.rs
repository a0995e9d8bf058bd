//! A change to the file: what it would do, then done.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use daemon::api::{
    ConfigApplied, ConfigChange, ConfigChanged, ConfigEdit, ConfigOption, ConfigProposal,
    ConfigText, ConfigTried, ConfigVerb,
};

use super::{TABS, sections};
use crate::cx::{Cx, Fields, address};
use crate::page::{Page, Posted, Section, framed};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words;

/// What can become of an option: its word in addresses, the verb, words.
const VERBS: [(&str, ConfigVerb, &str); 5] = [
    ("set", ConfigVerb::Set, "gets this value"),
    (
        "append",
        ConfigVerb::Append,
        "gets this value as one more in its list",
    ),
    ("take", ConfigVerb::Take, "loses this value from its list"),
    ("remove", ConfigVerb::Remove, "is no longer written"),
    (
        "move",
        ConfigVerb::Move,
        "stands at this place in its list, from 0",
    ),
];

#[derive(Template)]
#[template(path = "change.html")]
struct ChangeForm {
    tabs: &'static [(&'static str, &'static str)],
    key: String,
    /// What it is now: value and line.
    now: Option<(String, String)>,
    value: String,
    option: Option<ConfigOption>,
    token: String,
    /// A digest of the configuration of which this is told.
    seen: String,
    verbs: Vec<(&'static str, &'static str)>,
}

/// `GET /configuration/change?key=KEY`
pub(crate) async fn change(cx: Cx) -> Result<Page, Trouble> {
    cx.require(Role::Admin)?;
    let key = cx.query.get("key").to_owned();
    let path = address("/v1/config/options", &[("key", &key)]);
    let found: Vec<ConfigOption> = cx.api.get(&path).await?;
    let option = found.into_iter().next();
    let values = option.iter().flat_map(|option| &option.values);
    let now = values.into_iter().find(|value| value.key == key);
    let page = ChangeForm {
        tabs: &TABS,
        value: now.map_or_else(String::new, |value| value.value.clone()),
        now: now.map(|value| (value.value.clone(), words::place(&value.place).to_owned())),
        option,
        key,
        token: cx.visitor.token.clone(),
        seen: sections::in_force(&cx).await?,
        verbs: VERBS.map(|(word, _, says)| (word, says)).to_vec(),
    };
    Page::still(Section::Configuration, "Change an option", &page)
}

#[derive(Template)]
#[template(path = "file.html")]
struct File {
    tabs: &'static [(&'static str, &'static str)],
    text: ConfigText,
    token: Option<String>,
}

/// `GET /configuration/file`
pub(crate) async fn file(cx: Cx) -> Result<Page, Trouble> {
    let page = File {
        tabs: &TABS,
        text: cx.api.get("/v1/config").await?,
        token: cx.may(Role::Admin).then(|| cx.visitor.token.clone()),
    };
    Page::still(Section::Configuration, "The configuration file", &page)
}

#[derive(Template)]
#[template(path = "tried.html")]
struct Tried {
    tabs: &'static [(&'static str, &'static str)],
    what: String,
    tried: ConfigTried,
    diff: Vec<(&'static str, String)>,
    decisions: Vec<(&'static str, ConfigChanged)>,
    token: String,
    /// The change, as the form of the next step has it.
    fields: Vec<(String, String)>,
}

/// `GET /configuration/try`: one edit, as a link has it.
pub(crate) async fn try_edit(cx: Cx) -> Result<Page, Trouble> {
    let fields = cx.query.clone();
    tried(&cx, &fields).await
}

/// `POST /configuration/try`: a form, which may be long, and in which somebody may write what is not
/// for addresses.
pub(crate) async fn try_form(cx: Cx, posted: Posted) -> Response {
    framed(&cx, tried(&cx, &posted.fields).await)
}

/// The change that the fields of an address or a form describe, in words, in fields, and as the API
/// takes it.
struct Described {
    what: String,
    fields: Vec<(String, String)>,
    proposal: ConfigProposal,
}

async fn described(cx: &Cx, fields: &Fields) -> Result<Described, Trouble> {
    if fields.has("of") {
        let (section, fields, edits) = sections::asked(cx, fields).await?;
        let changed = words::many(edits.len() as u64, "option");
        return Ok(Described {
            what: format!("[{section}]: {changed}"),
            fields,
            proposal: ConfigProposal { edits, text: None },
        });
    }
    let text = fields.raw("text");
    if !text.is_empty() {
        return whole_text(cx, text).await;
    }
    one_change(fields)
}

async fn whole_text(cx: &Cx, text: &str) -> Result<Described, Trouble> {
    // Forms send lines with CRLF, whatever the file has.
    let text = text.replace("\r\n", "\n");
    let now: ConfigText = cx.api.get("/v1/config").await?;
    let is_crlf = now.text.contains("\r\n") && !now.text.replace("\r\n", "").contains('\n');
    Ok(Described {
        what: "A new text of the file".to_owned(),
        fields: vec![("text".to_owned(), text.clone())],
        proposal: ConfigProposal {
            edits: Vec::new(),
            text: Some(match is_crlf {
                true => text.replace('\n', "\r\n"),
                false => text,
            }),
        },
    })
}

fn one_change(fields: &Fields) -> Result<Described, Trouble> {
    let key = fields.get("edit");
    // A value may have many lines, which forms send with CRLF.
    let value = fields.get("value").replace("\r\n", "\n");
    // As a link writes it: the verb is the field's name.
    let linked = VERBS.iter().find(|(word, _, _)| fields.has(word));
    let named = VERBS
        .iter()
        .find(|(word, _, _)| fields.get("verb") == *word);
    let (word, verb, says) = *(linked.or(named))
        .ok_or_else(|| Trouble::asked_wrongly("say what becomes of the option"))?;
    let value = match linked {
        Some(_) => quoted(fields.get(word)),
        None => value,
    };
    let is_removal = verb == ConfigVerb::Remove;
    Ok(Described {
        what: match is_removal {
            true => format!("{key} {says}"),
            false => format!("{key} {says}: {value}"),
        },
        fields: vec![
            ("edit".to_owned(), key.to_owned()),
            ("verb".to_owned(), word.to_owned()),
            ("value".to_owned(), value.clone()),
        ],
        proposal: ConfigProposal {
            edits: vec![ConfigEdit {
                key: key.to_owned(),
                change: verb,
                value: (!is_removal).then_some(value),
            }],
            text: None,
        },
    })
}

/// The text as a string of TOML.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

async fn tried(cx: &Cx, fields: &Fields) -> Result<Page, Trouble> {
    cx.require(Role::Admin)?;
    let seen = fields.field("seen");
    let Described {
        what,
        fields: asked,
        proposal,
    } = described(cx, fields).await?;
    let tried: ConfigTried = cx.api.post("/v1/config/try", &proposal).await?;
    // What was shown is not what would be changed.
    if seen.is_some_and(|seen| seen != tried.expected_hash) {
        return Err(sections::stale());
    }
    let effect = tried.effect.as_ref();
    let decisions = effect.map(|effect| {
        let replay = &effect.replay;
        let changed = [
            ("Taken then, would be refused", &replay.refused),
            ("Refused then, would be taken", &replay.accepted),
        ];
        changed
            .map(|(title, changed)| (title, changed.clone()))
            .to_vec()
    });
    let page = Tried {
        tabs: &TABS,
        diff: diff(&tried.diff),
        decisions: decisions.unwrap_or_default(),
        what,
        tried,
        token: cx.visitor.token.clone(),
        fields: asked,
    };
    Page::still(Section::Configuration, "What it would do", &page)
}

/// Lines of a difference, each with its class.
pub(super) fn diff(text: &str) -> Vec<(&'static str, String)> {
    let class = |line: &str| match line.as_bytes().first() {
        Some(b'+') => "add",
        Some(b'-') => "del",
        _ => "dim",
    };
    text.lines()
        .map(|line| (class(line), line.to_owned()))
        .collect()
}

#[derive(Template)]
#[template(path = "by_hand.html")]
struct ByHand<'a> {
    tabs: &'static [(&'static str, &'static str)],
    why_not: &'a str,
    diff: Vec<(&'static str, String)>,
}

/// `POST /configuration/apply`
pub(crate) async fn apply(cx: Cx, posted: Posted) -> Response {
    match applied(&cx, &posted.fields).await {
        Ok(None) => Redirect::to("/configuration/versions").into_response(),
        Ok(Some(page)) => framed(&cx, Ok(page)),
        Err(trouble) => framed(&cx, Err(trouble)),
    }
}

/// A page where there is something left to do by hand.
async fn applied(cx: &Cx, form: &Fields) -> Result<Option<Page>, Trouble> {
    cx.require(Role::Admin)?;
    let Described { proposal, .. } = described(cx, form).await?;
    let change = ConfigChange {
        edits: proposal.edits,
        text: proposal.text,
        expected_hash: form.get("hash").to_owned(),
        reason: Some(form.get("reason").to_owned()).filter(|reason| !reason.is_empty()),
        by: cx.visitor.name.clone(),
    };
    let applied: ConfigApplied = cx.api.post("/v1/config/apply", &change).await?;
    if applied.applied {
        return Ok(None);
    }
    let page = ByHand {
        tabs: &TABS,
        why_not: applied
            .why_not
            .as_deref()
            .unwrap_or("the file cannot be written"),
        diff: diff(&applied.diff),
    };
    Page::still(Section::Configuration, "To be done by hand", &page).map(Some)
}
