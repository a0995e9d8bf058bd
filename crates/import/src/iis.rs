//! IIS: MetaBase.xml, as IIS 6 keeps it and Windows Server up to 2022 for the SMTP service.
//!
//! Each virtual server becomes a listener. What IIS says for each of them and we say once is taken from the
//! first.

mod domains;
pub(crate) mod metabase;
mod server;

use config::Environment;

use crate::checked::checked;
use crate::draft::{Draft, quoted};
use crate::report::{Fate, Origin, Report};
use crate::{FILE_BYTES_MAX, Imported, Refused};
use metabase::{Key, Property};

/// What a translation writes.
pub(crate) struct Work {
    pub draft: Draft,
    pub report: Report,
}

/// So many virtual servers are read.
const SERVERS_MAX: usize = 100;

/// Makes a configuration of MetaBase.xml. `file` is its name for the table, `environment` the machine that will
/// run what comes out.
///
/// # Errors
/// It is no such file, has no virtual server of SMTP, or what came of it cannot be mended to a configuration.
pub fn iis(file: &str, octets: &[u8], environment: &Environment) -> Result<Imported, Refused> {
    if octets.len() > FILE_BYTES_MAX {
        return Err(Refused(format!("{file} is too large")));
    }
    let text = crate::octets::text(octets);
    let keys = metabase::keys(file, &text).map_err(Refused)?;
    let servers: Vec<&Key> = keys
        .iter()
        .filter(|key| key.is_server())
        .take(SERVERS_MAX)
        .collect();
    if servers.is_empty() {
        return Err(Refused(format!("{file} has no virtual server of SMTP")));
    }
    let service = keys
        .iter()
        .find(|key| key.kind == "iissmtpservice" && key.path.is_empty());
    let title = [
        "Made from a metabase of IIS by `gatepost import iis`.",
        "Behind each line stands the property that it comes from.",
    ];
    let mut work = Work {
        draft: Draft::new(&title),
        report: Report::default(),
    };
    virtual_servers(&mut work, &servers, service);
    domains::write(&mut work, &keys);
    for key in servers {
        rest(&mut work, key);
    }
    let Work { draft, mut report } = work;
    report.in_order(&[file]);
    checked(draft, report, crate::Lists::default(), environment)
}

/// Each becomes a listener.
pub(crate) fn virtual_servers(work: &mut Work, servers: &[&Key], service: Option<&Key>) {
    for (number, key) in servers.iter().enumerate() {
        let server = Server {
            key,
            service,
            number,
        };
        server::write(work, &server);
    }
}

/// A virtual server, with the service from which it inherits.
struct Server<'a> {
    key: &'a Key,
    service: Option<&'a Key>,
    number: usize,
}

impl Server<'_> {
    fn get(&self, name: &str) -> Option<&Property> {
        self.key
            .get(name)
            .or_else(|| self.service.and_then(|service| service.get(name)))
    }

    fn number(&self, name: &str) -> Option<(i64, &Origin)> {
        let property = self.get(name)?;
        Some((property.number()?, &property.origin))
    }

    /// A text that is not empty.
    fn text(&self, name: &str) -> Option<(&str, &Origin)> {
        let property = self.get(name)?;
        let text = property.value.trim();
        (!text.is_empty()).then_some((text, &property.origin))
    }
}

impl Work {
    pub fn tell(&mut self, fate: Fate, origin: &Origin, option: &str, why: &str) {
        self.report.add(fate, origin, option, why);
    }

    /// Sets what holds for all listeners; the first one that says it counts.
    pub fn once(&mut self, head: &str, key: &str, value: String, origin: &Origin) {
        let section = head.trim_matches(['[', ']']);
        let option = if section.is_empty() {
            key.to_owned()
        } else {
            format!("{section}.{key}")
        };
        if self.draft.has_key(head, key) {
            let why = "what the first one says holds for all";
            return self.tell(Fate::Changed, origin, &option, why);
        }
        self.draft.set(head, key, value, origin);
        self.tell(Fate::Translated, origin, &option, "");
    }

    pub fn once_text(&mut self, head: &str, key: &str, text: &str, origin: &Origin) {
        self.once(head, key, quoted(text), origin);
    }
}

/// Why properties have no counterpart, by how they begin.
const WHY: &[(&str, &str)] = &[
    (
        "AdminACL",
        "who may change things: console_role in the users file; and it is encrypted",
    ),
    (
        "RoutePassword",
        "encrypted by the machine, never copied: write it into a file",
    ),
    (
        "BadMailDirectory",
        "what can be neither delivered nor returned is held in the queue: queue.badmail",
    ),
    (
        "PickupDirectory",
        "write pickup.directory, and relay.pickup for mail to other domains",
    ),
    (
        "DropDirectory",
        "drop_directory of a [domain.NAME] with type = \"local\"",
    ),
    ("QueueDirectory", "the queue is in data_dir"),
    ("SecureBindings", "a listener with tls = \"implicit\""),
    (
        "SSLCert",
        "certificates lie in Windows: export one with its key as PEM, and write [tls]",
    ),
    (
        "SSLStore",
        "certificates lie in Windows: export one with its key as PEM, and write [tls]",
    ),
    ("AccessSSL", "listener.NAME.tls"),
    (
        "SmtpLocal",
        "queue.delay_notice and queue.expire are for all mail",
    ),
    (
        "EnableReverseDnsLookup",
        "clients are not judged by their names in DNS",
    ),
    ("SmtpRoutingTable", "[ldap.NAME] knows recipients and users"),
    ("RoutingDll", "[ldap.NAME] knows recipients and users"),
    ("RoutingSources", "[ldap.NAME] knows recipients and users"),
    ("LogOdbc", "no log goes into a database"),
    ("SmtpInbound", "extensions are not turned off one by one"),
    ("SmtpOutbound", "extensions are not turned off one by one"),
    ("Etrn", "domain.NAME.on_demand"),
    ("ServerAutoStart", "systemctl enable gatepost"),
    ("ServerComment", "the name of the listener"),
    ("Win32Error", "a state of IIS, no setting"),
    ("ServerState", "a state of IIS, no setting"),
];

/// Properties without a row get one.
fn rest(work: &mut Work, key: &Key) {
    let told: std::collections::BTreeSet<(usize, String)> = work
        .report
        .rows()
        .iter()
        .map(|row| (row.origin.line, row.origin.name.clone()))
        .collect();
    for property in key.properties.values() {
        let origin = &property.origin;
        if told.contains(&(origin.line, origin.name.clone())) {
            continue;
        }
        let why = WHY
            .iter()
            .find(|(beginning, _)| origin.name.starts_with(beginning));
        let why = why.map_or("has no counterpart", |(_, why)| why);
        work.tell(Fate::NotTranslated, origin, "", why);
    }
}

#[cfg(test)]
mod tests;
