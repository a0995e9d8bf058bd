//! From a path to a configuration: files, includes, all problems in the order of the text.

use std::io;
use std::path::{Path, PathBuf};

use mail::{Domain, ReversePath};
use relay_policy::SenderPattern;

use crate::assemble::{self, assemble};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::environment::Environment;
use crate::files::Noted;
use crate::form::Item;
use crate::options::{limits, pickup, relay, submit, top};
use crate::settings::Settings;
use crate::shown::Written;
use crate::source::Span;
use crate::table::rows;
use crate::text::text_of;
use crate::{Config, Files, document, relay_tests};

/// A configuration that may be used.
#[derive(Debug)]
pub struct Loaded {
    /// All settings, checked and typed.
    pub config: Config,
    /// What somebody should look at all the same.
    pub warnings: Vec<Diagnostic>,
}

/// So many files may be included.
const FILES_MAX: usize = 1000;
/// So many problems are shown; after that another one helps nobody.
const PROBLEMS_MAX: usize = 100;

/// Reads the file at `path` and what it includes. All errors at once.
pub fn load(
    path: &Path,
    files: &dyn Files,
    environment: &Environment,
) -> Result<Loaded, Diagnostics> {
    let name = path.display().to_string();
    let mut settings = Settings {
        base: path.parent().map(Path::to_path_buf).unwrap_or_default(),
        ..Settings::default()
    };
    let octets = files.read(path).map_err(|why| {
        Diagnostics(vec![Diagnostic::new(
            Severity::Error,
            format!("cannot read {name}: {why}"),
        )])
    })?;
    let text = std::str::from_utf8(&octets).unwrap_or_default().into();
    let files = Noted::new(files);
    read_octets(&mut settings, &name, octets);
    include(&mut settings, path, &files);
    let mut loaded = finish(settings, &files, environment)?;
    loaded.config.text = text;
    loaded.config.named_files = files.digests();
    Ok(loaded)
}

/// Where the relay of the configuration at `path` has its control socket, by whatever can be read
/// of it: a file with a mistake must not keep an operator from the relay that still runs with the
/// one before.
pub fn control_socket(path: &Path, files: &dyn Files) -> PathBuf {
    let mut settings = Settings::default();
    if let Ok(octets) = files.read(path) {
        read_octets(&mut settings, &path.display().to_string(), octets);
        include(&mut settings, path, files);
    }
    assemble::control(&settings, &assemble::data_dir(&settings)).socket
}

/// Where a program of this machine hands in a message, by the configuration at `path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSubmission {
    /// The name of the relay, which completes an address without a domain.
    pub hostname: Option<Domain>,
    /// `submit.socket`
    pub socket: Option<PathBuf>,
    /// `pickup.directory`
    pub pickup: Option<PathBuf>,
    /// `relay.pickup`
    pub pickup_relays: bool,
    /// `relay.submit`
    pub submit_relays: bool,
    /// `pickup.senders`
    pub pickup_senders: Vec<SenderPattern>,
    /// `group`
    pub group: String,
    /// `limits.message_size`
    pub message_size: u64,
}

impl LocalSubmission {
    /// Whether a message from this sender may go as far by the pickup directory as by the socket. Else
    /// a file would be refused when nobody is there any more to be told.
    pub fn pickup_serves(&self, sender: &ReversePath) -> bool {
        let senders = &self.pickup_senders;
        let is_named = || senders.iter().any(|one| one.matches(sender));
        (self.pickup_relays || !self.submit_relays)
            && (senders.is_empty() || *sender == ReversePath::Null || is_named())
    }
}

/// By whatever can be read of the configuration: who sends a message is not to suffer by a mistake
/// elsewhere in it, and is shown nothing of it.
///
/// # Errors
/// The file cannot be read.
pub fn local_submission(path: &Path, files: &dyn Files) -> io::Result<LocalSubmission> {
    let mut settings = Settings {
        base: path.parent().map(Path::to_path_buf).unwrap_or_default(),
        ..Settings::default()
    };
    let octets = files.read(path)?;
    read_octets(&mut settings, &path.display().to_string(), octets);
    include(&mut settings, path, files);
    Ok(LocalSubmission {
        hostname: settings.get(top::HOSTNAME),
        socket: settings.path(submit::SOCKET),
        pickup: settings.path(pickup::DIRECTORY),
        pickup_relays: settings.get(relay::PICKUP),
        submit_relays: settings.get(relay::SUBMIT),
        pickup_senders: settings.values(pickup::SENDERS),
        group: settings.get(top::GROUP),
        message_size: settings.get(limits::MESSAGE_SIZE),
    })
}

/// Reads a configuration from memory; `name` stands in its diagnostics. It includes nothing, and
/// other files that it names are missing.
pub fn parse(name: &str, text: &str, environment: &Environment) -> Result<Loaded, Diagnostics> {
    let mut settings = Settings::default();
    read_octets(&mut settings, name, text.as_bytes().to_vec());
    let mut loaded = finish(settings, &NoFiles, environment)?;
    loaded.config.text = text.into();
    Ok(loaded)
}

/// Of a configuration that stands for itself.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

fn finish(
    mut settings: Settings,
    files: &dyn Files,
    environment: &Environment,
) -> Result<Loaded, Diagnostics> {
    let mut config = assemble(&mut settings, files, environment);
    if let Some(config) = &mut config {
        config.relay_tests = relay_tests::hold(&mut settings, files, config);
    }
    let mut found = std::mem::take(&mut settings.found);
    found.sort_by_key(|found| found.span.as_ref().map(|s| (s.file, s.range.start)));
    let found = found.into_iter().map(|found| found.diagnostic);
    let (errors, warnings): (Vec<_>, Vec<_>) = found.partition(|d| d.severity == Severity::Error);
    match config {
        Some(mut config) if errors.is_empty() => {
            config.written = Written::of(&settings);
            config.fixed = fixed(&config);
            Ok(Loaded { config, warnings })
        }
        Some(_) | None => Err(cut(errors)),
    }
}

/// What the options mean that cannot change while the relay runs.
fn fixed(config: &Config) -> Vec<(String, String)> {
    let rows = rows().iter();
    let fixed = rows.filter(|row| !row.definition.facts().reloads);
    let meant = fixed.filter_map(|row| {
        let shown = config.option(&row.key)?;
        Some((shown.key, row.definition.meant_by(&shown.value)?))
    });
    meant.collect()
}

/// Warnings are left out beside errors: they would only hide them, and may follow from them.
fn cut(mut errors: Vec<Diagnostic>) -> Diagnostics {
    let more = errors.len().saturating_sub(PROBLEMS_MAX);
    errors.truncate(PROBLEMS_MAX);
    if more > 0 {
        errors.push(Diagnostic::new(Severity::Error, format!("and {more} more")));
    }
    Diagnostics(errors)
}

fn read_octets(settings: &mut Settings, name: &str, octets: Vec<u8>) {
    if let Some(text) = text_of(settings, name, octets) {
        document::read(settings, name, text);
    }
}

fn include(settings: &mut Settings, main: &Path, files: &dyn Files) {
    let base = main.parent().unwrap_or(Path::new(""));
    for Item { value, span } in settings.get(top::INCLUDE) {
        include_pattern(settings, &base.join(&value), &span, files);
    }
}

fn include_pattern(settings: &mut Settings, pattern: &Path, span: &Span, files: &dyn Files) {
    let directory = pattern.parent().unwrap_or(Path::new(""));
    let name = pattern
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if name.is_empty() || directory.to_string_lossy().contains('*') {
        return settings.error(
            span,
            "`include` names files in one directory".into(),
            "`*` goes into the file name alone",
        );
    }
    if !name.contains('*') {
        return include_file(settings, pattern, span, files);
    }
    // A directory that does not exist holds no files: the usual state before the first one is put
    // there.
    let mut names = files.list(directory).unwrap_or_default();
    names.retain(|candidate| !candidate.starts_with('.') && matches_star(name, candidate));
    names.sort_unstable();
    for name in names {
        include_file(settings, &directory.join(name), span, files);
    }
}

fn include_file(settings: &mut Settings, path: &Path, span: &Span, files: &dyn Files) {
    if settings.sources.len() > FILES_MAX {
        return settings.error(
            span,
            format!("more than {FILES_MAX} files are included"),
            "",
        );
    }
    let name = path.display().to_string();
    match files.read_named(path) {
        Ok(octets) => read_octets(settings, &name, octets),
        Err(why) => settings.error(span, format!("cannot read {name}: {why}"), ""),
    }
}

/// `*` stands for any part of a name. Tries each star once from left to right, so the work is
/// bounded by the two lengths.
fn matches_star(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((last, inner)) = parts.split_last() else {
        return false;
    };
    for part in inner {
        let Some(at) = name.find(part) else {
            return false;
        };
        name = &name[at + part.len()..];
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches_star;

    #[test]
    fn stars_stand_for_any_part() {
        let cases = [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", true),
            ("*.toml", "a.tom", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("plain", "plain", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches_star(pattern, name), expected, "{pattern} {name}");
        }
    }
}
