use std::sync::Arc;

use screening::{Class, Finding, Scan};

/// What policy services said of the recipients of one message, before there was any of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Advised {
    /// Fields that are to stand on top of it, each once.
    pub fields: Vec<scanner::Edit>,
    /// What each service came to, of all recipients.
    pub scans: Vec<Scan>,
}

impl Advised {
    /// Hears of one more recipient. What a service says of it holds for the message, as it does at
    /// Postfix: the service knows no other.
    pub fn hear(&mut self, fields: Vec<scanner::Edit>, findings: Vec<(Arc<str>, Finding)>) {
        for field in fields {
            if self.fields.len() < FIELDS_MAX && !self.fields.contains(&field) {
                self.fields.push(field);
            }
        }
        for (scanner, finding) in findings {
            let known = self.scans.iter_mut().find(|scan| scan.scanner == scanner);
            match known.and_then(|scan| scan.finding.as_mut()) {
                Some(known) => add(known, finding),
                None => self.scans.push(Scan {
                    scanner,
                    finding: Some(finding),
                }),
            }
        }
    }
}

/// Fields that services may add to one message.
const FIELDS_MAX: usize = 50;

fn add(known: &mut Finding, more: Finding) {
    if more.is_clean() {
        return;
    }
    known.classes.retain(|class| *class != Class::Clean);
    for class in more.classes {
        if !known.classes.contains(&class) {
            known.classes.push(class);
        }
    }
    if known.what.is_empty() {
        known.what = more.what;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanner::{Edit, Position};

    #[test]
    fn what_is_said_of_several_recipients_holds_for_the_message() {
        let finding = |class, what: &str| {
            let finding = Finding {
                classes: vec![class],
                what: what.to_owned(),
                ..Finding::default()
            };
            ("spf".into(), finding)
        };
        let field = |value: &str| Edit::Add {
            name: "Received-SPF".to_owned(),
            value: value.to_owned(),
            place: Position::Top(0),
        };
        let mut advised = Advised::default();
        advised.hear(vec![field("Pass")], vec![finding(Class::Clean, "")]);
        advised.hear(vec![field("Pass")], vec![finding(Class::Quarantine, "one")]);
        advised.hear(vec![field("None")], vec![finding(Class::Quarantine, "two")]);
        advised.hear(Vec::new(), vec![finding(Class::Clean, "")]);
        assert_eq!(advised.fields, [field("Pass"), field("None")]);
        let [scan] = &advised.scans[..] else {
            panic!("{advised:?}");
        };
        let told = scan.finding.as_ref().map(ToString::to_string);
        assert_eq!(told.as_deref(), Some("quarantine (one)"));
    }
}
