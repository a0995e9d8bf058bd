//! What a change to the configuration would do.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use config::{Config, Diagnostic, Loaded};
use filter::{Condition, Filter};
use relay_audit::{Gain, gains};
use relay_policy::Rights;
use sign_in::{Found, Sources, prepare_name};
use tracking::{Question, Row};

use super::{blocking, conflict, included, wish};
use crate::active::ActiveConfiguration;
use crate::api::{
    ConfigClients, ConfigEffect, ConfigProblem, ConfigProposal, ConfigReplay, ConfigTried,
};
use crate::configuration::{KnownUsers, Proposed, all_rules, problem, propose, replay};
use crate::control::{Answer, track};
use crate::shared::Shared;

/// Rows that are looked at, the newest first.
const ROWS_MAX: usize = 10_000;
/// How old they are.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// `POST /v1/config/try`
pub(crate) async fn try_it(
    State(shared): State<Arc<Shared>>,
    Json(ConfigProposal { edits, text }): Json<ConfigProposal>,
) -> Answer<ConfigTried> {
    let wish = wish(edits, text)?;
    let active = shared.services.active();
    let (own, in_force) = (Arc::clone(&shared), Arc::clone(&active));
    let Json(proposed) =
        blocking(move || propose(&own.source, &in_force.setup.config, wish).map_err(conflict))
            .await?;
    let config = &active.setup.config;
    let ours = ours(config, &shared);
    let told = |all: &[Diagnostic]| -> Vec<ConfigProblem> {
        all.iter().map(|found| problem(found, &ours)).collect()
    };
    let mut tried = ConfigTried {
        expected_hash: config::hash(proposed.before.as_bytes()),
        errors: Vec::new(),
        warnings: Vec::new(),
        restart: Vec::new(),
        refused: None,
        effect: None,
        text: String::new(),
        diff: String::new(),
    };
    let Proposed {
        text,
        diff,
        loaded,
        refused,
        before: _,
    } = proposed;
    (tried.text, tried.diff, tried.refused) = (text, diff, refused);
    match loaded {
        Err(wrong) => tried.errors = told(&wrong.0),
        Ok(Loaded {
            config: new,
            warnings,
        }) => {
            tried.warnings = told(&warnings);
            tried.restart = owned(config.changes_of_fixed(&new));
            if tried.refused.is_none() {
                let (effect, missing) = effect(&shared, &active, new).await?;
                tried.effect = Some(effect);
                tried.errors.extend(missing.lines().map(without_place));
            }
        }
    }
    Ok(Json(tried))
}

fn owned(keys: Vec<&str>) -> Vec<String> {
    keys.into_iter().map(str::to_owned).collect()
}

fn without_place(line: &str) -> ConfigProblem {
    ConfigProblem {
        message: mail::escaped(line).to_string(),
        file: None,
        line: None,
        column: None,
        text: format!("error: {}", mail::escaped(line)),
    }
}

/// Whether a file is part of the configuration in force.
pub(super) fn ours(
    config: &Config,
    shared: &Shared,
) -> impl Fn(&str) -> bool + Send + Sync + 'static {
    let main = shared
        .source
        .file
        .as_ref()
        .map(|file| file.display().to_string());
    let others = included(config, shared.source.file.as_deref());
    move |file: &str| main.as_deref() == Some(file) || others.contains(file)
}

/// What would be otherwise by the new configuration; and what of the files that it names could not be
/// used, a line each.
async fn effect(
    shared: &Shared,
    active: &Arc<ActiveConfiguration>,
    new: Config,
) -> Result<(ConfigEffect, String), super::Trouble> {
    let after = shared.services.clock.moment().wall - AGE_MAX;
    let found = track::ask(shared, move |reader| {
        let filter = Filter {
            conditions: vec![Condition::ArrivedAfter(after)],
        };
        reader.page(&Question {
            filter: &filter,
            before: None,
            limit: ROWS_MAX,
            last_only: false,
            looks: 2 * ROWS_MAX,
        })
    });
    let found = found.await;
    let active = Arc::clone(active);
    let Json(told) = blocking(move || {
        let old = &active.setup.config;
        let replayed = match found {
            Err(trouble) => ConfigReplay {
                trouble: Some(trouble.1),
                ..ConfigReplay::default()
            },
            Ok(Json(page)) => {
                let rows: Vec<Row> = page.rows.into_iter().map(|(_, row)| row).collect();
                let users = Users {
                    sources: &active.sign_in_settings().sources,
                    asks: !old.auth.directories.is_empty(),
                };
                let mut replayed = replay(rows, (old, &new), &users);
                replayed.cut |= page.next.is_some();
                replayed
            }
        };
        let effect = ConfigEffect {
            posture_before: old.posture.to_string(),
            posture_after: new.posture.to_string(),
            closed_after: new.posture.is_closed(),
            gained: clients(gains(all_rules(&new), all_rules(old))),
            lost: clients(gains(all_rules(old), all_rules(&new))),
            replay: replayed,
        };
        let looked = ActiveConfiguration::look(new);
        Ok((effect, looked.err().unwrap_or_default()))
    })
    .await?;
    Ok(told)
}

fn clients(gains: Vec<Gain>) -> Vec<ConfigClients> {
    let told = gains.into_iter().map(|gain| ConfigClients {
        who: gain.who,
        listeners: gain.listeners.iter().map(ToString::to_string).collect(),
    });
    told.collect()
}

/// The users of the users file. Directories are not asked: a day's users are too many.
struct Users<'a> {
    sources: &'a Sources,
    asks: bool,
}

impl KnownUsers for Users<'_> {
    fn rights(&self, user: &str) -> Option<Arc<Rights>> {
        if user.is_empty() || self.asks {
            return None;
        }
        match self.sources.find(&prepare_name(user)?).ok()? {
            Found::User(account) => Some(account.rights),
            Found::Barred | Found::Nobody => None,
        }
    }
}
