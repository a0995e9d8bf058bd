//! The configuration: what it is, what a change would do, and the change itself.

mod apply;
mod effect;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use config::{Change, Config, Edit};
use mail::Place;

pub(super) use self::apply::{apply, roll_back, versions};
pub(super) use self::effect::try_it;
use super::routes::Routes;
use super::{Answer, Trouble};
use crate::api::{ConfigEdit, ConfigOption, ConfigText, ConfigValue, ConfigVerb};
use crate::configuration::{Wish, hash, on_disk, why_not_writable};
use crate::shared::Shared;

/// With what can be asked here.
pub(super) fn with_configuration(routes: Routes) -> Routes {
    routes
        .get("/v1/config", "The text of the configuration in force", text)
        .get(
            "/v1/config/options",
            "Every option there is, and what it is now",
            options,
        )
        .ask(
            "/v1/config/try",
            "What a change to the file would do; nothing is changed",
            try_it,
        )
        .post(
            "/v1/config/apply",
            "Changes the file and puts it in force as a whole, or neither",
            apply,
        )
        .get(
            "/v1/config/versions",
            "The last versions of the file, the newest first",
            versions,
        )
        .post(
            "/v1/config/roll-back",
            "Puts a version of the file back and in force",
            roll_back,
        )
}

/// `GET /v1/config`
async fn text(State(shared): State<Arc<Shared>>) -> Answer<ConfigText> {
    blocking(move || {
        let active = shared.services.active();
        let config = &active.setup.config;
        let file = shared.source.file.as_deref();
        let difference = file.and_then(|file| difference(&shared, config, file));
        let why_not = match file {
            None => Some("this relay's configuration has no file".to_owned()),
            Some(file) => why_not_writable(file),
        };
        Ok(ConfigText {
            path: file.map(|file| file.display().to_string()),
            text: config.text.to_string(),
            hash: hash(&config.text),
            included: included(config, file).into_iter().collect(),
            writable: why_not.is_none(),
            why_not,
            changed: difference.is_some(),
            difference,
        })
    })
    .await
}

/// How the file differs from what is in force. A secret that somebody wrote into it is not shown: such
/// a file cannot be used.
fn difference(shared: &Shared, config: &Config, file: &Path) -> Option<String> {
    let text = match on_disk(file) {
        Ok(text) if *text == *config.text => return None,
        Ok(text) => text,
        Err(why) => return Some(why),
    };
    Some(match (shared.source.load)(&config::Disk) {
        Ok(_) => config::diff(&file.display().to_string(), &config.text, &text),
        Err(_) => "it cannot be used: `gatepost config check` shows what is wrong".to_owned(),
    })
}

/// The files beside the main one that say something.
fn included(config: &Config, main: Option<&Path>) -> BTreeSet<String> {
    let main = main.map(|main| main.display().to_string());
    let files = config.written().filter_map(|shown| match &shown.place {
        Place::Line { file, .. } => Some(file.to_string()),
        Place::Default | Place::Preset => None,
    });
    files.filter(|file| Some(file) != main.as_ref()).collect()
}

/// `GET /v1/config/options`
async fn options(State(shared): State<Arc<Shared>>) -> Answer<Vec<ConfigOption>> {
    let active = shared.services.active();
    let config = &active.setup.config;
    let all = config::described().map(|option| ConfigOption {
        values: values(config, option.pattern),
        key: option.key,
        section: option.section,
        takes: option.takes,
        default: option.facts.default.to_owned(),
        meaning: option.facts.meaning.to_owned(),
        in_force: option.facts.in_force,
        reloads: option.facts.reloads,
        schema: option.schema,
    });
    Ok(Json(all.collect()))
}

fn values(config: &Config, pattern: &str) -> Vec<ConfigValue> {
    let of_option = config.values_of(pattern).into_iter();
    of_option
        .map(|shown| ConfigValue {
            key: shown.key,
            value: shown.value,
            place: shown.place.to_string(),
        })
        .collect()
}

/// What is wanted: changes or a text.
fn wish(edits: Vec<ConfigEdit>, text: Option<String>) -> Result<Wish, Trouble> {
    match text {
        Some(text) if edits.is_empty() => Ok(Wish::Text(text)),
        Some(_) => Err(Trouble::bad("give `edits` or `text`, not both")),
        None => {
            let edits = edits.into_iter().map(edit);
            Ok(Wish::Edits(edits.collect::<Result<_, _>>()?))
        }
    }
}

fn edit(ConfigEdit { key, change, value }: ConfigEdit) -> Result<Edit, Trouble> {
    let needed = || Trouble::bad(format!("the change of `{key}` needs a value"));
    let change = match (change, value) {
        (ConfigVerb::Set, Some(value)) => Change::Set(value),
        (ConfigVerb::Append, Some(value)) => Change::Append(value),
        (ConfigVerb::Take, Some(value)) => Change::Take(value),
        (ConfigVerb::Remove, None) => Change::Remove,
        (ConfigVerb::Remove, Some(_)) => {
            return Err(Trouble::bad(
                "what is removed has no value: `take` takes it out of a list",
            ));
        }
        (ConfigVerb::Set | ConfigVerb::Append | ConfigVerb::Take, None) => return Err(needed()),
    };
    Ok(Edit { key, change })
}

fn conflict(why: impl ToString) -> Trouble {
    Trouble(StatusCode::CONFLICT, why.to_string())
}

/// Reads files, and does what takes its time, where that is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Answer<T> {
    let failed = |fault: tokio::task::JoinError| {
        Trouble(StatusCode::INTERNAL_SERVER_ERROR, fault.to_string())
    };
    let done = tokio::task::spawn_blocking(work).await;
    Ok(Json(done.map_err(failed)??))
}
