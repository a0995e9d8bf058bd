//! master.cf: which services take mail, and with which overrides.

use super::lines::{by_blanks, logical, unbraced};
use crate::report::Origin;

/// A service of master.cf.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub name: String,
    /// `inet`, `unix`, `pass` ...
    pub kind: String,
    pub command: String,
    pub overrides: Vec<(String, String)>,
    pub origin: Origin,
}

/// So many services are read.
const SERVICES_MAX: usize = 1000;

pub(super) fn services(file: &str, text: &str) -> Vec<Service> {
    let lines = logical(text).into_iter().take(SERVICES_MAX);
    lines
        .filter_map(|(number, line)| service(file, number, &line))
        .collect()
}

fn service(file: &str, number: usize, line: &str) -> Option<Service> {
    // service type private unpriv chroot wakeup maxproc command arguments
    let words = by_blanks(line);
    let [name, kind, _, _, _, _, _, command, arguments @ ..] = &words[..] else {
        return None;
    };
    Some(Service {
        name: name.clone(),
        kind: kind.clone(),
        command: command.rsplit('/').next().unwrap_or(command).to_owned(),
        overrides: overrides(arguments),
        origin: Origin::new(file, number, &format!("{name} {kind} {command}")),
    })
}

fn overrides(arguments: &[String]) -> Vec<(String, String)> {
    let mut overrides = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let setting = match argument.strip_prefix("-o") {
            Some("") => arguments.next().map_or("", String::as_str),
            Some(rest) => rest,
            None => continue,
        };
        if let Some((name, value)) = unbraced(setting).split_once('=') {
            overrides.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    overrides
}

impl Service {
    /// Host and port, for a service at an address; `None` for a port that has no number here.
    pub fn endpoint(&self) -> Option<(Option<String>, u16)> {
        let (host, port) = match self.name.rsplit_once(':') {
            Some((host, port)) => (Some(host), port),
            None => (None, &*self.name),
        };
        let port = match port {
            "smtp" => 25,
            "submission" => 587,
            "smtps" | "submissions" | "urd" => 465,
            number => number.parse().ok()?,
        };
        let bare = |host: &str| {
            let inner = host
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            inner.unwrap_or(host).to_owned()
        };
        Some((host.map(bare).filter(|host| !host.is_empty()), port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_their_overrides() {
        let text = "smtp inet n - y - - smtpd\n\
            submission inet n - y - - smtpd\n  -o smtpd_tls_security_level=encrypt\n  -o { x = a b }\n\
            [::1]:2525 inet n - n - - /usr/lib/postfix/smtpd -v -ofoo=bar\nshort line\n";
        let found = services("master.cf", text);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].endpoint(), Some((None, 25)));
        let expected = [("smtpd_tls_security_level", "encrypt"), ("x", "a b")];
        assert_eq!(
            found[1].overrides,
            expected.map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        assert_eq!(found[1].origin.line, 2);
        assert_eq!(found[2].endpoint(), Some((Some("::1".to_owned()), 2525)));
        assert_eq!((&*found[2].command, found[2].overrides.len()), ("smtpd", 1));
    }
}
