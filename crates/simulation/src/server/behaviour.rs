//! How servers behave: what they offer, and what goes wrong with them.

use crate::world::World;

/// Where trouble may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Greeting,
    Hello,
    Mail,
    Rcpt,
    Data,
    Content,
    End,
}

const PHASES: [Phase; 10] = [
    Phase::Greeting,
    Phase::Hello,
    Phase::Mail,
    Phase::Rcpt,
    Phase::Rcpt,
    Phase::Data,
    Phase::Content,
    Phase::End,
    Phase::End,
    Phase::End,
];

/// What goes wrong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Hang,
    Close,
    Goodbye,
    Defer,
    Refuse,
    /// At the end of a message: it is taken, and then the server dies or hangs without saying so.
    TakeAndClose,
    TakeAndHang,
}

const TROUBLES: [Trouble; 8] = [
    Trouble::Hang,
    Trouble::Close,
    Trouble::Goodbye,
    Trouble::Defer,
    Trouble::Defer,
    Trouble::Refuse,
    Trouble::TakeAndClose,
    Trouble::TakeAndHang,
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
    pub(super) messages_max: u32,
    pub(super) greylists: bool,
    pub(super) takes_empty: bool,
    /// It closes the connection after each message, without a word.
    pub(super) curt: bool,
    /// Where, at which passage, and what.
    pub(super) trouble: Option<(Phase, u32, Trouble)>,
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
        let knows_ehlo = !random.chance(8);
        let is_tired = random.chance(10);
        Self {
            knows_ehlo,
            offers,
            recipients_max,
            messages_max: if is_tired {
                random.between(1, 3) as u32
            } else {
                u32::MAX
            },
            takes_empty: random.chance(10),
            curt: random.chance(10),
            greylists: world.fails(15),
            trouble: world.fails(50).then(|| {
                let random = &mut world.random;
                let phase = *random.pick(&PHASES);
                (phase, random.between(1, 3) as u32, *random.pick(&TROUBLES))
            }),
        }
    }
}
