use mail::Reply;

use crate::fault::text;
use crate::field::{field_name, field_value};
use crate::policy_state::State;
use crate::{Edit, Fault, Position};

/// Characters of a text that are kept.
const TEXT_MAX: usize = 512;

/// What a policy service wants to be done (Postfix's access(5), "ACCEPT ACTIONS" and the like). Texts
/// are fit to be shown, and empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyAction {
    /// It has nothing to say.
    Dunno,
    /// It permits.
    Permit,
    /// It refuses (5xx) with this text.
    Refuse(String),
    /// It wants the client to come again (4xx), with this text.
    Postpone(String),
    /// The same, unless something else refuses.
    PostponeIfPermitted(String),
    /// It wants what something else refuses to be postponed instead.
    PostponeIfRefused(String),
    /// This reply: a code of 4xx or 5xx, and its text.
    Reply(u16, String),
    /// The message is to be held.
    Hold(String),
    /// The message is to be taken and thrown away.
    Discard(String),
    /// This field is to stand on top of the message.
    Prepend(Edit),
    /// All recipients are to be replaced by this one.
    Redirect(String),
    /// This one is to get the message as well.
    Bcc(String),
    /// This belongs into the log; else it has nothing to say.
    Log(String),
}

impl PolicyAction {
    /// How the client is answered, where this stands against its recipient by itself: with the codes
    /// that Postfix takes where the service names none, and the service's words. A reply never ends the
    /// session (RFC 5321 section 3.8: 421), nor is it about anything but what was asked about there.
    pub fn reply(&self, at: State) -> Option<Reply> {
        let (code, said, otherwise) = match self {
            Self::Refuse(said) => (554, said, ": Access denied"),
            Self::Postpone(said) | Self::PostponeIfPermitted(said) => {
                (450, said, ": Access denied, try again later")
            }
            Self::Reply(code, said) => {
                let code = match code {
                    450..=452 | 550..=554 => *code,
                    400..=499 => 450,
                    _ => 550,
                };
                (code, said, "")
            }
            Self::Dunno
            | Self::Permit
            | Self::PostponeIfRefused(_)
            | Self::Hold(_)
            | Self::Discard(_)
            | Self::Prepend(_)
            | Self::Redirect(_)
            | Self::Bcc(_)
            | Self::Log(_) => return None,
        };
        let ((subject, detail), said) = status(said, code / 100).unwrap_or(((7, 1), said));
        let said = match said.is_empty() {
            true => format!("{}{otherwise}", at.refused()),
            false => said.to_owned(),
        };
        Some(Reply::new(code, subject, detail, said))
    }

    /// Reads an action, whatever its case and the blanks around it.
    pub(crate) fn read(action: &[u8]) -> Result<Self, Fault> {
        let malformed = || Fault::malformed("an action", action);
        let whole = str::from_utf8(action).map_err(|_| malformed())?.trim();
        let (word, rest) = whole.split_once([' ', '\t']).unwrap_or((whole, ""));
        let rest = rest.trim();
        let said = text(rest.as_bytes(), TEXT_MAX);
        Ok(match word.to_ascii_lowercase().as_str() {
            "" | "dunno" => Self::Dunno,
            "ok" | "permit" => Self::Permit,
            "reject" => Self::Refuse(said),
            "defer" => Self::Postpone(said),
            "defer_if_permit" => Self::PostponeIfPermitted(said),
            "defer_if_reject" => Self::PostponeIfRefused(said),
            "hold" => Self::Hold(said),
            "discard" => Self::Discard(said),
            "prepend" => {
                let (name, value) = rest.split_once(':').ok_or_else(malformed)?;
                Self::Prepend(Edit::Add {
                    name: field_name(name.trim_end())?,
                    value: field_value(value.trim_start())?,
                    place: Position::Top(0),
                })
            }
            "redirect" if !rest.is_empty() => Self::Redirect(said),
            "bcc" if !rest.is_empty() => Self::Bcc(said),
            "warn" | "info" => Self::Log(said),
            code => match code.parse() {
                Ok(number @ 400..=599) if code.len() == 3 => Self::Reply(number, said),
                _ => return Err(malformed()),
            },
        })
    }
}

/// Subject and detail of the enhanced status at the beginning of a text (RFC 3463), where it is of this
/// class, and what follows.
fn status(text: &str, class: u16) -> Option<((u16, u16), &str)> {
    let (status, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut numbers = status.split('.').map(|number| {
        let is_short = (1..=3).contains(&number.len());
        let is_number = is_short && number.bytes().all(|octet| octet.is_ascii_digit());
        number.parse::<u16>().ok().filter(|_| is_number)
    });
    let mut number = || numbers.next().flatten();
    let (of_class, subject, detail) = (number()?, number()?, number()?);
    let is_whole = numbers.next().is_none() && of_class == class;
    is_whole.then_some(((subject, detail), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(action: &str) -> Result<PolicyAction, Fault> {
        PolicyAction::read(action.as_bytes())
    }

    #[test]
    fn without_words_a_reply_says_what_was_refused() {
        let reply = |action, at| read(action).unwrap().reply(at).unwrap().to_string();
        assert_eq!(
            reply("REJECT", State::EndOfMessage),
            "554 5.7.1 End-of-data rejected: Access denied"
        );
        assert_eq!(reply("451", State::Data), "451 4.7.1 Data command rejected");
    }

    #[test]
    fn actions_are_read_whatever_their_case_and_blanks() {
        let said = |text: &str| text.to_owned();
        for (action, expected) in [
            ("dunno", PolicyAction::Dunno),
            (" DUNNO  ", PolicyAction::Dunno),
            ("", PolicyAction::Dunno),
            ("Ok", PolicyAction::Permit),
            ("reject", PolicyAction::Refuse(said(""))),
            ("REJECT 5.7.1 No", PolicyAction::Refuse(said("5.7.1 No"))),
            (
                "defer_if_permit Later ",
                PolicyAction::PostponeIfPermitted(said("Later")),
            ),
            ("DEFER_IF_REJECT", PolicyAction::PostponeIfRefused(said(""))),
            ("450 4.7.1 x", PolicyAction::Reply(450, said("4.7.1 x"))),
            ("hold why", PolicyAction::Hold(said("why"))),
            ("warn a\x1bb", PolicyAction::Log(said("a\\x1bb"))),
            (
                "redirect a@b.example",
                PolicyAction::Redirect(said("a@b.example")),
            ),
        ] {
            assert_eq!(read(action), Ok(expected), "{action}");
        }
        // As policyd-spf writes it.
        let field = Edit::Add {
            name: said("Received-SPF"),
            value: said("Pass (mailfrom) identity=mailfrom"),
            place: Position::Top(0),
        };
        let action = read("prepend Received-SPF: Pass (mailfrom) identity=mailfrom ");
        assert_eq!(action, Ok(PolicyAction::Prepend(field)));
    }

    #[test]
    fn what_stands_against_a_recipient_is_answered_in_the_words_of_the_service() {
        for (action, expected) in [
            (
                "reject",
                "554 5.7.1 Recipient address rejected: Access denied",
            ),
            ("reject 5.1.1 Nobody", "554 5.1.1 Nobody"),
            // Of another class than the code.
            ("reject 4.7.1 No", "554 5.7.1 4.7.1 No"),
            ("550 5.7.23 SPF fail", "550 5.7.23 SPF fail"),
            ("521 Away", "550 5.7.1 Away"),
            ("defer_if_permit Come again", "450 4.7.1 Come again"),
            ("451 4.3.0 x\r\n250 y", "451 4.3.0 x\\x0d\\x0a250 y"),
            ("421 x", "450 4.7.1 x"),
        ] {
            let reply = read(action).expect(action).reply(State::Recipient);
            assert_eq!(
                reply.map(|reply| reply.to_string()).as_deref(),
                Some(expected)
            );
        }
        for action in ["dunno", "ok", "hold x", "defer_if_reject x", "prepend a: b"] {
            assert_eq!(
                read(action).expect(action).reply(State::Recipient),
                None,
                "{action}"
            );
        }
    }

    #[test]
    fn others_are_faults() {
        for action in [
            "perhaps",
            "filter smtp:127.0.0.1:10025",
            "200 x",
            "600",
            "0450",
            "45",
            "prepend x",
            "prepend a b: c",
            "redirect",
            "\u{e9}",
        ] {
            assert!(read(action).is_err(), "{action}");
        }
        assert!(PolicyAction::read(b"\xff").is_err());
    }
}
