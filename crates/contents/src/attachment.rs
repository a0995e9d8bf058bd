use unicode_normalization::UnicodeNormalization;

use crate::text::is_invisible;
use crate::{Kind, PartNumber, folded};

/// Something that a recipient can open: a MIME part that is more than text to read, or an entry of
/// an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Where it is, as it is shown to people: `2`, `2/inner.zip/run.exe`.
    pub place: String,
    /// The part of the message that it is, or that it is in.
    pub part: PartNumber,
    /// All its names, from every place where one can stand, each without folders: NFKC, without
    /// control characters and invisible ones, without blanks and dots at the end.
    pub names: Vec<String>,
    /// The content type that it is said to have, in lower case; empty for entries of archives, and
    /// where none is given.
    pub declared: String,
    /// What it is by its octets.
    pub kind: Kind,
    /// Octets, decoded.
    pub size: u64,
    /// Whether only the recipient can read it.
    pub is_encrypted: bool,
    /// In how many archives it lies, one in the other; documents that are ZIP files are none.
    pub archives: u8,
}

/// Names as they are compared and shown, each once.
pub(crate) fn normalised_names(written: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for name in written.iter().filter_map(|name| normalised(name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What follows the last dots of names, folded.
pub(crate) fn extensions(names: &[String]) -> Vec<String> {
    names.iter().filter_map(|name| extension(name)).collect()
}

/// Octets of a name at most; of a longer one the end, where its extension is. No system has such names.
const NAME_MAX: usize = 1024;

/// A name as it is compared and shown. None when nothing is left of it.
fn normalised(name: &str) -> Option<String> {
    let name: String = name
        .nfkc()
        .filter(|letter| !letter.is_control() && !is_invisible(*letter))
        .collect();
    // Windows ignores blanks and dots at the end.
    let name = name.trim_end_matches(|letter: char| letter == '.' || letter.is_whitespace());
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let name = &name[name.ceil_char_boundary(name.len().saturating_sub(NAME_MAX))..];
    (!name.is_empty()).then(|| name.to_owned())
}

/// What follows the last dot of a name, folded. None without one.
fn extension(name: &str) -> Option<String> {
    let (_, extension) = name.rsplit_once('.')?;
    let mut extension = folded(extension);
    extension.retain(|letter| !letter.is_whitespace());
    (!extension.is_empty()).then_some(extension)
}

/// Extensions of what runs when it is opened, besides the scripts that [`Kind`] knows.
const ACTIVE: [&str; 46] = [
    "exe",
    "com",
    "scr",
    "pif",
    "cpl",
    "dll",
    "msi",
    "msp",
    "jar",
    "js",
    "jse",
    "vbs",
    "vbe",
    "wsf",
    "wsh",
    "wsc",
    "sct",
    "ps1",
    "bat",
    "cmd",
    "hta",
    "lnk",
    "reg",
    "url",
    "scf",
    "inf",
    "iso",
    "img",
    "vhd",
    "vhdx",
    "one",
    "chm",
    "hlp",
    "gadget",
    "application",
    "appx",
    "msix",
    "docm",
    "xlsm",
    "pptm",
    "xll",
    "ade",
    "adp",
    "mde",
    "sh",
    "command",
];

/// Extensions of what people open without a thought.
const HARMLESS: [&str; 33] = [
    "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "rtf", "odt", "ods", "odp", "txt", "csv",
    "log", "md", "jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff", "webp", "mp3", "mp4", "avi",
    "mov", "wav", "eml", "ics", "xml", "zip", "html",
];

/// The kinds that an extension stands for; none where it tells nothing.
fn kinds_of(extension: &str) -> &'static [Kind] {
    use Kind::*;
    match extension {
        "pdf" => &[Pdf],
        "jpg" | "jpeg" | "png" | "gif" | "bmp" | "tif" | "tiff" | "webp" | "ico" | "heic" => {
            &[Image]
        }
        "mp3" | "wav" | "ogg" | "flac" | "m4a" => &[Audio, Video],
        "mp4" | "avi" | "mov" | "mkv" | "mpg" | "mpeg" | "webm" => &[Video, Audio],
        // Word opens all of these under each of the names.
        "doc" | "xls" | "ppt" | "dot" | "xlt" | "pps" => &[Ole, Macro, Office, Rtf, Html, Text],
        "docx" | "xlsx" | "pptx" | "odt" | "ods" | "odp" => &[Office, Ole],
        "docm" | "xlsm" | "pptm" => &[Macro],
        "rtf" => &[Rtf, Text],
        "txt" | "csv" | "log" | "md" | "ics" | "vcf" => &[Text],
        "htm" | "html" | "xhtml" => &[Html, Text],
        "zip" => &[Zip],
        "rar" => &[Rar],
        "7z" => &[SevenZip],
        "gz" | "tgz" => &[Gzip],
        _ => &[],
    }
}

/// What a content type stands for, by an extension that stands for the same.
fn extension_of(declared: &str) -> &'static str {
    match declared {
        "application/pdf" => "pdf",
        "text/plain" | "text/csv" | "text/calendar" => "txt",
        "text/html" => "html",
        "application/zip" | "application/x-zip-compressed" => "zip",
        "application/rtf" | "text/rtf" => "rtf",
        _ => match declared.split('/').next() {
            Some("image") if declared != "image/svg+xml" => "png",
            Some("audio") => "mp3",
            Some("video") => "mp4",
            _ => "",
        },
    }
}

impl Attachment {
    /// What follows the last dot in each of its names, folded, each once.
    pub fn extensions(&self) -> Vec<String> {
        let mut extensions = extensions(&self.names);
        extensions.sort_unstable();
        extensions.dedup();
        extensions
    }

    /// How deep archives lie in each other here, itself counted if it is one: 0 for what is in none, 2
    /// for an archive in an archive and for what is in that. What is packed twice, as `.tar.gz` is,
    /// counts twice.
    pub fn archive_depth(&self) -> u8 {
        self.archives
            .saturating_add(u8::from(self.kind.is_archive()))
    }

    /// The end of a name that shows a harmless extension before one that runs: `pdf.exe`, also with
    /// blanks between.
    pub fn double_extension(&self) -> Option<&str> {
        self.names.iter().find_map(|name| {
            let (before, _) = name.rsplit_once('.')?;
            let (start, first) = before.rsplit_once('.')?;
            let is_double = ACTIVE.contains(&extension(name)?.as_str())
                && HARMLESS.contains(&folded(first).as_str());
            is_double.then(|| &name[start.len() + 1..])
        })
    }

    /// Whether a name, or the content type, says something else than the octets do, where that is
    /// telling: a program named `.pdf`, a web page said to be a picture.
    ///
    /// Octets that are of no known kind contradict nothing.
    pub fn disagrees(&self) -> bool {
        if self.kind == Kind::Unknown || self.size == 0 {
            return false;
        }
        let extensions = self.extensions();
        let claims = extensions
            .iter()
            .map(String::as_str)
            .chain([extension_of(&self.declared)]);
        claims
            .map(kinds_of)
            .any(|kinds| !kinds.is_empty() && !self.may_be(kinds))
    }

    fn may_be(&self, kinds: &[Kind]) -> bool {
        kinds.contains(&self.kind)
            // What is text may be any format that is written in text.
            || kinds.contains(&Kind::Text)
                && matches!(self.kind, Kind::Html | Kind::Svg | Kind::Message | Kind::Rtf | Kind::Script)
            // An archive of another maker's making.
            || kinds.contains(&Kind::Zip) && matches!(self.kind, Kind::Office | Kind::Macro | Kind::Jar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(name: &str, declared: &str, kind: Kind) -> Attachment {
        Attachment {
            place: "2".to_owned(),
            part: PartNumber(1),
            names: normalised(name).into_iter().collect(),
            declared: declared.to_owned(),
            kind,
            size: 1,
            is_encrypted: false,
            archives: 0,
        }
    }

    #[test]
    fn names_are_compared_as_windows_takes_them() {
        let table = [
            ("run.exe. . ", Some("run.exe")),
            ("C:\\tmp\\run.exe", Some("run.exe")),
            ("../../run.exe", Some("run.exe")),
            ("fdp\u{202e}.exe", Some("fdp.exe")),
            ("ｒｕｎ．ｅｘｅ", Some("run.exe")),
            ("run\0.exe", Some("run.exe")),
            (" . ", None),
        ];
        for (name, expected) in table {
            assert_eq!(normalised(name).as_deref(), expected, "{name}");
        }
        let long = normalised(&format!("{}.exe", "é".repeat(NAME_MAX))).unwrap();
        assert!(long.len() <= NAME_MAX && long.ends_with("é.exe"));
    }

    #[test]
    fn extensions_are_those_of_all_names() {
        let mut attachment = attachment("a.PDF", "", Kind::Unknown);
        attachment.names.push("b.e x e".to_owned());
        attachment.names.push("none".to_owned());
        assert_eq!(attachment.extensions(), ["exe", "pdf"]);
    }

    #[test]
    fn a_double_extension_hides_what_runs() {
        let double = |name| {
            attachment(name, "", Kind::Unknown)
                .double_extension()
                .map(str::to_owned)
        };
        assert_eq!(double("invoice.pdf.exe").as_deref(), Some("pdf.exe"));
        assert_eq!(
            double("invoice.PDF      .Scr").as_deref(),
            Some("PDF      .Scr")
        );
        assert_eq!(double("source.tar.gz"), None);
        assert_eq!(double("v1.2.exe"), None);
        assert_eq!(double("run.exe"), None);
    }

    #[test]
    fn names_and_types_are_held_against_octets() {
        let table = [
            ("a.pdf", "", Kind::Executable, true),
            ("a.pdf", "application/pdf", Kind::Pdf, false),
            ("a.dat", "image/png", Kind::Html, true),
            ("a.dat", "application/octet-stream", Kind::Executable, false),
            ("a.jpg", "image/jpeg", Kind::Image, false),
            ("a.doc", "", Kind::Rtf, false),
            ("a.docx", "", Kind::Macro, true),
            ("a.txt", "text/plain", Kind::Html, false),
            ("a.txt", "text/plain", Kind::Executable, true),
            ("a.pdf", "", Kind::Unknown, false),
            ("a.zip", "application/zip", Kind::Jar, false),
        ];
        for (name, declared, kind, expected) in table {
            let attachment = attachment(name, declared, kind);
            assert_eq!(attachment.disagrees(), expected, "{name} {declared} {kind}");
        }
    }
}
