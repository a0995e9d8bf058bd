//! How servers behave: what they offer, and what goes wrong with them.

use crate::stage::Stage;

/// Where trouble may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Greeting,
    Hello,
    Mail,
    Rcpt,
    Data,
    Content,
    End,
}

const PLACES: [Place; 10] = [
    Place::Greeting,
    Place::Hello,
    Place::Mail,
    Place::Rcpt,
    Place::Rcpt,
    Place::Data,
    Place::Content,
    Place::End,
    Place::End,
    Place::End,
];

/// What goes wrong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
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

/// How a server behaves on one connection.
pub(crate) struct Behaviour {
    pub(crate) knows_ehlo: bool,
    pub(crate) offers: String,
    pub(crate) recipients_max: usize,
    pub(crate) messages_max: u32,
    pub(crate) greylists: bool,
    pub(crate) takes_empty: bool,
    /// It closes the connection after each message, without a word.
    pub(crate) curt: bool,
    pub(crate) trouble: Option<(Place, u32, Trouble)>,
}

impl Behaviour {
    pub(crate) fn new(stage: &mut Stage) -> Self {
        let random = &mut stage.random;
        let all = [
            "PIPELINING",
            "SIZE 50000000",
            "8BITMIME",
            "CHUNKING",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "STARTTLS",
        ];
        let offered = all.iter().filter(|_| random.chance(60));
        let mut offers: String = offered.map(|offer| format!("250-{offer}\r\n")).collect();
        let few = random.chance(15);
        let recipients_max = if few { random.size(1, 2) } else { 100 };
        if few && random.chance(50) {
            offers.push_str(&format!("250-LIMITS RCPTMAX={recipients_max}\r\n"));
        }
        let knows_ehlo = !random.chance(8);
        let messages_max = if random.chance(10) {
            random.between(1, 3) as u32
        } else {
            u32::MAX
        };
        let takes_empty = random.chance(10);
        let curt = random.chance(10);
        let greylists = stage.mishap(15);
        let trouble = stage.mishap(50).then(|| {
            let random = &mut stage.random;
            (
                *random.pick(&PLACES),
                random.between(1, 3) as u32,
                *random.pick(&TROUBLES),
            )
        });
        Self {
            knows_ehlo,
            offers,
            recipients_max,
            messages_max,
            greylists,
            takes_empty,
            curt,
            trouble,
        }
    }
}
