//! Memory beside the octets of a message stays within a bound, however large the message is and
//! whatever is in it.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Cursor, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contents::edit::{apply, remove_part};
use contents::{Contents, Kind, Limits, Octets, Scratch, Wanted, look_into_octets, parts};
use peak_alloc::PeakAlloc;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

const ALL: Wanted = Wanted {
    texts: true,
    archives: true,
};

/// Octets in a file, and the file of what is unpacked.
struct OnDisk(RefCell<File>, usize);

impl OnDisk {
    fn new() -> Self {
        Self(RefCell::new(tempfile::tempfile().unwrap()), 0)
    }
}

impl Octets for OnDisk {
    fn size(&self) -> usize {
        self.1
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        self.0.borrow().read_at(to, at as u64).unwrap()
    }
}

impl Scratch for OnDisk {
    fn append(&mut self, octets: &[u8]) {
        self.0.borrow_mut().write_all(octets).unwrap();
        self.1 += octets.len();
    }

    fn clear(&mut self) {
        let mut file = self.0.borrow_mut();
        file.set_len(0).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        self.1 = 0;
    }
}

/// Octets that cannot be packed.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1u64;
    let octet = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..size).map(octet).collect()
}

fn zipped(name: &str, octets: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    writer.start_file(name, options).unwrap();
    writer.write_all(octets).unwrap();
    writer.finish().unwrap().into_inner()
}

fn based(octets: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(octets);
    text.as_bytes()
        .chunks(76)
        .collect::<Vec<_>>()
        .join(&b"\r\n"[..])
}

/// A message with a text and an attachment, on disk.
fn message(kind: &str, octets: &[u8]) -> OnDisk {
    let mut message = OnDisk::new();
    let header = format!(
        "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nSome words.\r\n\
         --b\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    );
    message.append(header.as_bytes());
    message.append(&based(octets));
    message.append(b"\r\n--b--\r\n");
    message
}

/// What is in a message, and how much memory that took at most.
fn looked_into(message: &OnDisk) -> (Contents, usize) {
    let mut scratch = OnDisk::new();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let contents = look_into_octets(message, ALL, &Limits::default(), &mut scratch);
    (contents, MEMORY.peak_usage() - before)
}

/// One test: the figures are those of the whole process.
#[test]
fn memory_does_not_grow_with_the_message() {
    let files = zipped("picture.bin", &noise(4 * MIB));
    let text = b"words and words\r\n".repeat(2 * MIB / 17);
    let messages = [
        ("a ZIP archive", message("application/zip", &files)),
        (
            "one in another",
            message("application/zip", &zipped("a.zip", &files)),
        ),
        (
            "much that is no archive",
            message("image/png", &noise(30 * MIB)),
        ),
        (
            "a message in base64",
            message("message/rfc822", &[b"\r\n", &text[..]].concat()),
        ),
        (
            "a compound file",
            message(
                "application/msword",
                &[b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", &files[..]].concat(),
            ),
        ),
    ];
    drop((files, text));
    for (name, message) in &messages {
        let (contents, peak) = looked_into(message);
        assert!(!contents.attachments.is_empty(), "{name}");
        eprintln!("{name}: {} KiB", peak >> 10);
        assert!(peak < 3 * MIB, "{name}: {} KiB", peak >> 10);
    }
    let (contents, _) = looked_into(&messages[1].1);
    let kinds: Vec<Kind> = contents.attachments.iter().map(|own| own.kind).collect();
    assert_eq!(kinds, [Kind::Zip, Kind::Zip, Kind::Unknown]);

    let message = &messages[2].1;
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let walked = parts(message, &Limits::default());
    let edits = remove_part(message, &walked, walked[2].number, "It is gone.").unwrap();
    let edited = apply(message, edits);
    assert!(edited.size() < 1000);
    assert!(MEMORY.peak_usage() - before < MIB / 4);
}
