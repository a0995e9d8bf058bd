//! Conditions to text that [`crate::Filter::parse`] reads back. Ages come out as moments: they were
//! fixed when they were read.

use std::fmt;

use crate::{Condition, Filter, Tracked};

/// The conditions, parted by blanks; nothing for everything.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, condition) in self.conditions.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            condition.fmt(f)?;
        }
        Ok(())
    }
}

/// `key:value`
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "id:{id}"),
            Self::To(glob) => write!(f, "to:<{glob}>"),
            Self::From(glob) => write!(f, "from:<{glob}>"),
            Self::State(state) => write!(f, "state:{}", state.as_str()),
            Self::ArrivedBefore(at) => write!(f, "arrived:<{at}"),
            Self::ArrivedAfter(at) => write!(f, "arrived:>{at}"),
            Self::LargerThan(octets) => write!(f, "size:>{octets}B"),
            Self::SmallerThan(octets) => write!(f, "size:<{octets}B"),
            Self::Code(code) => write!(f, "code:{}", code.0),
            Self::Client(network) => write!(f, "client:{network}"),
            Self::User(glob) => write!(f, "user:{glob}"),
            Self::Tracked(asked) => asked.fmt(f),
        }
    }
}

/// `key:value`
impl fmt::Display for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Result(result) => write!(f, "state:{result}"),
            Self::Listener(glob) => write!(f, "listener:{glob}"),
            Self::Hello(glob) => write!(f, "hello:{glob}"),
            Self::Route(glob) => write!(f, "route:{glob}"),
            Self::Host(glob) => write!(f, "host:{glob}"),
            Self::Reply(words) => write!(f, "reply:{words}"),
            Self::MessageId(glob) => write!(f, "message-id:<{glob}>"),
            Self::Subject(words) => write!(f, "subject:{words}"),
        }
    }
}
