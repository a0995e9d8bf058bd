//! Who signs in and fetches mail on a connection of his own (ATRN, RFC 2645): a client that becomes
//! the server once it has asked.

use crate::domains::{HOSTED, ON_DEMAND};
use crate::settings::FETCHER;
use crate::world::{SocketId, World};

/// What it signs in with.
const PASSWORD: &str = "the fetcher's own";
/// Whether these are the octets by which the fetcher signs in with PLAIN (RFC 4616).
pub(crate) fn is_right(initial: &[u8]) -> bool {
    initial == credentials(PASSWORD).as_bytes()
}

fn credentials(password: &str) -> String {
    format!("\0{FETCHER}\0{password}")
}

/// One connection until it is turned around.
pub(crate) struct Fetcher {
    socket: SocketId,
    input: Vec<u8>,
    /// What it waits for the answer to.
    said: Said,
    /// Counts answers: tells whether it still makes progress.
    pub(crate) step: u32,
    signed_in: bool,
    /// It forgets to sign in.
    is_hasty: bool,
    /// Its first password is wrong.
    mistypes: bool,
    /// It asks for mail that is another's first.
    is_nosy: bool,
    /// It leaves when it has heard nothing for so long.
    pub(crate) patience_millis: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Nothing: it waits for the greeting.
    Nothing,
    Hello,
    StartTls,
    HelloAgain,
    SignIn,
    /// Another's mail.
    Nosily,
    Atrn,
    Quit,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It goes on.
    Not,
    /// The fetcher is the server from now on.
    Around,
    /// It is over.
    Over,
}

impl Fetcher {
    pub(crate) fn new(socket: SocketId, world: &mut World) -> Self {
        Self {
            socket,
            input: Vec::new(),
            said: Said::Nothing,
            step: 0,
            signed_in: false,
            is_hasty: world.fails(15),
            mistypes: world.fails(15),
            is_nosy: world.fails(15),
            patience_millis: if world.fails(30) { 200 } else { 30 * 60_000 },
        }
    }

    /// Octets, or the end of them, arrive.
    pub(crate) fn on_arrival(&mut self, octets: &[u8], world: &mut World) -> Turn {
        if octets.is_empty() {
            return Turn::Over;
        }
        self.input.extend_from_slice(octets);
        while let Some(code) = self.take_reply() {
            self.step += 1;
            let turn = self.on_reply(code, world);
            if turn != Turn::Not {
                return turn;
            }
        }
        Turn::Not
    }

    /// The code of the next whole reply.
    fn take_reply(&mut self) -> Option<u16> {
        loop {
            let length = self.input.windows(2).position(|two| two == b"\r\n")?;
            let line: Vec<u8> = self.input.drain(..length + 2).collect();
            if line.get(3) != Some(&b'-') {
                let code = std::str::from_utf8(line.get(..3)?).ok()?;
                return Some(code.parse().unwrap_or(0));
            }
        }
    }

    fn on_reply(&mut self, code: u16, world: &mut World) -> Turn {
        let ours = format!("ATRN {ON_DEMAND}");
        match (self.said, code) {
            (_, 421) | (Said::Quit, _) => return Turn::Over,
            (Said::Nothing, 220) => self.say(Said::Hello, "EHLO office.example", world),
            (Said::Hello, 250) if self.is_hasty => self.say(Said::Atrn, &ours, world),
            (Said::Hello, 250) => self.say(Said::StartTls, "STARTTLS", world),
            // What follows stands for itself encrypted: this world has no wire to read along.
            (Said::StartTls, 220) => self.say(Said::HelloAgain, "EHLO office.example", world),
            (Said::HelloAgain, 250) => self.sign_in(world),
            (Said::SignIn, 535) if std::mem::take(&mut self.mistypes) => {
                world.count("sign-ins refused");
                self.sign_in(world);
            }
            (Said::SignIn, 235) if self.mistypes => {
                world.violate("somebody signs in with a wrong password".into());
            }
            (Said::SignIn, 235) if self.is_nosy => {
                self.signed_in = true;
                self.say(Said::Nosily, &format!("ATRN {}", HOSTED[0]), world);
            }
            (Said::SignIn, 235) => {
                self.signed_in = true;
                self.say(Said::Atrn, &ours, world);
            }
            (Said::Nosily, 450) => {
                world.count("requests for the mail of others refused");
                self.say(Said::Atrn, &ours, world);
            }
            (Said::Atrn, 250) if self.signed_in => return Turn::Around,
            (Said::Atrn | Said::Nosily, 250) => {
                world.violate("mail goes to somebody whose it is not".into());
            }
            (Said::Atrn, 530) if self.is_hasty => {
                world.count("requests without a sign-in refused");
                self.say(Said::Quit, "QUIT", world);
            }
            // Nothing waits, or it is under way on another connection.
            (Said::Atrn, 450..=459) => self.say(Said::Quit, "QUIT", world),
            // A relay that has no room, or a client that comes too often.
            (Said::Nothing | Said::StartTls, 400..=599) => return Turn::Over,
            (said, code) => world.violate(format!("the fetcher hears {code} to {said:?}")),
        }
        Turn::Not
    }

    fn sign_in(&mut self, world: &mut World) {
        let password = if self.mistypes { "another" } else { PASSWORD };
        let encoded = base64(credentials(password).as_bytes());
        self.say(Said::SignIn, &format!("AUTH PLAIN {encoded}"), world);
    }

    fn say(&mut self, said: Said, line: &str, world: &mut World) {
        self.said = said;
        world.write(self.socket, format!("{line}\r\n").as_bytes());
    }
}

/// RFC 4648, by code of its own, as all that this world says to the relay.
fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let number = three
            .iter()
            .fold(0, |all, octet| all << 8 | usize::from(*octet));
        let number = number << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[number >> (6 * (3 - place)) & 63]);
            text.push(if place > three.len() { '=' } else { digit });
        }
    }
    text
}
