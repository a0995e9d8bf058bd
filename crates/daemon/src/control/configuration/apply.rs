//! The change of the configuration file: as a whole, in force and on the disk, or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use config::Config;

use super::effect::ours;
use super::{blocking, conflict, wish};
use crate::api::{ConfigApplied, ConfigChange, ConfigRollBack, ConfigVersion};
use crate::configuration::{
    Author, Proposed, Version, Versions, Wish, on_disk, problem, propose, why_not_writable,
    write_configuration,
};
use crate::control::act::Act;
use crate::control::{Answer, Trouble};
use crate::shared::Shared;

/// `POST /v1/config/apply`
pub(crate) async fn apply(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(change): Json<ConfigChange>,
) -> Answer<ConfigApplied> {
    let keys: Vec<&str> = change.edits.iter().map(|edit| &*edit.key).collect();
    act.on(if keys.is_empty() {
        "the whole text".to_owned()
    } else {
        keys.join(", ")
    });
    let author = author(&act, change.by, change.reason)?;
    let wish = wish(change.edits, change.text)?;
    let _one_at_a_time = shared.configuring.lock().await;
    make(&shared, wish, change.expected_hash, author).await
}

/// `POST /v1/config/roll-back`
pub(crate) async fn roll_back(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(ConfigRollBack {
        version,
        expected_hash,
        reason,
        by,
    }): Json<ConfigRollBack>,
) -> Answer<ConfigApplied> {
    act.on(format_args!("to version {version}"));
    let author = author(&act, by, reason)?;
    let _one_at_a_time = shared.configuring.lock().await;
    let active = shared.services.active();
    let expected =
        expected_hash.unwrap_or_else(|| config::hash(active.setup.config.text.as_bytes()));
    let own = Arc::clone(&shared);
    let Json(text) = blocking(move || {
        let mut all = kept(&own).all().map_err(unkept)?.into_iter();
        let found = all.find(|one| one.number == version);
        let missing = || {
            Trouble(
                StatusCode::NOT_FOUND,
                format!("there is no version {version}"),
            )
        };
        found.map(|one| one.text).ok_or_else(missing)
    })
    .await?;
    make(&shared, Wish::Text(text), expected, author).await
}

/// `GET /v1/config/versions`
pub(crate) async fn versions(State(shared): State<Arc<Shared>>) -> Answer<Vec<ConfigVersion>> {
    blocking(move || {
        let all = kept(&shared).all().map_err(unkept)?;
        let file = shared.source.file.clone().unwrap_or_default();
        let now = on_disk(&file).ok();
        let before = std::iter::once(None).chain(all.iter().map(Some));
        let told = all.iter().zip(before);
        let mut told: Vec<_> = told
            .map(|(one, before)| version(one, before, &file))
            .collect();
        if let (Some(last), Some(newest)) = (told.last_mut(), all.last()) {
            last.current = now.as_ref() == Some(&newest.text);
        }
        told.reverse();
        Ok(told)
    })
    .await
}

fn version(one: &Version, before: Option<&Version>, file: &Path) -> ConfigVersion {
    let name = file.display().to_string();
    ConfigVersion {
        number: one.number,
        at: one.at.clone(),
        by: one.by.clone(),
        reason: one.reason.clone(),
        hash: config::hash(one.text.as_bytes()),
        current: false,
        diff: before.map_or_else(String::new, |before| {
            config::diff(&name, &before.text, &one.text)
        }),
    }
}

fn author(act: &Act, by: String, why: Option<String>) -> Result<Author, Trouble> {
    Ok(Author {
        by: Some(act.by(by)?.into()),
        reason: act.because(why)?.map(Into::into),
    })
}

fn kept(shared: &Shared) -> Versions {
    Versions::of(&shared.services.active().setup.config.data_dir)
}

fn unkept(error: std::io::Error) -> Trouble {
    let why = format!("the versions of the configuration cannot be kept or read: {error}");
    Trouble(StatusCode::SERVICE_UNAVAILABLE, why)
}

/// A change that is found right: what was, and what is to be.
struct Ready {
    path: PathBuf,
    before: String,
    text: String,
    diff: String,
    why_not: Option<String>,
}

async fn make(
    shared: &Arc<Shared>,
    wish: Wish,
    expected: String,
    author: Author,
) -> Answer<ConfigApplied> {
    let own = Arc::clone(shared);
    let Json(ready) = blocking(move || ready(&own, wish, &expected)).await?;
    let unapplied = ConfigApplied {
        applied: false,
        why_not: ready.why_not.clone(),
        diff: ready.diff.clone(),
        hash: config::hash(ready.before.as_bytes()),
        version: None,
        warnings: Vec::new(),
    };
    if ready.why_not.is_some() {
        return Ok(Json(unapplied));
    }
    if ready.diff.is_empty() {
        return Ok(Json(ConfigApplied {
            applied: true,
            ..unapplied
        }));
    }
    let ready = Arc::new(ready);
    put(shared, &ready, true).await?;
    let mut warnings = match shared.reload().await {
        Ok(warnings) => warnings,
        Err(why) => return Err(take_back(shared, &ready, why).await),
    };
    let (own, new, signed) = (Arc::clone(shared), Arc::clone(&ready), author.clone());
    let now = shared.services.clock.moment().wall;
    let kept = blocking(move || kept(&own).keep(&new.text, now, signed).map_err(unkept)).await;
    let version = match kept {
        Ok(Json(number)) => Some(number),
        Err(trouble) => {
            warnings.push(trouble.1);
            None
        }
    };
    let (by, why) = (
        author.by.unwrap_or_default(),
        author.reason.unwrap_or_default(),
    );
    tracing::info!(
        by,
        reason = why,
        version,
        "the configuration was changed by an operator"
    );
    Ok(Json(ConfigApplied {
        applied: true,
        hash: config::hash(ready.text.as_bytes()),
        version,
        warnings,
        ..unapplied
    }))
}

/// Everything that can be known before the file is touched.
fn ready(shared: &Shared, wish: Wish, expected: &str) -> Result<Ready, Trouble> {
    let active = shared.services.active();
    let config = &active.setup.config;
    let path = shared.source.file.clone();
    let path = path.ok_or_else(|| conflict("this relay's configuration has no file"))?;
    // Before anything is told of a text that the caller has not seen.
    unchanged(shared, config, &path, expected)?;
    let Proposed {
        before,
        text,
        diff,
        loaded,
        refused,
    } = propose(&shared.source, config, wish).map_err(conflict)?;
    if let Some(why) = refused {
        return Err(conflict(why));
    }
    let ours = ours(config, shared);
    let loaded = loaded.map_err(|wrong| {
        let texts: Vec<String> = wrong.0.iter().map(|one| problem(one, &ours).text).collect();
        conflict(texts.join("\n"))
    })?;
    let fixed = config.changes_of_fixed(&loaded.config);
    if !fixed.is_empty() {
        let (keys, path) = (fixed.join(", "), path.display());
        return Err(conflict(format!(
            "{keys} cannot change while running: change {path} by hand, then restart"
        )));
    }
    if config::hash(before.as_bytes()) != expected {
        return Err(conflict("the file was changed just now: look at it anew"));
    }
    Ok(Ready {
        why_not: why_not_writable(&path),
        path,
        before,
        text,
        diff,
    })
}

/// The file is that of which the caller knows.
fn unchanged(shared: &Shared, config: &Config, path: &Path, expected: &str) -> Result<(), Trouble> {
    let now = on_disk(path).map_err(conflict)?;
    if config::hash(now.as_bytes()) == expected {
        return Ok(());
    }
    let mut why = format!("{} was changed meanwhile: look at it anew", path.display());
    // What cannot be used may hold a secret.
    if config::hash(config.text.as_bytes()) == expected
        && (shared.source.load)(&config::Disk).is_ok()
    {
        let diff = config::diff(&path.display().to_string(), &config.text, &now);
        why = format!("{why}\n{diff}");
    }
    Err(conflict(why))
}

/// Writes the new text, or the one before it back. What was is kept first.
async fn put(shared: &Arc<Shared>, ready: &Arc<Ready>, forth: bool) -> Result<(), Trouble> {
    let (own, ready) = (Arc::clone(shared), Arc::clone(ready));
    let now = shared.services.clock.moment().wall;
    let Json(()) = blocking(move || {
        let text = if forth {
            let by_hand = Author::default();
            kept(&own)
                .keep(&ready.before, now, by_hand)
                .map_err(unkept)?;
            &ready.text
        } else {
            if on_disk(&ready.path).map_err(conflict)? != ready.text {
                return Err(conflict("it was changed by hand just now, and is left so"));
            }
            &ready.before
        };
        write_configuration(&ready.path, text).map_err(|error| {
            let why = format!("{} cannot be written: {error}", ready.path.display());
            Trouble(StatusCode::SERVICE_UNAVAILABLE, why)
        })
    })
    .await?;
    Ok(())
}

/// The reload has refused: the file is again what is in force.
async fn take_back(shared: &Arc<Shared>, ready: &Arc<Ready>, why: String) -> Trouble {
    let in_force = shared.services.active();
    match put(shared, ready, false).await {
        Ok(()) => {
            let is_due = *ready.before != *in_force.setup.config.text;
            shared.reload_due.store(is_due, Ordering::Relaxed);
            conflict(format!(
                "{why}\nthe file is as it was, and everything goes on as before"
            ))
        }
        Err(trouble) => Trouble(
            trouble.0,
            format!("{why}\nand the file could not be put back: {}", trouble.1),
        ),
    }
}
