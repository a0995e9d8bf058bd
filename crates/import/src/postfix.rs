//! Postfix: main.cf, master.cf and the tables that they name.
//!
//! Parameters are read as `postconf -n` and the services of master.cf see them. Lists of restrictions are
//! evaluated for every client address at once, so that their order becomes lists without order; see
//! `restrictions.rs`.

mod actions;
mod aliases;
mod delivery;
mod domains;
mod limits;
mod lines;
mod listeners;
mod master;
mod networks;
mod openings;
mod parameters;
mod rest;
mod restrictions;
mod tables;
mod transports;

use config::Environment;

use crate::checked::checked;
use crate::draft::Draft;
use crate::report::{Fate, Report};
use crate::{Imported, Refused, Sources};
use delivery::Routes;
use domains::Domains;
use parameters::Parameters;
use tables::Files;
use transports::Transports;

const MAIN: &str = "main.cf";
const MASTER: &str = "master.cf";

/// What a translation reads and writes.
struct Work<'a> {
    parameters: Parameters,
    files: Files<'a>,
    draft: Draft,
    report: Report,
    transports: Transports,
}

/// Makes a configuration of the files in Postfix's folder. `environment` is the machine that will run it.
///
/// # Errors
/// There is no main.cf, or what came of it cannot be mended to a configuration.
pub fn postfix(sources: &dyn Sources, environment: &Environment) -> Result<Imported, Refused> {
    let files = Files::new(sources);
    let main = files.text(MAIN).map_err(Refused)?;
    let hostname = environment.hostname.as_ref().map(ToString::to_string);
    let (parameters, wrong) = Parameters::read(MAIN, &main, hostname);
    let mut report = Report::default();
    for origin in wrong {
        report.add(Fate::NotTranslated, &origin, "", "cannot be read");
    }
    let title = [
        "Made from a configuration of Postfix by `gatepost import postfix`.",
        "Behind each line stands the setting that it comes from.",
    ];
    let services = match files.text(MASTER) {
        Ok(text) => master::services(MASTER, &text),
        Err(_) => Vec::new(),
    };
    let queue_directory = parameters.value("queue_directory");
    let mut work = Work {
        parameters,
        files,
        draft: Draft::new(&title),
        report,
        transports: Transports::of(&services, queue_directory),
    };
    name(&mut work);
    let listeners = listeners::read(&mut work, &services);
    let mut routes = Routes::read(&mut work);
    let mut domains = Domains::read(&mut work, &listeners);
    aliases::read(&mut work, &mut domains);
    transports::read(&mut work, &mut domains, &mut routes);
    listeners::write(&mut work, &listeners);
    domains.write(&mut work, &mut routes);
    routes.write(&mut work);
    limits::write(&mut work);
    rest::tell(&mut work, &listeners);
    let Work {
        draft, mut report, ..
    } = work;
    report.in_order(&[MAIN, MASTER]);
    checked(draft, report, crate::Lists::default(), environment)
}

impl Work<'_> {
    /// What is put behind a name without a domain: `myorigin`, which may be a file with it.
    fn origin(&self) -> String {
        let origin = self.parameters.value("myorigin");
        if !origin.starts_with('/') {
            return origin.to_ascii_lowercase();
        }
        let text = self.files.text(&origin).unwrap_or_default();
        let name = text.split_whitespace().next();
        let name = name.map_or_else(|| self.parameters.value("myhostname"), str::to_owned);
        name.to_ascii_lowercase()
    }
}

fn name(work: &mut Work<'_>) {
    let name = work.parameters.get("myhostname");
    if name.written {
        let value = crate::draft::quoted(&name.value.to_ascii_lowercase());
        work.draft.set("", "hostname", value, &name.origin);
        work.report
            .add(Fate::Translated, &name.origin, "hostname", "");
    }
}

#[cfg(test)]
mod tests;
