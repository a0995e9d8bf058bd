//! What a file of an export holds: objects with properties, each with the line on which it stands.

use std::collections::BTreeMap;

use super::{clixml, csv, format_list, json, ldif};
use crate::report::Origin;

/// So many objects are read of one file.
pub(super) const OBJECTS_MAX: usize = 500_000;
/// So many values one property has.
pub(super) const VALUES_MAX: usize = 20_000;
/// Of a property no more octets are read.
pub(super) const VALUE_BYTES_MAX: usize = 1 << 20;

/// One value, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub text: String,
    pub line: usize,
}

/// A property: nothing, one value, or a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Property {
    pub name: String,
    pub line: usize,
    pub values: Vec<Value>,
    /// Whether more values stood there than were written down, or could be read.
    pub cut: bool,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ReceiveConnector,
    SendConnector,
    AcceptedDomain,
    RemoteDomain,
    TransportConfig,
    TransportService,
    Permission,
    Recipient,
    /// Of Exchange 2000 and 2003, in the directory.
    VirtualServer,
    SmtpConnector,
    RecipientPolicy,
}

/// One object of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Object {
    pub file: String,
    pub line: usize,
    /// By their names in lower case.
    pub properties: BTreeMap<String, Property>,
}

impl Object {
    pub fn new(file: &str, line: usize) -> Self {
        Self {
            file: file.to_owned(),
            line,
            properties: BTreeMap::new(),
        }
    }

    /// Adds a value to a property, which is there then even without one.
    pub fn add(&mut self, name: &str, line: usize, value: Option<String>) {
        let property = self.property(name, line);
        let Some(text) = value else { return };
        if property.values.len() < VALUES_MAX && text.len() <= VALUE_BYTES_MAX {
            property.values.push(Value { text, line });
        } else {
            property.cut = true;
        }
    }

    pub fn property(&mut self, name: &str, line: usize) -> &mut Property {
        let property = self.properties.entry(name.to_ascii_lowercase());
        property.or_insert_with(|| Property {
            name: name.to_owned(),
            line,
            ..Property::default()
        })
    }

    pub fn get(&self, name: &str) -> Option<&Property> {
        self.properties.get(&name.to_ascii_lowercase())
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The text of a property, but for an empty one.
    pub fn text(&self, name: &str) -> Option<&str> {
        let text = self.get(name)?.values.first()?.text.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The items of a list, without blanks in them, each with its line.
    pub fn items(&self, name: &str) -> Vec<(String, usize)> {
        let values = self.get(name).map(|property| &property.values[..]);
        let items = values.unwrap_or_default().iter().flat_map(|value| {
            let parts = value.text.split(',');
            parts.map(|part| (without_blanks(part), value.line))
        });
        items.filter(|(text, _)| !text.is_empty()).collect()
    }

    /// Whether a list names a word, in any case.
    pub fn names(&self, name: &str, word: &str) -> bool {
        let items = self.items(name);
        items
            .iter()
            .any(|(item, _)| item.eq_ignore_ascii_case(word))
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.text(name)?.trim_start_matches('$') {
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// Where a property stands; for one that is not there, the object.
    pub fn origin(&self, name: &str) -> Origin {
        match self.get(name) {
            Some(property) => Origin::new(&self.file, property.line, &property.name),
            None => Origin::new(&self.file, self.line, name),
        }
    }

    pub fn kind(&self) -> Option<Kind> {
        let classes = self.get("objectClass").map(|classes| &classes.values[..]);
        let is = |class: &str| {
            let mut classes = classes.unwrap_or_default().iter();
            classes.any(|value| value.text.trim().eq_ignore_ascii_case(class))
        };
        let has = |names: &[&str]| names.iter().all(|name| self.has(name));
        if is("protocolCfgSMTPServer") || has(&["msExchServerBindings"]) {
            return Some(Kind::VirtualServer);
        }
        if is("msExchRoutingSMTPConnector") || has(&["routingList"]) {
            return Some(Kind::SmtpConnector);
        }
        if is("msExchRecipientPolicy") || has(&["gatewayProxy"]) {
            return Some(Kind::RecipientPolicy);
        }
        let kinds: [(&[&str], Kind); 10] = [
            // A part of one must not get lost: it may keep clients from another one.
            (&["RemoteIPRanges"], Kind::ReceiveConnector),
            (&["Bindings"], Kind::ReceiveConnector),
            (&["AddressSpaces"], Kind::SendConnector),
            (&["DomainName", "DomainType"], Kind::AcceptedDomain),
            (&["DomainName", "TNEFEnabled"], Kind::RemoteDomain),
            (&["DomainName", "AutoReplyEnabled"], Kind::RemoteDomain),
            (&["MaxRecipientEnvelopeLimit"], Kind::TransportConfig),
            (&["MessageExpirationTimeout"], Kind::TransportService),
            (&["User", "ExtendedRights"], Kind::Permission),
            (&["proxyAddresses"], Kind::Recipient),
        ];
        let found = kinds.iter().find(|(names, _)| has(names));
        let recipient =
            || has(&["EmailAddresses"]) || has(&["PrimarySmtpAddress"]) || has(&["mail"]);
        let kind = found.map(|(_, kind)| *kind);
        kind.or_else(|| recipient().then_some(Kind::Recipient))
    }

    /// What an administrator calls it.
    pub fn name(&self) -> String {
        let named = ["Name", "cn", "Identity", "DomainName", "dn"];
        let name = named.iter().find_map(|name| self.text(name));
        name.unwrap_or("without a name").to_owned()
    }
}

pub(super) fn without_blanks(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// The objects of a file, whatever form it has.
pub(super) fn objects(file: &str, text: &str) -> Result<Vec<Object>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let begin = text.trim_start();
    if begin.starts_with('<') {
        return clixml::objects(file, text);
    }
    if json::is_json(begin) {
        return json::objects(file, text);
    }
    if ldif::is_ldif(text) {
        return Ok(ldif::objects(file, text));
    }
    if let Some(separator) = csv::separator(text) {
        return Ok(csv::objects(file, text, separator));
    }
    Ok(format_list::objects(file, text))
}
