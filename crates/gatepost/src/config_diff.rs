//! `gatepost config diff`: what two configurations say differently, in their lines, in who may relay, and in
//! what they decide. Clients and recipients that stand in either of them are tried on both; nobody is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use config::{Config, Diagnostics, Disk, Files, Listener, Replaced};
use daemon::api::{ConfigText, NamedFile};
use mail::{Client, Mailbox, ReversePath, TlsFacts};
use relay_audit::{Gain, StepResult, explain, gains};
use relay_policy::{
    AcceptFrom, Facts, List, NamePattern, Party, RecipientPattern, Recipients, Rights, Rules,
};
use serde_json::json;

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output::{self, say};
use crate::status;

/// So many clients and recipients are tried on each pair of listeners.
const CLIENTS_MAX: usize = 150;
const RECIPIENTS_MAX: usize = 60;
/// Clients that no list knows, unless one knows everybody.
const STRANGERS: [&str; 2] = ["203.0.113.9", "2001:db8::9"];
/// So many differences are shown.
const SHOWN_MAX: usize = 100;

/// A text, what it means, and the files that it names as a running relay read them.
type InForce = (String, Result<Config, Diagnostics>, Option<Vec<NamedFile>>);

/// Compares with the file `before`, or with what the running relay read.
pub fn command(cli: &Cli, before: Option<&Path>) -> Outcome {
    let after_name = cli.config.display().to_string();
    let after_text = text_of(&cli.config)?;
    let before_name = before.map(|path| path.display().to_string());
    let (before_text, before, named) = match before {
        Some(path) => (text_of(path)?, load(path, &Disk), None),
        None => in_force(cli)?,
    };
    let mut diff = config::diff(&after_name, &before_text, &after_text);
    if let (Some(name), Some(rest)) = (&before_name, diff.split_once('\n').map(|(_, rest)| rest)) {
        diff = format!("--- {}\n{rest}", mail::escaped(name));
    }
    let after = load(&cli.config, &Disk);
    let changed = match (named, &after) {
        (Some(named), Ok(after)) => changed(&named, after),
        (None, _) | (_, Err(_)) => Vec::new(),
    };
    let difference = match (before, after) {
        (Ok(before), Ok(after)) => Ok(Difference::of(&before, &after)),
        (Err(wrong), _) | (_, Err(wrong)) => Err(wrong),
    };
    // Files that both include or name say something, too.
    let other = !diff.is_empty()
        || !changed.is_empty()
        || difference.as_ref().is_ok_and(Difference::is_some);
    print(cli, &diff, &changed, other, &difference)?;
    Ok(ExitCode::from(u8::from(other)))
}

/// What the running relay read, and the other files as it read them. What lies in those is taken as it
/// is there now: of what it was nothing but a digest is known.
fn in_force(cli: &Cli) -> Result<InForce, Failure> {
    let in_force: ConfigText = status::remote(cli).get("/v1/config")?;
    let path = in_force.path.as_deref().map_or(&*cli.config, Path::new);
    let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if whole(path) != whole(&cli.config) {
        let read = mail::escaped(in_force.path.as_deref().unwrap_or_default());
        eprintln!("warning: the running relay did not read this file, but {read}");
    }
    let files = Replaced {
        files: &Disk,
        path,
        text: &in_force.text,
    };
    let loaded = load(path, &files);
    Ok((in_force.text, loaded, Some(in_force.named)))
}

/// The files that `after` names and that are not as the running relay read them, in words.
fn changed(named: &[NamedFile], after: &Config) -> Vec<String> {
    let now: BTreeMap<String, &str> = (after.named_files.iter())
        .map(|(path, hash)| (path.display().to_string(), &**hash))
        .collect();
    let before: BTreeMap<&str, &str> = (named.iter())
        .map(|file| (&*file.path, &*file.hash))
        .collect();
    let gone = before.keys().filter(|path| !now.contains_key(**path));
    let gone = gone.map(|path| format!("read no more: {path}"));
    let now = now
        .iter()
        .filter_map(|(path, hash)| match before.get(&**path) {
            Some(before) if before == hash => None,
            Some(_) => Some(format!("not as it was read: {path}")),
            None => Some(format!("read anew: {path}")),
        });
    now.chain(gone).collect()
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let unreadable = |why| Failure::Configuration(format!("cannot read {}: {why}", path.display()));
    std::fs::read_to_string(path).map_err(unreadable)
}

fn load(path: &Path, files: &dyn Files) -> Result<Config, Diagnostics> {
    config::load(path, files, &daemon::environment()).map(|loaded| loaded.config)
}

/// What is not the same.
struct Difference {
    /// Who may relay now, and who may no more.
    gained: Vec<Gain>,
    lost: Vec<Gain>,
    /// Listeners that one of them alone has.
    only_before: Vec<Arc<str>>,
    only_after: Vec<Arc<str>>,
    decisions: Vec<Decision>,
    tried: usize,
}

/// What is decided otherwise, with how many clients that is so.
struct Decision {
    listener: Arc<str>,
    client: IpAddr,
    clients: usize,
    state: State,
    recipient: String,
    before: Said,
    after: Said,
}

/// As whom a client comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Plain,
    Encrypted,
    SignedIn,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "in clear",
            Self::Encrypted => "with TLS",
            Self::SignedIn => "signed in",
        }
    }
}

/// What a client hears, and by which line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    answer: String,
    place: String,
}

impl Difference {
    /// Whether anything is not the same.
    fn is_some(&self) -> bool {
        let listeners = self.only_before.iter().chain(&self.only_after);
        let gains = self.gained.iter().chain(&self.lost);
        listeners.count() + gains.count() + self.decisions.len() > 0
    }

    fn of(before: &Config, after: &Config) -> Self {
        let rules = |config: &Config| -> Vec<Arc<Rules>> {
            let listeners = config.listeners.iter();
            let local = config.local.sessions();
            let of_listeners = listeners.map(|listener| Arc::clone(&listener.rules));
            of_listeners
                .chain(local.map(|session| Arc::clone(&session.rules)))
                .collect()
        };
        let (old, new) = (rules(before), rules(after));
        let pairs = pairs(before, after);
        let alone = |config: &Config, paired: &[&Arc<str>]| -> Vec<Arc<str>> {
            let names = config.listeners.iter().map(|listener| &listener.name);
            names
                .filter(|name| !paired.contains(name))
                .cloned()
                .collect()
        };
        let of_before: Vec<&Arc<str>> = pairs.iter().map(|(one, _)| &one.name).collect();
        let of_after: Vec<&Arc<str>> = pairs.iter().map(|(_, one)| &one.name).collect();
        let (mut decisions, mut tried) = (Vec::new(), 0);
        let (clients, recipients) = (clients(&old, &new), recipients(before, after));
        for (one, other) in &pairs {
            let (found, asked) = compare(one, other, &clients, &recipients);
            tried += asked;
            decisions.extend(found);
        }
        Self {
            gained: gains(new.iter().map(|one| &**one), old.iter().map(|one| &**one)),
            lost: gains(old.iter().map(|one| &**one), new.iter().map(|one| &**one)),
            only_before: alone(before, &of_before),
            only_after: alone(after, &of_after),
            decisions,
            tried,
        }
    }
}

/// Listeners of one name, and else of one port.
fn pairs<'a>(before: &'a Config, after: &'a Config) -> Vec<(&'a Listener, &'a Listener)> {
    let mut pairs: Vec<(&Listener, &Listener)> = Vec::new();
    let port = |listener: &Listener| listener.binds.first().map(SocketAddr::port);
    for by_name in [true, false] {
        for one in &before.listeners {
            if pairs.iter().any(|(taken, _)| taken.name == one.name) {
                continue;
            }
            let fits = |other: &&Listener| {
                let free = pairs.iter().all(|(_, taken)| taken.name != other.name);
                let same = match by_name {
                    true => one.name == other.name,
                    false => port(one) == port(other),
                };
                free && same
            };
            if let Some(other) = after.listeners.iter().find(fits) {
                pairs.push((one, other));
            }
        }
    }
    pairs
}

/// Strangers, then the first and last addresses of every list, with those beside them.
fn clients(before: &[Arc<Rules>], after: &[Arc<Rules>]) -> Vec<IpAddr> {
    let strangers = STRANGERS.iter().filter_map(|text| text.parse().ok());
    let others = tried(&listed(before), &listed(after), CLIENTS_MAX);
    strangers.chain(others).collect()
}

fn listed(all_rules: &[Arc<Rules>]) -> BTreeSet<IpAddr> {
    let mut all: BTreeSet<IpAddr> = BTreeSet::new();
    let mut of_list = |list: &List| {
        for (first, last) in list.ranges() {
            all.extend([first, last]);
            all.extend(beside(first, false));
            all.extend(beside(last, true));
        }
    };
    for rules in all_rules {
        of_list(&rules.relay.access.list);
        of_list(&rules.relay.deny);
        of_list(&rules.connect.list);
        for bound in rules.bound_clients.iter() {
            of_list(&bound.clients);
        }
        for domain in rules.domains.rules() {
            if let AcceptFrom::List(list) = &domain.accept_from {
                of_list(list);
            }
        }
    }
    all
}

/// So many at most of what either names: first what one of them alone names, each from everywhere in between.
fn tried<T: Ord + Clone>(before: &BTreeSet<T>, after: &BTreeSet<T>, most: usize) -> Vec<T> {
    let other = before.symmetric_difference(after).cloned().collect();
    let mut tried = spread(other, most);
    let same = before.intersection(after).cloned().collect();
    match most - tried.len() {
        0 => {}
        left => tried.extend(spread(same, left)),
    }
    tried
}

fn beside(address: IpAddr, behind: bool) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let number = u32::from(address);
            let next = if behind {
                number.checked_add(1)
            } else {
                number.checked_sub(1)
            };
            Some(IpAddr::V4(next?.into()))
        }
        IpAddr::V6(address) => {
            let number = u128::from(address);
            let next = if behind {
                number.checked_add(1)
            } else {
                number.checked_sub(1)
            };
            Some(IpAddr::V6(next?.into()))
        }
    }
}

/// Somebody at every domain of both, whoever is on a list of recipients or forwarded, and somebody elsewhere.
fn recipients(before: &Config, after: &Config) -> Vec<Mailbox> {
    let elsewhere = std::iter::once("someone@elsewhere.example".to_owned());
    let others = tried(&named(before), &named(after), RECIPIENTS_MAX);
    let all = elsewhere.chain(others);
    all.filter_map(|text| Mailbox::parse(&text).ok()).collect()
}

fn named(config: &Config) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    for domain in config.rules.domains.rules() {
        texts.extend(match &domain.pattern {
            NamePattern::Exact(name) => Some(format!("someone@{name}")),
            NamePattern::Below(name) => Some(format!("someone@any.{name}")),
            NamePattern::Any => None,
        });
        if let Recipients::List(list) = &domain.recipients {
            texts.extend(list.texts());
        }
    }
    for forward in config.rules.forwards.entries() {
        texts.extend(match &forward.from {
            Party::Mailbox(mailbox) => Some(mailbox.to_string()),
            Party::Domain(_) => None,
        });
    }
    for bound in config.rules.bound_clients.iter() {
        texts.extend(bound.only_to.recipients.iter().filter_map(|one| match one {
            RecipientPattern::Mailbox(mailbox) => Some(mailbox.to_string()),
            RecipientPattern::Domain(NamePattern::Exact(name)) => Some(format!("someone@{name}")),
            RecipientPattern::Domain(NamePattern::Below(name)) => {
                Some(format!("someone@any.{name}"))
            }
            _ => None,
        }));
    }
    texts
}

/// So many at most, taken from everywhere in between.
fn spread<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let step = all.len().div_ceil(most).max(1);
    all.into_iter().step_by(step).collect()
}

fn compare(
    before: &Listener,
    after: &Listener,
    clients: &[IpAddr],
    recipients: &[Mailbox],
) -> (Vec<Decision>, usize) {
    let mut found: BTreeMap<(State, &str, Said, Said), (IpAddr, usize)> = BTreeMap::new();
    let mut tried = 0;
    for state in states(&before.rules, &after.rules) {
        for (&client, recipient) in clients
            .iter()
            .flat_map(|client| recipients.iter().map(move |one| (client, one)))
        {
            let (one, other) = (
                said(before, client, state, recipient),
                said(after, client, state, recipient),
            );
            tried += 1;
            if one.kind() != other.kind() {
                let key = (state, recipient.as_str(), one, other);
                found.entry(key).or_insert((client, 0)).1 += 1;
            }
        }
    }
    let decisions = found.into_iter().map(
        |((state, recipient, before, other), (client, clients))| Decision {
            listener: Arc::clone(&after.name),
            client,
            clients,
            state,
            recipient: recipient.to_owned(),
            before,
            after: other,
        },
    );
    (decisions.collect(), tried)
}

/// As whom clients come: encrypted and signed in only where that makes a difference.
fn states(before: &Rules, after: &Rules) -> Vec<State> {
    let both = [&before.listener, &after.listener];
    let mut states = vec![State::Plain];
    if both.iter().any(|listener| listener.tls.required) {
        states.push(State::Encrypted);
    }
    if both.iter().any(|listener| listener.sign_in.offered) {
        states.push(State::SignedIn);
    }
    states
}

fn said(listener: &Listener, client: IpAddr, state: State, recipient: &Mailbox) -> Said {
    let local = listener.binds.first().copied();
    let local = local.unwrap_or_else(|| SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 25));
    let mut client = Client::new(
        SocketAddr::new(client, 40_000),
        local,
        Arc::clone(&listener.name),
    );
    if state != State::Plain {
        client.tls = Some(TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256".into(),
            group: "X25519",
            handshake: mail::Handshake::Full,
            certificate: None,
        });
    }
    let mut facts = Facts::default();
    if state == State::SignedIn {
        client.user = Some("somebody".into());
        facts.rights = Some(Arc::new(Rights {
            may_relay: true,
            senders: Box::default(),
            only_to: Box::default(),
            place: mail::Place::Default,
        }));
    }
    let told = explain(
        &listener.rules,
        &client,
        &ReversePath::Null,
        recipient,
        &facts,
    );
    let decided = told
        .steps
        .iter()
        .rev()
        .find(|step| step.result != StepResult::Moot);
    let place = decided.and_then(|step| step.place.as_ref());
    let answer = match (&told.answer, &told.question) {
        (Some(reply), _) if reply.code() == 250 => ACCEPTED.to_owned(),
        (Some(reply), _) => reply.to_string(),
        (None, _) => ASKED.to_owned(),
    };
    let place = place.map(ToString::to_string).unwrap_or_default();
    Said { answer, place }
}

const ACCEPTED: &str = "accepted";
const ASKED: &str = "somebody is asked first: DNS, a directory, a server";

impl Said {
    /// Whether it is taken, asked about, put off or refused; the words do not matter.
    fn kind(&self) -> &str {
        match &*self.answer {
            ACCEPTED | ASKED => &self.answer,
            reply => reply.get(..1).unwrap_or(""),
        }
    }
}

fn print(
    cli: &Cli,
    diff: &str,
    changed: &[String],
    other: bool,
    difference: &Result<Difference, Diagnostics>,
) -> Result<(), Failure> {
    if cli.json {
        let effect = difference.as_ref().map(as_json).unwrap_or_default();
        return output::json(&json!({ "diff": diff, "files": changed, "effect": effect }))
            .map(|_| ());
    }
    let name = cli.config.display();
    if !other {
        say!("{name} says the same");
        return Ok(());
    }
    match diff.is_empty() {
        true => say!("{name} says the same, and files that it includes or names do not"),
        false => say!("{}", diff.trim_end()),
    }
    for file in changed {
        say!("{}", mail::escaped(file));
    }
    if !changed.is_empty() {
        say!("what these said is not known any more: what follows takes them as they are now");
    }
    match difference {
        Ok(difference) => say!("\n{}", difference.text().trim_end()),
        Err(wrong) => eprintln!("{wrong}\nwhat it does cannot be told before that is mended"),
    }
    Ok(())
}

fn as_json(difference: &Difference) -> serde_json::Value {
    let clients = |gains: &[Gain]| -> Vec<serde_json::Value> {
        let one = |gain: &Gain| {
            let listeners: Vec<&str> = gain.listeners.iter().map(|name| &**name).collect();
            json!({ "who": gain.who, "listeners": listeners })
        };
        gains.iter().map(one).collect()
    };
    let said = |said: &Said| json!({ "answer": said.answer, "place": said.place });
    let decision = |one: &Decision| {
        json!({
            "listener": &*one.listener,
            "client": one.client.to_string(),
            "clients": one.clients,
            "as": one.state.as_str(),
            "recipient": one.recipient,
            "before": said(&one.before),
            "after": said(&one.after),
        })
    };
    let names = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "gained": clients(&difference.gained),
        "lost": clients(&difference.lost),
        "listeners_gone": names(&difference.only_before),
        "listeners_new": names(&difference.only_after),
        "decisions": difference.decisions.iter().map(decision).collect::<Vec<_>>(),
        "tried": difference.tried,
    })
}

impl Difference {
    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let mut line = |line: String| {
            let _ = writeln!(text, "{line}");
        };
        for (what, names) in [
            ("listener gone", &self.only_before),
            ("listener new", &self.only_after),
        ] {
            for name in names {
                line(format!("{what}: {name}"));
            }
        }
        for (what, gains) in [
            ("may relay now", &self.gained),
            ("may relay no more", &self.lost),
        ] {
            for gain in gains {
                line(format!(
                    "{what}: {} ({})",
                    gain.who,
                    gain.listeners.join(", ")
                ));
            }
        }
        let count = self.decisions.len();
        line(match count {
            0 => format!(
                "nothing is decided otherwise, of {} that were tried",
                self.tried
            ),
            _ => format!("decided otherwise, of {} that were tried:", self.tried),
        });
        for one in self.decisions.iter().take(SHOWN_MAX) {
            let more = match one.clients - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let (state, to) = (one.state.as_str(), &one.recipient);
            line(format!(
                "  {}: {}{more}, {state} -> {to}",
                one.listener, one.client
            ));
            for (when, said) in [("before", &one.before), ("now", &one.after)] {
                line(
                    format!("    {when:6}  {}  {}", said.answer, said.place)
                        .trim_end()
                        .to_owned(),
                );
            }
        }
        if count > SHOWN_MAX {
            line(format!("  and {} more", count - SHOWN_MAX));
        }
        text
    }
}
