//! What it costs to read commands, replies and content, and to write content.
//!
//! `cargo bench -p smtp --bench reading`

#![allow(clippy::disallowed_methods, reason = "it is the clock that is asked")]

use std::hint::black_box;
use std::time::Instant;

use smtp::{
    BareLf, CONTENT_LINE_MAX, Command, DataDecoder, LineLimits, LineReader, Progress, ReplyReader,
    Stuffer,
};

const ROUNDS: u32 = 20_000;
/// As much as is read of a socket at once.
const PIECE: usize = 8 * 1024;
const COMMANDS: &[u8] =
    b"MAIL FROM:<ann@client.test> SIZE=4096 BODY=8BITMIME\r\nRCPT TO:<bob@hosted.test>\r\nDATA\r\n";
const REPLIES: &[u8] = b"250-relay.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n250 2.1.0 OK\r\n354 Go on\r\n";

fn main() {
    let content =
        b"It is only a line of a message, as long as most are in text of people.\r\n".repeat(1400);
    timed(
        "three commands, read and parsed",
        COMMANDS.len(),
        ROUNDS,
        || {
            let (mut lines, mut rest, mut parsed) =
                (LineReader::new(LineLimits::COMMANDS), COMMANDS, 0);
            while let (used, Some(Ok(line))) = lines.take(rest) {
                parsed += u32::from(black_box(Command::parse(&line)).is_ok());
                rest = &rest[used..];
            }
            assert_eq!(parsed, 3);
        },
    );
    timed("three replies, read", REPLIES.len(), ROUNDS, || {
        let (mut reader, mut rest, mut found) = (ReplyReader::new(), REPLIES, 0);
        while let Ok(Some(reply)) = reader.read(&mut rest) {
            black_box(reply);
            found += 1;
        }
        assert_eq!(found, 3);
    });
    let mut stuffed = Vec::new();
    timed(
        "100 KiB of content, written",
        content.len(),
        ROUNDS / 20,
        || {
            stuffed.clear();
            let mut stuffer = Stuffer::new();
            for piece in content.chunks(PIECE) {
                stuffer.push(piece, &mut stuffed);
            }
            stuffer.finish(&mut stuffed);
        },
    );
    let mut out = Vec::new();
    timed(
        "100 KiB of content, read",
        stuffed.len(),
        ROUNDS / 20,
        || {
            out.clear();
            let mut decoder = DataDecoder::new(CONTENT_LINE_MAX, BareLf::Refuse);
            let ended = stuffed
                .chunks(PIECE)
                .any(|piece| decoder.decode(piece, &mut out).1 == Progress::End);
            assert!(ended && out.len() == content.len());
        },
    );
}

fn timed(words: &str, octets: usize, rounds: u32, mut work: impl FnMut()) {
    work();
    let began = Instant::now();
    for _ in 0..rounds {
        work();
    }
    let each = began.elapsed() / rounds;
    let rate = octets as f64 / each.as_secs_f64() / 1e6;
    println!(
        "{words}: {:.2} us, {rate:.0} MB/s",
        each.as_secs_f64() * 1e6
    );
}
