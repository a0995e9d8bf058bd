//! A change to the configuration file before it is made: the text that would come of it, and what is
//! wrong with that.

use std::fs;
use std::path::Path;

use config::{Config, Diagnostic, Diagnostics, Edit, Environment, Loaded, Replaced};
use mail::Place;

use crate::api::ConfigProblem;
use crate::shared::Source;

/// A larger file is changed by hand.
pub(crate) const TEXT_OCTETS_MAX: u64 = 1 << 20;

/// What decides whether strangers may relay all the same is for whoever has the file.
const ACCEPT_RISK: &str = "relay.accept_risk";
/// Whoever could include any file could read in errors what is in it.
const INCLUDE: &str = "include";

/// What somebody wants.
pub(crate) enum Wish {
    /// These changes.
    Edits(Vec<Edit>),
    /// This text.
    Text(String),
}

/// What would come of it.
pub(crate) struct Proposed {
    /// The file's text now.
    pub before: String,
    /// And then.
    pub text: String,
    /// The difference.
    pub diff: String,
    /// What it means, or what is wrong with it.
    pub loaded: Result<Loaded, Diagnostics>,
    /// Why it is not for this API, whatever it means.
    pub refused: Option<String>,
}

/// Reads the file and what would come of the wish. Blocks.
///
/// # Errors
/// The file cannot be changed, or the changes cannot be made.
pub(crate) fn propose(source: &Source, in_force: &Config, wish: Wish) -> Result<Proposed, String> {
    let path = source.file.as_deref();
    let path = path.ok_or("this relay's configuration has no file")?;
    let before = on_disk(path)?;
    if *before != *in_force.text && (source.load)(&config::Disk).is_err() {
        return Err(format!(
            "{} was changed by hand and cannot be used: mend it there, `gatepost config check` shows what is wrong",
            path.display()
        ));
    }
    let text = match wish {
        Wish::Edits(edits) => config::edit(&before, &edits).map_err(|why| why.to_string())?,
        Wish::Text(text) => text,
    };
    if text.len() as u64 > TEXT_OCTETS_MAX {
        return Err(format!(
            "a configuration file has at most {TEXT_OCTETS_MAX} octets here"
        ));
    }
    let name = path.display().to_string();
    let diff = config::diff(&name, &before, &text);
    let includes = |text: &str| config::written(text, INCLUDE);
    let (loaded, refused) = match (includes(&before), includes(&text)) {
        (_, Err(_)) => (config::parse(&name, &text, &Environment::default()), None),
        (Ok(old), Ok(new)) if old == new => {
            let files = Replaced {
                files: &config::Disk,
                path,
                text: &text,
            };
            let loaded = (source.load)(&files);
            let refused = loaded
                .as_ref()
                .ok()
                .and_then(|new| risk(in_force, &new.config));
            (loaded, refused)
        }
        (Ok(_) | Err(_), Ok(_)) => {
            let loaded = config::parse(&name, &text, &Environment::default());
            (loaded, Some(by_hand(INCLUDE, &name)))
        }
    };
    Ok(Proposed {
        before,
        text,
        diff,
        loaded,
        refused,
    })
}

/// The text of the file.
///
/// # Errors
/// It cannot be read, or is none that is changed here.
pub(crate) fn on_disk(path: &Path) -> Result<String, String> {
    let name = path.display();
    let unreadable = |why| format!("cannot read {name}: {why}");
    if fs::metadata(path).map_err(unreadable)?.len() > TEXT_OCTETS_MAX {
        return Err(format!(
            "{name} has more than {TEXT_OCTETS_MAX} octets: change it by hand"
        ));
    }
    fs::read_to_string(path).map_err(unreadable)
}

fn by_hand(key: &str, file: &str) -> String {
    format!(
        "`{key}` is not changed over this API: write it into {file} by hand, then `gatepost reload`"
    )
}

fn risk(before: &Config, after: &Config) -> Option<String> {
    let of = |config: &Config| {
        let found = config.option(ACCEPT_RISK);
        found.map(|one| (one.value, one.place))
    };
    let (_, place) = match (of(before), of(after)) {
        (Some(_), _) | (_, None) => return None,
        (None, Some(new)) => new,
    };
    let file = match &place {
        Place::Line { file, .. } => file.to_string(),
        Place::Default | Place::Preset => String::new(),
    };
    Some(by_hand(ACCEPT_RISK, &file))
}

/// A problem as it is told. Text of files that are no part of the configuration in force is not
/// shown: whoever names one as a list could read it here.
pub(crate) fn problem(found: &Diagnostic, is_ours: &dyn Fn(&str) -> bool) -> ConfigProblem {
    let location = found.location.as_ref();
    let shown = location.is_none_or(|at| is_ours(&at.file));
    let message = if shown {
        mail::escaped(&found.message).to_string()
    } else {
        "something is wrong in this file: `gatepost config check` shows what".to_owned()
    };
    let text = match location {
        Some(at) if !shown => {
            let (severity, file) = (found.severity.as_str(), mail::escaped(&at.file));
            format!("{severity}: {message}\n --> {file}:{}", at.line)
        }
        Some(_) | None => found.to_string(),
    };
    ConfigProblem {
        message,
        file: location.map(|at| at.file.clone()),
        line: location.map(|at| at.line),
        column: location.map(|at| at.column),
        text,
    }
}
