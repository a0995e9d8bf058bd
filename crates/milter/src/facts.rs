use std::collections::BTreeMap;

use mail::{Client, QueueId};

/// What milters are told of a message beside its envelope and what is in it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Our own name, which is the name that our results of authentication stand under: milters look
    /// for those by it, and name their own after it.
    pub host: Box<str>,
    /// Our software with its version.
    pub software: Box<str>,
    /// Who sends.
    pub client: Client,
    /// The name of the client's address, if it is confirmed.
    pub client_name: Option<Box<str>>,
    /// What the client called itself.
    pub hello: Box<str>,
    /// How the client's user signed in, by the name of the mechanism. Who it is stands in `client`.
    pub mechanism: Option<Box<str>>,
    /// The message's name.
    pub id: QueueId,
    /// The size that MAIL told of, in octets.
    pub declared_size: Option<u64>,
    /// Further macros, or others in place of ours: names as milters ask for them (`{name}`, or one
    /// letter), and values.
    pub macros: BTreeMap<Box<str>, Box<str>>,
}

impl Facts {
    /// Whether a milter that was told of this client need not be told of the other's.
    pub(crate) fn is_same_client(&self, other: &Self) -> bool {
        self.client == other.client
            && self.hello == other.hello
            && self.client_name == other.client_name
            && self.mechanism == other.mechanism
            && self.host == other.host
            && self.software == other.software
            && self.macros == other.macros
    }

    /// The client's name, or its address in brackets where it has none that is confirmed.
    pub(crate) fn client_name(&self) -> String {
        match &self.client_name {
            Some(name) => name.to_string(),
            None if self.client.uid.is_some() => "localhost".to_owned(),
            None => format!("[{}]", self.client.address()),
        }
    }
}
