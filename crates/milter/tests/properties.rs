//! Whatever a milter says: nothing panics, how it is cut changes nothing, and a message that comes out
//! is what was asked for, line by line.

mod sample;

use milter::{Answer, Conversation, Edited, End, Modification, Wants};
use proptest::collection::vec;
use proptest::prelude::*;
use sample::{edited, facts};

const BODY_MAX: usize = 10_000;

fn packet(what: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + data.len()).unwrap();
    [&length.to_be_bytes()[..], &[what], data].concat()
}

/// A conversation whose milter says all this, cut so, whatever it is asked, and then closes.
fn played(said: &[u8], cut: usize, message: &Edited<'_>) -> End {
    let facts = facts();
    let mut conversation = Conversation::new(&facts, message, BODY_MAX, None);
    let mut said = said.chunks(cut);
    let mut body = 0;
    loop {
        match conversation.wants() {
            Wants::Write => {
                // The body is asked for in pieces, so little is ever kept.
                assert!(conversation.output().len() < 200_000);
                conversation.output().clear();
            }
            Wants::Read => match said.next() {
                Some(piece) => conversation.receive(piece),
                None => conversation.on_closed(),
            },
            Wants::Body if body < 5 => body += usize::from(conversation.body(b"x\r\n") > 0),
            Wants::Body => {
                conversation.body(b"");
            }
            Wants::Nothing => return conversation.end(true),
        }
    }
}

fn negotiated() -> impl Strategy<Value = Vec<u8>> {
    let version = prop_oneof![9 => Just(6_u32), 1 => any::<u32>()];
    (version, any::<u32>(), any::<u32>(), vec(any::<u8>(), 0..20)).prop_map(
        |(version, actions, steps, more)| {
            let numbers = [version, actions, steps].map(u32::to_be_bytes);
            packet(b'O', &[numbers.as_flattened(), &more].concat())
        },
    )
}

fn answers() -> impl Strategy<Value = Vec<u8>> {
    let what = proptest::sample::select(&b"cccccardt4fspyqbhim+-2eO?"[..]);
    let data = prop_oneof![
        3 => Just(Vec::new()),
        1 => vec(any::<u8>(), 0..40),
        1 => vec(proptest::sample::select(&b"aX: \r\n\t\0%5.1-@<>="[..]), 0..40),
    ];
    (what, data).prop_map(|(what, data)| packet(what, &data))
}

proptest! {
    #[test]
    fn no_octets_break_us(said in vec(any::<u8>(), 0..300), cut in 1..20_usize) {
        let message = edited("A: 1\r\n\r\nx\r\n");
        played(&said, cut, &message);
    }

    /// An answer to each step, and one octet at a time.
    #[test]
    fn how_it_is_cut_changes_no_verdict(
        first in negotiated(),
        said in vec(answers(), 0..40),
    ) {
        let message = edited("A: 1\r\nB: 2\r\n\r\nx\r\n");
        let mut ends = Vec::new();
        for cut in [1, 7] {
            // One packet for each answer that is awaited, as a milter would.
            let mut packets = vec![first.clone()];
            packets.extend(said.iter().cloned());
            let facts = facts();
            let mut conversation = Conversation::new(&facts, &message, BODY_MAX, None);
            let mut packets = packets.into_iter();
            let end = loop {
                match conversation.wants() {
                    Wants::Write => conversation.output().clear(),
                    Wants::Read => match packets.next() {
                        Some(packet) => packet.chunks(cut).for_each(|piece| conversation.receive(piece)),
                        None => conversation.on_closed(),
                    },
                    Wants::Body => { conversation.body(b""); }
                    Wants::Nothing => break conversation.end(true),
                }
            };
            ends.push((end.answer, end.output, end.kept.map(|kept| kept.takes_others())));
        }
        prop_assert_eq!(&ends[0], &ends[1]);
    }

    #[test]
    fn what_comes_out_is_what_was_asked_for(
        fields in vec(("[ABab]", "[ -~]{0,8}(\r\n [!-~]{1,5})?"), 0..6),
        body in "([ -~]{0,9}\r\n){0,3}",
        changes in vec(change(), 0..12),
    ) {
        let header: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        let message = format!("{header}\r\n{body}");
        let mut edited = edited(&message);
        let said: Vec<u8> = changes.iter().flat_map(Change::packet).collect();
        let answer = said_at_the_end(&said, &edited);
        edited.apply(&answer);

        let mut model = Model::new(&fields, &body);
        changes.iter().for_each(|change| model.make(change));
        let edits = edited.edits();
        for pair in edits.windows(2) {
            prop_assert!(pair[0].range.end < pair[1].range.start, "{:?}", edits);
        }
        let mut text = message.clone();
        for edit in edits.iter().rev() {
            text.replace_range(edit.range.clone(), str::from_utf8(&edit.with).unwrap());
        }
        let top = String::from_utf8(edited.top()).unwrap();
        prop_assert_eq!((top, text), model.outcome());
        let is_untouched = answer.modifications.is_empty();
        prop_assert!(!is_untouched || edits.is_empty());
    }
}

/// The answer of a milter that hears of nothing but the end, and says this there.
fn said_at_the_end(said: &[u8], message: &Edited<'_>) -> Answer {
    let numbers = [6, 0x1ff, 0x27f].map(u32::to_be_bytes);
    let all = [
        &packet(b'O', numbers.as_flattened()),
        said,
        &packet(b'c', b""),
    ]
    .concat();
    let facts = facts();
    let mut conversation = Conversation::new(&facts, message, BODY_MAX, None);
    let first = all.len() - said.len() - 5;
    for octets in [&all[..first], &all[first..]] {
        assert_eq!(conversation.wants(), Wants::Write);
        conversation.output().clear();
        conversation.receive(octets);
    }
    conversation.end(true).answer.expect("an answer")
}

#[derive(Debug, Clone)]
enum Change {
    Add(String, String),
    Insert(u32, String, String),
    /// Of an empty value: take it out.
    Set(u32, String, String),
    Body(String),
}

fn change() -> impl Strategy<Value = Change> {
    let name = || "[ABab]";
    let value = || "[!-~]{1,6}(\n\t[!-~]{1,4})?";
    prop_oneof![
        (name(), value()).prop_map(|(name, value)| Change::Add(name, value)),
        (0..9_u32, name(), value()).prop_map(|(at, name, value)| Change::Insert(at, name, value)),
        (0..4_u32, name(), value()).prop_map(|(at, name, value)| Change::Set(at, name, value)),
        (0..4_u32, name()).prop_map(|(at, name)| Change::Set(at, name, String::new())),
        "[ -~]{0,9}(\r?\n[a-z]{0,3}){0,3}".prop_map(Change::Body),
    ]
}

impl Change {
    fn packet(&self) -> Vec<u8> {
        let text = |name: &str, value: &str| format!("{name}\0{value}\0").into_bytes();
        match self {
            Self::Add(name, value) => packet(b'h', &text(name, value)),
            Self::Insert(at, name, value) => {
                packet(b'i', &[&at.to_be_bytes()[..], &text(name, value)].concat())
            }
            Self::Set(at, name, value) => {
                packet(b'm', &[&at.to_be_bytes()[..], &text(name, value)].concat())
            }
            Self::Body(body) => packet(b'b', body.as_bytes()),
        }
    }
}

/// The same, as simple as can be: a list of fields, the first of which is our own trace.
struct Model {
    fields: Vec<(String, String)>,
    body: String,
    new_body: Option<String>,
}

const TRACE: &str = "Received";

impl Model {
    fn new(fields: &[(String, String)], body: &str) -> Self {
        let came = fields.iter().cloned();
        let trace = (TRACE.to_owned(), String::new());
        Self {
            fields: [trace].into_iter().chain(came).collect(),
            body: body.to_owned(),
            new_body: None,
        }
    }

    fn make(&mut self, change: &Change) {
        let field = |name: &str, value: &str| {
            (name.to_owned(), format!(" {}", value.replace('\n', "\r\n")))
        };
        match change {
            Change::Add(name, value) => self.fields.push(field(name, value)),
            Change::Insert(at, name, value) => {
                let at = (*at as usize).min(self.fields.len());
                self.fields.insert(at, field(name, value));
            }
            Change::Set(number, name, value) => {
                let same = self.fields.iter().enumerate();
                let mut same = same.filter(|(_, field)| field.0.eq_ignore_ascii_case(name));
                let at = same.nth((*number).max(1) as usize - 1).map(|(at, _)| at);
                match (at, value.is_empty()) {
                    (Some(at), true) => drop(self.fields.remove(at)),
                    (Some(at), false) => self.fields[at] = field(name, value),
                    (None, true) => {}
                    (None, false) => self.fields.push(field(name, value)),
                }
            }
            Change::Body(body) => self.new_body.get_or_insert_default().push_str(body),
        }
    }

    fn outcome(&self) -> (String, String) {
        let trace = self
            .fields
            .iter()
            .position(|field| field.0 == TRACE)
            .unwrap();
        let text = |fields: &[(String, String)]| -> String {
            fields
                .iter()
                .map(|(name, value)| format!("{name}:{value}\r\n"))
                .collect()
        };
        let body = match &self.new_body {
            None => self.body.clone(),
            Some(body) => {
                let body = body.replace("\r\n", "\n");
                let end = if body.is_empty() || body.ends_with('\n') {
                    ""
                } else {
                    "\n"
                };
                (body + end).replace('\n', "\r\n")
            }
        };
        let below = text(&self.fields[trace + 1..]);
        (text(&self.fields[..trace]), format!("{below}\r\n{body}"))
    }
}

/// A body in an answer keeps what was written, for whoever counts octets.
#[test]
fn pieces_of_a_body_are_one() {
    let message = edited("\r\n");
    let said = [
        packet(b'b', b"a\n"),
        packet(b'h', b"X\0v\0"),
        packet(b'b', b"b"),
    ]
    .concat();
    let answer = said_at_the_end(&said, &message);
    assert_eq!(
        answer.modifications[0],
        Modification::ReplaceBody(b"a\nb".to_vec())
    );
    assert_eq!(answer.modifications.len(), 2);
}
