//! XFORWARD: what a mail server tells a filter behind it of the client from whom it has a message,
//! and what the filter tells it in turn when the message comes back (Postfix's XFORWARD_README).

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mail::{Domain, from_xtext, xtext};

use crate::SyntaxFault;

/// Where a message came from before a filter, as the other side says: facts for people to read, by
/// which nobody gets any right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// `NAME`: the host name of the client.
    pub name: Option<Domain>,
    /// `ADDR`: its address.
    pub address: Option<IpAddr>,
    /// `PORT`: the port from which it connected.
    pub port: Option<u16>,
    /// `PROTO`: what it spoke, as `Received` has it (`ESMTPS`).
    pub protocol: Option<Box<str>>,
    /// `HELO`: what it called itself.
    pub helo: Option<Box<str>>,
    /// `IDENT`: the queue id of the message at the server before the filter.
    pub ident: Option<Box<str>>,
    /// `SOURCE`: whether it came from the inside.
    pub source: Option<Source>,
}

/// From which side of the server a message came (`SOURCE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From somebody who may relay.
    Local,
    /// From anybody.
    Remote,
}

/// One of the facts, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginFact {
    /// `NAME`
    Name,
    /// `ADDR`
    Addr,
    /// `PORT`
    Port,
    /// `PROTO`
    Proto,
    /// `HELO`
    Helo,
    /// `IDENT`
    Ident,
    /// `SOURCE`
    Source,
}

/// In place of a value that is not known, or not to be told.
const UNAVAILABLE: &str = "[UNAVAILABLE]";
/// In place of one that could not be found out now.
const TEMPORARILY_UNAVAILABLE: &str = "[TEMPUNAVAIL]";
/// RFC 5321 section 4.5.3.1.4: octets of a command line, without its CRLF.
const COMMAND_LEN_MAX: usize = 510;
/// What Postfix takes as a value.
const VALUE_LEN_MAX: usize = 255;
const SYNTAX: SyntaxFault = SyntaxFault::Expected("XFORWARD attribute=value...");

impl OriginFact {
    /// All, in the order in which they are offered and told.
    pub const ALL: [Self; 7] = [
        Self::Name,
        Self::Addr,
        Self::Port,
        Self::Proto,
        Self::Helo,
        Self::Ident,
        Self::Source,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Addr => "ADDR",
            Self::Port => "PORT",
            Self::Proto => "PROTO",
            Self::Helo => "HELO",
            Self::Ident => "IDENT",
            Self::Source => "SOURCE",
        }
    }

    /// Reads the name, in any case.
    pub fn of(word: &str) -> Option<Self> {
        let is_it = |fact: &Self| fact.as_str().eq_ignore_ascii_case(word);
        Self::ALL.into_iter().find(is_it)
    }
}

impl Origin {
    /// Takes in what one XFORWARD says, given what stands behind the verb; what is said again counts
    /// as said last. On an error nothing has changed.
    pub fn learn(&mut self, argument: &str) -> Result<(), SyntaxFault> {
        let mut learned = self.clone();
        let mut words = argument.split(' ').filter(|word| !word.is_empty());
        let first = words.next().ok_or(SYNTAX)?;
        for word in std::iter::once(first).chain(words) {
            let (name, value) = word.split_once('=').ok_or(SYNTAX)?;
            learned.set(OriginFact::of(name).ok_or(SYNTAX)?, value)?;
        }
        *self = learned;
        Ok(())
    }

    fn set(&mut self, fact: OriginFact, value: &str) -> Result<(), SyntaxFault> {
        let bad = SyntaxFault::Parameter(fact.as_str(), mail::ParameterFault::BadValue);
        let decoded = from_xtext(value).filter(|value| value.len() <= VALUE_LEN_MAX);
        let decoded = decoded.ok_or(bad)?;
        let unknown = ["", UNAVAILABLE, TEMPORARILY_UNAVAILABLE];
        let value = unknown
            .iter()
            .all(|word| !decoded.eq_ignore_ascii_case(word))
            .then_some(&*decoded);
        fn read<T>(
            value: Option<&str>,
            bad: SyntaxFault,
            read: impl FnOnce(&str) -> Option<T>,
        ) -> Result<Option<T>, SyntaxFault> {
            value.map(|value| read(value).ok_or(bad)).transpose()
        }
        match fact {
            OriginFact::Name => self.name = read(value, bad, |name| Domain::parse(name).ok())?,
            OriginFact::Addr => self.address = read(value, bad, address)?,
            OriginFact::Port => self.port = read(value, bad, port)?,
            OriginFact::Proto => self.protocol = value.map(Into::into),
            OriginFact::Helo => self.helo = value.map(Into::into),
            OriginFact::Ident => self.ident = value.map(Into::into),
            OriginFact::Source => self.source = read(value, bad, source)?,
        }
        Ok(())
    }

    /// The commands that tell a server all of those facts for which it asks, without their line ends.
    /// What is not known is told as that, so that no fact of an earlier message is left.
    pub fn commands(&self, wanted: &[OriginFact]) -> Vec<String> {
        let mut commands: Vec<String> = Vec::new();
        for fact in OriginFact::ALL.iter().filter(|fact| wanted.contains(fact)) {
            let word = self.word(*fact);
            match commands.last_mut() {
                Some(command) if command.len() + 1 + word.len() <= COMMAND_LEN_MAX => {
                    command.push(' ');
                    command.push_str(&word);
                }
                Some(_) | None => commands.push(format!("XFORWARD {word}")),
            }
        }
        commands
    }

    fn word(&self, fact: OriginFact) -> String {
        let name = fact.as_str();
        // No value of that length is xtext of a kind that fits with it into one command.
        let fits = |value: &String| value.len() <= VALUE_LEN_MAX && !value.is_empty();
        let value = self.value(fact).map(|value| xtext(&value)).filter(fits);
        format!("{name}={}", value.as_deref().unwrap_or(UNAVAILABLE))
    }

    fn value(&self, fact: OriginFact) -> Option<String> {
        let text = |value: &Option<Box<str>>| value.as_deref().map(str::to_owned);
        match fact {
            OriginFact::Name => self.name.as_ref().map(ToString::to_string),
            OriginFact::Addr => self.address.map(|address| match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("{IPV6}{address}"),
            }),
            OriginFact::Port => self.port.map(|port| port.to_string()),
            OriginFact::Proto => text(&self.protocol),
            OriginFact::Helo => text(&self.helo),
            OriginFact::Ident => text(&self.ident),
            OriginFact::Source => self.source.map(|source| source.to_string()),
        }
    }
}

/// Before an IPv6 address (RFC 5321 section 4.1.3).
const IPV6: &str = "IPV6:";

fn address(text: &str) -> Option<IpAddr> {
    let tag = text.get(..IPV6.len());
    if tag.is_some_and(|tag| tag.eq_ignore_ascii_case(IPV6)) {
        let address: Ipv6Addr = text.get(IPV6.len()..)?.parse().ok()?;
        return Some(IpAddr::V6(address).to_canonical());
    }
    let address: Ipv4Addr = text.parse().ok()?;
    Some(IpAddr::V4(address))
}

fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn source(text: &str) -> Option<Source> {
    let both = [Source::Local, Source::Remote];
    let is_it = |source: &Source| source.to_string().eq_ignore_ascii_case(text);
    both.into_iter().find(is_it)
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "LOCAL",
            Self::Remote => "REMOTE",
        })
    }
}

/// What EHLO says: `XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE`.
pub(crate) fn offer() -> String {
    let mut offer = "XFORWARD".to_owned();
    for fact in OriginFact::ALL {
        // Writing to a String cannot fail.
        let _ = write!(offer, " {}", fact.as_str());
    }
    offer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn facts_come_in_any_order_and_in_several_commands() {
        let mut origin = Origin::default();
        origin
            .learn("helo=mail.client.example NAME=[UNAVAILABLE]  ADDR=192.0.2.7")
            .unwrap();
        origin
            .learn("PORT=2525 Proto=ESMTPS IDENT=0A1b+2Bx source=remote")
            .unwrap();
        let expected = Origin {
            name: None,
            address: "192.0.2.7".parse().ok(),
            port: Some(2525),
            protocol: Some("ESMTPS".into()),
            helo: Some("mail.client.example".into()),
            ident: Some("0A1b+x".into()),
            source: Some(Source::Remote),
        };
        assert_eq!(origin, expected);
        origin
            .learn("ADDR=IPv6:2001:db8::7 NAME=mx.client.example IDENT=")
            .unwrap();
        assert_eq!(origin.address, "2001:db8::7".parse().ok());
        assert_eq!((origin.ident, origin.name.is_some()), (None, true));
        let mut mapped = Origin::default();
        mapped
            .learn("ADDR=IPV6:::ffff:192.0.2.7 NAME=[tempunavail]")
            .unwrap();
        assert_eq!(
            (mapped.address, mapped.name),
            ("192.0.2.7".parse().ok(), None)
        );
    }

    #[test]
    fn what_is_no_fact_changes_nothing() {
        let mut origin = Origin::default();
        for bad in [
            "",
            " ",
            "ADDR",
            "LOGIN=ann",
            "ADDR=192.0.2.7 X=1",
            "ADDR=192.0.2.256",
            "ADDR=2001:db8::7",
            "ADDR=IPV6:192.0.2.7",
            "PORT=70000",
            "PORT=+1",
            "NAME=a+0D+0Ab",
            "NAME=a..b",
            "SOURCE=inside",
            "HELO=a+zz",
        ] {
            assert!(origin.learn(bad).is_err(), "{bad}");
        }
        let long = format!("HELO={}", "x".repeat(VALUE_LEN_MAX + 1));
        assert!(origin.learn(&long).is_err());
        assert_eq!(origin, Origin::default());
    }

    #[test]
    fn what_is_not_asked_for_is_not_told_and_what_is_not_known_is_told_as_that() {
        let origin = Origin {
            helo: Some("a b".into()),
            source: Some(Source::Local),
            ..Origin::default()
        };
        let wanted = [OriginFact::Source, OriginFact::Name, OriginFact::Helo];
        let told = origin.commands(&wanted);
        assert_eq!(
            told,
            ["XFORWARD NAME=[UNAVAILABLE] HELO=a+20b SOURCE=LOCAL"]
        );
        assert!(origin.commands(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_told_is_what_is_learned(
            helo in "[ -~\u{e4}]{0,90}", ident in "[!-~]{0,80}", v6 in any::<u128>(), port in any::<u16>(),
        ) {
            let known = |text: String| Some(text).filter(|text| !text.is_empty());
            let origin = Origin {
                name: Domain::parse("mx.client.example").ok(),
                address: Some(IpAddr::V6(Ipv6Addr::from_bits(v6)).to_canonical()),
                port: Some(port),
                protocol: Some("ESMTP".into()),
                helo: known(helo).map(Into::into),
                ident: known(ident).map(Into::into),
                source: Some(Source::Remote),
            };
            let mut learned = Origin::default();
            for command in origin.commands(&OriginFact::ALL) {
                prop_assert!(command.len() <= COMMAND_LEN_MAX && command.is_ascii());
                learned.learn(command.strip_prefix("XFORWARD ").unwrap()).unwrap();
            }
            // What does not fit into a command is not told.
            let told = |value: &Option<Box<str>>| {
                value.clone().filter(|value| xtext(value).len() <= VALUE_LEN_MAX)
            };
            prop_assert_eq!(told(&origin.helo), learned.helo.clone());
            prop_assert_eq!(told(&origin.ident), learned.ident.clone());
            prop_assert_eq!(
                Origin { helo: None, ident: None, ..origin },
                Origin { helo: None, ident: None, ..learned }
            );
        }

        #[test]
        fn no_argument_panics(argument in "(\\PC| |=|\\+){0,60}") {
            let _ = Origin::default().learn(&argument);
        }
    }
}
