//! What it costs to read commands, replies and content, and to write content.
//!
//! `cargo bench -p smtp --bench reading`

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use smtp::{
    BareLf, CONTENT_LINE_MAX, Command, DataDecoder, LineLimits, LineReader, Progress, ReplyReader,
    Stuffer,
};

/// As much as is read of a socket at once.
const PIECE: usize = 8 * 1024;
const COMMANDS: &[u8] =
    b"MAIL FROM:<ann@client.test> SIZE=4096 BODY=8BITMIME\r\nRCPT TO:<bob@hosted.test>\r\nDATA\r\n";
const REPLIES: &[u8] = b"250-relay.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n250 2.1.0 OK\r\n354 Go on\r\n";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    lines(&mut criterion);
    content(&mut criterion);
    criterion.final_summary();
}

fn lines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lines");
    group.throughput(Throughput::Bytes(COMMANDS.len() as u64));
    group.bench_function("three commands, read and parsed", |bencher| {
        bencher.iter(|| {
            let (mut lines, mut rest, mut parsed) =
                (LineReader::new(LineLimits::COMMANDS), COMMANDS, 0);
            while let (used, Some(Ok(line))) = lines.take(rest) {
                parsed += u32::from(black_box(Command::parse(&line)).is_ok());
                rest = &rest[used..];
            }
            assert_eq!(parsed, 3);
        });
    });
    group.throughput(Throughput::Bytes(REPLIES.len() as u64));
    group.bench_function("three replies, read", |bencher| {
        bencher.iter(|| {
            let (mut reader, mut rest, mut found) = (ReplyReader::new(), REPLIES, 0);
            while let Ok(Some(reply)) = reader.read(&mut rest) {
                black_box(reply);
                found += 1;
            }
            assert_eq!(found, 3);
        });
    });
}

fn content(criterion: &mut Criterion) {
    let content =
        b"It is only a line of a message, as long as most are in text of people.\r\n".repeat(1400);
    let mut group = criterion.benchmark_group("100 KiB of content");
    let mut stuffed = Vec::new();
    group.throughput(Throughput::Bytes(content.len() as u64));
    group.bench_function("written", |bencher| {
        bencher.iter(|| stuff(&content, &mut stuffed));
    });
    stuff(&content, &mut stuffed);
    let mut out = Vec::new();
    group.throughput(Throughput::Bytes(stuffed.len() as u64));
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            out.clear();
            let mut decoder = DataDecoder::new(CONTENT_LINE_MAX, BareLf::Refuse);
            let ended = stuffed
                .chunks(PIECE)
                .any(|piece| decoder.decode(piece, &mut out).1 == Progress::End);
            assert!(ended && out.len() == content.len());
        });
    });
}

fn stuff(content: &[u8], stuffed: &mut Vec<u8>) {
    stuffed.clear();
    let mut stuffer = Stuffer::new();
    for piece in content.chunks(PIECE) {
        stuffer.push(piece, stuffed);
    }
    stuffer.finish(stuffed);
}
