//! What an administrator can do about a delivery that fails.

use lookups::Trial;
use route::DemandedBy;

use super::stages::{Step, word};

/// What to do about a trial that failed at this step.
pub fn advice(trial: &Trial, step: Step) -> &'static str {
    match step {
        Step::Connect => {
            "Nothing answers at this address and port. See whether the host is up and the port is \
             right, and whether a firewall lets this machine out: many providers close port 25, \
             and then a smart host on port 587 is the way."
        }
        Step::Banner => {
            "The server turns this machine away before a word is said. See what it says of our \
             address: its reverse DNS, or a list of unwanted senders on which it stands."
        }
        Step::Ehlo => {
            "The server does not like how we name ourselves. `hostname`, or `helo` of the route, \
             should be a name that leads to our address."
        }
        Step::StartTls => {
            "Encryption is demanded here, by `tls` of domain, route or [outbound], by the route's \
             `auth`, or by the domain's own policy, and does not come about. Ask the owner of the \
             server to mend it; `tls` can be lowered where only the configuration demands it."
        }
        Step::Certificate => certificate(trial.hop.demanded_by),
        Step::SignIn => {
            "Our sign-in does not get through. See `auth` of the route: user, secret, mechanism; \
             and whether the account may use SMTP."
        }
        Step::Mail if is_permanent(trial) => {
            "The server does not take this sender. Try `--from` with an address that it expects \
             from us; a route that signs in often takes the account's own addresses only."
        }
        Step::Rcpt if is_permanent(trial) => {
            "The server refuses this recipient: mail would be bounced. Its text says whether the \
             address does not exist, or our address or name is not welcome."
        }
        Step::Mail | Step::Rcpt => {
            "The server puts us off, as for greylisting or when it is busy. The relay would try \
             again by itself."
        }
    }
}

fn certificate(demanded_by: DemandedBy) -> &'static str {
    match demanded_by {
        DemandedBy::Dane => {
            "The certificate is not the one that the host's TLSA records name. Only the owner of \
             the server can mend that; mail waits until then."
        }
        DemandedBy::MtaSts => {
            "The certificate is not what the domain's MTA-STS policy demands. Only the owner of \
             the server can mend that; mail waits until then."
        }
        DemandedBy::Configuration | DemandedBy::MtaStsTesting { .. } => {
            "`tls = \"verify\"` wants a certificate for the host's name, or `tls_name` of the \
             route, from an authority of the system or of `outbound.ca`. With `require` any \
             certificate will do."
        }
    }
}

fn is_permanent(trial: &Trial) -> bool {
    word(trial).is_some_and(mail::Reply::is_permanent)
}
