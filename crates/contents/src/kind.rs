//! What octets are, whatever their name says.

use std::fmt;

use memchr::memmem;

/// How many octets from the beginning tell what something is: an ISO image says so behind 32 KiB.
pub(crate) const HEAD: usize = 36 * 1024;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal;)+) => {
        /// What something is by its octets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $kind,)+ }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Its name, which stays as it is.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }
        }
    };
}

kinds! {
    /// Programs: PE, the older ones of DOS and Windows, ELF, Mach-O.
    Executable "executable";
    /// Scripts that a double click runs: JavaScript, Visual Basic, PowerShell, batch, HTA, shell.
    Script "script";
    /// Office documents with macros.
    Macro "macro";
    /// Office documents of the formats that are ZIP archives, and OpenDocument.
    Office "office";
    /// Compound files: the Office documents of old, and others.
    Ole "ole";
    /// Rich Text Format.
    Rtf "rtf";
    /// Portable Document Format.
    Pdf "pdf";
    /// Pictures of dots.
    Image "image";
    /// Sound.
    Audio "audio";
    /// Films.
    Video "video";
    /// Fonts.
    Font "font";
    /// Readable text.
    Text "text";
    /// Pages for a browser.
    Html "html";
    /// Pictures that are XML, and may hold scripts.
    Svg "svg";
    /// Archives.
    Zip "zip";
    /// Programs of Java: JAR archives and classes.
    Jar "jar";
    /// Archives.
    Rar "rar";
    /// Archives.
    SevenZip "7z";
    /// Archives.
    Ace "ace";
    /// Archives of ARJ.
    Arj "arj";
    /// Archives of LHA.
    Lha "lha";
    /// Archives.
    Tar "tar";
    /// Compressed data.
    Gzip "gzip";
    /// Compressed data.
    Bzip2 "bzip2";
    /// Compressed data.
    Xz "xz";
    /// Compressed data.
    Zstd "zstd";
    /// Cabinets of Windows.
    Cab "cab";
    /// Installers of Windows.
    Msi "msi";
    /// Images of CDs and DVDs.
    Iso "iso";
    /// Shortcuts of Windows.
    Lnk "lnk";
    /// OneNote sections.
    OneNote "onenote";
    /// Images of disks.
    Vhd "vhd";
    /// Messages.
    Message "message";
    /// What Outlook packs as winmail.dat.
    Tnef "tnef";
    /// Files in text, as uuencode writes them.
    Uuencode "uuencode";
    /// A piece of a message, or a pointer to one.
    Partial "partial";
    /// Signed data that holds what it signs.
    Pkcs7 "pkcs7";
    /// Nothing that is known.
    Unknown "unknown";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What octets begin with, from an offset on.
const MAGIC: [(usize, &[u8], Kind); 25] = [
    (0, b"\x7fELF", Kind::Executable),
    (0, b"\xfe\xed\xfa\xce", Kind::Executable),
    (0, b"\xfe\xed\xfa\xcf", Kind::Executable),
    (0, b"\xce\xfa\xed\xfe", Kind::Executable),
    (0, b"\xcf\xfa\xed\xfe", Kind::Executable),
    (
        0,
        b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F",
        Kind::Lnk,
    ),
    (
        0,
        b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3",
        Kind::OneNote,
    ),
    (0, b"conectix", Kind::Vhd),
    (0, b"vhdxfile", Kind::Vhd),
    (0x8001, b"CD001", Kind::Iso),
    (0x8001, b"BEA01", Kind::Iso),
    (0x8001, b"NSR0", Kind::Iso),
    (0, b"\x78\x9f\x3e\x22", Kind::Tnef),
    (0, b"MSCF\0\0\0\0", Kind::Cab),
    (7, b"**ACE**", Kind::Ace),
    (0, b"\x60\xea", Kind::Arj),
    (0, b"Rar!\x1a\x07", Kind::Rar),
    (0, b"7z\xbc\xaf\x27\x1c", Kind::SevenZip),
    (0, b"\x1f\x8b\x08", Kind::Gzip),
    (4, b"1AY&SY", Kind::Bzip2),
    (0, b"\xfd7zXZ\0", Kind::Xz),
    (0, b"\x28\xb5\x2f\xfd", Kind::Zstd),
    (257, b"ustar", Kind::Tar),
    (0, b"{\\rt", Kind::Rtf),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::Ole),
];

impl Kind {
    /// By its octets, all of them or at least the first [`HEAD`].
    pub(crate) fn of_head(head: &[u8]) -> Self {
        let at = |offset: usize, magic: &[u8]| {
            head.get(offset..)
                .is_some_and(|rest| rest.starts_with(magic))
        };
        if let Some(&(_, _, kind)) = MAGIC.iter().find(|(offset, magic, _)| at(*offset, magic)) {
            return kind;
        }
        if at(0, b"PK\x03\x04") || at(0, b"PK\x05\x06") || at(0, b"PK\x07\x08PK\x03\x04") {
            return Self::Zip;
        }
        if at(2, b"-lh") && at(6, b"-") {
            return Self::Lha;
        }
        if is_windows_program(head) {
            return Self::Executable;
        }
        if at(0, b"\xca\xfe\xba\xbe") {
            // A class of Java tells its version there, a Mach-O how many machines it is for.
            let is_class = head
                .get(4..8)
                .is_some_and(|four| four > [0, 0, 0, 30].as_slice());
            return if is_class {
                Self::Jar
            } else {
                Self::Executable
            };
        }
        // Readers look for the mark in the first KiB.
        if memmem::find(&head[..head.len().min(1024)], b"%PDF-").is_some() {
            return Self::Pdf;
        }
        of_text(head).unwrap_or_else(|| of_library(head))
    }

    /// What no octets tell: text is a script by its name alone.
    pub(crate) fn with_extensions(self, extensions: &[String]) -> Self {
        let is_script = || {
            extensions
                .iter()
                .any(|extension| SCRIPTS.contains(&extension.as_str()))
        };
        match self {
            Self::Text | Self::Html | Self::Unknown if is_script() => Self::Script,
            kind => kind,
        }
    }

    /// Whether files are packed in it that people know as files. A JAR is a program to them, and
    /// documents are documents.
    pub(crate) fn is_archive(self) -> bool {
        use Kind::*;
        matches!(
            self,
            Zip | Rar
                | SevenZip
                | Ace
                | Arj
                | Lha
                | Tar
                | Gzip
                | Bzip2
                | Xz
                | Zstd
                | Cab
                | Iso
                | Vhd
        )
    }

    /// Whether opening it may run something.
    pub fn is_active(self) -> bool {
        matches!(
            self,
            Self::Executable | Self::Script | Self::Macro | Self::Jar | Self::Msi | Self::Lnk
        )
    }
}

/// Extensions of what a double click runs and that is text.
const SCRIPTS: [&str; 22] = [
    "js", "jse", "mjs", "vbs", "vbe", "wsf", "wsh", "wsc", "sct", "ps1", "psm1", "ps1xml", "bat",
    "cmd", "hta", "sh", "command", "reg", "url", "scf", "inf", "py",
];

/// "MZ" alone is text as well: a program has a second header, or one of DOS that holds together.
fn is_windows_program(head: &[u8]) -> bool {
    if !head.starts_with(b"MZ") {
        return false;
    }
    let word = |at: usize| {
        head.get(at..at + 2)
            .map(|two| u16::from_le_bytes([two[0], two[1]]))
    };
    let second = head.get(0x3c..0x40).map_or(0, |four| {
        u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize
    });
    let names_another = head.get(second..).is_some_and(|rest| {
        [&b"PE\0\0"[..], b"NE", b"LE", b"LX"]
            .iter()
            .any(|magic| rest.starts_with(magic))
    });
    // Octets in the last page, pages, and paragraphs of the header.
    let is_of_dos = word(2).is_some_and(|last| last < 512)
        && word(4).is_some_and(|pages| pages > 0)
        && word(8).is_some_and(|paragraphs| (2..0x1000).contains(&paragraphs));
    second >= 0x40 && names_another || is_of_dos
}

/// Readable text, and what is written in it.
fn of_text(head: &[u8]) -> Option<Kind> {
    let text = match head {
        [0xef, 0xbb, 0xbf, rest @ ..] => rest,
        // UTF-16.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some(Kind::Text),
        head => head,
    };
    if text
        .iter()
        .any(|octet| matches!(octet, 0..=8 | 14..=26 | 28..=31))
    {
        return None;
    }
    let mut start = text.trim_ascii_start();
    start = &start[..start.len().min(2048)];
    let start = start.to_ascii_lowercase();
    let has = |word: &str| memmem::find(&start, word.as_bytes()).is_some();
    let begins = |word: &str| start.starts_with(word.as_bytes());
    if has("<hta:application") || begins("#!") || begins("@echo off") || begins("#@~^") {
        return Some(Kind::Script);
    }
    if has("<svg") && (begins("<svg") || begins("<?xml") || begins("<!doctype svg")) {
        return Some(Kind::Svg);
    }
    if ["<!doctype html", "<html", "<head", "<body", "<script"]
        .iter()
        .any(|tag| begins(tag))
    {
        return Some(Kind::Html);
    }
    // A character may be cut at the end of the head.
    match std::str::from_utf8(text) {
        Ok(_) => Some(Kind::Text),
        Err(error) if error.error_len().is_none() => Some(Kind::Text),
        Err(_) => None,
    }
}

fn of_library(head: &[u8]) -> Kind {
    let Some(found) = infer::get(head) else {
        return Kind::Unknown;
    };
    match found.matcher_type() {
        infer::MatcherType::Image => Kind::Image,
        infer::MatcherType::Audio => Kind::Audio,
        infer::MatcherType::Video => Kind::Video,
        infer::MatcherType::Font => Kind::Font,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: usize, magic: &[u8]) -> Vec<u8> {
        let mut octets = vec![0; offset + magic.len() + 64];
        octets[offset..offset + magic.len()].copy_from_slice(magic);
        octets
    }

    #[test]
    fn a_program_has_a_second_header() {
        let mut program = at(0, b"MZ\x90\0");
        program[0x3c] = 0x40;
        program.extend_from_slice(b"\0\0\0\0");
        program[0x40..0x44].copy_from_slice(b"PE\0\0");
        assert_eq!(Kind::of_head(&program), Kind::Executable);
        assert_eq!(
            Kind::of_head(b"MZ is a brand of computers, and this is a text."),
            Kind::Text
        );
        assert_eq!(Kind::of_head(&at(0, b"MZ")), Kind::Unknown);
        let dos = at(0, b"MZ\x10\0\x03\0\0\0\x04\0");
        assert_eq!(Kind::of_head(&dos), Kind::Executable);
    }

    #[test]
    fn octets_tell_what_they_are() {
        let table: [(Vec<u8>, Kind); 17] = [
            (b"\x7fELF\x02\x01".to_vec(), Kind::Executable),
            (b"\xca\xfe\xba\xbe\0\0\0\x02\0".to_vec(), Kind::Executable),
            (b"\xca\xfe\xba\xbe\0\0\0\x34\0".to_vec(), Kind::Jar),
            (at(0x8001, b"CD001"), Kind::Iso),
            (at(257, b"ustar"), Kind::Tar),
            (b"Rar!\x1a\x07\x01\0".to_vec(), Kind::Rar),
            (at(7, b"**ACE**"), Kind::Ace),
            (b"\n%PDF-1.7".to_vec(), Kind::Pdf),
            (b"\x89PNG\r\n\x1a\n\0".to_vec(), Kind::Image),
            (b"ID3\x03\0".to_vec(), Kind::Audio),
            (b" \r\n<!DOCTYPE html><p>".to_vec(), Kind::Html),
            (b"<?xml version='1.0'?><svg>".to_vec(), Kind::Svg),
            (b"#!/bin/sh\n".to_vec(), Kind::Script),
            ("plain t\u{e9}xt".into(), Kind::Text),
            (b"\x78\x9f\x3e\x22\0".to_vec(), Kind::Tnef),
            (b"\0\x01\x02".to_vec(), Kind::Unknown),
            (Vec::new(), Kind::Text),
        ];
        for (octets, kind) in table {
            assert_eq!(
                Kind::of_head(&octets),
                kind,
                "{:?}",
                &octets[..octets.len().min(20)]
            );
        }
    }

    #[test]
    fn names_tell_apart_what_is_text() {
        assert_eq!(Kind::Text.with_extensions(&["js".to_owned()]), Kind::Script);
        assert_eq!(Kind::Image.with_extensions(&["js".to_owned()]), Kind::Image);
        assert_eq!(Kind::Text.with_extensions(&["txt".to_owned()]), Kind::Text);
    }

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
