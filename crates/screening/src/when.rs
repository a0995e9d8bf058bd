use std::sync::Arc;

use authentication::{Checks, Summary};
use contents::{Attachment, Kind, Wanted, folded};
use filter::Glob;
use mail::Domain;
use relay_policy::{AddressRange, SenderPattern};

use crate::found::Found;
use crate::scan::heard;
use crate::{Addressee, Direction, Facts, Reputation, ScannerSays, Words};

/// What a rule is about. Every condition that is there has to hold; of a list one entry is enough.
#[derive(Debug, Clone, Default)]
pub struct When {
    /// Which way the message goes.
    pub direction: Option<Direction>,
    /// The listener through which it came.
    pub listeners: Vec<Arc<str>>,
    /// Where its client is.
    pub clients: Vec<AddressRange>,
    /// Where its client is not.
    pub clients_except: Vec<AddressRange>,
    /// The DNS lists that name its client, by their zones.
    pub dns_lists: Vec<Domain>,
    /// Who had signed in; `*` stands for any run of characters.
    pub users: Vec<Glob>,
    /// Its sender.
    pub from: Vec<SenderPattern>,
    /// Its recipient; never `<>`.
    pub to: Vec<SenderPattern>,
    /// What came of SPF, in one of these words; so for the next ones.
    pub spf: Vec<&'static str>,
    /// What came of DKIM.
    pub dkim: Vec<&'static str>,
    /// What came of ARC.
    pub arc: Vec<&'static str>,
    /// What came of DMARC.
    pub dmarc: Vec<&'static str>,
    /// What the author's domain asks for where DMARC fails.
    pub dmarc_policy: Vec<&'static str>,
    /// What one of the scanners says of it.
    pub scanner: Vec<ScannerSays>,
    /// It has more octets than this.
    pub larger_than: Option<u64>,
    /// Words in fields of its header.
    pub header: Vec<FieldWords>,
    /// Words in its subject.
    pub subject: Option<Words>,
    /// Words in its text and HTML parts.
    pub text: Option<Words>,
    /// Words in either.
    pub words: Option<Words>,
    /// One attachment of which all of this holds.
    pub attachment: AttachmentIs,
    /// It has more attachments than this, what is in archives included.
    pub attachments_above: Option<u32>,
    /// Archives lie in each other deeper than this.
    pub archive_depth_above: Option<u8>,
    /// Whether something in it is encrypted.
    pub encrypted: Option<bool>,
    /// Whether something in it could not be looked into.
    pub unread: Option<bool>,
    /// Its score, by the rules before this one, is above this.
    pub score_above: Option<i32>,
    /// Its client or its sender's domain is worth less than this.
    pub reputation_below: Option<i32>,
}

/// What an attachment is.
#[derive(Debug, Clone, Default)]
pub struct AttachmentIs {
    /// One of its names, whatever its case.
    pub names: Vec<Glob>,
    /// What stands behind the last dot of one of its names, in lower case and without the dot.
    pub extensions: Vec<Box<str>>,
    /// What it is by its octets.
    pub kinds: Vec<Kind>,
    /// Whether a name ends in two extensions, the last of which runs something.
    pub double_extension: Option<bool>,
    /// Whether its name or type says one thing and its octets another.
    pub mismatch: Option<bool>,
    /// It has more octets than this.
    pub larger_than: Option<u64>,
}

/// Words in the fields of one name.
#[derive(Debug, Clone)]
pub struct FieldWords {
    /// The field's name.
    pub name: Box<str>,
    /// What is looked for in it; `None`: that it is there.
    pub words: Option<Words>,
}

/// What held of a message, in words; and which attachments did, by their place in
/// [`contents::Contents::attachments`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub whys: Vec<String>,
    pub attachments: Vec<usize>,
}

/// Why a rule does not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missed {
    /// This condition does not hold, by its name in the configuration.
    Condition(&'static str),
    /// It depends on this scanner, which has still to be heard.
    Awaits(Arc<str>),
}

impl From<&'static str> for Missed {
    fn from(condition: &'static str) -> Self {
        Self::Condition(condition)
    }
}

impl When {
    /// What has to be found out of the content for it.
    pub(crate) fn wanted(&self) -> Wanted {
        let looks_inside = self.attachment.is_asked()
            || self.attachments_above.is_some()
            || self.archive_depth_above.is_some()
            || self.encrypted.is_some()
            || self.unread.is_some();
        Wanted {
            texts: self.text.is_some() || self.words.is_some(),
            archives: looks_inside,
        }
    }

    /// What is the same for all recipients. What costs least is asked first.
    pub(crate) fn of_message(&self, facts: &Facts<'_>, found: &Found<'_>) -> Result<Held, Missed> {
        let mut held = Held::default();
        self.of_client(facts, &mut held)?;
        self.of_authentication(facts.authentication, &mut held)?;
        self.of_reputation(facts.reputation, &mut held)?;
        self.of_text(found, &mut held)?;
        self.of_parts(found, &mut held)?;
        // Last, so that nobody waits for a scanner where something else decides.
        if !self.scanner.is_empty() {
            let said = heard(&self.scanner, facts.scans);
            let said = said.map_err(|scanner| Missed::Awaits(Arc::clone(scanner)))?;
            held.take(said, "scanner")?;
        }
        Ok(held)
    }

    fn of_client(&self, facts: &Facts<'_>, held: &mut Held) -> Result<(), Missed> {
        let client = facts.client;
        if let Some(direction) = self.direction {
            let word = match direction {
                Direction::In => "in",
                Direction::Out => "out",
            };
            let is_so = direction == facts.direction;
            held.take(is_so.then(|| format!("direction {word}")), "direction")?;
        }
        if !self.listeners.is_empty() {
            let is_there = self.listeners.contains(&client.listener);
            let why = is_there.then(|| format!("listener {}", client.listener));
            held.take(why, "listener")?;
        }
        if !self.clients.is_empty() {
            // An account of this machine has no address, whatever stands for one.
            let address = client.uid.is_none().then(|| client.address());
            let is_in = |range: &AddressRange| address.is_some_and(|one| range.contains(one));
            let is_there = self.clients.iter().any(is_in);
            let why = is_there.then(|| format!("client {client}"));
            held.take(why, "client")?;
        }
        if !self.clients_except.is_empty() {
            let address = client.address();
            let is_there = self
                .clients_except
                .iter()
                .any(|range| range.contains(address));
            let why = (!is_there).then(|| "client of no exception".to_owned());
            held.take(why, "clients_except")?;
        }
        if !self.dns_lists.is_empty() {
            let mut naming = facts.listed.iter();
            let first = naming.find(|zone| self.dns_lists.contains(zone));
            held.take(first.map(|zone| format!("listed by {zone}")), "dnsbl")?;
        }
        if !self.users.is_empty() {
            let user = client.user.as_deref();
            let is_there = |user: &&str| self.users.iter().any(|glob| glob.matches(user));
            held.take(
                user.filter(is_there)
                    .map(|user| format!("user {}", mail::user_shown(user))),
                "user",
            )?;
        }
        if !self.from.is_empty() {
            let is_there = self.from.iter().any(|one| one.matches(facts.sender));
            held.take(is_there.then(|| format!("from {}", facts.sender)), "from")?;
        }
        if let Some(size) = self.larger_than {
            let is_larger = facts.size > size;
            held.take(
                is_larger.then(|| format!("octets: {}", facts.size)),
                "larger_than",
            )?;
        }
        Ok(())
    }

    fn of_authentication(&self, came_to: Summary, held: &mut Held) -> Result<(), Missed> {
        for (wanted, word, condition) in [
            (&self.spf, came_to.spf, "spf"),
            (&self.dkim, came_to.dkim, "dkim"),
            (&self.arc, came_to.arc, "arc"),
            (&self.dmarc, came_to.dmarc, "dmarc"),
            (&self.dmarc_policy, came_to.policy, "dmarc_policy"),
        ] {
            if !wanted.is_empty() {
                let is_so = wanted.contains(&word);
                held.take(is_so.then(|| format!("{condition} {word}")), condition)?;
            }
        }
        Ok(())
    }

    fn of_reputation(&self, came_to: Option<Reputation>, held: &mut Held) -> Result<(), Missed> {
        let Some(limit) = self.reputation_below else {
            return Ok(());
        };
        let why = came_to.and_then(|Reputation { client, domain }| match domain {
            _ if client < limit => Some(format!("reputation of the client {client}")),
            Some(domain) if domain < limit => {
                Some(format!("reputation of the sender's domain {domain}"))
            }
            Some(_) | None => None,
        });
        held.take(why, "reputation_below")
    }

    /// Which checks have to be made for it.
    pub(crate) fn checks(&self) -> Checks {
        let dmarc = !self.dmarc.is_empty() || !self.dmarc_policy.is_empty();
        // A domain has a reputation only where SPF vouches for it.
        let spf = !self.spf.is_empty() || self.reputation_below.is_some();
        Checks {
            spf: dmarc || spf,
            dkim: dmarc || !self.dkim.is_empty(),
            arc: !self.arc.is_empty(),
            dmarc,
        }
    }

    fn of_text(&self, found: &Found<'_>, held: &mut Held) -> Result<(), Missed> {
        if !self.header.is_empty() {
            let first = self.header.iter().find_map(|one| one.found_in(found));
            held.take(first, "header")?;
        }
        let in_subject = |words: &Words| {
            let hit = words.found_in(found.subject())?;
            Some(format!("{:?} in the subject", shown(hit)))
        };
        let in_text = |words: &Words| {
            let hit = found.texts().iter().find_map(|text| words.found_in(text))?;
            Some(format!("{:?} in the text", shown(hit)))
        };
        if let Some(words) = &self.subject {
            held.take(in_subject(words), "subject")?;
        }
        if let Some(words) = &self.text {
            held.take(in_text(words), "text")?;
        }
        if let Some(words) = &self.words {
            held.take(in_subject(words).or_else(|| in_text(words)), "words")?;
        }
        Ok(())
    }

    fn of_parts(&self, found: &Found<'_>, held: &mut Held) -> Result<(), Missed> {
        let contents = found.contents();
        if self.attachment.is_asked() {
            let all = contents.attachments.iter().enumerate();
            let meant: Vec<(usize, &Attachment)> =
                all.filter(|(_, one)| self.attachment.is(one)).collect();
            let why = meant.first().map(|(_, one)| described(one));
            held.attachments = meant.iter().map(|(at, _)| *at).collect();
            held.take(why, self.attachment.asked())?;
        }
        if let Some(most) = self.attachments_above {
            let count = contents.attachments.len();
            let is_above = u32::try_from(count).map_or(true, |count| count > most);
            held.take(
                is_above.then(|| format!("attachments: {count}")),
                "attachments_above",
            )?;
        }
        if let Some(most) = self.archive_depth_above {
            let mut all = contents.attachments.iter();
            let first = all.find(|one| one.archive_depth() > most);
            let why = first.map(|one| format!("archive in archive: {}", shown(&one.place)));
            held.take(why, "archive_depth_above")?;
        }
        if let Some(wanted) = self.encrypted {
            let first = contents.attachments.iter().find(|one| one.is_encrypted);
            let why = match first {
                Some(one) if wanted => Some(format!("encrypted: {}", shown(&one.place))),
                None if !wanted => Some("nothing encrypted".to_owned()),
                Some(_) | None => None,
            };
            held.take(why, "encrypted")?;
        }
        if let Some(wanted) = self.unread {
            let why = match contents.unread.first() {
                Some(one) if wanted => {
                    Some(format!("not looked into: {}", shown(&one.to_string())))
                }
                None if !wanted => Some("all looked into".to_owned()),
                Some(_) | None => None,
            };
            held.take(why, "unread")?;
        }
        Ok(())
    }

    /// What differs from one recipient to the next.
    pub(crate) fn of_addressee(
        &self,
        to: &Addressee<'_>,
        score: i32,
    ) -> Result<Vec<String>, Missed> {
        let mut held = Held::default();
        if !self.to.is_empty() {
            let is_meant = |one: &SenderPattern| one.names(to.mailbox) || one.names(to.named);
            let is_so = self.to.iter().any(is_meant);
            held.take(is_so.then(|| format!("to {}", to.mailbox)), "to")?;
        }
        if let Some(limit) = self.score_above {
            held.take(
                (score > limit).then(|| format!("score {score}")),
                "score_above",
            )?;
        }
        Ok(held.whys)
    }
}

impl Held {
    fn take(&mut self, why: Option<String>, condition: &'static str) -> Result<(), Missed> {
        self.whys.push(why.ok_or(condition)?);
        Ok(())
    }
}

impl AttachmentIs {
    /// Whether anything is asked of an attachment.
    pub fn is_asked(&self) -> bool {
        !self.names.is_empty()
            || !self.extensions.is_empty()
            || !self.kinds.is_empty()
            || self.double_extension.is_some()
            || self.mismatch.is_some()
            || self.larger_than.is_some()
    }

    /// The conditions that stand together, by the first of their names.
    fn asked(&self) -> &'static str {
        if !self.names.is_empty() {
            "attachment"
        } else if !self.extensions.is_empty() {
            "extension"
        } else if !self.kinds.is_empty() {
            "kind"
        } else if self.double_extension.is_some() {
            "double_extension"
        } else if self.mismatch.is_some() {
            "mismatch"
        } else {
            "attachment_larger_than"
        }
    }

    fn is(&self, attachment: &Attachment) -> bool {
        let named = || {
            let mut names = attachment.names.iter();
            names.any(|name| self.names.iter().any(|glob| glob.matches(&folded(name))))
        };
        let ends = || {
            let extensions = attachment.extensions();
            extensions
                .iter()
                .any(|one| self.extensions.iter().any(|asked| **asked == **one))
        };
        let is = |wanted: Option<bool>, is: bool| wanted.is_none_or(|wanted| wanted == is);
        (self.names.is_empty() || named())
            && (self.extensions.is_empty() || ends())
            && (self.kinds.is_empty() || self.kinds.contains(&attachment.kind))
            && is(
                self.double_extension,
                attachment.double_extension().is_some(),
            )
            && is(self.mismatch, attachment.disagrees())
            && self.larger_than.is_none_or(|size| attachment.size > size)
    }
}

impl FieldWords {
    fn found_in(&self, found: &Found<'_>) -> Option<String> {
        let fields = found.contents().fields.iter();
        let mut fields = fields.filter(|field| field.name.eq_ignore_ascii_case(&self.name));
        match &self.words {
            None => fields.next().map(|_| format!("field {}", self.name)),
            Some(words) => fields.find_map(|field| {
                let value = folded(&field.value);
                let hit = words.found_in(&value)?;
                Some(format!("{:?} in field {}", shown(hit), self.name))
            }),
        }
    }
}

/// An attachment for people: its place, its name, what it is.
fn described(attachment: &Attachment) -> String {
    let Attachment {
        place, names, kind, ..
    } = attachment;
    let place = shown(place);
    match names.first() {
        Some(name) => format!("attachment {place} {:?} ({kind})", shown(name)),
        None => format!("attachment {place} ({kind})"),
    }
}

/// What was found, or the start of it: a sender chooses how long it is, and it is kept for each
/// recipient.
fn shown(found: &str) -> &str {
    let end = found.char_indices().nth(SHOWN_CHARS_MAX);
    end.map_or(found, |(end, _)| &found[..end])
}

const SHOWN_CHARS_MAX: usize = 80;
