//! The configuration: what it is, what a change would do, and the change itself.

mod apply;
mod effect;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use config::{Change, Config, Edit, Shown};
use mail::Place;

pub(super) use self::apply::{apply, roll_back, versions};
pub(super) use self::effect::try_it;
use super::routes::Routes;
use super::{Answer, Trouble};
use crate::api::{
    ConfigEdit, ConfigOption, ConfigOptionsQuery, ConfigText, ConfigTextQuery, ConfigValue,
    ConfigVerb, NamedFile,
};
use crate::configuration::{Wish, on_disk, why_not_writable};
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
async fn text(
    State(shared): State<Arc<Shared>>,
    Query(ConfigTextQuery { brief }): Query<ConfigTextQuery>,
) -> Answer<ConfigText> {
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
            text: match brief {
                true => String::new(),
                false => config.text.to_string(),
            },
            hash: config::hash(config.text.as_bytes()),
            included: included(config, file).into_iter().collect(),
            named: named(config),
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

fn named(config: &Config) -> Vec<NamedFile> {
    let files = config.named_files.iter();
    let files = files.map(|(path, hash)| NamedFile {
        path: path.display().to_string(),
        hash: hash.to_string(),
    });
    files.collect()
}

/// The files beside the main one that say something.
fn included(config: &Config, main: Option<&Path>) -> BTreeSet<String> {
    let main = main.map(|main| main.display().to_string());
    let files = config.written().filter_map(|shown| match &shown.place {
        Place::Line { file, .. } => Some(&**file),
        Place::Default | Place::Preset => None,
    });
    let files: BTreeSet<&str> = files
        .filter(|file| Some(*file) != main.as_deref())
        .collect();
    files.into_iter().map(str::to_owned).collect()
}

/// `GET /v1/config/options`
async fn options(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<ConfigOptionsQuery>,
) -> Answer<Vec<ConfigOption>> {
    let active = shared.services.active();
    let config = &active.setup.config;
    let asked = Asked::new(&query);
    let (mut skip, mut left) = (query.skip, query.limit.unwrap_or(usize::MAX));
    // There may be ten thousand domains: whoever asks for one group does not pay for another.
    let wanted = config::described().filter(|option| asked.may_mean(option));
    let all = wanted.filter_map(|option| {
        let all = config.values_of(option.pattern);
        let (is_itself, is_unsaid) = (asked.means(&option), all.is_empty());
        let meant = all.into_iter();
        let meant = meant.filter(|shown| asked.means_value(is_itself, shown));
        let meant: Vec<Shown> = meant.collect();
        if meant.is_empty() && !(is_itself && (is_unsaid || query.within.is_some())) {
            return None;
        }
        let rows = meant.len().max(1);
        let passed = skip.min(rows);
        skip -= passed;
        let told = (rows - passed).min(left);
        left -= told;
        let values = meant.into_iter().skip(passed).take(told).map(value);
        (told > 0).then(|| described(option, values.collect()))
    });
    Ok(Json(all.collect()))
}

/// Which options and values are meant.
struct Asked<'a> {
    query: &'a ConfigOptionsQuery,
    only: Option<Vec<&'a str>>,
    except: Option<Vec<&'a str>>,
    /// In small letters.
    find: String,
}

impl<'a> Asked<'a> {
    fn new(query: &'a ConfigOptionsQuery) -> Self {
        let words = |list: &'a Option<String>| Some(list.as_deref()?.split(',').collect());
        Self {
            only: words(&query.sections),
            except: words(&query.except),
            find: query.find.as_deref().unwrap_or_default().to_lowercase(),
            query,
        }
    }

    /// Whether the option, or what it says somewhere, can be.
    fn may_mean(&self, option: &config::Described) -> bool {
        let first = option.section.split(['.', '[']);
        let first = first.into_iter().find(|part| !part.is_empty());
        let has = |list: &Vec<&str>| list.contains(&first.unwrap_or_default());
        self.only.as_ref().is_none_or(has)
            && !self.except.as_ref().is_some_and(has)
            && (self.query.within.is_none() || self.means(option))
    }

    /// Whether the option itself is.
    fn means(&self, option: &config::Described) -> bool {
        if let Some(within) = &self.query.within {
            let rest = match within.split_once('.') {
                Some((family, _)) => option.key.strip_prefix(&format!("{family}.NAME.")),
                None => option.key.strip_prefix(&format!("{within}.")),
            };
            let is_of_another = |rest: &str| rest.split('.').any(|part| part == "NAME");
            return rest.is_some_and(|rest| !is_of_another(rest)) && !option.pattern.contains("[]");
        }
        match &self.query.key {
            Some(key) => option.key == *key,
            None => self.finds(&[&option.key, option.facts.meaning]),
        }
    }

    /// Whether what it says at one place is; `is_itself`: the option is.
    fn means_value(&self, is_itself: bool, shown: &Shown) -> bool {
        if let Some(within) = &self.query.within {
            let rest = shown.key.strip_prefix(&**within);
            return rest.is_some_and(|rest| rest.starts_with('.'));
        }
        match &self.query.key {
            Some(key) => is_itself || shown.key == *key,
            None => is_itself || self.finds(&[&shown.key, &shown.value]),
        }
    }

    fn finds(&self, texts: &[&str]) -> bool {
        let mut texts = texts.iter();
        self.find.is_empty() || texts.any(|text| text.to_lowercase().contains(&self.find))
    }
}

fn described(option: config::Described, values: Vec<ConfigValue>) -> ConfigOption {
    ConfigOption {
        values,
        key: option.key,
        section: option.section,
        takes: option.takes,
        default: option.facts.default.to_owned(),
        meaning: option.facts.meaning.to_owned(),
        in_force: option.facts.in_force,
        reloads: option.facts.reloads,
        schema: option.schema,
    }
}

fn value(shown: Shown) -> ConfigValue {
    ConfigValue {
        key: shown.key,
        value: shown.value,
        place: shown.place.to_string(),
    }
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
        (ConfigVerb::Move, Some(value)) => Change::Move(value),
        (ConfigVerb::Remove, None) => Change::Remove,
        (ConfigVerb::Remove, Some(_)) => {
            return Err(Trouble::bad(
                "what is removed has no value: `take` takes it out of a list",
            ));
        }
        (_, None) => return Err(needed()),
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
