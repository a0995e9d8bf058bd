//! Nothing panics and nothing leaves its limits, whatever comes.

#[path = "../../../tests/corpora/mod.rs"]
mod collections;
#[path = "../../../tests/corpora/mutations.rs"]
mod mutations;

use contents::edit::{Footer, add_footer, apply, remove_part, tag_subject};
use contents::{Contents, Limits, Octets, Wanted, Why, folded, look_into, look_into_octets, parts};
use proptest::prelude::*;

const ALL: Wanted = Wanted {
    texts: true,
    archives: true,
};

fn limits() -> Limits {
    Limits {
        parts: 20,
        depth: 3,
        entries: 10,
        octets: 10_000,
        ratio: 10,
        text: 500,
    }
}

/// Gives few octets at a time, as a file may.
struct Trickle<'a>(&'a [u8]);

impl Octets for Trickle<'_> {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        let most = to.len().min(7);
        self.0.read_at(at, &mut to[..most])
    }
}

/// What must hold of any message.
fn check(octets: &[u8]) {
    let (limits, message) = (limits(), &octets);
    let found = parts(message, &limits);
    assert!((1..=20).contains(&found.len()));
    for part in &found {
        assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
        assert!(part.body.start <= part.body.end && part.body.end <= message.len());
        if let Some(parent) = part.parent {
            let parent = &found[parent.0 as usize];
            assert!(parent.body.start <= part.header.start && part.body.end <= parent.body.end);
        }
    }
    for part in &found {
        let edits = remove_part(message, &found, part.number, "gone").unwrap();
        assert!(!edits.is_empty());
        apply(&message, edits);
    }
    for in_signed in [false, true] {
        let footer = Footer {
            text: "caf\u{e9}".into(),
            html: "<p>caf\u{e9}".into(),
            in_signed,
        };
        if let Ok(edits) = add_footer(message, &found, &footer) {
            apply(&message, edits);
        }
    }
    tag_subject(message, &found, "[tag]");
    let contents: Contents = look_into(message, ALL, &limits);
    let trickled = look_into_octets(&Trickle(octets), ALL, &limits, &mut Vec::new());
    assert_eq!(trickled, contents);
    assert!(contents.texts.len() <= 20);
    assert!(contents.attachments.len() <= 20 + 10);
    let entries = contents
        .attachments
        .iter()
        .filter(|own| own.archives > 0 && !own.is_encrypted);
    let unpacked: u64 = entries.map(|entry| entry.size).sum();
    assert!(unpacked <= limits.octets, "{unpacked}");
    let octets: usize = contents.texts.iter().map(|text| text.text.len()).sum();
    // A character of some charset may be longer in UTF-8, and so may what stands for a wrong one.
    assert!(octets <= 4 * (limits.text + 4 * found.len()), "{octets}");
}

/// Words that messages are made of, so that chance makes messages.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("Content-Type: multipart/mixed; boundary=b\n"),
        Just("Content-Type: multipart/digest; boundary=\"c\"\n"),
        Just("Content-Type: message/rfc822\n"),
        Just("Content-Type: text/html; charset=utf-7\n"),
        Just("Content-Type: application/zip; name*0*=utf-8''%41; name*1=.exe\n"),
        Just("Content-Disposition: attachment; filename=\"=?utf-8?q?a?=.exe\"\n"),
        Just("Subject: x\n"),
        Just("no field\n"),
        Just("Content-Type: text/plain; charset=koi8-r\n"),
        Just("Content-Transfer-Encoding: base64\n"),
        Just("Content-Transfer-Encoding: quoted-printable\n"),
        Just("\n"),
        Just("--b\n"),
        Just("--b--\n"),
        Just("--c\n"),
        Just("--c--\n"),
        Just(" folded\n"),
        Just("<b>x&amp;</b>\n"),
        Just("aGVsbG8=\n"),
        Just("UEsDBBQAAAAI\n"),
        Just("begin 644 x\n#86%T\n"),
        Just("a=C3=\n"),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_are_a_message(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&octets);
    }

    #[test]
    fn any_words_are_a_message(octets in words()) {
        check(&octets);
    }

    #[test]
    fn a_message_may_be_cut_anywhere(octets in words(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut octets = octets;
        let at = at.index(octets.len() + 1);
        octets.insert(at, octet);
        check(&octets);
        octets.truncate(at);
        check(&octets);
    }
}

#[test]
fn folding_once_is_enough() {
    // Where there are letters with cases, and compatible forms.
    let blocks = [
        0..0x3400,
        0xa000..0xac00,
        0xf900..0x1_0600,
        0x1_d400..0x1_f200,
    ];
    for letter in blocks.into_iter().flatten().filter_map(char::from_u32) {
        let once = folded(&letter.to_string());
        assert_eq!(folded(&once), once, "{letter:?}");
    }
}

#[test]
fn names_beyond_all_measure_are_told_and_not_kept() {
    let part = format!(
        "--b\nContent-Type: image/png; name={}.png\n\n",
        "x".repeat(9000)
    );
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n{}",
        part.repeat(300)
    );
    let contents = look_into(message.as_bytes(), ALL, &Limits::default());
    assert_eq!(contents.attachments.len(), 300);
    let names = contents.attachments.iter().flat_map(|own| &own.names);
    assert!(names.map(String::len).sum::<usize>() < 200_000);
    let kept = contents
        .attachments
        .iter()
        .filter(|own| !own.names.is_empty());
    assert!((100..120).contains(&kept.count()));
    let told = contents
        .unread
        .iter()
        .filter(|one| one.why == Why::TooLarge);
    assert!((180..200).contains(&told.count()));
}

#[test]
fn messages_of_others_may_be_changed_anywhere() {
    let messages = collections::all_messages().filter(|one| one.octets.len() < 20_000);
    let messages: Vec<Vec<u8>> = messages.map(|one| one.octets).collect();
    mutations::each_changed(&messages, check);
}
