//! Archives as attachments: their entries, and the limits under which they are opened.

#[path = "../../../tests/corpora/mutations.rs"]
mod mutations;

use std::io::{Cursor, Write};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contents::{Attachment, Contents, Kind, Limits, Wanted, look_into};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const ALL: Wanted = Wanted {
    texts: true,
    archives: true,
};

/// A message with one attachment.
fn message(name: &str, octets: &[u8]) -> Vec<u8> {
    let body = STANDARD.encode(octets);
    let header = format!(
        "Content-Type: application/octet-stream; name=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n"
    );
    [header.into_bytes(), body.into_bytes()].concat()
}

fn look(name: &str, octets: &[u8]) -> Contents {
    look_into(&message(name, octets), ALL, &Limits::default())
}

fn places(contents: &Contents) -> Vec<(&str, Kind, u64)> {
    let attachments = contents.attachments.iter();
    attachments
        .map(|own| (own.place.as_str(), own.kind, own.size))
        .collect()
}

fn whys(contents: &Contents) -> Vec<String> {
    contents.unread.iter().map(ToString::to_string).collect()
}

fn zipped(method: CompressionMethod, entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, octets) in entries {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(octets).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn deflated(entries: &[(&str, &[u8])]) -> Vec<u8> {
    zipped(CompressionMethod::Deflated, entries)
}

fn seven_zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = sevenz_rust2::ArchiveWriter::new(Cursor::new(Vec::new())).unwrap();
    for (name, octets) in entries {
        let entry = sevenz_rust2::ArchiveEntry::new_file(name);
        writer.push_archive_entry(entry, Some(*octets)).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, octets) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(octets.len() as u64);
        builder.append_data(&mut header, name, *octets).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(octets).unwrap();
    writer.finish().unwrap()
}

fn bzip2(octets: &[u8]) -> Vec<u8> {
    let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    writer.write_all(octets).unwrap();
    writer.finish().unwrap()
}

fn xz(octets: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(octets).unwrap();
    writer.finish().unwrap()
}

fn zstd(octets: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(octets, ruzstd::encoding::CompressionLevel::Fastest)
}

const ELF: &[u8] = b"\x7fELF\x02\x01\x01 not a program but for its first octets";
const TEXT: &[u8] = b"a text, and a text, and a text\n";

#[test]
fn archives_of_every_format_are_opened() {
    let entries: &[(&str, &[u8])] = &[("run.exe", ELF), ("folder/a.txt", TEXT)];
    let archives = [
        ("a.zip", deflated(entries), Kind::Zip),
        (
            "a.zip",
            zipped(CompressionMethod::Stored, entries),
            Kind::Zip,
        ),
        (
            "a.zip",
            zipped(CompressionMethod::Bzip2, entries),
            Kind::Zip,
        ),
        ("a.7z", seven_zip(entries), Kind::SevenZip),
        ("a.tar", tar(entries), Kind::Tar),
    ];
    for (name, octets, kind) in archives {
        let contents = look(name, &octets);
        let expected = [
            ("1", kind, octets.len() as u64),
            ("1/run.exe", Kind::Executable, ELF.len() as u64),
            ("1/folder/a.txt", Kind::Text, TEXT.len() as u64),
        ];
        assert_eq!(places(&contents), expected, "{name}");
        assert_eq!(whys(&contents), Vec::<String>::new(), "{name}");
        assert_eq!(contents.attachments[2].names, ["a.txt"]);
        let archives = contents.attachments.iter().map(|own| own.archives);
        assert_eq!(archives.collect::<Vec<_>>(), [0, 1, 1], "{name}");
    }
}

#[test]
fn packed_files_are_unpacked() {
    let packed = [
        ("run.exe.gz", gzip(ELF), Kind::Gzip),
        ("run.exe.bz2", bzip2(ELF), Kind::Bzip2),
        ("run.exe.xz", xz(ELF), Kind::Xz),
        ("run.exe.zst", zstd(ELF), Kind::Zstd),
    ];
    for (name, octets, kind) in packed {
        let contents = look(name, &octets);
        let expected = [
            ("1", kind, octets.len() as u64),
            ("1/run.exe", Kind::Executable, ELF.len() as u64),
        ];
        assert_eq!(places(&contents), expected, "{name}");
        assert_eq!(whys(&contents), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn archives_in_archives_and_messages_are_opened() {
    let inner = deflated(&[("run.exe", ELF)]);
    let mail = message("deep.zip", &inner);
    let tape = gzip(&tar(&[("inner.zip", &inner), ("old.eml", &mail)]));
    let contents = look("all.tgz", &tape);
    let found: Vec<(&str, u8)> = contents
        .attachments
        .iter()
        .map(|own| (own.place.as_str(), own.archive_depth()))
        .collect();
    assert_eq!(
        found,
        [
            ("1", 1),
            ("1/all.tar", 2),
            ("1/all.tar/inner.zip", 3),
            ("1/all.tar/old.eml", 2),
            ("1/all.tar/inner.zip/run.exe", 3),
            ("1/all.tar/old.eml.1", 3),
            ("1/all.tar/old.eml.1/run.exe", 3),
        ]
    );
    assert_eq!(whys(&contents), Vec::<String>::new());

    let limits = Limits {
        depth: 2,
        ..Limits::default()
    };
    let contents = look_into(&message("all.tgz", &tape), ALL, &limits);
    assert_eq!(
        whys(&contents),
        [
            "1/all.tar/inner.zip: nested too deep",
            "1/all.tar/old.eml: nested too deep"
        ]
    );
}

#[test]
fn archives_stay_closed_when_nobody_asks() {
    let octets = deflated(&[("run.exe", ELF)]);
    let wanted = Wanted {
        texts: false,
        archives: false,
    };
    let contents = look_into(&message("a.zip", &octets), wanted, &Limits::default());
    assert_eq!(places(&contents), [("1", Kind::Zip, octets.len() as u64)]);
}

#[test]
fn limits_hold_while_unpacking() {
    let zeros = vec![0; 200_000];
    let archives = [
        ("a.zip", deflated(&[("zeros", &zeros), ("after", TEXT)])),
        ("a.7z", seven_zip(&[("zeros", &zeros), ("after", TEXT)])),
        ("a.gz", gzip(&zeros)),
        ("a.bz2", bzip2(&zeros)),
        ("a.xz", xz(&zeros)),
        ("a.zst", zstd(&zeros)),
    ];
    for (name, octets) in archives {
        let mail = message(name, &octets);
        let cut = |limits: Limits| {
            let contents = look_into(&mail, ALL, &limits);
            let largest = contents.attachments.iter().map(|own| own.size).max();
            (whys(&contents), contents.attachments.len(), largest)
        };
        let octets = Limits {
            octets: 50_000,
            ..Limits::default()
        };
        assert_eq!(
            cut(octets),
            (
                vec!["1: too large when unpacked".to_owned()],
                2,
                Some(50_000)
            ),
            "{name}"
        );
        let ratio = Limits {
            ratio: 10,
            ..Limits::default()
        };
        assert_eq!(
            cut(ratio),
            (
                vec!["1: unpacks to too many times its size".to_owned()],
                2,
                Some(40_960)
            ),
            "{name}"
        );
    }
}

#[test]
fn entries_are_counted_over_all_archives() {
    let many: Vec<(String, &[u8])> = (0..30)
        .map(|index| (format!("{index}.txt"), TEXT))
        .collect();
    let many: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    for (name, octets) in [("a.zip", deflated(&many)), ("a.tar", tar(&many))] {
        let limits = Limits {
            entries: 10,
            ..Limits::default()
        };
        let contents = look_into(&message(name, &octets), ALL, &limits);
        assert_eq!(contents.attachments.len(), 11, "{name}");
        assert_eq!(whys(&contents), ["1: too many parts or entries"], "{name}");
    }
}

/// What the program of 7-Zip makes of a program and `more`.
fn made_by_7_zip(options: &[&str], more: &[(&str, &[u8])]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run.exe"), ELF).unwrap();
    for (name, octets) in more {
        std::fs::write(folder.path().join(name), octets).unwrap();
    }
    let made = Command::new("7zz")
        .args(["a", "-bso0", "-bsp0"])
        .args(options)
        .args(["archive", "."])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(made.success());
    let is_zip = options.contains(&"-tzip");
    let name = if is_zip { "archive.zip" } else { "archive.7z" };
    std::fs::read(folder.path().join(name)).unwrap()
}

#[test]
fn archives_of_7_zip_are_opened() {
    let table: [&[&str]; 10] = [
        &["-t7z"],
        &["-t7z", "-mx9", "-md64m"],
        &["-t7z", "-m0=PPMd"],
        &["-t7z", "-m0=BZip2"],
        &["-t7z", "-m0=BCJ2", "-m1=LZMA", "-m2=LZMA", "-m3=LZMA"],
        &["-t7z", "-m0=Deflate"],
        &["-tzip"],
        &["-tzip", "-mm=LZMA"],
        &["-tzip", "-mm=Deflate64"],
        &["-tzip", "-mm=BZip2"],
    ];
    for options in table {
        let contents = look("archive", &made_by_7_zip(options, &[("a.txt", TEXT)]));
        let mut found: Vec<(&str, Kind, u64)> = places(&contents)[1..].to_vec();
        found.sort_unstable();
        let expected = [
            ("1/a.txt", Kind::Text, TEXT.len() as u64),
            ("1/run.exe", Kind::Executable, ELF.len() as u64),
        ];
        assert_eq!(found, expected, "{options:?}");
        assert_eq!(whys(&contents), Vec::<String>::new(), "{options:?}");
    }
    let many: Vec<String> = (0..500)
        .map(|index| format!("some file, number {index}"))
        .collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), TEXT)).collect();
    let contents = look("archive", &made_by_7_zip(&["-t7z"], &many));
    assert_eq!(contents.attachments.len(), 502);
    assert_eq!(whys(&contents), Vec::<String>::new());
}

#[test]
fn what_7_zip_has_encrypted_is_told() {
    let table: [(&[&str], &str); 4] = [
        (&["-t7z", "-psecret"], "1/run.exe: encrypted"),
        (&["-t7z", "-psecret", "-mhe=on"], "1: encrypted"),
        (
            &["-tzip", "-psecret", "-mem=AES256"],
            "1/run.exe: encrypted",
        ),
        (
            &["-tzip", "-psecret", "-mem=ZipCrypto"],
            "1/run.exe: encrypted",
        ),
    ];
    for (options, expected) in table {
        let contents = look("archive", &made_by_7_zip(options, &[]));
        assert_eq!(whys(&contents), [expected], "{options:?}");
        assert!(contents.attachments[0].is_encrypted, "{options:?}");
    }
}

/// Where something stands in octets.
fn find(octets: &[u8], what: &[u8]) -> usize {
    octets
        .windows(what.len())
        .position(|window| window == what)
        .unwrap()
}

#[test]
fn encrypted_entries_are_named() {
    let mut octets = deflated(&[("run.exe", ELF)]);
    // The flag says so, in the entry and in the directory.
    let directory = find(&octets, b"PK\x01\x02");
    octets[6] |= 1;
    octets[directory + 8] |= 1;
    let contents = look("a.zip", &octets);
    assert_eq!(whys(&contents), ["1/run.exe: encrypted"]);
    let is_encrypted = |own: &Attachment| own.is_encrypted;
    assert!(contents.attachments.iter().all(is_encrypted));
    assert_eq!(contents.attachments[1].extensions(), ["exe"]);
}

#[test]
fn what_cannot_be_unpacked_is_named() {
    let mut unknown = deflated(&[("run.exe", ELF)]);
    let directory = find(&unknown, b"PK\x01\x02");
    unknown[8] = 97;
    unknown[directory + 10] = 97;
    assert_eq!(
        whys(&look("a.zip", &unknown)),
        ["1/run.exe: packed by an unknown method"]
    );

    let mut damaged = zipped(CompressionMethod::Stored, &[("run.exe", ELF)]);
    let at = find(&damaged, ELF);
    damaged[at + 20] ^= 1;
    assert_eq!(
        whys(&look("a.zip", &damaged)),
        ["1/run.exe: broken: it does not unpack"]
    );

    let whole = deflated(&[("run.exe", ELF)]);
    let cut = &whole[..whole.len() - 30];
    assert_eq!(whys(&look("a.zip", cut)), ["1: broken: its directory"]);

    let mut twice = zipped(CompressionMethod::Stored, &[("a.exe", ELF), ("b.exe", ELF)]);
    while let Some(at) = twice.windows(5).position(|window| window == b"b.exe") {
        twice[at] = b'a';
    }
    assert_eq!(
        whys(&look("a.zip", &twice)),
        ["1: broken: several entries of one name"]
    );
}

#[test]
fn documents_tell_what_does_not_belong_in_them() {
    let document = |more: (&str, &[u8])| {
        deflated(&[
            ("[Content_Types].xml", b"<?xml version=\"1.0\"?><Types/>"),
            ("word/document.xml", b"<?xml version=\"1.0\"?><w:document/>"),
            more,
        ])
    };
    let contents = look(
        "a.docx",
        &document(("word/media/image1.png", b"\x89PNG\r\n\x1a\n")),
    );
    let kinds = |contents: &Contents| -> Vec<Kind> {
        contents.attachments.iter().map(|own| own.kind).collect()
    };
    assert_eq!(kinds(&contents), [Kind::Office]);
    assert!(!contents.attachments[0].disagrees());

    let contents = look("a.docx", &document(("word/embeddings/run.bin", ELF)));
    assert_eq!(kinds(&contents), [Kind::Office, Kind::Executable]);

    let contents = look("a.docx", &document(("word/vbaProject.bin", b"\0")));
    assert_eq!(kinds(&contents), [Kind::Macro]);
    assert!(contents.attachments[0].disagrees());
}

#[test]
fn a_cut_or_changed_archive_does_no_harm() {
    let entries: &[(&str, &[u8])] = &[("run.exe", ELF), ("folder/a.txt", TEXT)];
    let archives = [
        deflated(entries),
        seven_zip(entries),
        tar(entries),
        gzip(TEXT),
        bzip2(TEXT),
        xz(TEXT),
        zstd(TEXT),
    ];
    for octets in &archives {
        let step = (octets.len() / 100).max(1);
        for at in (0..octets.len()).step_by(step) {
            look("a.zip", &octets[..at]);
            let mut changed = octets.clone();
            changed[at] ^= 0x55;
            look("a.zip", &changed);
        }
    }
    let limits = Limits::default();
    let nested = deflated(&[("a.zip", &archives[0]), ("b.7z", &archives[1])]);
    mutations::each_changed(&[&archives[..], &[nested]].concat(), |octets| {
        let contents = look("a.zip", octets);
        let entries = contents
            .attachments
            .iter()
            .filter(|own| own.archives > 0 && !own.is_encrypted);
        let unpacked: u64 = entries.map(|entry| entry.size).sum();
        assert!(unpacked <= limits.octets, "{unpacked}");
    });
}
