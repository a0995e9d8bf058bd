use std::fmt;
use std::sync::Arc;

use mail::Place;
use relay_policy::{Mode, Rules};

use crate::reach::Reach;

/// Some who may send to domains that are not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Who may relay by the line in `place`.
    pub who: Permitted,
    /// The listeners through which they may.
    pub listeners: Vec<Arc<str>>,
    /// The line that says so.
    pub place: Place,
}

/// Who may relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permitted {
    /// Clients on `relay.allow`.
    Listed {
        /// How many entries there are.
        entries: usize,
        /// How many public addresses they hold that are not denied; an IPv6 /64 counts as one.
        public: u128,
    },
    /// Every client but those on `relay.except`.
    AllExcept {
        /// How many entries there are.
        entries: usize,
    },
    /// Clients that show a certificate of `relay.certificates`.
    Certificates {
        /// How many entries there are.
        entries: usize,
    },
    /// Users who signed in and have the right.
    Users,
    /// The filter, which gives back what it had from us.
    Filter {
        /// Its name.
        name: Arc<str>,
    },
    /// Accounts of this machine, by a way of local submission.
    ThisMachine {
        /// Only as some senders.
        as_some: bool,
        /// Only to some recipients.
        to_some: bool,
    },
    /// Nobody at all.
    Nobody,
}

impl Permission {
    /// Whether it permits nobody.
    pub fn is_none(&self) -> bool {
        self.who == Permitted::Nobody
    }

    /// Adds what one listener permits; what several permit by the same line is one permission.
    pub(crate) fn add(told: &mut Vec<Self>, rules: &Rules) {
        for (who, place) in permitted(rules) {
            let listener = rules.listener.name.clone();
            let same = |one: &&mut Self| one.who == who && one.place == place;
            match told.iter_mut().find(same) {
                Some(one) => one.listeners.push(listener),
                None => told.push(Self {
                    who,
                    listeners: vec![listener],
                    place,
                }),
            }
        }
    }
}

fn permitted(rules: &Rules) -> Vec<(Permitted, Place)> {
    if let Some(local) = &rules.local {
        let who = if local.may_relay {
            Permitted::ThisMachine {
                as_some: !local.senders.is_empty(),
                to_some: local.only_to.is_some(),
            }
        } else {
            Permitted::Nobody
        };
        return vec![(who, local.place.clone())];
    }
    if let Some(way_back) = &rules.way_back {
        let name = Arc::clone(&way_back.filter);
        return vec![(Permitted::Filter { name }, way_back.place.clone())];
    }
    let clients = clients(rules);
    let certificates = rules.relay.certificates.first().map(|first| {
        let entries = rules.relay.certificates.len();
        (Permitted::Certificates { entries }, first.place.clone())
    });
    let users = (rules.relay.signed_in && rules.listener.sign_in.offered)
        .then(|| (Permitted::Users, rules.relay.signed_in_place.clone()));
    let certificates = certificates.filter(|_| rules.listener.tls.offered);
    let mut all: Vec<_> = [clients, certificates, users]
        .into_iter()
        .flatten()
        .collect();
    if all.is_empty() {
        all.push((Permitted::Nobody, rules.relay.access.place.clone()));
    }
    all
}

fn clients(rules: &Rules) -> Option<(Permitted, Place)> {
    let access = &rules.relay.access;
    let entries = access.list.entries().len();
    match access.mode {
        Mode::AllExcept => Some((Permitted::AllExcept { entries }, access.place.clone())),
        Mode::OnlyList if entries == 0 => None,
        Mode::OnlyList => {
            let denied = Reach::of_list(&rules.relay.deny);
            let public = Reach::of_list(&access.list).without(&denied).public_count();
            let who = Permitted::Listed { entries, public };
            Some((who, access.list.place().clone()))
        }
    }
}

/// `1 entry in relay.allow on internet and submission (gatepost.toml:13)`
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listeners: Vec<&str> = self.listeners.iter().map(|name| &**name).collect();
        let listeners = listeners.join(" and ");
        let (who, listeners) = (&self.who, mail::escaped(&listeners));
        write!(f, "{who} on {listeners} ({})", self.place)
    }
}

impl fmt::Display for Permitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = |entries: usize| if entries == 1 { "entry" } else { "entries" };
        match self {
            Self::Listed { entries, public: 0 } => {
                write!(f, "{entries} {} in relay.allow", noun(*entries))
            }
            Self::Listed { entries, public } => {
                let noun = noun(*entries);
                let addresses = if *public == 1 { "address" } else { "addresses" };
                write!(
                    f,
                    "{entries} {noun} in relay.allow with {public} public {addresses}"
                )
            }
            Self::AllExcept { entries } => {
                write!(
                    f,
                    "everybody but {entries} {} in relay.except",
                    noun(*entries)
                )
            }
            Self::Certificates { entries } => {
                write!(f, "{entries} {} in relay.certificates", noun(*entries))
            }
            Self::Filter { name } => write!(f, "the filter {}", mail::escaped(name)),
            Self::Users => f.write_str("users who signed in"),
            Self::ThisMachine { as_some, to_some } => {
                let as_some = if *as_some { " as some senders" } else { "" };
                let to_some = if *to_some { " to some recipients" } else { "" };
                write!(f, "this machine{as_some}{to_some}")
            }
            Self::Nobody => f.write_str("nobody"),
        }
    }
}
