use std::net::IpAddr;

/// What a scanner is told of a message beside its content.
///
/// Nothing in it is believed to be clean: text of clients that could end a line on the wire is
/// written so that it cannot, or left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Under which the message stands in our log.
    pub queue_id: String,
    /// Where the client connects from, where it came by network.
    pub client: Option<IpAddr>,
    /// The client's name, where reverse and forward look-up agree.
    pub client_name: Option<String>,
    /// What the client called itself in HELO or EHLO.
    pub hello: Option<String>,
    /// Who signed in.
    pub user: Option<String>,
    /// Without angle brackets; empty for the null sender.
    pub sender: String,
    /// Without angle brackets.
    pub recipients: Vec<String>,
    /// How the session is encrypted, where it is.
    pub tls: Option<TlsFacts>,
    /// The name of this host.
    pub server: String,
    /// What else was found out, in words: the direction, results of checks. Names and values; hooks
    /// alone are told.
    pub facts: Vec<(&'static str, &'static str)>,
    /// Octets that will be given as content, all fields that we add included: no more, no less.
    pub size: u64,
}

/// How a session is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3`
    pub version: String,
    /// The cipher suite's registered name.
    pub cipher: String,
}
