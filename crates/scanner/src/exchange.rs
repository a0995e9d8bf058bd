use crate::protocol::Protocol;
use crate::{Answer, Fault, Wants};

/// One question to one scanner over one connection.
///
/// The caller owns the connection. It calls [`write`](Self::write), writes what was put out, and then
/// does what is wanted: gives the next piece of the content ([`content`](Self::content)) or says that
/// there is no more ([`end`](Self::end)), and writes again; or waits for octets, which it gives to
/// [`read`](Self::read). What comes while content is still wanted is read at once, since a scanner
/// may have made up its mind; and it is read when writing failed, since the reason stands there.
/// With the first answer or fault the exchange is over.
#[derive(Debug)]
pub struct Exchange {
    protocol: Box<dyn Protocol>,
    given: u64,
}

impl<P: Protocol + 'static> From<P> for Exchange {
    fn from(protocol: P) -> Self {
        Self {
            protocol: Box::new(protocol),
            given: 0,
        }
    }
}

impl Exchange {
    /// Puts out what has to be written before anything else, and says what is wanted then.
    pub fn write(&mut self, out: &mut Vec<u8>) -> Wants {
        self.protocol.write(out)
    }

    /// Puts out a piece of the content, of the length that was wanted at most.
    ///
    /// # Errors
    /// There is more of it than the scanner was told: the connection is of no more use.
    pub fn content(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.given += piece.len() as u64;
        match self.protocol.told() {
            Some(told) if self.given > told => Err(self.size(told)),
            _ => {
                self.protocol.content(piece, out);
                Ok(())
            }
        }
    }

    /// Puts out what ends the content.
    ///
    /// # Errors
    /// There was less of it than the scanner was told: the connection is of no more use.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self.protocol.told() {
            Some(told) if self.given < told => Err(self.size(told)),
            _ => {
                self.protocol.end(out);
                Ok(())
            }
        }
    }

    fn size(&self, told: u64) -> Fault {
        let given = self.given;
        Fault::Size { told, given }
    }

    /// Takes octets that came, at any time after the first were written: the answer, once it is
    /// whole.
    ///
    /// # Errors
    /// The scanner failed, or what it sent is not its protocol's or is too much.
    pub fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault> {
        self.protocol.read(octets)
    }

    /// The scanner closed the connection: the answer, where that is how it ends.
    ///
    /// # Errors
    /// It does not end like that.
    pub fn closed(&mut self) -> Result<Answer, Fault> {
        self.protocol.closed()
    }

    /// Whether another question may follow on the connection, after the answer.
    pub fn is_reusable(&self) -> bool {
        self.protocol.is_reusable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;
    use crate::spamd::{Command, Spamd};

    #[test]
    fn a_content_of_another_length_than_was_told_is_never_sent_on() {
        let subject = Subject {
            size: 3,
            ..Subject::default()
        };
        let begun = || {
            let mut exchange = Exchange::from(Spamd::new(Command::Check, None, &subject));
            exchange.write(&mut Vec::new());
            exchange
        };
        let (mut exact, mut out) = (begun(), Vec::new());
        assert_eq!(exact.content(b"abc", &mut out), Ok(()));
        assert_eq!(exact.end(&mut out), Ok(()));
        assert_eq!(out, b"abc");
        let size = |given| Err(Fault::Size { told: 3, given });
        let (mut less, mut out) = (begun(), Vec::new());
        assert_eq!(less.content(b"ab", &mut out), Ok(()));
        assert_eq!(less.end(&mut out), size(2));
        let (mut more, mut out) = (begun(), Vec::new());
        assert_eq!(more.content(b"abcd", &mut out), size(4));
        assert_eq!(out, b"");
    }
}
