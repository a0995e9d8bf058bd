//! main.cf as `postconf` sees it: later lines win, services override, `$name` stands for a value.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::lines::{logical, unbraced};
use crate::report::Origin;

/// One setting as it is written.
#[derive(Debug, Clone)]
struct Setting {
    value: String,
    origin: Origin,
}

type Asked = Rc<RefCell<BTreeSet<String>>>;

/// The parameters of one service, or of all.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    settings: BTreeMap<String, Setting>,
    hostname: Option<String>,
    /// What was asked for, here or in a service.
    asked: Asked,
    /// What was asked for in this service alone.
    asked_here: Asked,
}

/// What a parameter means.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub value: String,
    pub origin: Origin,
    /// Whether somebody wrote it.
    pub written: bool,
}

/// Values stand for values so deep.
const DEPTH_MAX: usize = 20;
/// So many octets are looked through for one parameter, those of all values put in counted.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// What is so where nothing is written, as far as it matters here.
const DEFAULTS: &[(&str, &str)] = &[
    ("compatibility_level", "0"),
    ("config_directory", "/etc/postfix"),
    ("queue_directory", "/var/spool/postfix"),
    ("myorigin", "$myhostname"),
    (
        "mydestination",
        "$myhostname, localhost.$mydomain, localhost",
    ),
    ("inet_interfaces", "all"),
    ("inet_protocols", "all"),
    (
        "parent_domain_matches_subdomains",
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
    ),
    ("virtual_alias_domains", "$virtual_alias_maps"),
    ("virtual_mailbox_domains", "$virtual_mailbox_maps"),
    ("smtpd_reject_unlisted_recipient", "yes"),
    ("smtpd_relay_before_recipient_restrictions", "yes"),
    ("smtpd_delay_reject", "yes"),
    ("smtpd_null_access_lookup_key", "<>"),
    ("relay_transport", "relay"),
    ("virtual_transport", "virtual"),
    ("local_transport", "local:$myhostname"),
    ("default_transport", "smtp"),
    ("message_size_limit", "10240000"),
    ("smtpd_tls_security_level", ""),
    ("smtp_tls_security_level", ""),
];

impl Parameters {
    /// Reads main.cf; lines that are no settings are given as well.
    pub fn read(file: &str, text: &str, hostname: Option<String>) -> (Self, Vec<Origin>) {
        let mut parameters = Self {
            settings: BTreeMap::new(),
            hostname,
            asked: Rc::default(),
            asked_here: Rc::default(),
        };
        let mut wrong = Vec::new();
        for (number, line) in logical(text) {
            match line.split_once('=') {
                Some((name, value)) if is_name(name.trim()) => {
                    let origin = Origin::new(file, number, name.trim());
                    parameters.insert(name.trim(), value.trim(), origin);
                }
                Some(_) | None => {
                    wrong.push(Origin::new(file, number, "a line that is no setting"))
                }
            }
        }
        (parameters, wrong)
    }

    fn insert(&mut self, name: &str, value: &str, origin: Origin) {
        let value = value.to_owned();
        self.settings
            .insert(name.to_owned(), Setting { value, origin });
    }

    /// With the overrides of a service.
    pub fn with(&self, overrides: &[(String, String)], origin: &Origin) -> Self {
        let mut all = self.clone();
        all.asked_here = Rc::default();
        for (name, value) in overrides {
            let origin = Origin {
                name: format!("-o {name}"),
                ..origin.clone()
            };
            all.insert(name, value, origin);
        }
        all
    }

    /// The names of all that is written, with where it is.
    pub fn written(&self) -> impl Iterator<Item = &Origin> {
        self.settings.values().map(|setting| &setting.origin)
    }

    /// A parameter with all that stands for values put in.
    pub fn get(&self, name: &str) -> Parameter {
        let budget = Cell::new(VALUE_BYTES_MAX);
        let value = self.expand(&self.raw(name), 0, &budget);
        let setting = self.settings.get(name);
        Parameter {
            value: value.trim().to_owned(),
            origin: setting.map_or_else(|| Origin::unwritten(name), |s| s.origin.clone()),
            written: setting.is_some(),
        }
    }

    /// Its value alone.
    pub fn value(&self, name: &str) -> String {
        self.get(name).value
    }

    pub fn is_yes(&self, name: &str) -> bool {
        self.value(name).eq_ignore_ascii_case("yes")
    }

    /// The level of compatibility: its first number.
    fn level(&self) -> (u64, u64) {
        let setting = self.settings.get("compatibility_level");
        let text = setting.map_or("0", |setting| &setting.value);
        let mut numbers = text
            .split('.')
            .map(|number| number.trim().parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// Whether its value has been of use.
    pub fn was_asked(&self, name: &str) -> bool {
        self.asked.borrow().contains(name)
    }

    /// The same in this service alone.
    pub fn was_asked_here(&self, name: &str) -> bool {
        self.asked_here.borrow().contains(name)
    }

    fn raw(&self, name: &str) -> String {
        for asked in [&self.asked, &self.asked_here] {
            asked.borrow_mut().insert(name.to_owned());
        }
        if let Some(setting) = self.settings.get(name) {
            return setting.value.clone();
        }
        let level = self.level();
        let plain = |text: &str| text.to_owned();
        match name {
            "myhostname" => self.hostname.clone().unwrap_or_else(|| plain("localhost")),
            "mydomain" => {
                let host = self.expand(&self.raw("myhostname"), DEPTH_MAX - 2, &Cell::new(1000));
                host.split_once('.')
                    .map_or_else(|| plain("localdomain"), |(_, domain)| plain(domain))
            }
            "mynetworks_style" => plain(if level >= (2, 0) { "host" } else { "subnet" }),
            "relay_domains" if level < (2, 0) => plain("$mydestination"),
            "smtpd_relay_restrictions" if level >= (1, 0) => {
                plain("permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination")
            }
            "smtpd_relay_before_recipient_restrictions" if level < (3, 6) => plain("no"),
            "smtpd_tls_fingerprint_digest" | "smtp_tls_fingerprint_digest" => {
                plain(if level >= (3, 6) { "sha256" } else { "md5" })
            }
            _ => {
                let found = DEFAULTS.iter().find(|(known, _)| *known == name);
                found.map_or_else(String::new, |(_, value)| plain(value))
            }
        }
    }

    fn expand(&self, text: &str, depth: usize, budget: &Cell<usize>) -> String {
        let mut out = String::new();
        let Some(left) = budget
            .get()
            .checked_sub(text.len() + 1)
            .filter(|_| depth < DEPTH_MAX)
        else {
            budget.set(0);
            return out;
        };
        budget.set(left);
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let (reference, after) = reference(rest);
            rest = after;
            out.push_str(&self.meant(reference, depth + 1, budget));
        }
        out.push_str(rest);
        out
    }

    /// What stands for `name`, `name?text`, `name:text` or `{a} == {b} ? {x} : {y}`.
    fn meant(&self, reference: &str, depth: usize, budget: &Cell<usize>) -> String {
        let reference = reference.trim();
        if reference.starts_with('{') {
            return self.compared(reference, depth, budget);
        }
        let end = reference
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(reference.len());
        let (name, operation) = reference.split_at(end);
        let operation = operation.trim_start();
        let value = || self.expand(&self.raw(name), depth, budget);
        let Some(kind) = operation.chars().next() else {
            return value();
        };
        let has_value = !value().is_empty();
        let (yes, no) = alternatives(operation.get(1..).unwrap_or(""));
        let chosen = match (kind, has_value) {
            ('?', true) => yes,
            ('?', false) => no.unwrap_or(""),
            (':', false) => yes,
            (':', true) => return value(),
            _ => "",
        };
        self.expand(chosen, depth, budget)
    }

    fn compared(&self, text: &str, depth: usize, budget: &Cell<usize>) -> String {
        let Some((left, rest)) = braced(text) else {
            return String::new();
        };
        let Some(at) = rest.find('{') else {
            return String::new();
        };
        let (operator, rest) = rest.split_at(at);
        let Some((right, rest)) = braced(rest) else {
            return String::new();
        };
        let left = self.expand(unbraced(left), depth, budget);
        let right = self.expand(unbraced(right), depth, budget);
        let numbers = |text: &str| -> Vec<u64> {
            text.trim()
                .split('.')
                .map(|part| part.parse().unwrap_or(0))
                .collect()
        };
        let order = if operator.contains("level") {
            numbers(&left).cmp(&numbers(&right))
        } else {
            match (left.trim().parse::<i64>(), right.trim().parse::<i64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => left.trim().cmp(right.trim()),
            }
        };
        let holds = match operator.trim().trim_end_matches("level").trim() {
            "==" => order.is_eq(),
            "!=" => order.is_ne(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            _ => false,
        };
        let rest = rest.trim_start().strip_prefix('?').unwrap_or("");
        let (yes, no) = alternatives(rest);
        self.expand(if holds { yes } else { no.unwrap_or("") }, depth, budget)
    }
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.chars().all(plain)
}

/// What follows `$`, and what comes behind it.
fn reference(rest: &str) -> (&str, &str) {
    let close = match rest.chars().next() {
        Some('{') => '}',
        Some('(') => ')',
        _ => {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            return rest.split_at(end.unwrap_or(rest.len()));
        }
    };
    let open = if close == '}' { '{' } else { '(' };
    match enclosed(rest, open, close) {
        Some(end) => (&rest[1..end], &rest[end + 1..]),
        None => (&rest[1..], ""),
    }
}

/// Where the bracket ends that `text` begins with.
fn enclosed(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// `{...}` and what follows.
fn braced(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.starts_with('{').then(|| enclosed(text, '{', '}'))??;
    Some(text.split_at(end + 1))
}

/// `{yes} : {no}`, or plain text for yes alone.
fn alternatives(text: &str) -> (&str, Option<&str>) {
    match braced(text) {
        Some((yes, rest)) => {
            let no = rest.trim_start().strip_prefix(':');
            (unbraced(yes), no.map(unbraced))
        }
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Parameters {
        Parameters::read("main.cf", text, Some("mx.example.com".to_owned())).0
    }

    #[test]
    fn values_are_put_in() {
        let parameters = read(
            "a = 1\nb = $a ${a}x $(a) $$a ${a?yes} ${none?yes}${none:no} ${a:no}\n\
             c = ${none?{yes}:{no}} ${a?{yes}:{no}} ${{$a} == {1} ? {same} : {other}}\n\
             d = ${{$compatibility_level} <level {2} ? {old} : {new}}\ncircle = $circle x\na = 2\n",
        );
        assert_eq!(parameters.value("b"), "2 2x 2 $a yes no 2");
        assert_eq!(parameters.value("c"), "no yes other");
        assert_eq!(parameters.value("d"), "old");
        assert_eq!(
            parameters.value("mydestination"),
            "mx.example.com, localhost.example.com, localhost"
        );
        assert_eq!(parameters.get("a").origin, Origin::new("main.cf", 6, "a"));
        assert!(parameters.value("circle").len() < 1000);
    }

    #[test]
    fn a_service_overrides() {
        let main = read("mynetworks = 10.0.0.0/8\nx = $mynetworks\n");
        let at = Origin::new("master.cf", 3, "smtp");
        let of_service = main.with(&[("mynetworks".into(), "192.0.2.1".into())], &at);
        assert_eq!(of_service.value("x"), "192.0.2.1");
        assert_eq!(
            of_service.get("mynetworks").origin.to_string(),
            "master.cf:3"
        );
        assert_eq!(main.value("x"), "10.0.0.0/8");
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "[a-c$(){}?:=<> \\n]{0,200}") {
            let parameters = read(&text);
            for name in ["a", "b", "c", "aa", "mydomain"] {
                prop_assert!(parameters.value(name).len() <= VALUE_BYTES_MAX);
            }
        }
    }
}
