//! What comes out is read by the reader of configurations, and what it refuses is taken out.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use config::{Diagnostic, Diagnostics, Environment, Files, Loaded, Severity};

use crate::draft::Draft;
use crate::report::{Fate, Report};
use crate::{Imported, Lists, Refused};

/// In each round everything goes that is wrong; what follows from that is found in the next one.
const ROUNDS_MAX: usize = 40;

const NAME: &str = "gatepost.toml";

/// The draft as a configuration that can be used. What cannot is taken out, and the report tells of it.
pub(crate) fn checked(
    mut draft: Draft,
    mut report: Report,
    lists: Lists,
    environment: &Environment,
) -> Result<Imported, Refused> {
    let mut wrong = String::new();
    for _ in 0..ROUNDS_MAX {
        let text = draft.text();
        let diagnostics = match load(&text, &lists, environment) {
            Ok(loaded) => {
                let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
                return Ok(Imported {
                    configuration: text,
                    report,
                    warnings,
                    lists,
                });
            }
            Err(diagnostics) => diagnostics,
        };
        wrong = diagnostics.to_string();
        if !without(&mut draft, &mut report, &diagnostics.0) {
            break;
        }
    }
    Err(Refused(wrong))
}

/// Reads a configuration that has these files beside it, and no others.
pub(crate) fn load(
    text: &str,
    lists: &Lists,
    environment: &Environment,
) -> Result<Loaded, Diagnostics> {
    config::load(Path::new(NAME), &Beside { text, lists }, environment)
}

struct Beside<'a> {
    text: &'a str,
    lists: &'a Lists,
}

impl Files for Beside<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut lists = self.lists.0.iter();
        let text = match lists.find(|(name, _)| path == Path::new(name)) {
            Some((_, text)) => text,
            None if path == Path::new(NAME) => self.text,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(text.as_bytes().to_vec())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Takes out what the errors point at; `false` when they point at nothing.
fn without(draft: &mut Draft, report: &mut Report, errors: &[Diagnostic]) -> bool {
    let errors = errors
        .iter()
        .filter(|error| error.severity == Severity::Error);
    let placed: BTreeMap<usize, &Diagnostic> = errors
        .filter_map(|error| Some((error.location.as_ref()?.line as usize, error)))
        .collect();
    let taken = draft.without(&placed.keys().copied().collect());
    for (line, origin, what) in &taken {
        let Some(error) = placed.get(line) else {
            continue;
        };
        let (fate, why) = if error.message == OPEN {
            let proof = error.notes.iter().find(|note| note.kind == "proof");
            let proof = proof.map_or("", |note| &note.text);
            (
                Fate::LeftOut,
                format!("{what} would be an open relay: {proof}"),
            )
        } else {
            let why = format!("{what} cannot be used: {}; {}", error.message, error.label);
            (Fate::NotTranslated, why)
        };
        report.add(fate, origin, "", why);
    }
    !taken.is_empty()
}

/// How the reader of configurations says it.
const OPEN: &str = "this configuration is an open relay";
