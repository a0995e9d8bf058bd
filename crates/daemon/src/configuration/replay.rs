//! Decisions of the last day, made once more by the rules of another configuration: from what tracking
//! wrote down, by the code that explains decisions. Nobody is asked anything.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Config;
use mail::{Client, Domain, Mailbox, ReversePath, TlsFacts, TrackedResult};
use relay_audit::{Explanation, StepResult, explain};
use relay_policy::{
    Answer, Consulted, DnsList, DnsLists, Fact, Facts, Familiar, Greylisted, Question, Rights,
    Rules, addressee,
};
use tracking::{Row, Stage};

use crate::api::{ConfigChanged, ConfigDecision, ConfigReplay};

/// So long the decisions may take, all together.
const TIME_MAX: Duration = Duration::from_secs(5);
/// So many examples of each kind are given.
const EXAMPLES_MAX: usize = 5;
/// No decision asks more.
const QUESTIONS_MAX: usize = 30;

/// What users may do, as far as it is known without asking anybody.
pub(crate) trait KnownUsers {
    /// `None`: it is not known.
    fn rights(&self, user: &str) -> Option<Arc<Rights>>;
}

/// What a decision came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Accepted(Option<String>),
    Refused(String, Option<String>),
    CannotTell,
}

/// A decision that was made, for one recipient or several in turn.
struct Decided {
    /// The newest of its rows.
    row: Row,
    was_accepted: bool,
    count: u64,
}

/// Makes the decisions behind these rows, newest first, by both configurations, and tells which of
/// them come out otherwise than before, because of the difference between the two.
pub(crate) fn replay(
    rows: Vec<Row>,
    (before, after): (&Config, &Config),
    users: &dyn KnownUsers,
) -> ConfigReplay {
    let until = Instant::now() + TIME_MAX;
    let mut told = ConfigReplay {
        rows: rows.len() as u64,
        since: rows.last().map(|row| row.at.to_string()),
        ..ConfigReplay::default()
    };
    let decided = distinct(rows);
    let mut known = BTreeMap::new();
    for one in decided {
        if Instant::now() >= until {
            told.cut = true;
            break;
        }
        told.decisions += 1;
        let user = one.row.user.to_string();
        let rights = known
            .entry(user)
            .or_insert_with_key(|user| users.rights(user));
        let case = Case::of(&one, rights.as_ref());
        let (old, new) = (
            case.as_ref()
                .map_or(Told::CannotTell, |case| case.by(before, before)),
            case.as_ref()
                .map_or(Told::CannotTell, |case| case.by(after, before)),
        );
        match (old, new) {
            (Told::CannotTell, _) | (_, Told::CannotTell) => told.cannot_tell += 1,
            (Told::Accepted(_), Told::Refused(reply, place)) if one.was_accepted => {
                add(&mut told.refused, &one, reply, place);
            }
            (Told::Refused(..), Told::Accepted(place)) if !one.was_accepted => {
                add(&mut told.accepted, &one, "accepted".to_owned(), place);
            }
            (Told::Accepted(_) | Told::Refused(..), Told::Accepted(_) | Told::Refused(..)) => {}
        }
    }
    told
}

fn add(changed: &mut ConfigChanged, one: &Decided, now: String, place: Option<String>) {
    changed.decisions += 1;
    changed.recipients += one.count;
    if changed.examples.len() == EXAMPLES_MAX {
        return;
    }
    let row = &one.row;
    changed.examples.push(ConfigDecision {
        at: row.at.to_string(),
        listener: row.listener.to_string(),
        client: row.client.to_string(),
        user: (!row.user.is_empty()).then(|| row.user.to_string()),
        tls: !row.tls.is_empty(),
        from: row.sender.as_deref().unwrap_or_default().to_owned(),
        to: row.recipient.to_string(),
        was: if one.was_accepted {
            "accepted".to_owned()
        } else {
            row.reply.to_string()
        },
        now,
        place,
        count: one.count,
    });
}

/// Each decision once, in the order of the newest rows.
fn distinct(rows: Vec<Row>) -> Vec<Decided> {
    let mut found: Vec<Decided> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    for row in rows {
        let Some(was_accepted) = outcome(&row) else {
            continue;
        };
        let who = (row.client.clone(), row.user.clone(), row.tls.is_empty());
        let what = (
            row.listener.clone(),
            row.sender.clone(),
            row.recipient.clone(),
        );
        match known.get(&(who.clone(), what.clone())) {
            Some(at) => {
                if let Some(one) = found.get_mut(*at) {
                    one.count += 1;
                }
            }
            None => {
                known.insert((who, what), found.len());
                found.push(Decided {
                    row,
                    was_accepted,
                    count: 1,
                });
            }
        }
    }
    found
}

/// Whether a recipient was taken or not; `None`: the row tells of something else.
fn outcome(row: &Row) -> Option<bool> {
    match (row.result, row.stage) {
        (
            TrackedResult::Received | TrackedResult::Forwarded | TrackedResult::Expanded,
            Stage::Data,
        ) => Some(true),
        (TrackedResult::Refused | TrackedResult::Postponed, Stage::Rcpt) => Some(false),
        _ => None,
    }
}

/// A decision as it can be made again.
struct Case<'a> {
    decided: &'a Decided,
    origin: Origin,
    sender: ReversePath,
    recipient: Mailbox,
    rights: Option<&'a Arc<Rights>>,
}

enum Origin {
    Address(IpAddr),
    Account(u32),
}

impl<'a> Case<'a> {
    fn of(decided: &'a Decided, rights: Option<&'a Arc<Rights>>) -> Option<Self> {
        let row = &decided.row;
        if !row.user.is_empty() && rights.is_none() {
            return None;
        }
        let origin = match row.client.strip_prefix("uid:") {
            Some(uid) => Origin::Account(uid.parse().ok()?),
            None => Origin::Address(row.client.parse().ok()?),
        };
        Some(Self {
            decided,
            origin,
            sender: ReversePath::parse_routed(row.sender.as_deref()?).ok()?,
            recipient: Mailbox::parse_recipient(&row.recipient).ok()?,
            rights,
        })
    }

    /// What this configuration says, where the other one was in force.
    fn by(&self, config: &Config, in_force: &Config) -> Told {
        let row = &self.decided.row;
        let Some(rules) = rules_of(config, &row.listener) else {
            let reply = format!("there is no listener {}", row.listener);
            return Told::Refused(reply, None);
        };
        let own = rules.rewriting.as_ref().map(|rewriting| &rewriting.domain);
        // Whether the address is one that was given out, only the secrets tell.
        if own.is_some_and(|own| self.recipient.host().domain() == Some(own)) {
            return Told::CannotTell;
        }
        let client = self.client(rules);
        let names = own_names(config, rules);
        let recipient = addressee(rules, &names, config.postmaster.as_ref(), &self.recipient);
        let mut facts = self.facts();
        let asked_others = rules_of(in_force, &row.listener)
            .is_none_or(|before| asks_more(&rules.dns_lists, &before.dns_lists));
        for _ in 0..QUESTIONS_MAX {
            let explained = explain(rules, &client, &self.sender, recipient, &facts);
            match &explained.question {
                None => return self.told(rules, &explained),
                Some(Question::Listings(_)) if asked_others => return Told::CannotTell,
                Some(question) => match self.answer(question) {
                    Some(answer) => facts.answer(answer),
                    None => return Told::CannotTell,
                },
            }
        }
        Told::CannotTell
    }

    fn client(&self, rules: &Rules) -> Client {
        let row = &self.decided.row;
        let address = match self.origin {
            Origin::Account(uid) => {
                return Client::of_this_machine(uid, Arc::clone(&rules.listener.name));
            }
            Origin::Address(address) => address,
        };
        let bind = rules.listener.binds.first().copied();
        let local = bind.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 25)));
        let peer = SocketAddr::new(address, 0);
        let mut client = Client::new(peer, local, Arc::clone(&rules.listener.name));
        client.tls = (!row.tls.is_empty()).then(|| TlsFacts {
            version: "TLS",
            cipher: row.tls.clone(),
            group: "",
            handshake: mail::Handshake::Full,
            certificate: None,
        });
        client.user = (!row.user.is_empty()).then(|| (*row.user).into());
        client
    }

    fn facts(&self) -> Facts {
        let row = &self.decided.row;
        let name = Domain::parse(&row.client_name).ok();
        Facts {
            confirmed_name: name.map(Fact::Yes),
            // No policy service stood against it.
            consulted: self.decided.was_accepted.then_some(Consulted::Passes),
            now: Some(row.at),
            rights: self.rights.map(Arc::clone),
            ..Facts::default()
        }
    }

    /// What follows from what became of it; `None`: nothing.
    fn answer(&self, question: &Question) -> Option<Answer> {
        let was_accepted = self.decided.was_accepted;
        match question {
            Question::Recipient { mailbox, .. } => {
                let is_unknown = self.decided.row.reply.starts_with("550 5.1.1");
                match (was_accepted, is_unknown) {
                    (true, _) => Some(Answer::Recipient(mailbox.clone(), Fact::Yes(()))),
                    (false, true) => Some(Answer::Recipient(mailbox.clone(), Fact::No)),
                    (false, false) => None,
                }
            }
            // No list stood against it.
            Question::Listings(_) => was_accepted.then(|| Answer::Listings(Arc::from([]))),
            // Who has to wait is taken in the end.
            Question::Greylist(_) => {
                let passes = Greylisted::Passes(Familiar::Triplet);
                Some(Answer::Greylist(passes))
            }
            // Of whoever was taken it is known.
            Question::ConfirmedName(_) | Question::Consult(_) => None,
        }
    }

    fn told(&self, rules: &Rules, explained: &Explanation) -> Told {
        if explained.is_accepted() {
            let first = explained.admitted.first();
            return Told::Accepted(first.map(|(_, why)| why.place.to_string()));
        }
        // Which certificate it showed was not written down.
        let showed_one = !self.decided.row.tls.is_empty() && !rules.relay.certificates.is_empty();
        match &explained.answer {
            Some(_) if showed_one => Told::CannotTell,
            Some(reply) => {
                let mut steps = explained.steps.iter();
                let decided = steps
                    .find(|step| matches!(step.result, StepResult::Refuse | StepResult::Postpone));
                let place = decided.and_then(|step| step.place.as_ref());
                Told::Refused(reply.to_string(), place.map(ToString::to_string))
            }
            None => Told::CannotTell,
        }
    }
}

/// Whether these lists say more against a client than those others.
fn asks_more(lists: &DnsLists, others: &DnsLists) -> bool {
    let is_known = |list: &DnsList| {
        let mut others = others.lists.iter();
        others.any(|other| {
            (&other.zone, &other.codes, other.weight) == (&list.zone, &list.codes, list.weight)
        })
    };
    lists.threshold < others.threshold || !lists.lists.iter().all(is_known)
}

fn rules_of<'a>(config: &'a Config, listener: &str) -> Option<&'a Rules> {
    super::all_rules(config).find(|rules| &*rules.listener.name == listener)
}

fn own_names(config: &Config, rules: &Rules) -> Vec<Domain> {
    let mut listeners = config.listeners.iter();
    let listener = listeners.find(|listener| listener.name == rules.listener.name);
    let mut names = vec![config.hostname.clone()];
    names.extend(listener.map(|listener| listener.hostname.clone()));
    names
}

#[cfg(test)]
mod tests {
    use mail::Timestamp;

    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "[listener.internet]\nbind = \"0.0.0.0:25\"\n[domain.\"ours.test\"]\nroute = \"[192.0.2.1]\"\n{more}"
        );
        let environment = config::Environment {
            hostname: Domain::parse("relay.test").ok(),
            addresses: Vec::new(),
        };
        config::parse("gatepost.toml", &text, &environment)
            .unwrap()
            .config
    }

    fn row(result: TrackedResult, client: &str, to: &str) -> Row {
        let stage = match result {
            TrackedResult::Received => Stage::Data,
            _ => Stage::Rcpt,
        };
        Row {
            listener: "internet".into(),
            client: client.into(),
            sender: Some("ann@client.test".into()),
            recipient: to.into(),
            reply: "550 5.7.1 Unable to relay".into(),
            ..Row::new(Timestamp::from_millis(1_000), result, stage)
        }
    }

    struct Nobody;

    impl KnownUsers for Nobody {
        fn rights(&self, _: &str) -> Option<Arc<Rights>> {
            None
        }
    }

    #[test]
    fn what_an_edit_changes_is_counted_and_shown() {
        use TrackedResult::{Received, Refused};
        let before = config("[relay]\nallow = [\"10.0.0.1\"]\n");
        let after = config("[relay]\nallow = [\"10.0.0.2\"]\n");
        let mut signed_in = row(Received, "10.0.0.9", "bob@elsewhere.test");
        signed_in.user = "ann".into();
        let rows = vec![
            row(Received, "10.0.0.1", "bob@elsewhere.test"),
            row(Received, "10.0.0.1", "bob@elsewhere.test"),
            row(Received, "10.0.0.1", "bob@ours.test"),
            row(Refused, "10.0.0.2", "bob@elsewhere.test"),
            row(Refused, "10.0.0.3", "bob@elsewhere.test"),
            // By rules before those in force.
            row(Received, "10.0.0.4", "bob@elsewhere.test"),
            signed_in,
            row(TrackedResult::Delivered, "10.0.0.1", "bob@elsewhere.test"),
        ];
        let told = replay(rows, (&before, &after), &Nobody);
        assert_eq!((told.rows, told.decisions, told.cannot_tell), (8, 6, 1));
        assert_eq!((told.refused.decisions, told.refused.recipients), (1, 2));
        let example = &told.refused.examples[0];
        assert_eq!((&*example.client, &*example.was), ("10.0.0.1", "accepted"));
        assert!(example.now.starts_with("550 5.7.1 "), "{}", example.now);
        assert_eq!(told.accepted.decisions, 1);
        assert_eq!(told.accepted.examples[0].client, "10.0.0.2");
        assert_eq!(
            told.accepted.examples[0].place.as_deref(),
            Some("gatepost.toml:6")
        );
    }

    #[test]
    fn names_that_nobody_looked_up_cannot_be_told() {
        let before = config("");
        let after = config("[relay]\nallow = [\"*.client.test\"]\n");
        let mut named = row(TrackedResult::Refused, "10.0.0.1", "bob@elsewhere.test");
        named.client_name = "a.client.test".into();
        let unnamed = row(TrackedResult::Refused, "10.0.0.2", "bob@elsewhere.test");
        let told = replay(vec![named, unnamed], (&before, &after), &Nobody);
        assert_eq!((told.accepted.decisions, told.cannot_tell), (1, 1));
    }

    #[test]
    fn no_more_than_a_few_examples_are_given() {
        let before = config("[relay]\nallow = [\"10.0.0.0/24\"]\n");
        let clients = (0..50).map(|n| format!("10.0.0.{n}"));
        let rows = clients.map(|client| row(TrackedResult::Received, &client, "b@elsewhere.test"));
        let told = replay(rows.collect(), (&before, &config("")), &Nobody);
        assert_eq!(told.refused.decisions, 50);
        assert_eq!(told.refused.examples.len(), EXAMPLES_MAX);
    }
}
