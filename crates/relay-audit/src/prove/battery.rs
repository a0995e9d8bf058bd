use std::net::IpAddr;

use mail::Mailbox;

use super::cast::{Cast, SrsAddresses};

/// One attempt to send through us to where we do not deliver, or one that must succeed so that the
/// rest proves something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What it is called in the report.
    pub name: String,
    /// As whom it comes.
    pub login: Login,
    /// What stands behind `MAIL FROM:`, parameters included.
    pub mail: String,
    /// What stands behind `RCPT TO:`.
    pub rcpt: String,
    /// What an acceptance would mean.
    pub meaning: Meaning,
}

/// As whom a probe comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// A client that does not sign in.
    None,
    /// Somebody who gives a wrong password first.
    Wrong,
    /// A user without the right to relay.
    Powerless,
    /// A user with that right, who may send only to a domain of ours.
    Bound,
    /// A user with that right.
    Entitled,
}

/// What an acceptance means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The relay is open: the recipient is elsewhere beyond doubt.
    Open,
    /// The relay is open, if what stands in the local part is taken for a route; another server may
    /// take it for a name of its own.
    Suspect,
    /// All is well: this must be accepted.
    Control,
}

impl Probe {
    fn new(name: impl Into<String>, mail: &str, rcpt: &str, meaning: Meaning) -> Self {
        Self {
            name: name.into(),
            login: Login::None,
            mail: mail.to_owned(),
            rcpt: rcpt.to_owned(),
            meaning,
        }
    }

    /// Mail for elsewhere without any disguise.
    pub(super) fn plain(name: &str, cast: &Cast) -> Self {
        Self::new(
            name,
            &path(&cast.sender),
            &path(&cast.recipient),
            Meaning::Open,
        )
    }

    /// The same, signed in.
    pub(super) fn by(self, login: Login) -> Self {
        Self { login, ..self }
    }
}

/// Octets of the longest local part; RFC 5321 section 4.5.3.1.1 allows 64.
const LONG_LOCAL_PART: usize = 2000;

impl Cast {
    /// Every probe: the patterns of the known testers (abuse.net, nmap, mail-abuse.org, DSBL), and
    /// those of our own.
    pub fn battery(&self) -> Vec<Probe> {
        let mut probes = self.senders();
        probes.extend(self.routes_to(&self.relay.to_string(), "the relay's name"));
        probes.extend(self.routes_to(&self.literal(), "the relay's address"));
        if let Some(hosted) = &self.hosted {
            probes.extend(self.routes_to(&host(hosted), "a hosted domain"));
        }
        probes.extend(self.routes_to_nowhere());
        probes.extend(self.disguises());
        probes.extend(self.srs.iter().flat_map(|srs| self.senders_to_be(srs)));
        if let Some(hosted) = &self.hosted {
            let (mail, rcpt) = (path(&self.sender), path(hosted));
            probes.push(Probe::new(
                "hosted recipient",
                &mail,
                &rcpt,
                Meaning::Control,
            ));
        }
        probes
    }

    fn literal(&self) -> String {
        match self.address {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        }
    }

    /// A plain recipient elsewhere, from every kind of sender.
    fn senders(&self) -> Vec<Probe> {
        let (relay, literal) = (&self.relay, self.literal());
        let (user, elsewhere) = (self.sender.local(), host(&self.recipient));
        let senders = [
            ("foreign sender", path(&self.sender)),
            ("sender without a domain", format!("<{user}>")),
            ("null sender", "<>".to_owned()),
            ("sender at the relay's name", format!("<{user}@{relay}>")),
            (
                "sender at the relay's address",
                format!("<{user}@{literal}>"),
            ),
            ("sender at localhost", format!("<{user}@localhost>")),
            ("sender as bang path", format!("<{elsewhere}!{user}>")),
        ];
        let rcpt = path(&self.recipient);
        let probes = senders.iter();
        probes
            .map(|(name, mail)| Probe::new(*name, mail, &rcpt, Meaning::Open))
            .collect()
    }

    /// Recipients at a host of the relay's, `us`, with a route from there to elsewhere in them.
    fn routes_to(&self, us: &str, what: &str) -> Vec<Probe> {
        let (user, elsewhere) = (self.recipient.local(), host(&self.recipient));
        let [ours, numbered] = self.spammers();
        let at = [
            ("percent hack", format!("<{user}%{elsewhere}@{us}>")),
            (
                "address in quotes",
                format!("<\"{user}@{elsewhere}\"@{us}>"),
            ),
            ("two domains", format!("<{user}@{elsewhere}@{us}>")),
        ];
        let bang = format!("<{elsewhere}!{user}@{us}>");
        let source = format!("<@{us}:{user}@{elsewhere}>");
        let (from_at, from_paths) = ([&*numbered, &ours], [&*numbered, "<>"]);
        let mut probes = Vec::new();
        for (name, rcpt) in &at {
            let name = format!("{name} at {what}");
            probes.extend(from_at.map(|mail| Probe::new(&*name, mail, rcpt, Meaning::Suspect)));
        }
        for mail in from_paths {
            let bang_path = format!("bang path at {what}");
            let source_route = format!("source route over {what}");
            // RFC 5321 appendix C: the route is left out, and what is behind it counts.
            probes.push(Probe::new(source_route, mail, &source, Meaning::Open));
            probes.push(Probe::new(bang_path, mail, &bang, Meaning::Suspect));
        }
        probes
    }

    /// The same without any host that the recipient would be at.
    fn routes_to_nowhere(&self) -> Vec<Probe> {
        let (user, elsewhere) = (self.recipient.local(), host(&self.recipient));
        let [ours, numbered] = self.spammers();
        let relay = &self.relay;
        let at = [
            (
                "address in quotes alone",
                format!("<\"{user}@{elsewhere}\">"),
            ),
            (
                "percent hack in quotes",
                format!("<\"{user}%{elsewhere}\">"),
            ),
            (
                "percent hack without a domain",
                format!("<{user}%{elsewhere}>"),
            ),
            ("two percent signs", format!("<{user}%{elsewhere}%{relay}>")),
        ];
        let paths = [
            (
                "bang path",
                format!("<{elsewhere}!{user}>"),
                Meaning::Suspect,
            ),
            (
                "no angle brackets",
                format!("{user}@{elsewhere}"),
                Meaning::Open,
            ),
        ];
        let at = at.iter().flat_map(|(name, rcpt)| {
            [&*numbered, &ours].map(|mail| Probe::new(*name, mail, rcpt, Meaning::Suspect))
        });
        let paths = paths.iter().flat_map(|(name, rcpt, meaning)| {
            [&*numbered, "<>"].map(|mail| Probe::new(*name, mail, rcpt, *meaning))
        });
        at.chain(paths).collect()
    }

    /// Senders that pretend to be at home: at the relay's name, and at its address.
    fn spammers(&self) -> [String; 2] {
        let (relay, literal) = (&self.relay, self.literal());
        [format!("<spam@{relay}>"), format!("<spam@{literal}>")]
    }

    /// A sender that pretends to be one of ours, or a sign-in that fails, with recipients in
    /// disguise.
    fn disguises(&self) -> Vec<Probe> {
        let relay = Mailbox::postmaster(&self.relay);
        let ours = self.hosted.as_ref().unwrap_or(&relay);
        let home = host(ours);
        let mail = path(ours);
        let guises = [
            ("hosted sender", Login::None, mail.clone()),
            (
                "hosted sender with AUTH=",
                Login::None,
                format!("{mail} AUTH={ours}"),
            ),
            ("wrong password", Login::Wrong, mail.clone()),
            (
                "user without the right to relay",
                Login::Powerless,
                mail.clone(),
            ),
            (
                "user who may send to a hosted domain only",
                Login::Bound,
                mail,
            ),
        ];
        let disguises = self.disguised(&home);
        let mut probes = Vec::new();
        for (guise, login, mail) in guises {
            probes.extend(disguises.iter().map(|(disguise, rcpt, meaning)| {
                Probe::new(format!("{guise}, {disguise}"), &mail, rcpt, *meaning).by(login)
            }));
        }
        probes
    }

    /// Addresses that stand for the recipient elsewhere, as somebody makes them who has no secret,
    /// and ours in ways for which they are not: they take bounces, for some days, at one domain.
    fn senders_to_be(&self, srs: &SrsAddresses) -> Vec<Probe> {
        let (user, elsewhere, domain) = (
            self.recipient.local(),
            host(&self.recipient),
            srs.domain.as_str(),
        );
        let made = [
            (
                "forged SRS address",
                format!("SRS0=AAAA=AA={elsewhere}={user}"),
            ),
            (
                "forged SRS address in lower case",
                format!("srs0=aaaa=aa={elsewhere}={user}"),
            ),
            (
                "SRS address without a hash",
                format!("SRS0==AA={elsewhere}={user}"),
            ),
            (
                "SRS address of another relay",
                format!("SRS1=AAAA={elsewhere}==AAAA=AA=x.test={user}"),
            ),
        ];
        let made = made.map(|(name, local)| (name, format!("<{local}@{domain}>")));
        let mut probes: Vec<Probe> = (made.iter())
            .map(|(name, rcpt)| Probe::new(*name, "<>", rcpt, Meaning::Open))
            .collect();
        if let Some(expired) = &srs.expired {
            let rcpt = path(expired);
            probes.push(Probe::new(
                "expired SRS address",
                "<>",
                &rcpt,
                Meaning::Open,
            ));
        }
        if let Some(good) = &srs.good {
            let (sender, rcpt) = (path(&self.sender), path(good));
            let elsewhere = format!("<{}@{elsewhere}>", good.local());
            let lower = rcpt.to_lowercase();
            probes.extend([
                Probe::new(
                    "SRS address, not for a bounce",
                    &sender,
                    &rcpt,
                    Meaning::Open,
                ),
                Probe::new(
                    "SRS address in lower case, not for a bounce",
                    &sender,
                    &lower,
                    Meaning::Open,
                ),
                Probe::new(
                    "SRS address at another domain",
                    "<>",
                    &elsewhere,
                    Meaning::Open,
                ),
                Probe::new("SRS address", "<>", &rcpt, Meaning::Control),
            ]);
        }
        probes
    }

    /// The recipient elsewhere as `home` might not know it again.
    fn disguised(&self, home: &str) -> [(&'static str, String, Meaning); 6] {
        let (user, elsewhere) = (self.recipient.local(), host(&self.recipient));
        let wide = elsewhere.replace('.', "\u{ff0e}");
        let long = "a".repeat(LONG_LOCAL_PART);
        [
            ("plain address", path(&self.recipient), Meaning::Open),
            (
                "encapsulated address",
                format!("<IMCEASMTP-{user}+40{elsewhere}@{home}>"),
                Meaning::Suspect,
            ),
            (
                "trailing dot",
                format!("<{user}@{elsewhere}.>"),
                Meaning::Open,
            ),
            (
                "upper case",
                format!("<{user}@{}>", elsewhere.to_uppercase()),
                Meaning::Open,
            ),
            ("full-width dots", format!("<{user}@{wide}>"), Meaning::Open),
            (
                "2,000 octets of local part",
                format!("<{long}@{elsewhere}>"),
                Meaning::Open,
            ),
        ]
    }
}

fn path(mailbox: &Mailbox) -> String {
    format!("<{mailbox}>")
}

fn host(mailbox: &Mailbox) -> String {
    mailbox.host().to_string()
}
