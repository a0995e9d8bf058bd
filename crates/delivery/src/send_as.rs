use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use mail::{Domain, Host, Mailbox, Place, ReversePath};
use relay_policy::{AddressRange, DomainKind, DomainTable, SenderPattern};
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
    /// `[[send_as]]`: the first that is about a message counts.
    pub rules: Vec<SendAsRule>,
    /// `route.NAME.send_as`, by the names of sites: for what no rule is about.
    pub routes: BTreeMap<Arc<str>, SentAs>,
    /// `outbound.masquerade_domain`, in place of domains that mean nothing to others.
    pub masquerade: Option<(Domain, Place)>,
    /// The names of this relay.
    pub own_names: Vec<Domain>,
    /// Domains of ours.
    pub hosted: Arc<DomainTable>,
}

/// Whose mail goes out as somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendAsRule {
    /// Senders as the messages came with them; empty: all.
    pub senders: Vec<SenderPattern>,
    /// Clients that handed them in; empty: all.
    pub clients: Vec<AddressRange>,
    /// Who had signed in; empty: all, and nobody.
    pub users: Vec<Box<str>>,
    /// As whom.
    pub sent_as: SentAs,
}

impl SendAsRule {
    fn is_about(&self, message: &Submitted<'_>) -> bool {
        let by = |client: IpAddr| self.clients.iter().any(|range| range.contains(client));
        let is = |user: &str| {
            self.users
                .iter()
                .any(|name| name.eq_ignore_ascii_case(user))
        };
        let is_from = |pattern: &SenderPattern| pattern.matches(message.sender);
        (self.senders.is_empty() || self.senders.iter().any(is_from))
            && (self.clients.is_empty() || message.client.parse().is_ok_and(by))
            && (self.users.is_empty() || message.user.is_some_and(is))
    }
}

/// What counts of a message.
#[derive(Debug, Clone, Copy)]
pub struct Submitted<'a> {
    /// The reverse path as it came.
    pub sender: &'a ReversePath,
    /// The client's address as text.
    pub client: &'a str,
    /// Who had signed in.
    pub user: Option<&'a str>,
    /// The client was not known to be one that may relay.
    pub from_stranger: bool,
}

impl<'a> Submitted<'a> {
    /// Of a message in the spool.
    pub fn of(message: &'a Message) -> Self {
        Self {
            sender: &message.reverse_path,
            client: &message.client,
            user: message.user.as_deref(),
            from_stranger: message.from_stranger,
        }
    }
}

/// As whom a message goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentAs {
    /// The sender in place of its own; within ASCII.
    pub sender: Mailbox,
    /// It is the author in the header, too.
    pub author: bool,
    /// The line that says so.
    pub place: Place,
}

impl SendAs {
    /// As whom `message` goes out to this site; `None`: as it came.
    pub fn sent_as(&self, message: &Submitted<'_>, site: &str) -> Option<SentAs> {
        if message.from_stranger {
            return None;
        }
        let sender = message.sender.mailbox()?;
        let mut rules = self.rules.iter();
        let rule = rules.find(|rule| rule.is_about(message));
        let sent_as = rule
            .map(|rule| &rule.sent_as)
            .or_else(|| self.routes.get(site));
        sent_as.cloned().or_else(|| self.masqueraded(sender))
    }

    /// Who is to read notices about `message`, which was to go to `sites`: its sender, or where no
    /// notice would ever reach that one, as whom it goes out. Nobody for the null sender.
    pub fn reader<'a>(
        &self,
        message: &Message,
        mut sites: impl Iterator<Item = &'a str>,
    ) -> Option<Mailbox> {
        let sender = message.reverse_path.mailbox()?;
        if self.reaches(sender) {
            return Some(sender.clone());
        }
        let sent_as = sites.find_map(|site| self.sent_as(&Submitted::of(message), site));
        Some(sent_as.map_or_else(|| sender.clone(), |sent_as| sent_as.sender))
    }

    /// Whether mail may find this mailbox: it is not at a name that means something to this machine
    /// or network alone, unless that is a domain of ours.
    pub fn reaches(&self, mailbox: &Mailbox) -> bool {
        let hosted = mailbox.host().domain();
        let hosted = hosted.and_then(|name| self.hosted.find(name));
        !self.is_inner(mailbox) || hosted.is_some_and(|rule| rule.kind != DomainKind::Blocked)
    }

    fn masqueraded(&self, sender: &Mailbox) -> Option<SentAs> {
        let (domain, place) = self.masquerade.as_ref()?;
        if !self.is_inner(sender) || srs::is_rewritten(&sender.unquoted_local()) {
            return None;
        }
        let sender = Mailbox::parse(&format!("{}@{domain}", sender.local())).ok()?;
        Some(SentAs {
            sender,
            author: false,
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
            user: None,
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
            ..SendAs::default()
        }
    }

    /// As whom the message goes, and who reads notices about it.
    fn both(send_as: &SendAs, message: &Message) -> (String, String) {
        let sent_as = send_as.sent_as(&Submitted::of(message), "mx:x");
        let reader = send_as.reader(message, ["mx:x"].into_iter());
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

    #[test]
    fn the_first_rule_counts_and_then_the_route() {
        let sent_as = |address: &str| SentAs {
            sender: Mailbox::parse(address).unwrap(),
            author: true,
            place: Place::Default,
        };
        let rule = |senders: &[&str], users: &[&str], address| SendAsRule {
            senders: senders
                .iter()
                .map(|text| SenderPattern::parse(text).unwrap())
                .collect(),
            clients: vec![AddressRange::single([192, 0, 2, 9].into())],
            users: users.iter().map(|name| (*name).into()).collect(),
            sent_as: sent_as(address),
        };
        let send_as = SendAs {
            rules: vec![
                rule(&["localhost"], &["Scan"], "a@c.test"),
                rule(&["*.lan", "root@web1"], &[], "b@c.test"),
            ],
            routes: BTreeMap::from([("route:m365".into(), sent_as("r@c.test"))]),
            ..masquerade()
        };
        let sent = |message: &Message, site| {
            let sent_as = send_as.sent_as(&Submitted::of(message), site);
            sent_as.map_or_else(String::new, |sent_as| sent_as.sender.to_string())
        };
        let mut scan = message("p@localhost");
        assert_eq!(sent(&scan, "mx:x"), "p@contoso.example");
        scan.user = Some("scan".into());
        assert_eq!(sent(&scan, "mx:x"), "a@c.test");
        assert_eq!(sent(&message("x@h.lan"), "route:m365"), "b@c.test");
        assert_eq!(sent(&message("root@web1"), "mx:x"), "b@c.test");
        assert_eq!(sent(&message("ann@a.test"), "route:m365"), "r@c.test");
        scan.client = "192.0.2.10".into();
        assert_eq!(sent(&scan, "route:m365"), "r@c.test");
        for (sender, from_stranger) in [("", false), ("p@localhost", true)] {
            let mut message = message(sender);
            message.from_stranger = from_stranger;
            assert_eq!(sent(&message, "route:m365"), "");
        }
        let readers = |sender| {
            let reader = send_as.reader(&message(sender), ["mx:x", "route:m365"].into_iter());
            reader.unwrap().to_string()
        };
        assert_eq!(readers("x@h.lan"), "b@c.test");
        assert_eq!(readers("ann@a.test"), "ann@a.test");
    }
}
