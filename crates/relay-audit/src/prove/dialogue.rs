use mail::Reply;

use super::battery::{Login, Meaning, Probe};

/// A server to be probed: ours from within, or any over a socket.
pub trait Peer {
    /// Begins a session: the greeting and EHLO. The greeting when it is no 220, otherwise the
    /// answer to EHLO.
    ///
    /// # Errors
    /// No server answered, or it spoke no SMTP.
    fn begin(&mut self) -> Result<Reply, Lost>;

    /// Sends one command line (without its end) and gives the answer.
    ///
    /// # Errors
    /// The connection ended.
    fn command(&mut self, line: &str) -> Result<Reply, Lost>;

    /// Signs in, or tries to; `None` when this peer cannot play that part.
    ///
    /// # Errors
    /// The connection ended.
    fn sign_in(&mut self, login: Login) -> Result<Option<Reply>, Lost>;
}

/// There is nobody to talk to any more, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost(pub String);

/// What became of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub probe: Probe,
    /// What was answered last: at MAIL if that was refused, at RCPT otherwise; at sign-in if it was
    /// not played.
    pub answer: Result<Reply, Lost>,
    /// Whether it went as it should.
    pub judgement: Judgement,
}

/// Whether a probe, or all of them, went as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Refused, as it should be; or accepted, when it is a control.
    Closed,
    /// Accepted, although it should have been refused.
    Open,
    /// Nobody can tell: postponed, not played, the connection lost, the control refused, or
    /// accepted for a reason that may be harmless.
    Unknown,
}

impl Finding {
    /// Whether the peer could not play the part: nobody can sign in there.
    pub fn is_unplayed(&self) -> bool {
        self.probe.login != Login::None && self.answer.is_err()
    }
}

/// Plays one probe. Leaves the session ready for the next, or begins a new one when the server
/// ended it.
pub fn play(peer: &mut dyn Peer, probe: &Probe) -> Finding {
    let answer = answer(peer, probe);
    if probe.login != Login::None {
        // The next probe may come as nobody. If this fails, it begins a session itself.
        let _begun = peer.begin();
    }
    let judgement = match &answer {
        Ok(Some(reply)) => judge(probe.meaning, reply),
        Ok(None) | Err(_) => Judgement::Unknown,
    };
    let not_played = || Lost("not played: nobody can sign in here".to_owned());
    Finding {
        probe: probe.clone(),
        answer: answer.and_then(|reply| reply.ok_or_else(not_played)),
        judgement,
    }
}

fn judge(meaning: Meaning, reply: &Reply) -> Judgement {
    match meaning {
        Meaning::Control if reply.is_positive() => Judgement::Closed,
        Meaning::Control => Judgement::Unknown,
        Meaning::Open if reply.is_positive() => Judgement::Open,
        Meaning::Suspect if reply.is_positive() => Judgement::Unknown,
        Meaning::Open | Meaning::Suspect if reply.is_permanent() => Judgement::Closed,
        Meaning::Open | Meaning::Suspect => Judgement::Unknown,
    }
}

/// `None` when the peer cannot play the sign-in of this probe.
fn answer(peer: &mut dyn Peer, probe: &Probe) -> Result<Option<Reply>, Lost> {
    if probe.login != Login::None {
        let answer = signed_in(peer, probe);
        // Nobody else's sign-in may last: the next probe begins a session of its own.
        let _ended = peer.command("QUIT");
        return answer;
    }
    if peer.command("RSET").is_ok_and(|reply| reply.is_positive()) {
        match envelope(peer, probe) {
            // Who has heard enough hangs up: that is about the session, not about the probe.
            Ok(reply) if reply.code() == CLOSING => {}
            Err(Lost(_)) => {}
            Ok(reply) => return Ok(Some(reply)),
        }
    }
    let ready = peer.begin()?;
    if !ready.is_positive() {
        return Ok(Some(ready));
    }
    envelope(peer, probe).map(Some)
}

/// RFC 5321 section 4.2.3: "Service not available, closing transmission channel".
const CLOSING: u16 = 421;

fn signed_in(peer: &mut dyn Peer, probe: &Probe) -> Result<Option<Reply>, Lost> {
    let ready = peer.begin()?;
    if !ready.is_positive() {
        return Ok(Some(ready));
    }
    if peer.sign_in(probe.login)?.is_none() {
        return Ok(None);
    }
    envelope(peer, probe).map(Some)
}

fn envelope(peer: &mut dyn Peer, probe: &Probe) -> Result<Reply, Lost> {
    let mail = peer.command(&format!("MAIL FROM:{}", probe.mail))?;
    if !mail.is_positive() {
        return Ok(mail);
    }
    peer.command(&format!("RCPT TO:{}", probe.rcpt))
}

/// What all findings together say: one open door is enough; without a control that was accepted,
/// refusals prove nothing.
pub fn judgement(findings: &[Finding]) -> Judgement {
    let (controls, probes): (Vec<_>, Vec<_>) = findings
        .iter()
        .partition(|f| f.probe.meaning == Meaning::Control);
    let sees = controls.iter().any(|f| f.judgement == Judgement::Closed);
    let doubt = probes
        .iter()
        .any(|f| f.judgement == Judgement::Unknown && !f.is_unplayed());
    if probes.iter().any(|f| f.judgement == Judgement::Open) {
        Judgement::Open
    } else if doubt || !sees {
        Judgement::Unknown
    } else {
        Judgement::Closed
    }
}
