use std::collections::BTreeSet;

use crate::clamd::{Reply, chunk, finding};
use crate::{Fault, Finding};

/// Contents that may be without an answer at one time.
const OPEN_MAX: usize = 64;

/// Several contents on one connection to clamd (IDSESSION), one behind the other.
///
/// Answers come in the order in which clamd is done, so each has the number of its content. A content
/// above clamd's limit ends the session, and with it what was on its way: whatever is then
/// [`unanswered`](Self::unanswered) has to be asked again, each on a connection of its own
/// ([`Clamd`](crate::clamd::Clamd)), where there is time.
/// clamd closes a session in which nothing was asked for a while, 30 seconds by default.
#[derive(Debug, Default)]
pub struct ClamdSession {
    last: u32,
    open: BTreeSet<u32>,
    reply: Reply,
}

impl ClamdSession {
    /// Puts out what stands before a content: its number, unless there are so many without an answer
    /// that some have to come first. The content before it has to be over.
    pub fn begin(&mut self, out: &mut Vec<u8>) -> Option<u32> {
        if self.open.len() >= OPEN_MAX {
            return None;
        }
        let number = self.last.checked_add(1)?;
        if self.last == 0 {
            out.extend_from_slice(b"zIDSESSION\0");
        }
        out.extend_from_slice(b"zINSTREAM\0");
        self.last = number;
        self.open.insert(number);
        Some(number)
    }

    /// Puts out a piece of the content that was begun last.
    pub fn content(&self, piece: &[u8], out: &mut Vec<u8>) {
        chunk(piece, out);
    }

    /// Puts out what ends that content.
    pub fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&0_u32.to_be_bytes());
    }

    /// Puts out what ends the session.
    pub fn finish(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"zEND\0");
    }

    /// Takes octets that came: the answers that are whole by now, each with its number.
    ///
    /// # Errors
    /// The session is of no more use: what came is no answer, or answers nothing that was asked.
    pub fn read(&mut self, octets: &[u8]) -> Result<Vec<Numbered>, Fault> {
        let mut answers = Vec::new();
        let mut rest = octets;
        while let Some((reply, taken)) = self.reply.read(rest)? {
            rest = rest.get(taken..).unwrap_or_default();
            let (number, reply) = numbered(&reply)?;
            if !self.open.remove(&number) {
                return Err(Fault::malformed("an answer to what was asked", reply));
            }
            answers.push((number, finding(reply)));
        }
        Ok(answers)
    }

    /// The numbers of contents without an answer.
    pub fn unanswered(&self) -> impl Iterator<Item = u32> {
        self.open.iter().copied()
    }
}

/// The number of a content, and what was found in it.
pub type Numbered = (u32, Result<Finding, Fault>);

/// Number and words of `2: stream: OK`.
fn numbered(reply: &[u8]) -> Result<(u32, &[u8]), Fault> {
    let at = memchr::memchr(b':', reply);
    let (number, words) = at
        .and_then(|at| reply.split_at_checked(at))
        .unwrap_or_default();
    let number = str::from_utf8(number)
        .ok()
        .and_then(|number| number.parse().ok());
    match (number, words) {
        (Some(number), [_, words @ ..]) => Ok((number, words.trim_ascii_start())),
        _ => match reply.strip_suffix(b" ERROR") {
            Some(words) => Err(Fault::failed(words)),
            None => Err(Fault::malformed("a reply with its number", reply)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn of_three() -> ClamdSession {
        let mut session = ClamdSession::default();
        let mut out = Vec::new();
        for number in 1..=3 {
            assert_eq!(session.begin(&mut out), Some(number));
            session.content(b"ab", &mut out);
            session.end(&mut out);
        }
        let one = b"zINSTREAM\0\0\0\0\x02ab\0\0\0\0".as_slice();
        assert_eq!(out, [b"zIDSESSION\0".as_slice(), one, one, one].concat());
        session
    }

    #[test]
    fn answers_are_matched_by_their_numbers() {
        let answers = b"3: stream: OK\x001: stream: A FOUND\x002: stream: broken ERROR\0";
        for piece in [1, 2, 7, 100] {
            let mut session = of_three();
            let mut all = Vec::new();
            for piece in answers.chunks(piece) {
                all.extend(session.read(piece).expect("answers"));
            }
            let class =
                |(number, found): &Numbered| (*number, found.as_ref().map(|f| f.class).ok());
            let all: Vec<_> = all.iter().map(class).collect();
            let expected = [
                (3, Some(Class::Clean)),
                (1, Some(Class::Infected)),
                (2, None),
            ];
            assert_eq!(all, expected);
            assert_eq!(session.unanswered().count(), 0);
        }
    }

    #[test]
    fn what_is_unanswered_is_known() {
        let mut session = of_three();
        let limit = b"2: INSTREAM size limit exceeded. ERROR\0";
        let answers = session.read(limit).expect("an answer");
        assert!(matches!(&answers[..], [(2, Ok(found))] if found.class == Class::Limit));
        assert_eq!(session.unanswered().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn what_answers_nothing_ends_the_session() {
        let ends = |reply: &[u8]| of_three().read(reply).expect_err("a fault").to_string();
        assert!(ends(b"4: stream: OK\0").contains("is not an answer to what was asked"));
        assert!(ends(b"1: stream: OK\x001: stream: OK\0").contains("is not an answer"));
        assert!(ends(b"stream: OK\0").contains("is not a reply with its number"));
        assert_eq!(
            ends(b"COMMAND READ TIMED OUT ERROR\0"),
            "failed: COMMAND READ TIMED OUT"
        );
        assert!(ends(b"99999999999: stream: OK\0").contains("is not a reply"));
        assert!(ends(&[b'1'; 10_000]).contains("sent more than"));
    }

    #[test]
    fn no_more_than_a_number_are_open() {
        let mut session = ClamdSession::default();
        let mut begun = 0;
        while session.begin(&mut Vec::new()).is_some() {
            begun += 1;
        }
        assert_eq!(begun, OPEN_MAX);
        session.read(b"5: stream: OK\0").expect("an answer");
        assert!(session.begin(&mut Vec::new()).is_some());
    }
}
