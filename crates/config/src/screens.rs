//! What is looked for in messages, and how they are signed: `[[screen]]`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use authentication::Checks;
use contents::edit::Footer;
use contents::folded;
use filter::Glob;
use mail::{Domain, Mailbox, Place, Reply, Zone};
use relay_policy::{
    AddressRange, Clients, Decision, Entry, Facts, Rules, SenderPattern, check_redirected,
};
use screening::{
    Action, AttachmentIs, Direction, FieldWords, Screen, Screens, When, Words, WordsError,
};

use crate::config::{Digest, DigestTo, Late, Links, Listener, Quarantine, Scanner, Screening};
use crate::form::Item;
use crate::option::{At, Opt};
use crate::options::{
    authentication as checks, late as late_options, quarantine, reports, route, scanner,
    screen as options, screen_when as when_options,
};
use crate::parts::{Dmarc, ScreenWord};
use crate::recipients::lines;
use crate::settings::{Section, Settings, positive};
use crate::source::{Source, Span};
use crate::text::text_of;
use crate::{Files, dkim, scanners};

/// All rules, in the order in which they were written, and the checks; lists that are read are added
/// to `read`.
pub(crate) fn read(
    settings: &mut Settings,
    files: &dyn Files,
    (listeners, domains): (&[Listener], &Rules),
    (hostname, zone): (&Domain, &Zone),
    read: &mut Vec<PathBuf>,
) -> Screening {
    let sections = settings.sections_of(options::SECTION);
    let mut reader = Reader {
        settings,
        files,
        listeners,
        domains,
        scanners: Vec::new(),
        read,
    };
    reader.scanners = scanners::read(reader.settings, |settings, section| {
        named_listeners(settings, listeners, section.at(scanner::LISTENER))
    });
    let numbered = sections.iter().zip(1..);
    let mut rules: Vec<Screen> = numbered
        .map(|(section, number)| reader.screen(section, number))
        .collect();
    let released = released_by_link(reader.settings, &sections, &rules, &reader.scanners);
    let dmarc = reader.settings.get(checks::DMARC);
    let forwarders = reader.clients(checks::FORWARDERS.into());
    let scanners = reader.scanners;
    let mut implied = scanners::rules(settings, &scanners);
    if dmarc == Dmarc::Respect {
        let place = settings.place_of(checks::DMARC);
        let [reject, quarantine, unknown, authors] = by_dmarc(&forwarders, &place);
        // First what nobody has to be waited for.
        implied.refuse.insert(0, reject);
        implied.postpone.insert(0, unknown);
        implied.hold.extend([quarantine, authors]);
    }
    rules.extend(implied.in_order());
    positive(settings, quarantine::KEEP);
    let screens = Screens::new(rules);
    let wanted = screens.checks();
    let arc_trusted: Arc<[Domain]> = settings.values(checks::ARC_TRUSTED).into();
    let arc = settings.get(checks::ARC) || !arc_trusted.is_empty();
    if dmarc == Dmarc::Ignore {
        let message = "who is believed for ARC counts where DMARC fails, which is not checked";
        let label = "write dmarc = \"respect\", or take it out";
        settings.warn_at(checks::ARC_TRUSTED, message.to_owned(), label);
    }
    let is_all = dmarc != Dmarc::Ignore || settings.get(reports::DMARC);
    Screening {
        checks: Checks {
            spf: settings.get(checks::SPF) || is_all || wanted.spf,
            dkim: settings.get(checks::DKIM) || is_all || wanted.dkim,
            arc: arc || wanted.arc,
            dmarc: is_all || wanted.dmarc,
        },
        screens,
        arc_trusted,
        reports: settings.get(reports::DMARC),
        tells: settings.get(checks::SPF)
            || settings.get(checks::DKIM)
            || arc
            || dmarc != Dmarc::Ignore,
        id: settings.get(checks::ID).unwrap_or_else(|| hostname.clone()),
        quarantine: Quarantine {
            keep: settings.get(quarantine::KEEP),
            max_size: settings.get(quarantine::MAX_SIZE),
            digest: settings.get(quarantine::DIGEST).map(|to| Digest {
                to,
                at: settings.get(quarantine::DIGEST_AT),
                zone: zone.clone(),
                from: settings.get(quarantine::DIGEST_FROM),
            }),
            links: links(settings, released),
        },
        dkim: dkim::read(settings),
        scanners,
        late: late(settings),
    }
}

/// Which messages are looked at after their 250.
fn late(settings: &mut Settings) -> Late {
    let after = settings.get(late_options::AFTER_ABOVE);
    let above = after.map(|octets| (octets, settings.place_of(late_options::AFTER_ABOVE)));
    let mut late = Late {
        above,
        give_up: settings.get(late_options::GIVE_UP),
        ..Late::default()
    };
    for section in settings.sections_of(route::SECTION) {
        if settings.get(section.at(route::SCREEN)) {
            let place = settings.place_of(section.at(route::SCREEN));
            late.sites
                .insert(format!("route:{}", section.name).into(), place);
        }
    }
    late
}

/// A digest for the postmaster needs one.
pub(crate) fn check_digest(settings: &mut Settings, postmaster: Option<&Mailbox>) {
    if settings.get(quarantine::DIGEST) == Some(DigestTo::Postmaster) && postmaster.is_none() {
        let message = "nobody is postmaster who could be told what is held".to_owned();
        let label = "write postmaster = \"ADDRESS\" at the top, or host a domain";
        settings.error_at(quarantine::DIGEST, message, label);
    }
}

/// The names of the rules that say `release_by_link`, but of those that are called as one that does
/// not: what is held is known by the name alone.
fn released_by_link(
    settings: &mut Settings,
    sections: &[Section],
    rules: &[Screen],
    scanners: &[Arc<Scanner>],
) -> BTreeSet<Arc<str>> {
    warn_of_what_is_behind(settings, (sections, rules), !scanners.is_empty());
    let (mut may, mut may_not) = (BTreeSet::new(), BTreeSet::new());
    for (section, rule) in sections.iter().zip(rules) {
        let at = section.at(options::RELEASE_BY_LINK);
        if !settings.get(at) {
            may_not.insert(Arc::clone(&rule.name));
            continue;
        }
        may.insert(Arc::clone(&rule.name));
        if !rule.then.contains(&Action::Hold) {
            let message = "it holds nothing that could be released".to_owned();
            let label = "goes with then = \"hold\"";
            settings.error_at(section.at(options::RELEASE_BY_LINK), message, label);
        }
        if !settings.is_set(quarantine::LINK_URL) {
            let message = "there are no links without quarantine.link_url".to_owned();
            let label = "write it, with quarantine.link_bind, or take this out";
            settings.warn_at(section.at(options::RELEASE_BY_LINK), message, label);
        }
    }
    may.difference(&may_not).cloned().collect()
}

/// What a rule holds is shown to no rule and no scanner behind it: a link would let go on what those
/// are there to stop.
fn warn_of_what_is_behind(
    settings: &mut Settings,
    (sections, rules): (&[Section], &[Screen]),
    is_scanned: bool,
) {
    let lets_go: Vec<bool> = sections
        .iter()
        .map(|section| settings.get(section.at(options::RELEASE_BY_LINK)))
        .collect();
    let stops = |(rule, lets_go): (&Screen, &bool)| {
        let is_stop = |action: &Action| {
            matches!(
                action,
                Action::Refuse(_) | Action::RefuseFor(..) | Action::Discard | Action::Hold
            )
        };
        !lets_go && !rule.dry_run && rule.then.iter().any(is_stop)
    };
    let mut asks_scanners = false;
    for (at, (section, rule)) in sections.iter().zip(rules).enumerate() {
        asks_scanners |= !rule.when.scanner.is_empty();
        let mut behind = rules.iter().zip(&lets_go).skip(at + 1);
        let is_last = !behind.any(stops) && (asks_scanners || !is_scanned);
        if lets_go.get(at) == Some(&true) && !is_last {
            let message =
                "what rules and scanners behind this one would stop can be let go on by a link"
                    .to_owned();
            let label = "put it last, and behind a rule with what scanners say: when = { scanner = \"NAME: infected\" }";
            settings.warn_at(section.at(options::RELEASE_BY_LINK), message, label);
        }
    }
}

/// By what readers of the digest let go on what these rules hold.
fn links(settings: &mut Settings, rules: BTreeSet<Arc<str>>) -> Option<Links> {
    positive(settings, quarantine::LINK_EXPIRE);
    let url: Option<String> = settings.get(quarantine::LINK_URL);
    let is_bound = settings.is_set(quarantine::LINK_BIND);
    let Some(url) = url else {
        let message = "nobody learns of pages at link_bind".to_owned();
        settings.error_at(quarantine::LINK_BIND, message, "write link_url, too");
        return None;
    };
    if !is_bound {
        let message = "its pages are served nowhere".to_owned();
        let label = "write link_bind = \"127.0.0.1:8026\", or an address of this machine";
        settings.error_at(quarantine::LINK_URL, message, label);
    }
    if settings.get(quarantine::DIGEST).is_none() {
        let message = "links stand in the digest, and there is none".to_owned();
        settings.warn_at(
            quarantine::LINK_URL,
            message,
            "write digest = \"recipients\"",
        );
    }
    Some(Links {
        url: url.trim_end_matches('/').to_owned(),
        expire: settings.get(quarantine::LINK_EXPIRE),
        rules,
    })
}

/// What the domains of authors ask for.
fn by_dmarc(forwarders: &[AddressRange], place: &Place) -> [Screen; 4] {
    // RFC 7372 section 3.3: x.7.26 is for several checks that failed together.
    let refused = "The domain of the author refuses this message (DMARC)";
    let unknown = "Cannot tell now what the domain of the author says of this message (DMARC)";
    let rule = |name: &str, result, policies: &[&'static str], action| Screen {
        name: name.into(),
        place: place.clone(),
        when: When {
            direction: Some(Direction::In),
            dmarc: vec![result],
            dmarc_policy: policies.to_vec(),
            clients_except: forwarders.to_vec(),
            ..When::default()
        },
        then: [action].into(),
        dry_run: false,
    };
    let refuse = |code, text| Action::Refuse(Reply::new(code, 7, 26, text));
    let strict = ["reject", "quarantine"];
    [
        rule("dmarc reject", "fail", &strict[..1], refuse(550, refused)),
        rule("dmarc quarantine", "fail", &strict[1..], Action::Hold),
        rule("dmarc unknown", "temperror", &strict, refuse(451, unknown)),
        rule("dmarc authors", "several-authors", &[], Action::Hold),
    ]
}

struct Reader<'a> {
    settings: &'a mut Settings,
    files: &'a dyn Files,
    listeners: &'a [Listener],
    /// What is said of recipients at domains of ours.
    domains: &'a Rules,
    scanners: Vec<Arc<Scanner>>,
    read: &'a mut Vec<PathBuf>,
}

impl Reader<'_> {
    fn screen(&mut self, section: &Section, number: usize) -> Screen {
        let name = self.settings.get(section.at(options::NAME));
        let name = name.map_or_else(|| format!("screen {number}").into(), Arc::from);
        let when = self.when(section);
        let then = self.then(section, &when);
        Screen {
            name,
            place: self.settings.place(&section.span),
            when,
            then,
            dry_run: self.settings.get(section.at(options::DRY_RUN)),
        }
    }

    fn then(&mut self, section: &Section, when: &When) -> Box<[Action]> {
        let settings = &mut *self.settings;
        let mut then = Vec::new();
        for item in settings.get(section.at(options::THEN)) {
            then.push(match item.value {
                ScreenWord::Accept => Action::Accept,
                ScreenWord::Refuse => {
                    let text = settings.get(section.at(options::MESSAGE));
                    // RFC 3463 section 3.8: 5.7.1 is a refusal by policy.
                    Action::Refuse(Reply::new(550, 7, 1, text))
                }
                ScreenWord::Discard => Action::Discard,
                ScreenWord::Hold => Action::Hold,
                ScreenWord::Strip => {
                    must_ask_for_attachments(settings, &item.span, when);
                    Action::Strip
                }
            });
        }
        if then.contains(&Action::Accept) {
            warn_of_forged_senders(self.settings, section, when);
        }
        then.extend(self.then_with_values(section));
        let settings = &mut *self.settings;
        let ends = then.iter().filter(|action| action.ends()).count();
        if ends > 1 {
            let message = "a message cannot end in two ways".to_owned();
            let label = "one of accept, refuse, discard, hold, redirect_to";
            settings.error_at(section.at(options::THEN), message, label);
        }
        if then.is_empty() && !settings.has_error_in(&section.key) {
            let message = "[[screen]] says what it looks for and not what becomes of it".to_owned();
            settings.error(&section.span, message, "write then = \"hold\"");
        }
        then.into()
    }

    fn then_with_values(&mut self, section: &Section) -> Vec<Action> {
        let mut then = Vec::new();
        let target = self.target(section, options::REDIRECT_TO);
        then.extend(target.map(Action::Redirect));
        let target = self.target(section, options::COPY_TO);
        then.extend(target.map(Action::Copy));
        let settings = &mut *self.settings;
        let tag = settings.get(section.at(options::TAG));
        then.extend(tag.map(|tag| Action::TagSubject(tag.into())));
        let field = settings.get(section.at(options::ADD_HEADER));
        then.extend(field.map(|(name, value)| Action::AddField {
            name: name.into(),
            value: value.into(),
        }));
        then.extend(footer(settings, section));
        let score: i32 = settings.get(section.at(options::SCORE));
        then.extend((score != 0).then_some(Action::Score(score)));
        then
    }

    /// Such a message may come without SMTPUTF8, and could not be handed on then. Whether it exists is
    /// known now where a list says so.
    fn target(
        &mut self,
        section: &Section,
        option: &'static Opt<Option<Mailbox>>,
    ) -> Option<Arc<Mailbox>> {
        let written = self.settings.get(section.at(option))?;
        if written.in_ascii().is_none() {
            let message = "an address beyond ASCII is not taken by every server".to_owned();
            let label = "write one within ASCII";
            self.settings.error_at(section.at(option), message, label);
        }
        let against = check_redirected(self.domains, &written, &Facts::default());
        if let Some(Decision::Refuse { reply, why }) = against {
            let message = format!("nothing can be sent there: {}", reply.text());
            let label = format!("by {}", why.place);
            self.settings.error_at(section.at(option), message, &label);
        }
        Some(Arc::new(written))
    }

    /// A list that no listener asks names nobody.
    fn must_be_asked(&mut self, section: &Section) {
        for item in self.settings.get(section.at(when_options::DNSBL)) {
            let lists = self.listeners.iter().map(|one| &one.rules.dns_lists.lists);
            if !lists.flatten().any(|list| list.zone == item.value) {
                let message = format!("no listener asks the DNS list {}", item.value);
                let label = "write its zone in `dnsbl` of a listener";
                self.settings.error(&item.span, message, label);
            }
        }
    }

    fn when(&mut self, section: &Section) -> When {
        let attachment = self.attachment(section);
        let settings = &*self.settings;
        let mut when = When {
            direction: settings.get(section.at(when_options::DIRECTION)),
            dns_lists: settings.values(section.at(when_options::DNSBL)),
            users: globs(settings, section.at(when_options::USER)),
            from: settings.values(section.at(when_options::FROM)),
            to: settings.values(section.at(when_options::TO)),
            spf: settings.values(section.at(when_options::SPF)),
            dkim: settings.values(section.at(when_options::DKIM)),
            arc: settings.values(section.at(when_options::ARC)),
            dmarc: settings.values(section.at(when_options::DMARC)),
            dmarc_policy: settings.values(section.at(when_options::DMARC_POLICY)),
            larger_than: settings.get(section.at(when_options::LARGER_THAN)),
            attachment,
            attachments_above: settings.get(section.at(when_options::ATTACHMENTS_ABOVE)),
            archive_depth_above: settings.get(section.at(when_options::ARCHIVE_DEPTH_ABOVE)),
            encrypted: settings.get(section.at(when_options::ENCRYPTED)),
            unread: settings.get(section.at(when_options::UNREAD)),
            score_above: settings.get(section.at(when_options::SCORE_ABOVE)),
            reputation_below: settings.get(section.at(when_options::REPUTATION_BELOW)),
            ..When::default()
        };
        self.must_be_asked(section);
        if when.to.contains(&SenderPattern::Null) {
            let message = "no message goes to <>".to_owned();
            let at = section.at(when_options::TO);
            self.settings.error_at(at, message, "leave \"<>\" out");
        }
        let named = section.at(when_options::LISTENER);
        when.listeners = named_listeners(self.settings, self.listeners, named);
        for item in self.settings.get(section.at(when_options::SCANNER)) {
            let read = scanners::condition(self.settings, &self.scanners, &item.value, &item.span);
            when.scanner.extend(read);
        }
        when.clients = self.clients(section.at(when_options::CLIENT));
        when.header = self.header(section.at(when_options::HEADER));
        when.subject = self.words(section.at(when_options::SUBJECT));
        when.text = self.words(section.at(when_options::TEXT));
        when.words = self.words(section.at(when_options::WORDS));
        when
    }

    fn attachment(&self, section: &Section) -> AttachmentIs {
        let settings = &*self.settings;
        let names: Vec<String> = settings.values(section.at(when_options::ATTACHMENT));
        let extensions: Vec<String> = settings.values(section.at(when_options::EXTENSION));
        AttachmentIs {
            names: names.iter().map(|name| Glob::new(&folded(name))).collect(),
            extensions: extensions.into_iter().map(Into::into).collect(),
            kinds: settings.values(section.at(when_options::KIND)),
            double_extension: settings.get(section.at(when_options::DOUBLE_EXTENSION)),
            mismatch: settings.get(section.at(when_options::MISMATCH)),
            larger_than: settings.get(section.at(when_options::ATTACHMENT_LARGER_THAN)),
        }
    }

    /// By address alone: a name in reverse DNS is looked up for who may relay, not for this.
    fn clients(&mut self, at: At<Vec<Item<Entry>>>) -> Vec<AddressRange> {
        let mut ranges = Vec::new();
        for item in self.settings.get(at) {
            match item.value.clients {
                Clients::Range(range) => ranges.push(range),
                Clients::Below(_) => {
                    let message = "clients are known here by address alone".to_owned();
                    let label = "write an address, a block or a range";
                    self.settings.error(&item.span, message, label);
                }
            }
        }
        ranges
    }

    fn header(&mut self, at: At<Vec<Item<String>>>) -> Vec<FieldWords> {
        let mut all = Vec::new();
        for item in self.settings.get(at) {
            let (name, words) = match item.value.split_once(':') {
                Some((name, words)) => (name, Some(words.trim())),
                None => (&*item.value, None),
            };
            let words =
                words.and_then(|words| self.compile(&[(words.to_owned(), item.span.clone())]));
            all.push(FieldWords {
                name: name.trim().into(),
                words,
            });
        }
        all
    }

    /// A list of words, those of its files included; `None` where nobody wrote one.
    fn words(&mut self, at: At<Vec<Item<String>>>) -> Option<Words> {
        let mut entries = Vec::new();
        for item in self.settings.get(at) {
            match item.value.strip_prefix("file:") {
                Some(path) => self.words_of_file(path, &item.span, &mut entries),
                None => entries.push((item.value, item.span)),
            }
        }
        if entries.is_empty() {
            return None;
        }
        self.compile(&entries)
    }

    fn words_of_file(&mut self, path: &str, span: &Span, entries: &mut Vec<(String, Span)>) {
        let path = self.settings.base.join(path);
        let name = path.display().to_string();
        match self.files.read_named(&path) {
            Ok(octets) => {
                if let Some(text) = text_of(self.settings, &name, octets) {
                    let file = self.settings.sources.len();
                    let found =
                        lines(&text).map(|(line, range)| (line.to_owned(), Span { file, range }));
                    entries.extend(found);
                    self.settings.sources.push(Source::new(&name, text));
                }
            }
            Err(why) => {
                let message = format!("cannot read {name}: {why}");
                self.settings.error(span, message, "");
            }
        }
        self.read.push(path);
    }

    /// What is wrong with one entry is said at that entry.
    fn compile(&mut self, entries: &[(String, Span)]) -> Option<Words> {
        let texts = entries.iter().map(|(text, _)| text.as_str());
        let whole = Words::new(texts);
        let Err(why) = whole else {
            return whole.ok();
        };
        let mut wrong = entries
            .iter()
            .filter_map(|(text, span)| Some((Words::check(text).err()?, span)))
            .take(WRONG_MAX)
            .peekable();
        if wrong.peek().is_none() {
            let span = &entries[0].1;
            self.settings.error(span, why.to_string(), "");
        }
        for (why, span) in wrong {
            self.settings.error(span, why.to_string(), label(&why));
        }
        None
    }
}

/// The listeners of these names, and the ways of this machine itself.
fn named_listeners(
    settings: &mut Settings,
    listeners: &[Listener],
    at: At<Vec<Item<String>>>,
) -> Vec<Arc<str>> {
    let mut named = Vec::new();
    for item in settings.get(at) {
        match listeners.iter().find(|one| *one.name == *item.value) {
            Some(listener) => named.push(Arc::clone(&listener.name)),
            None if LOCAL.contains(&&*item.value) => named.push(item.value.into()),
            None => {
                let message = format!("there is no [listener.{}]", item.value);
                settings.error(&item.span, message, "");
            }
        }
    }
    named
}

/// Whoever sends writes MAIL FROM.
fn warn_of_forged_senders(settings: &mut Settings, section: &Section, when: &When) {
    let proven = !when.spf.is_empty() || !when.dmarc.is_empty() || !when.clients.is_empty();
    if when.from.is_empty() || proven || !when.users.is_empty() {
        return;
    }
    let message =
        "anybody can write this sender, and then no rule behind this one is asked".to_owned();
    let label = "add dmarc = \"pass\", spf = \"pass\" or a client";
    settings.warn_at(section.at(when_options::FROM), message, label);
}

fn must_ask_for_attachments(settings: &mut Settings, span: &Span, when: &When) {
    if !when.attachment.is_asked() {
        let message = "a rule strips the attachments that it matches, and this one asks for none";
        let label = "write `attachment`, `extension` or `kind` in `when`";
        settings.error(span, message.to_owned(), label);
    }
}

/// In HTML it is what was written for that, or the text.
fn footer(settings: &mut Settings, section: &Section) -> Option<Action> {
    let html: Option<String> = settings.get(section.at(options::FOOTER_HTML));
    let text: Option<String> = settings.get(section.at(options::FOOTER));
    let in_signed = settings.get(section.at(options::FOOTER_IN_SIGNED));
    let Some(text) = text else {
        let label = "write footer = \"...\"";
        if html.is_some() {
            let message = "`footer_html` stands for `footer` in HTML, and there is none".to_owned();
            settings.error_at(section.at(options::FOOTER_HTML), message, label);
        }
        if in_signed {
            let message = "`footer_in_signed` says where `footer` goes, and there is none";
            settings.error_at(
                section.at(options::FOOTER_IN_SIGNED),
                message.to_owned(),
                label,
            );
        }
        return None;
    };
    let html = html.unwrap_or_else(|| {
        let escaped = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        format!("<p>{}</p>", escaped.trim_end().replace('\n', "<br>\n"))
    });
    Some(Action::Footer(Arc::new(Footer {
        text: text.into(),
        html: html.into(),
        in_signed,
    })))
}

/// So many wrong entries are shown; after that another one helps nobody.
const WRONG_MAX: usize = 20;

/// What a message that this machine hands in comes through.
const LOCAL: [&str; 2] = ["pickup", "submit"];

fn label(why: &WordsError) -> &'static str {
    match why {
        WordsError::Empty => "write a word",
        WordsError::Pattern(_) => "between the strokes stands a regular expression",
        WordsError::TooMany => "shorten the list or its expressions",
    }
}

fn globs(settings: &Settings, at: At<Vec<Item<String>>>) -> Vec<Glob> {
    let texts = settings.values(at).into_iter();
    texts.map(|text: String| Glob::new(&text)).collect()
}
