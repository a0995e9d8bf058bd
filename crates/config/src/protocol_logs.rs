//! `[log.NAME]`: protocol logs beside the operator's log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::protocol_log::{Field, Form, Rotation};
use mail::Zone;

use crate::config::{Listener, Log, ProtocolLog, ProtocolLogTarget};
use crate::options::protocol_log as options;
use crate::settings::{Section, Settings};
use crate::suggest::nearest;
use crate::syslogs::{self, Syslogs};

/// Octets that a ceiling has at least: its parts are files.
const MAX_SIZE_MIN: u64 = 1_000_000;

/// All of them, in the order in which they were written.
pub(crate) fn read(
    settings: &mut Settings,
    own: &mut Log,
    data_dir: &Path,
    zone: &Zone,
    listeners: &[Listener],
) {
    let mut homes = BTreeMap::new();
    let sections = settings.sections_of(options::SECTION).into_iter();
    let logs = sections
        .map(|section| {
            let log = one(settings, &section, data_dir, zone, listeners);
            check(settings, &section, &log);
            let target = target(settings, &section, log.form, &own.syslogs);
            if target == ProtocolLogTarget::Files {
                check_home(settings, &section, &log.directory, &mut homes);
            }
            ProtocolLog {
                settings: log,
                target,
            }
        })
        .collect();
    own.protocol = logs;
}

fn one(
    settings: &mut Settings,
    section: &Section,
    data_dir: &Path,
    zone: &Zone,
    listeners: &[Listener],
) -> ::protocol_log::Settings {
    let directory = settings.path(section.at(options::DIRECTORY));
    let home = || data_dir.join("log").join(&section.name);
    let mut fields: Vec<Field> = settings.values(section.at(options::FIELDS)).concat();
    fields.sort();
    fields.dedup();
    let local = settings.get(section.at(options::LOCAL_TIME));
    ::protocol_log::Settings {
        name: section.name.as_str().into(),
        form: settings.get(section.at(options::FORMAT)),
        directory: directory.unwrap_or_else(home),
        fields,
        rotation: settings.get(section.at(options::ROTATION)),
        truncate_size: settings.get(section.at(options::TRUNCATE_SIZE)),
        keep: settings.get(section.at(options::KEEP)),
        max_size: settings.get(section.at(options::MAX_SIZE)),
        min_free: settings.get(section.at(options::MIN_FREE)),
        repeat_header: settings.get(section.at(options::REPEAT_HEADER)),
        zone: local.then(|| zone.clone()),
        listeners: named(settings, section, listeners),
        outbound: settings.get(section.at(options::OUTBOUND)),
        program: settings.get(section.at(options::PROGRAM)).into(),
    }
}

/// Where it goes, and what is not read then.
fn target(
    settings: &mut Settings,
    section: &Section,
    form: Form,
    syslogs: &Syslogs,
) -> ProtocolLogTarget {
    let named = settings.get(section.at(options::SYSLOG));
    let to_journal = settings.get(section.at(options::JOURNALD));
    if named.is_empty() && !to_journal {
        return ProtocolLogTarget::Files;
    }
    if !named.is_empty() && to_journal {
        let message = "a log goes to one place".to_owned();
        let label = "write a second section for the other";
        settings.error_at(section.at(options::JOURNALD), message, label);
    }
    if !matches!(form, Form::Json | Form::Maillog) {
        let message = "only the formats json and maillog go there".to_owned();
        let label = "rows of the others are read with their files";
        match to_journal {
            true => settings.error_at(section.at(options::JOURNALD), message, label),
            false => settings.error_at(section.at(options::SYSLOG), message, label),
        }
    }
    for key in [
        section.key_of(options::DIRECTORY),
        section.key_of(options::ROTATION),
        section.key_of(options::KEEP),
        section.key_of(options::MAX_SIZE),
        section.key_of(options::MIN_FREE),
        section.key_of(options::LOCAL_TIME),
    ] {
        if let Some(setting) = settings.setting(&key) {
            let span = setting.key.clone();
            let message = format!("`{key}` is not read: there are no files");
            settings.warn(&span, message, "the log goes elsewhere");
        }
    }
    if to_journal {
        return ProtocolLogTarget::Journald;
    }
    let mut servers = syslogs::all_named(settings, syslogs, named);
    // Where there is none of that name, that is an error already.
    servers
        .pop()
        .map_or(ProtocolLogTarget::Files, ProtocolLogTarget::Syslog)
}

fn named(settings: &mut Settings, section: &Section, listeners: &[Listener]) -> Vec<Arc<str>> {
    let mut named = Vec::new();
    for item in settings.get(section.at(options::LISTENERS)) {
        let mut names = listeners.iter().map(|listener| &listener.name);
        if let Some(name) = names.clone().find(|name| ***name == item.value) {
            named.push(Arc::clone(name));
            continue;
        }
        let shown = mail::escaped(&item.value);
        let message = format!("there is no listener `{shown}`");
        let near = nearest(&item.value, names.by_ref().map(|name| &**name));
        let label = near.map(|near| format!("did you mean `{near}`?"));
        settings.error_in(
            &section.key,
            &item.span,
            message,
            &label.unwrap_or_default(),
        );
    }
    named
}

/// What contradicts itself, or could not be read by anybody.
fn check(settings: &mut Settings, section: &Section, log: &::protocol_log::Settings) {
    if log.form != Form::W3c && settings.is_set(section.at(options::FIELDS)) {
        let message = "`fields` are for the format w3c".to_owned();
        settings.error_at(
            section.at(options::FIELDS),
            message,
            "the others have theirs",
        );
    }
    if log.fields.is_empty() {
        let message = "a row has at least one field".to_owned();
        settings.error_at(section.at(options::FIELDS), message, "write \"all\"");
    }
    if log.max_size < MAX_SIZE_MIN {
        let message = format!("`max_size` in [{}] is too small", section.key);
        settings.error_at(section.at(options::MAX_SIZE), message, "at least 1MB");
    }
    if log.rotation != Rotation::Size && settings.is_set(section.at(options::TRUNCATE_SIZE)) {
        let message = "`truncate_size` is not read".to_owned();
        let label = "write rotation = \"size\"";
        settings.warn_at(section.at(options::TRUNCATE_SIZE), message, label);
    }
    if log.truncate_size == 0 || log.keep.is_some_and(|keep| keep.is_zero()) {
        let message = format!("[{}] would keep nothing", section.key);
        settings.error_in(&section.key, &section.span, message, "");
    }
    let is_folder = !section.name.is_empty() && !section.name.contains(['/', '\0']);
    let is_folder = is_folder && !section.name.starts_with('.');
    if !is_folder && !settings.is_set(section.at(options::DIRECTORY)) {
        let message = format!("the name of [{}] is no name of a folder", section.key);
        settings.error_in(&section.key, &section.span, message, "write `directory`");
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if log.program.is_empty() || !log.program.chars().all(is_name) {
        let message = "`program` must be one word".to_owned();
        settings.error_at(section.at(options::PROGRAM), message, "as \"postfix\"");
    }
}

/// Each has a folder of its own, or one would give up the files of the other.
fn check_home(
    settings: &mut Settings,
    section: &Section,
    directory: &Path,
    homes: &mut BTreeMap<PathBuf, String>,
) {
    if let Some(other) = homes.insert(directory.to_owned(), section.key.clone()) {
        let message = format!("[{}] and [{other}] have the same folder", section.key);
        settings.error_at(
            section.at(options::DIRECTORY),
            message,
            "each has one of its own",
        );
    }
}
