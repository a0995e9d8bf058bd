use std::fmt;

use mail::{Domain, Place, Reply};

use crate::Measure;

/// A client goes over a limit: it is sent away for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnAway {
    /// What the client had too much of.
    pub excess: Excess,
    /// The line of the configuration that set it.
    pub place: Place,
}

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Sessions at one time, of the listener or of this client.
    Sessions,
    /// Connections in a time.
    Connections,
    /// Messages in a time.
    Messages,
    /// Recipients that do not exist.
    Guesses,
    /// What goes out, as the guardian counts it.
    Outbound(Measure),
}

impl TurnAway {
    /// What the client hears from `hostname`: 421 in place of the greeting, 451 at MAIL.
    pub fn reply(&self, hostname: &Domain) -> Reply {
        match self.excess {
            // RFC 3463: X.3.2 is a system that does not accept messages now.
            Excess::Sessions => {
                let text = format!("{hostname} Too many connections, try again later");
                Reply::new(421, 3, 2, text)
            }
            Excess::Connections => too_fast(421, "connections"),
            Excess::Messages => too_fast(451, "messages"),
            Excess::Outbound(measure) => too_fast(451, &measure.to_string()),
            Excess::Guesses => {
                let text = "Too many unknown recipients from you, try again later";
                Reply::new(421, 7, 0, text)
            }
        }
    }
}

fn too_fast(code: u16, what: &str) -> Reply {
    let text = format!("Too many {what} from you, try again later");
    Reply::new(code, 7, 1, text)
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sessions => "too many sessions at one time",
            Self::Connections => "too many connections",
            Self::Messages => "too many messages",
            Self::Guesses => "too many unknown recipients",
            Self::Outbound(measure) => return write!(f, "too many {measure} to other domains"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_turned_away_is_asked_to_come_again() {
        let hostname = Domain::parse("relay.test").unwrap();
        for (excess, expected) in [
            (
                Excess::Sessions,
                "421 4.3.2 relay.test Too many connections, try again later",
            ),
            (
                Excess::Connections,
                "421 4.7.1 Too many connections from you, try again later",
            ),
            (
                Excess::Messages,
                "451 4.7.1 Too many messages from you, try again later",
            ),
            (
                Excess::Outbound(Measure::NewRecipients),
                "451 4.7.1 Too many new recipients from you, try again later",
            ),
            (
                Excess::Guesses,
                "421 4.7.0 Too many unknown recipients from you, try again later",
            ),
        ] {
            let place = Place::Default;
            let reply = TurnAway { excess, place }.reply(&hostname);
            assert_eq!(reply.to_string(), expected, "{excess}");
        }
    }
}
