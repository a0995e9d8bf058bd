use std::fmt;

use mail::Place;
use relay_policy::Rules;

/// Some clients that may send to some recipients only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bonds {
    /// How many entries name the clients.
    pub clients: usize,
    /// How many entries name the recipients.
    pub recipients: usize,
    /// The line that names the recipients.
    pub place: Place,
}

impl Bonds {
    /// All that the rules have.
    pub(crate) fn of(rules: &Rules) -> impl Iterator<Item = Self> {
        // Programs of this machine are on no network, and have their own.
        let by_network = rules.bound_clients.iter().filter(|_| rules.local.is_none());
        by_network.map(|bound| Self {
            clients: bound.clients.entries().len() + bound.certificates.len(),
            recipients: bound.only_to.recipients.len(),
            place: bound.only_to.place.clone(),
        })
    }
}

/// `2 entries of clients may send to 1 entry of recipients only (gatepost.toml:20)`
impl fmt::Display for Bonds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = |count| match count {
            1 => "1 entry".to_owned(),
            count => format!("{count} entries"),
        };
        let (clients, recipients) = (entries(self.clients), entries(self.recipients));
        let place = &self.place;
        write!(
            f,
            "{clients} of clients may send to {recipients} of recipients only ({place})"
        )
    }
}
