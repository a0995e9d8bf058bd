//! A notice of ours once more, in as few octets as it can do with.

use memchr::memmem;

/// What stands in place of the words for people.
const WORDS: &str = "\r\n\r\nThe rest of this notice is too large to be sent.\r\n";

/// The same notice without the returned message and the explanations: for a way that does not take
/// all of it. What programs read stays as it is. `None` when `notice` is none of ours, or is as
/// short already.
pub fn shortened(notice: &[u8]) -> Option<Vec<u8>> {
    let start = memmem::find(notice, b"boundary=\"")? + "boundary=\"".len();
    let boundary = notice[start..].split(|b| *b == b'"').next()?;
    let line = [b"\r\n--", boundary].concat();
    let mut parts = Vec::new();
    let mut from = 0;
    for at in memmem::find_iter(notice, &line) {
        parts.push(&notice[from..at]);
        from = at + line.len();
    }
    let [header, _words, status, _returned] = parts[..] else {
        return None;
    };
    let header = &header[..crate::HeaderScan::header_len(header)];
    let pieces: [&[u8]; 7] = [
        header,
        &line,
        WORDS.as_bytes(),
        &line,
        status,
        &line,
        b"--\r\n",
    ];
    Some(pieces.concat())
}
