use mail::{Client, Reply};

use crate::{Demand, Listener, Reason, Why};

/// What a client hears at MAIL as long as it has not done what `listener` requires of everybody;
/// `None` when it has.
pub fn gate(listener: &Listener, client: &Client) -> Option<(Reply, Reason)> {
    let lacks = |demand: &Demand, done: bool| demand.required && !done;
    if lacks(&listener.tls, client.tls.is_some()) {
        // RFC 3207 section 4: "530 Must issue a STARTTLS command first"
        let reply = Reply::new(530, 7, 0, "Must issue a STARTTLS command first");
        return Some((reply, Reason::new(Why::TlsRequired, &listener.tls.place)));
    }
    if lacks(&listener.sign_in, client.user.is_some()) {
        // RFC 4954 section 6: "530 5.7.0 Authentication required"
        let reply = Reply::new(530, 7, 0, "Authentication required");
        let why = Reason::new(Why::SignInRequired, &listener.sign_in.place);
        return Some((reply, why));
    }
    None
}
