//! What holds for any input, however it is cut.

use mail::{
    EnvelopeId, MailParameters, Mailbox, Notify, OriginalRecipient, RcptParameters, Ret,
    ReversePath,
};
use proptest::prelude::*;
use smtp::{
    BareLf, CONTENT_LINE_MAX, Chunk, Command, ContentCheck, ContentFault, DataDecoder, LineFault,
    LineLimits, LineReader, Mail, PROXY_LEN_MAX, Progress, ProxyHeader, Rcpt, RcptPath, Stuffer,
};

/// Octets that make trouble, more often than others.
fn troublesome() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just(b"\r\n".to_vec()),
        4 => Just(b".".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"\0".to_vec()),
        8 => proptest::collection::vec(any::<u8>().prop_filter("no controls", |b| !b"\r\n\0".contains(b)), 0..6),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Content as a relay carries it: CR and LF only together, no NUL.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b".".to_vec()),
        Just(b"..".to_vec()),
        proptest::collection::vec(
            any::<u8>().prop_filter("no controls", |b| !b"\r\n\0".contains(b)),
            0..6
        ),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Decodes as a session does: what is not used up is offered again.
fn decode(
    input: &[u8],
    cut: usize,
    max: usize,
    bare_lf: BareLf,
) -> (Vec<u8>, usize, Progress, bool) {
    let mut decoder = DataDecoder::new(max, bare_lf);
    let (mut out, mut at) = (Vec::new(), 0);
    for piece in input.chunks(cut) {
        let (used, progress) = decoder.decode(piece, &mut out);
        at += used;
        if progress != Progress::More {
            return (out, at, progress, decoder.is_overlong());
        }
        assert_eq!(used, piece.len());
    }
    (out, at, Progress::More, decoder.is_overlong())
}

/// What may be passed on: every CR with its LF, and no NUL.
fn assert_sound(content: &[u8]) {
    let mut check = ContentCheck::new(CONTENT_LINE_MAX, BareLf::Refuse);
    assert_eq!(check.pass(content, &mut Vec::new()), Ok(()));
    assert_eq!(check.finish(), Ok(()));
}

/// Every line with the one end that lines have.
fn as_crlf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    for octet in octets {
        if *octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*octet);
    }
    out
}

fn bare_lf() -> impl Strategy<Value = BareLf> {
    proptest::sample::select(vec![BareLf::Refuse, BareLf::Mend])
}

fn line_end() -> impl Strategy<Value = &'static [u8]> {
    proptest::sample::select(vec![b"\r\n".as_slice(), b"\n"])
}

type Lines = Vec<Result<Vec<u8>, LineFault>>;

fn lines(input: &[u8], cut: usize, limits: LineLimits) -> Lines {
    let mut reader = LineReader::new(limits);
    let mut lines = Vec::new();
    for mut piece in input.chunks(cut) {
        while !piece.is_empty() {
            let (used, line) = reader.take(piece);
            piece = &piece[used..];
            match line {
                Some(Err(fault)) if fault != LineFault::TooLong => {
                    lines.push(Err(fault));
                    return lines;
                }
                Some(line) => lines.push(line.map(|l| l.into_owned())),
                None => assert!(piece.is_empty()),
            }
        }
    }
    lines
}

/// Octets that look like a PROXY header at their start.
fn proxy_like() -> impl Strategy<Value = Vec<u8>> {
    let starts: [&[u8]; 5] = [
        b"",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 ",
        b"PROXY TCP6 ::1 ::2 25 ",
        b"PROXY ",
        b"\r\n\r\n\0\r\nQUIT\n",
    ];
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"25 26".to_vec()),
        Just(b"\x21\x11\0\x0c".to_vec()),
        Just(b"\x20\0\0\x02".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    let pieces = proptest::collection::vec(piece, 0..5);
    (proptest::sample::select(starts.to_vec()), pieces)
        .prop_map(|(start, pieces)| [start, &pieces.concat()].concat())
}

proptest! {
    #[test]
    fn a_proxy_header_is_known_when_it_is_whole_and_not_before(input in proxy_like()) {
        let Ok(Some((header, length))) = ProxyHeader::parse(&input) else {
            // What is as long as the longest header needs no more to be judged.
            let undecided = ProxyHeader::parse(&input) == Ok(None);
            prop_assert!(!undecided || input.len() < PROXY_LEN_MAX);
            return Ok(());
        };
        prop_assert!(length <= PROXY_LEN_MAX && length <= input.len());
        prop_assert_eq!(ProxyHeader::parse(&input[..length]), Ok(Some((header, length))));
        for cut in 0..length {
            prop_assert_eq!(ProxyHeader::parse(&input[..cut]), Ok(None));
        }
    }

    #[test]
    fn cutting_data_changes_nothing(input in troublesome(), cut in 1usize..9, max in 1usize..9, bare_lf in bare_lf()) {
        let whole = decode(&input, input.len().max(1), max, bare_lf);
        let cut_up = decode(&input, cut, max, bare_lf);
        prop_assert_eq!(whole.2, cut_up.2);
        if whole.2 == Progress::End {
            prop_assert_eq!(whole, cut_up);
        }
    }

    #[test]
    fn decoded_content_can_smuggle_nothing(input in troublesome(), cut in 1usize..9, bare_lf in bare_lf()) {
        let (out, used, progress, _) = decode(&input, cut, CONTENT_LINE_MAX, bare_lf);
        if progress == Progress::End {
            assert_sound(&out);
            prop_assert!(out.is_empty() || out.ends_with(b"\r\n"));
            // It ends where any server sees an end, and at the first such place.
            let end = |wire: &[u8]| wire.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 5);
            let first = if input.starts_with(b".\r\n") { Some(3) } else { end(&input) };
            prop_assert_eq!(Some(used), first);
        }
    }

    #[test]
    fn what_is_mended_is_what_was_sent_but_for_its_line_ends(input in troublesome(), cut in 1usize..9) {
        let mut mended = (ContentCheck::new(9, BareLf::Mend), Vec::new());
        let passed = input.chunks(cut).try_for_each(|piece| mended.0.pass(piece, &mut mended.1));
        if passed.and_then(|()| mended.0.finish()).is_ok() {
            assert_sound(&mended.1);
            prop_assert_eq!(mended.1, as_crlf(&input));
        }
        let mut data = input.clone();
        data.extend_from_slice(b"\r\n.\r\n");
        let (out, used, progress, _) = decode(&data, cut, 9, BareLf::Mend);
        if progress == Progress::End && used == data.len() {
            // The same, and every server takes it for one message.
            let wire = as_crlf(&data);
            let (same, whole, end, _) = decode(&wire, wire.len(), 9, BareLf::Refuse);
            prop_assert_eq!((same, whole, end), (out, wire.len(), Progress::End));
        }
    }

    #[test]
    fn mending_changes_nothing_where_there_is_nothing_to_mend(input in troublesome(), cut in 1usize..9) {
        let [strict, mending] = [BareLf::Refuse, BareLf::Mend].map(|bare_lf| decode(&input, cut, 9, bare_lf));
        if strict.2 != Progress::Fault(ContentFault::BareLf) {
            prop_assert_eq!(strict, mending);
        }
    }

    #[test]
    fn no_lone_dot_stands_beside_a_mended_line_end(before in line_end(), dots in 1usize..3, after in line_end()) {
        let bare = before == b"\n" || after == b"\n";
        let content = [b"a", before, b".", after, b"b\r\n"].concat();
        let mut check = ContentCheck::new(9, BareLf::Mend);
        let expected = if bare { Err(ContentFault::BareLf) } else { Ok(()) };
        prop_assert_eq!(check.pass(&content, &mut Vec::new()), expected);
        let data = [b"a", before, &b".."[..dots], after, b"b\r\n.\r\n"].concat();
        let (_, _, progress, _) = decode(&data, data.len(), 9, BareLf::Mend);
        let expected = if bare { Progress::Fault(ContentFault::BareLf) } else { Progress::End };
        prop_assert_eq!(progress, expected);
    }

    #[test]
    fn stuffing_and_decoding_are_inverses(content in content(), cut_in in 1usize..9, cut_out in 1usize..9) {
        let (mut stuffer, mut wire) = (Stuffer::new(), Vec::new());
        content.chunks(cut_in).for_each(|piece| stuffer.push(piece, &mut wire));
        stuffer.finish(&mut wire);
        let ends = wire.windows(5).filter(|w| w == b"\r\n.\r\n").count() + usize::from(wire.starts_with(b".\r\n"));
        prop_assert_eq!(ends, 1, "one end and no more");
        wire.extend_from_slice(b"QUIT\r\n");
        let (out, used, progress, _) = decode(&wire, cut_out, CONTENT_LINE_MAX, BareLf::Refuse);
        prop_assert_eq!(progress, Progress::End);
        prop_assert_eq!(used, wire.len() - 6);
        let mut expected = content;
        if !expected.is_empty() && !expected.ends_with(b"\r\n") {
            expected.extend_from_slice(b"\r\n");
        }
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn chunks_are_checked_as_data_is(input in troublesome(), cut in 1usize..9) {
        let mut whole = ContentCheck::new(3, BareLf::Refuse);
        let (mut out, mut out_cut_up) = (Vec::new(), Vec::new());
        let verdict = whole.pass(&input, &mut out).and_then(|()| whole.finish());
        let mut cut_up = ContentCheck::new(3, BareLf::Refuse);
        let pieces = input.chunks(cut).try_for_each(|piece| cut_up.pass(piece, &mut out_cut_up));
        prop_assert_eq!(verdict, pieces.and_then(|()| cut_up.finish()));
        if verdict.is_ok() {
            prop_assert_eq!(&out, &input);
            prop_assert_eq!(&out_cut_up, &input);
        }
        let bare = |b: u8, beside: u8, step: isize| {
            (0..input.len()).any(|i| input[i] == b && input.get(i.wrapping_add_signed(step)) != Some(&beside))
        };
        let bad = input.contains(&0) || bare(b'\r', b'\n', 1) || bare(b'\n', b'\r', -1);
        prop_assert_eq!(verdict.is_err(), bad);
        if verdict.is_ok() {
            prop_assert_eq!(whole.is_overlong(), cut_up.is_overlong());
            prop_assert_eq!(whole.is_overlong(), input.split(|b| *b == b'\n').any(|l| l.strip_suffix(b"\r").unwrap_or(l).len() > 3));
        }
    }

    #[test]
    fn cutting_lines_changes_nothing(input in troublesome(), cut in 1usize..9) {
        let limits = LineLimits { line: 8, passed_over: 24 };
        let whole = lines(&input, input.len().max(1), limits);
        prop_assert_eq!(&whole, &lines(&input, cut, limits));
        for line in whole.iter().flatten() {
            prop_assert!(line.len() <= 8 && !line.iter().any(|b| b"\r\n\0".contains(b)));
        }
    }

    #[test]
    fn no_line_panics_the_parser(line in proptest::collection::vec(any::<u8>(), 0..80), verb in "(MAIL FROM:<|RCPT TO:<|BDAT |EHLO |)") {
        let line = [verb.as_bytes(), &line].concat();
        if let Err(error) = Command::parse(&line) {
            let reply = error.reply();
            prop_assert!(reply.is_permanent() && !reply.to_string().contains(['\r', '\n']));
        }
    }

    #[test]
    fn mail_is_read_as_it_is_printed(
        null in any::<bool>(), size in proptest::option::of(any::<u64>()), smtputf8 in any::<bool>(), prdr in any::<bool>(),
        ret in proptest::option::of(any::<bool>()), envid in proptest::option::of("[A-Za-z0-9]{1,100}"),
    ) {
        let reverse_path = if null { "" } else { "\"a >b\"@x.example" };
        let mail = Mail {
            size,
            prdr,
            parameters: MailParameters {
                smtputf8,
                ret: ret.map(|full| if full { Ret::Full } else { Ret::Headers }),
                envid: envid.as_deref().and_then(EnvelopeId::new),
                ..MailParameters::default()
            },
            ..Mail::new(ReversePath::parse(reverse_path).unwrap())
        };
        prop_assert_eq!(Command::parse(mail.to_string().as_bytes()), Ok(Command::Mail(mail)));
    }

    #[test]
    fn rcpt_is_read_as_it_is_printed(
        local in "[a-z!#$%&'*+/=?^_`{|}~-]{1,64}", postmaster in any::<bool>(),
        bits in proptest::option::of(0u8..8), original in any::<bool>(),
    ) {
        let rcpt = Rcpt {
            path: if postmaster { RcptPath::Postmaster } else {
                RcptPath::Mailbox(Mailbox::parse(&format!("{local}@x.example")).unwrap())
            },
            parameters: RcptParameters {
                notify: bits.map(Notify::from_bits),
                original: original.then(|| OriginalRecipient::new("rfc822;a+2Bb@x.example").unwrap()),
            },
        };
        prop_assert_eq!(Command::parse(rcpt.to_string().as_bytes()), Ok(Command::Rcpt(rcpt)));
    }
}

#[test]
fn only_crlf_dot_crlf_ends_a_message() {
    let fault = |f| Progress::Fault(f);
    let cases: [(&[u8], Progress); 22] = [
        (b".\r\n", Progress::End),
        (b"a\r\n.\r\n", Progress::End),
        (b"a\n.\n", fault(ContentFault::BareLf)),
        (b"a\n.\r\n", fault(ContentFault::BareLf)),
        (b"a\r\n.\n", fault(ContentFault::BareLf)),
        (b"a\r.\r", fault(ContentFault::BareCr)),
        (b"a\r.\n", fault(ContentFault::BareCr)),
        (b"a\n.\r", fault(ContentFault::BareLf)),
        (b"a\r.\r\n", fault(ContentFault::BareCr)),
        (b"a\r\n.\rb", fault(ContentFault::BareCr)),
        (b"a\r\n.\r\r\n", fault(ContentFault::BareCr)),
        (b"a\r\n\r.\r\n", fault(ContentFault::BareCr)),
        (b"a\r\r\n.\r\n", fault(ContentFault::BareCr)),
        (b"a\r\n\0.\r\n", fault(ContentFault::Nul)),
        (b"a\r\n.\0\r\n", fault(ContentFault::Nul)),
        (b"a\r\n.\xc2\x85", Progress::More),
        (b"a\r\n.\x1a\r\n", Progress::More),
        (b"a\r\n\x0b.\r\n", Progress::More),
        (b"a\r\n .\r\n", Progress::More),
        (b"a\r\n. \r\n", Progress::More),
        (b"a\r\n\xae\r\n", Progress::More),
        (b"a\r\n\xef\xbc\x8e\r\n", Progress::More),
    ];
    for (input, progress) in cases {
        for cut in [1, 2, 7, 100] {
            assert_eq!(
                decode(input, cut, 100, BareLf::Refuse).2,
                progress,
                "{} cut at {cut}",
                input.escape_ascii()
            );
        }
    }
}

#[test]
fn stuffed_dots_are_taken_out() {
    let wire = b"..\r\n.a\r\nb.\r\n...\r\n.\r\nQUIT\r\n";
    let (out, used, ..) = decode(wire, 100, 100, BareLf::Refuse);
    assert_eq!(out, b".\r\na\r\nb.\r\n..\r\n");
    assert_eq!(used, 20);
}

#[test]
fn commands_end_in_crlf_and_nothing_else() {
    let limits = LineLimits {
        line: 8,
        passed_over: 24,
    };
    let ok = |text: &str| Ok(text.as_bytes().to_vec());
    let cases: [(&[u8], Lines); 7] = [
        (b"NOOP\r\nRSET\r\n", vec![ok("NOOP"), ok("RSET")]),
        (b"NOOP\nRSET\r\n", vec![Err(LineFault::BareLf)]),
        (b"NOOP\rRSET\r\n", vec![Err(LineFault::BareCr)]),
        (b"NO\0OP\r\n", vec![Err(LineFault::Nul)]),
        (
            b"123456789\r\nNOOP\r\n",
            vec![Err(LineFault::TooLong), ok("NOOP")],
        ),
        (
            b"1234567890123456789012345\r\n",
            vec![Err(LineFault::Endless)],
        ),
        (b"\r\n", vec![ok("")]),
    ];
    for (input, expected) in cases {
        for cut in [1, 2, 7, 100] {
            assert_eq!(
                lines(input, cut, limits),
                expected,
                "{} cut at {cut}",
                input.escape_ascii()
            );
        }
    }
}

#[test]
fn a_chunk_is_counted_off_to_the_octet() {
    let mut chunk = Chunk::new(5, true);
    assert_eq!(chunk.take(b"abc"), b"abc");
    assert_eq!(chunk.take(b"deQUIT\r\n"), b"de");
    assert_eq!((chunk.left(), chunk.is_last()), (0, true));
    assert_eq!(chunk.take(b"QUIT\r\n"), b"");
}
