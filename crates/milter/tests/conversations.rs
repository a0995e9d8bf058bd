//! Conversations with milters that are rare, odd or hostile: their octets go in as they would come.

mod sample;

use mail::Client;
use milter::{
    ANSWERS_MAX, Conversation, Edited, Facts, Fault, Kept, MODIFICATIONS_MAX, Modification, Step,
    Verdict, Wants,
};
use sample::{edited, facts};

const MESSAGE: &str = "Subject: hello\r\n\r\nBody.\r\n";
const BODY_MAX: usize = 100_000;

fn packet(what: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + data.len()).unwrap();
    [&length.to_be_bytes()[..], &[what], data].concat()
}

fn negotiated(version: u32, steps: u32) -> Vec<u8> {
    let numbers = [version, 0x1ff, steps].map(u32::to_be_bytes);
    packet(b'O', numbers.as_flattened())
}

/// What was told and what came of it.
struct Played {
    /// The commands, macros among them, each with its data.
    told: Vec<(u8, Vec<u8>)>,
    commands: String,
    end: milter::End,
}

impl Played {
    /// The data of the first command of this kind.
    fn data(&self, command: u8) -> &[u8] {
        let mut told = self.told.iter().filter(|(what, _)| *what == command);
        &told.next().expect("such a command").1
    }
}

/// A milter that says this of each command; nothing: it closes the connection. `steps` are in its
/// answer to the offer.
fn played(
    version: u32,
    steps: u32,
    kept: Option<Kept>,
    say: impl FnMut(u8) -> Option<Vec<u8>>,
) -> Played {
    let message = edited(MESSAGE);
    played_about(&facts(), &message, &negotiated(version, steps), kept, say)
}

fn played_about(
    facts: &Facts,
    message: &Edited<'_>,
    negotiated: &[u8],
    kept: Option<Kept>,
    mut say: impl FnMut(u8) -> Option<Vec<u8>>,
) -> Played {
    let mut body = &b"Body.\r\n"[..];
    let mut conversation = Conversation::new(facts, message, BODY_MAX, kept);
    let mut told: Vec<(u8, Vec<u8>)> = Vec::new();
    loop {
        match conversation.wants() {
            Wants::Write => {
                let mut written = &std::mem::take(conversation.output())[..];
                while let Some((length, rest)) = written.split_first_chunk() {
                    let (packet, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
                    told.push((packet[0], packet[1..].to_vec()));
                    written = rest;
                }
            }
            Wants::Read => {
                let said = match told.last().expect("a question").0 {
                    b'O' => Some(negotiated.to_vec()),
                    other => say(other),
                };
                match said {
                    Some(octets) if octets.is_empty() => conversation.on_time_out(),
                    Some(octets) => conversation.receive(&octets),
                    None => conversation.on_closed(),
                }
            }
            Wants::Body => {
                let taken = conversation.body(body);
                body = &body[taken..];
            }
            Wants::Nothing => break,
        }
    }
    Played {
        commands: told.iter().map(|(what, _)| char::from(*what)).collect(),
        told,
        end: conversation.end(true),
    }
}

/// A milter that has nothing against anything.
fn yes(_: u8) -> Option<Vec<u8>> {
    Some(packet(b'c', b""))
}

/// One that has nothing against anything before the end, and then says this.
fn fault_at_the_end(octets: &[u8]) -> Fault {
    let played = played(6, 0, None, |command| match command {
        b'E' => Some(octets.to_vec()),
        other => yes(other),
    });
    assert!(
        played.end.output.is_empty(),
        "nothing is said to what broke"
    );
    assert!(played.end.kept.is_none());
    played.end.answer.expect_err("a fault")
}

#[test]
fn every_step_has_its_own_bit_by_which_it_is_left_out() {
    assert_eq!(played(6, 0, None, yes).commands, "ODCHDMDRDRDTLDNBDE");
    for (bit, left_out) in [
        (0x1, "C"),
        (0x2, "H"),
        (0x4, "M"),
        (0x8, "R"),
        (0x10, "B"),
        (0x20, "L"),
        (0x40, "N"),
        (0x200, "T"),
    ] {
        let commands = played(6, bit, None, yes).commands;
        assert!(!commands.contains(left_out), "{left_out}: {commands}");
        assert_eq!(
            commands.replace('D', ""),
            "OCHMRRTLNBE".replace(left_out, "")
        );
    }
    assert_eq!(played(6, 0x27f, None, yes).commands, "ODE");
}

/// Also bits that nobody has offered count: rspamd sets them all the same.
#[test]
fn where_no_answer_is_due_the_next_step_follows_at_once() {
    let mut asked = String::new();
    let quiet = 0xf_f080 | 0x1000_0000 | 0x800;
    let played = played(6, quiet, None, |command| {
        asked.push(char::from(command));
        yes(command)
    });
    assert_eq!(asked, "E");
    assert!(played.end.answer.is_ok());
    for (bit, command) in [
        (0x80, 'L'),
        (0x1000, 'C'),
        (0x2000, 'H'),
        (0x4000, 'M'),
        (0x8000, 'R'),
        (0x1_0000, 'T'),
        (0x4_0000, 'N'),
        (0x8_0000, 'B'),
    ] {
        let mut asked = String::new();
        self::played(6, bit, None, |command| {
            asked.push(char::from(command));
            yes(command)
        });
        assert_eq!(asked, "CHMRRTLNBE".replace(command, ""));
    }
}

#[test]
fn an_old_version_is_taken_without_what_it_does_not_know() {
    for version in 2..=6 {
        let played = played(version, 0, None, yes);
        assert_eq!(played.commands.contains('T'), version >= 4, "{version}");
        let takes_others = played.end.kept.map(|kept| kept.takes_others());
        assert_eq!(takes_others, Some(version == 6), "{version}");
        assert!(played.end.answer.is_ok());
    }
    for version in [0, 1, 7, u32::MAX] {
        let fault = played(version, 0, None, yes)
            .end
            .answer
            .expect_err("a fault");
        assert_eq!(fault, Fault::Version(version));
    }
}

#[test]
fn a_kept_connection_goes_on_with_what_was_agreed_upon() {
    let first = played(6, 0x2, None, yes);
    assert!(first.end.output.is_empty());
    let kept = first.end.kept.expect("a connection");
    // Of the same client it has heard.
    let second = played(6, 0, Some(kept.clone()), yes);
    assert_eq!(second.commands, "DMDRDRDTLDNBDE");
    let mut other = facts();
    other.client.peer.set_port(40_001);
    assert!(kept.knows(&facts()) && !kept.knows(&other) && kept.takes_others());
    let message = edited(MESSAGE);
    let third = played_about(&other, &message, &[], Some(kept.clone()), yes);
    assert_eq!(third.commands, "KDCDMDRDRDTLDNBDE");
    assert!(third.end.kept.expect("a connection").knows(&other));

    let dead = played(6, 0, second.end.kept.clone(), |_| None);
    assert!(dead.end.is_stale);
    assert_eq!(dead.end.answer, Err(Fault::Closed(Step::Mail)));
    // Whoever has answered was there, and whoever is slow is as well.
    let late = played(6, 0, second.end.kept.clone(), |command| match command {
        b'M' => yes(command),
        _ => None,
    });
    assert!(!late.end.is_stale);
    assert_eq!(late.end.answer, Err(Fault::Closed(Step::Rcpt)));
    let slow = played(6, 0, second.end.kept, |_| Some(vec![]));
    assert!(!slow.end.is_stale);
    assert_eq!(slow.end.answer, Err(Fault::TimedOut(Step::Mail)));
}

/// libmilter passes over another client behind a message that was accepted, and says nothing.
#[test]
fn behind_a_message_that_was_accepted_only_one_of_the_same_client_follows() {
    for (said, takes_others) in [(b'a', Some(false)), (b'c', Some(true)), (b'r', None)] {
        let played = played(6, 0, None, |command| match command {
            b'E' => Some(packet(said, b"")),
            other => yes(other),
        });
        let kept = played.end.kept;
        assert_eq!(kept.as_ref().map(Kept::takes_others), takes_others);
        assert!(kept.is_none_or(|kept| kept.knows(&facts())));
    }
}

#[test]
fn a_message_is_broken_off_where_its_end_was_not_told() {
    for (step, answer, goodbye) in [
        (b'C', b'a', "Q"),
        (b'H', b'r', "Q"),
        (b'M', b't', "AQ"),
        (b'R', b'd', "AQ"),
        (b'N', b'4', "AQ"),
        (b'B', b'a', "AQ"),
        (b'E', b'r', "Q"),
        (b'E', b'a', ""),
        (b'E', b'c', ""),
    ] {
        let played = played(6, 0, None, |command| match command == step {
            true => Some(packet(answer, b"")),
            false => yes(command),
        });
        let said: Vec<u8> = goodbye.bytes().flat_map(|what| packet(what, b"")).collect();
        assert_eq!(played.end.output, said, "{step} {answer}");
        assert!(played.end.answer.is_ok());
    }
}

#[test]
fn the_end_of_the_connection_says_where_it_was_and_what_was_offered() {
    let (facts, message) = (facts(), edited(MESSAGE));
    let mut conversation = Conversation::new(&facts, &message, BODY_MAX, None);
    assert_eq!(conversation.wants(), Wants::Write);
    conversation.output().clear();
    conversation.on_closed();
    let fault = conversation.end(true).answer.expect_err("a fault");
    let text = "the milter closed the connection during the negotiation: actions offered were 0x1ff, steps 0x1ff7ff";
    assert_eq!(fault.to_string(), text);
    for (step, told) in [(b'M', "MAIL"), (b'E', "the end of the message")] {
        let played = played(6, 0, None, |command| match command == step {
            true => None,
            false => yes(command),
        });
        let fault = played.end.answer.expect_err("a fault");
        let text = format!("the milter closed the connection at {told}");
        assert_eq!(fault.to_string(), text);
    }
}

#[test]
fn changes_belong_to_the_end_and_a_verdict_to_a_message() {
    for (step, what, data) in [
        (b'N', b'h', &b"X\0v\0"[..]),
        (b'M', b'+', b"a@b.example\0"),
        (b'B', b'b', b"body"),
        (b'C', b'd', b""),
        (b'H', b'q', b"why\0"),
        (b'M', b'O', b""),
    ] {
        let played = played(6, 0, None, |command| match command == step {
            true => Some(packet(what, data)),
            false => yes(command),
        });
        let fault = played.end.answer.expect_err("a fault");
        assert!(
            matches!(fault, Fault::OutOfPlace(answer, _) if answer == what),
            "{fault}"
        );
    }
    assert_eq!(fault_at_the_end(&packet(b'f', b"")), Fault::AsksForFailure);
}

#[test]
fn a_milter_that_needs_time_says_so_and_its_last_answer_counts() {
    let mut said = packet(b'p', b"").repeat(3);
    said.extend(packet(b'q', b"first\0"));
    said.extend(packet(b'q', b"second\r\nthought\0"));
    said.extend(packet(b'p', b""));
    said.extend(packet(b'a', b""));
    let played = played(6, 0, None, |command| match command {
        b'E' => Some(said.clone()),
        other => yes(other),
    });
    let answer = played.end.answer.expect("an answer");
    assert_eq!(answer.verdict, Verdict::Accept);
    assert_eq!(answer.quarantine.as_deref(), Some("second  thought"));
}

#[test]
fn nothing_is_without_end() {
    let many = packet(b'p', b"").repeat(ANSWERS_MAX as usize);
    assert_eq!(fault_at_the_end(&many), Fault::Endless);
    let many = packet(b'h', b"X\0v\0").repeat(MODIFICATIONS_MAX + 1);
    assert_eq!(fault_at_the_end(&many), Fault::TooMuch);
    let long = packet(b'h', &[b"X\0", &[b'v'; 1_000_000][..], b"\0"].concat());
    assert_eq!(fault_at_the_end(&long.repeat(5)), Fault::TooMuch);
    let pieces = packet(b'b', &vec![b'x'; BODY_MAX / 2]);
    assert_eq!(
        fault_at_the_end(&[&pieces.repeat(2)[..], &packet(b'b', b"x")].concat()),
        Fault::TooMuch
    );
    assert_eq!(
        fault_at_the_end(&u32::MAX.to_be_bytes()),
        Fault::Length(u32::MAX)
    );
    assert_eq!(fault_at_the_end(&[0; 4]), Fault::Length(0));
}

#[test]
fn what_would_break_the_message_breaks_the_milters_turn() {
    for (what, data) in [
        (b'h', &b"X\0v\nBcc: eve@home.example\0"[..]),
        (b'h', b"X\0v\r\n\r\nbody\0"),
        (b'i', b"\0\0\0\0X: a\r\nY\0v\0"),
        (b'm', b"\0\0\0\x01\0v\0"),
    ] {
        let fault = fault_at_the_end(&packet(what, data));
        assert!(matches!(fault, Fault::BadField(_)), "{fault}");
        assert!(!fault.to_string().contains(['\r', '\n']));
    }
    let below = packet(b'm', b"\x80\0\0\0X\0v\0");
    assert_eq!(fault_at_the_end(&below), Fault::BadIndex(0x8000_0000));
    for data in [&b"<a b@c>\0"[..], b"a@b\r\nRCPT TO:<c@d>\0", b"\0"] {
        let fault = fault_at_the_end(&packet(b'+', data));
        assert!(matches!(fault, Fault::BadAddress(_)), "{fault}");
    }
    for body in [&b"one\rtwo"[..], b"one\0", b"one\r"] {
        let said = [packet(b'b', body), packet(b'c', b"")].concat();
        assert_eq!(fault_at_the_end(&said), Fault::BadBody);
    }
    // Cut between CR and LF it is whole.
    let said = [
        packet(b'b', b"one\r"),
        packet(b'b', b"\ntwo"),
        packet(b'c', b""),
    ]
    .concat();
    let played = played(6, 0, None, |command| match command {
        b'E' => Some(said.clone()),
        other => yes(other),
    });
    let answer = played.end.answer.expect("an answer");
    assert_eq!(
        answer.modifications,
        [Modification::ReplaceBody(b"one\r\ntwo".to_vec())]
    );
}

#[test]
fn the_client_is_named_as_sendmail_names_it() {
    let message = edited(MESSAGE);
    let told = |facts: &Facts| {
        let played = played_about(facts, &message, &negotiated(6, 0), None, yes);
        (played.data(b'C').to_vec(), played.data(b'D').to_vec())
    };
    let (connect, macros) = told(&facts());
    assert_eq!(connect, b"[203.0.113.9]\x004\x9c\x40203.0.113.9\0");
    assert!(macros.starts_with(b"Cj\0relay.example\0_\0unknown [203.0.113.9]\0v\0Gatepost 1\0"));
    let mut of_this_machine = facts();
    of_this_machine.client = Client::of_this_machine(33, "sendmail".into());
    let (connect, macros) = told(&of_this_machine);
    assert_eq!(connect, b"localhost\x004\0\x00127.0.0.1\0");
    assert!(macros.starts_with(b"Cj\0relay.example\0_\0localhost [127.0.0.1]\0"));
}

#[test]
fn macros_that_a_milter_asks_for_take_the_place_of_ours() {
    let message = edited(MESSAGE);
    // At the connection these, at MAIL none; stages that nobody knows are passed over.
    let asked = b"\0\0\0\0{client_port} v {unknown}\0\0\0\0\x02\0\0\0\0\x63j\0";
    let numbers = [6, 0x1ff, 0].map(u32::to_be_bytes);
    let answer = packet(b'O', &[numbers.as_flattened(), asked].concat());
    let mut facts = facts();
    facts.software = "Gatepost\0\r\n1".into();
    let played = played_about(&facts, &message, &answer, None, yes);
    assert_eq!(
        played.data(b'D'),
        b"C{client_port}\x0040000\0v\0Gatepost1\0"
    );
    let of_mail = played
        .told
        .iter()
        .find(|(what, data)| *what == b'D' && data[0] == b'M');
    assert_eq!(of_mail, None);

    let played = played_about(&facts, &message, &packet(b'O', &[0; 11]), None, yes);
    assert_eq!(played.end.answer, Err(Fault::Malformed(b'O')));
}

/// libmilter closes the connection over a longer packet.
#[test]
fn a_field_is_cut_to_what_a_milter_can_read() {
    let text = format!("X: {}\r\n\r\n", "x".repeat(70_000));
    let message = edited(&text);
    let played = played_about(&facts(), &message, &negotiated(6, 0), None, yes);
    assert_eq!(played.data(b'L').len(), 65_535);
    assert!(played.end.answer.is_ok());
}

/// A milter answers each of them, and may have enough, or have made up its mind, at any.
#[test]
fn fields_of_a_header_are_told_at_once_and_each_is_answered() {
    let text = format!("{}\r\nBody.\r\n", "X: y\r\n".repeat(250));
    let (facts, message) = (facts(), edited(&text));
    let told = |answer: &dyn Fn(usize) -> u8| {
        let mut answered = 0;
        let played = played_about(&facts, &message, &negotiated(6, 0), None, |command| {
            if command != b'L' {
                return yes(command);
            }
            answered += 1;
            Some(packet(answer(answered), b""))
        });
        (played.commands.matches('L').count(), answered, played)
    };
    let (told_of, answered, played) = told(&|_| b'c');
    assert_eq!((told_of, answered), (250, 250));
    assert!(played.end.kept.is_some());
    // What was told before is answered all the same.
    let (told_of, answered, played) = told(&|number| if number == 1 { b's' } else { b'c' });
    assert_eq!((told_of, answered), (100, 100));
    assert!(played.commands.ends_with("LDNBDE"), "{}", played.commands);
    assert!(played.end.kept.is_some());
    // A verdict ends it, whatever is still due.
    let (_, answered, played) = told(&|number| if number == 120 { b'r' } else { b'c' });
    assert_eq!(answered, 120);
    assert!(played.commands.ends_with('L'), "{}", played.commands);
    let answer = played.end.answer.expect("an answer");
    assert!(matches!(answer.verdict, Verdict::Refuse(_)));
    assert!(played.end.kept.is_none());
}

/// What a milter says more than it is asked would be taken for the answer to the next step.
#[test]
fn an_answer_that_nobody_awaits_is_a_fault() {
    let played = played(6, 0, None, |command| match command {
        b'M' => Some([packet(b'c', b""), packet(b'r', b"")].concat()),
        other => yes(other),
    });
    assert_eq!(played.end.answer, Err(Fault::Unasked(b'r')));
    // But for a sign of life, which comes from a thread of its own.
    let played = self::played(6, 0, None, |command| match command {
        b'M' => Some([packet(b'c', b""), packet(b'p', b"")].concat()),
        other => yes(other),
    });
    assert!(played.end.answer.is_ok());
    // Behind the last answer it costs the connection.
    let played = self::played(6, 0, None, |command| match command {
        b'E' => Some([packet(b'c', b""), packet(b'c', b"")].concat()),
        other => yes(other),
    });
    assert!(played.end.answer.is_ok());
    assert_eq!(played.end.output, packet(b'Q', b""));
}

#[test]
fn enough_of_one_kind_of_step_is_enough() {
    for (step, commands) in [
        (b'R', "OCHMRTLNBE"),
        (b'L', "OCHMRRTLNBE"),
        (b'B', "OCHMRRTLNBE"),
        (b'C', "OCHMRRTLNBE"),
    ] {
        let played = played(6, 0, None, |command| match command == step {
            true => Some(packet(b's', b"")),
            false => yes(command),
        });
        assert_eq!(played.commands.replace('D', ""), commands);
        assert!(played.end.answer.is_ok());
    }
}

#[test]
fn a_shutdown_at_rcpt_is_the_connections() {
    let played = played(6, 0, None, |command| match command {
        b'R' => Some(packet(b'y', b"421 4.3.2 away\0")),
        other => yes(other),
    });
    let answer = played.end.answer.expect("an answer");
    assert!(matches!(answer.verdict, Verdict::Refuse(reply) if reply.code() == 421));
    assert!(answer.refused.is_empty());
}
