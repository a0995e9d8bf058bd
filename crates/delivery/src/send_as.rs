use std::sync::Arc;

use mail::{Domain, Host, Mailbox, Place, ReversePath};
use relay_policy::{DomainKind, DomainTable};
use spool::Message;

/// Names under which no mail server of the world is found: of this machine, of one network alone
/// (RFC 6761, RFC 6762, RFC 8375, RFC 9476), and those that devices and systems come with.
const INNER_NAMES: [&str; 8] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "lan",
    "intranet",
    "invalid",
];

/// As whom mail goes out, where that is not as its sender.
///
/// Mail of strangers and from the null sender goes as it came: whoever sent it is nobody of ours,
/// and there is nobody whom bounces could reach.
#[derive(Debug, Clone, Default)]
pub struct SendAs {
    /// `outbound.masquerade_domain`, in place of domains that mean nothing to others.
    pub masquerade: Option<(Domain, Place)>,
    /// The names of this relay.
    pub own_names: Vec<Domain>,
    /// Domains of ours.
    pub hosted: Arc<DomainTable>,
}

/// As whom a message goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentAs {
    /// The sender in place of its own.
    pub sender: Mailbox,
    /// The line that says so.
    pub place: Place,
}

impl SendAs {
    /// As whom `message` goes out; `None`: as it came.
    pub fn sent_as(&self, message: &Message) -> Option<SentAs> {
        if message.from_stranger {
            return None;
        }
        let sender = message.reverse_path.mailbox()?;
        self.masqueraded(sender)
    }

    /// Who is to read notices about `message`: its sender, or where no notice would ever reach that
    /// one, as whom it goes out. Nobody for the null sender.
    pub fn reader(&self, message: &Message) -> Option<Mailbox> {
        let ReversePath::Mailbox(sender) = &message.reverse_path else {
            return None;
        };
        let hosted = sender
            .host()
            .domain()
            .and_then(|name| self.hosted.find(name));
        let is_hosted = hosted.is_some_and(|rule| rule.kind != DomainKind::Blocked);
        let sent_as = self
            .sent_as(message)
            .filter(|_| !is_hosted && self.is_inner(sender));
        Some(sent_as.map_or_else(|| sender.clone(), |sent_as| sent_as.sender))
    }

    fn masqueraded(&self, sender: &Mailbox) -> Option<SentAs> {
        let (domain, place) = self.masquerade.as_ref()?;
        if !self.is_inner(sender) || srs::is_rewritten(&sender.unquoted_local()) {
            return None;
        }
        let sender = Mailbox::parse(&format!("{}@{domain}", sender.local())).ok()?;
        Some(SentAs {
            sender,
            place: place.clone(),
        })
    }

    /// Whether its domain means somebody to this machine or network alone.
    fn is_inner(&self, mailbox: &Mailbox) -> bool {
        let Host::Domain(domain) = mailbox.host() else {
            return true;
        };
        let name = domain.as_str();
        let is_below = |inner: &str| {
            let front = name.strip_suffix(inner);
            front.is_some_and(|front| front.is_empty() || front.ends_with('.'))
        };
        self.own_names.contains(domain)
            || !name.contains('.')
            || INNER_NAMES.into_iter().any(is_below)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mail::{MailParameters, QueueId, Timestamp};
    use relay_policy::{DomainRule, NamePattern};

    use super::*;

    fn message(sender: &str) -> Message {
        Message {
            id: QueueId::new(Timestamp::from_millis(1), 1),
            arrived: Timestamp::default(),
            reverse_path: ReversePath::parse(sender).unwrap(),
            parameters: MailParameters::default(),
            client: "192.0.2.9".into(),
            from_stranger: false,
            head: Bytes::new(),
            size: 0,
        }
    }

    fn masquerade() -> SendAs {
        let mut hosted = DomainTable::default();
        let name = NamePattern::parse("corp.local").unwrap();
        hosted.insert(DomainRule::remote(name, Place::Default));
        SendAs {
            masquerade: Some((Domain::parse("contoso.example").unwrap(), Place::Default)),
            own_names: vec![Domain::parse("relay.contoso.test").unwrap()],
            hosted: Arc::new(hosted),
        }
    }

    /// As whom the message goes, and who reads notices about it.
    fn both(send_as: &SendAs, message: &Message) -> (String, String) {
        let sent_as = send_as.sent_as(message);
        let reader = send_as.reader(message);
        (
            sent_as.map_or_else(String::new, |sent_as| sent_as.sender.to_string()),
            reader.map_or_else(String::new, |reader| reader.to_string()),
        )
    }

    #[test]
    fn senders_that_mean_nothing_to_others_get_the_domain_of_the_masquerade() {
        for (sender, expected, reader) in [
            ("root@localhost", "root@contoso.example", ""),
            ("root@web1", "root@contoso.example", ""),
            ("App@Relay.Contoso.Test", "App@contoso.example", ""),
            ("a@x.localdomain", "a@contoso.example", ""),
            ("\"a b\"@[10.0.0.5]", "\"a b\"@contoso.example", ""),
            // Notices find the mailbox of a domain of ours.
            ("ann@corp.local", "ann@contoso.example", "ann@corp.local"),
            ("ann@elsewhere.test", "", "ann@elsewhere.test"),
            ("ann@x.relay.contoso.test", "", "ann@x.relay.contoso.test"),
            ("ann@notlocal.example", "", "ann@notlocal.example"),
            (
                "SRS0=HHHH=TT=a.test=b@relay.contoso.test",
                "",
                "SRS0=HHHH=TT=a.test=b@relay.contoso.test",
            ),
            ("", "", ""),
        ] {
            let reader = if reader.is_empty() { expected } else { reader };
            let found = both(&masquerade(), &message(sender));
            assert_eq!(found, (expected.to_owned(), reader.to_owned()), "{sender}");
        }
    }

    #[test]
    fn strangers_keep_theirs_and_so_does_everybody_without_a_masquerade() {
        let mut message = message("root@localhost");
        let as_it_came = (String::new(), "root@localhost".to_owned());
        assert_eq!(both(&SendAs::default(), &message), as_it_came);
        message.from_stranger = true;
        assert_eq!(both(&masquerade(), &message), as_it_came);
    }
}
