//! How servers behave: what they offer, and what goes wrong with them.

use self::Phase::{Content, Data, End, Greeting, Hello, Mail, Rcpt};
use self::Trouble::{Close, Defer, Goodbye, Hang, Refuse, TakeClose, TakeHang};
use crate::world::World;

/// Where trouble may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Greeting,
    Hello,
    Mail,
    Rcpt,
    Data,
    Content,
    End,
}

/// What goes wrong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Hang,
    Close,
    Goodbye,
    Defer,
    Refuse,
    /// At the end of a message: it is taken, and then the server dies or hangs without saying so.
    TakeClose,
    TakeHang,
}

/// As often as they stand here.
const PHASES: [Phase; 10] = [
    Greeting, Hello, Mail, Rcpt, Rcpt, Data, Content, End, End, End,
];
const TROUBLES: [Trouble; 8] = [
    Hang, Close, Goodbye, Defer, Defer, Refuse, TakeClose, TakeHang,
];

const EXTENSIONS: [&str; 7] = [
    "PIPELINING",
    "SIZE 50000000",
    "8BITMIME",
    "CHUNKING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "STARTTLS",
];

/// How a server behaves on one connection.
pub(super) struct Behaviour {
    pub(super) knows_ehlo: bool,
    /// As lines of the reply to EHLO.
    pub(super) offers: String,
    pub(super) recipients_max: usize,
    /// It defers all recipients.
    pub(super) greylists: bool,
    /// It answers 354 to DATA without recipients.
    pub(super) takes_empty: bool,
    /// It closes the connection after each message, without a word.
    pub(super) is_curt: bool,
    /// When this phase has been passed so often.
    trouble: Option<(Phase, u64, Trouble)>,
}

impl Behaviour {
    pub(super) fn new(world: &mut World) -> Self {
        let random = &mut world.random;
        let offered = EXTENSIONS.iter().filter(|_| random.chance(60));
        let mut offers: String = offered.map(|offer| format!("250-{offer}\r\n")).collect();
        let takes_few = random.chance(15);
        let recipients_max = if takes_few { random.size(1, 2) } else { 100 };
        if takes_few && random.chance(50) {
            offers.push_str(&format!("250-LIMITS RCPTMAX={recipients_max}\r\n"));
        }
        Self {
            offers,
            recipients_max,
            knows_ehlo: !random.chance(8),
            takes_empty: random.chance(10),
            is_curt: random.chance(10),
            greylists: world.fails(15),
            trouble: world.fails(50).then(|| {
                let random = &mut world.random;
                let phase = *random.pick(&PHASES);
                (phase, random.between(1, 3), *random.pick(&TROUBLES))
            }),
        }
    }

    /// Trouble in this phase, if it is its time.
    pub(super) fn trouble_in(&mut self, phase: Phase) -> Option<Trouble> {
        let (at, passages, trouble) = self.trouble.as_mut()?;
        if *at != phase {
            return None;
        }
        *passages = passages.checked_sub(1)?;
        (*passages == 0).then_some(*trouble)
    }
}
