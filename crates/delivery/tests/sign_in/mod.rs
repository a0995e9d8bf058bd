//! Ann signs in: small mechanisms, each for one path over the wire.

use delivery::{Credentials, SignIn, SignInStart};

/// Knows PLAIN (the client begins), LOGIN (the server asks twice), X-EMPTY (begins with nothing),
/// X-LONG (begins with more than a command line holds), X-BOUND (says the channel binding), X-PROOF
/// (wants a proof that never comes).
pub struct Ann;

/// What is still to be said, first things first.
struct Words {
    left: Vec<Vec<u8>>,
    proof_missing: bool,
}

impl Credentials for Ann {
    fn begin(
        &self,
        offered: &[Box<str>],
        exporter: Option<&[u8; 32]>,
    ) -> Result<SignInStart, Box<str>> {
        let bound = exporter.map(|octets| octets.to_vec()).unwrap_or_default();
        let (mechanism, mut words): (_, Vec<Vec<u8>>) = match offered.first().map(|m| &**m) {
            Some("PLAIN") => ("PLAIN", vec![b"\0ann\0secret".to_vec()]),
            Some("LOGIN") => ("LOGIN", vec![b"ann".to_vec(), b"secret".to_vec()]),
            Some("X-EMPTY") => ("X-EMPTY", vec![vec![], b"ann".to_vec()]),
            Some("X-LONG") => ("X-LONG", vec![vec![b'x'; 400]]),
            Some("X-BOUND") => ("X-BOUND", vec![bound]),
            Some("X-PROOF") => ("X-PROOF", vec![b"ann".to_vec()]),
            Some(_) | None => return Err("the server offers no mechanism that we know".into()),
        };
        let initial = (mechanism != "LOGIN").then(|| words.remove(0));
        let exchange = Words {
            left: words,
            proof_missing: mechanism == "X-PROOF",
        };
        Ok(SignInStart {
            mechanism,
            initial,
            exchange: Box::new(exchange),
        })
    }
}

impl SignIn for Words {
    fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, Box<str>> {
        if challenge == b"again" {
            return Ok(Vec::new());
        }
        if self.left.is_empty() {
            return Err("it asks too much".into());
        }
        Ok(self.left.remove(0))
    }

    fn finish(&mut self) -> Result<(), Box<str>> {
        if self.proof_missing {
            return Err("the server's proof is missing".into());
        }
        Ok(())
    }
}
