//! One host, stage by stage.

use delivery::{HandshakeFault, Stage};
use lookups::{Trial, TrialEnd};
use mail::Reply;
use route::Security;

/// What a host has to pass, in the order of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The connection comes about.
    Connect,
    /// The server greets.
    Banner,
    /// It takes our name.
    Ehlo,
    /// The connection is encrypted.
    StartTls,
    /// The certificate is as demanded.
    Certificate,
    /// It takes our sign-in.
    SignIn,
    /// It takes the sender.
    Mail,
    /// It takes the recipient.
    Rcpt,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Banner,
        Self::Ehlo,
        Self::StartTls,
        Self::Certificate,
        Self::SignIn,
        Self::Mail,
        Self::Rcpt,
    ];

    /// As it heads its column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Banner => "banner",
            Self::Ehlo => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Certificate => "certificate",
            Self::SignIn => "sign-in",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
        }
    }
}

/// Where a trial failed, and what was said there; `None`: the recipient was taken.
pub fn failure(trial: &Trial) -> Option<(Step, String)> {
    match &trial.end {
        TrialEnd::NotConnected(why) => Some((Step::Connect, why.clone())),
        TrialEnd::NoCredentials(why) => Some((Step::SignIn, why.clone())),
        TrialEnd::Answered { stage, reply } => {
            let step = step_of(*stage, trial);
            let taken = step == Step::Rcpt && reply.is_positive();
            (!taken).then(|| (step, reply.to_string()))
        }
    }
}

/// The server's own word on the message, where it came to that. Trouble before is the host's, and so
/// is a 421 (RFC 5321 section 3.8), after which the next host is tried.
pub(super) fn word(trial: &Trial) -> Option<&Reply> {
    match &trial.end {
        TrialEnd::Answered {
            stage: Stage::Mail | Stage::Recipient,
            reply,
        } => (reply.code() != 421).then_some(reply),
        TrialEnd::NotConnected(_) | TrialEnd::NoCredentials(_) | TrialEnd::Answered { .. } => None,
    }
}

fn step_of(stage: Stage, trial: &Trial) -> Step {
    let distrusted = matches!(trial.fault, Some(HandshakeFault::Certificate(..)));
    match stage {
        Stage::Greeting => Step::Banner,
        Stage::Ehlo | Stage::Helo | Stage::Lhlo => Step::Ehlo,
        Stage::Handshake if distrusted => Step::Certificate,
        Stage::StartTls | Stage::Handshake => Step::StartTls,
        Stage::SignIn => Step::SignIn,
        Stage::Recipient => Step::Rcpt,
        Stage::Idle
        | Stage::Mail
        | Stage::Data
        | Stage::Content
        | Stage::End
        | Stage::NextEnd
        | Stage::Reset
        | Stage::Xforward
        | Stage::Quit => Step::Mail,
    }
}

/// What stands in the matrix: `ok` or a word that says more, `FAIL`, `-` where nothing was wanted,
/// and nothing where it did not come to that.
pub fn cell(trial: &Trial, step: Step) -> String {
    let failed = failure(trial).map(|(step, _)| step);
    if failed == Some(step) {
        return "FAIL".to_owned();
    }
    let beyond = failed.is_none_or(|failed| failed > step);
    let said = |stages: &[Stage]| {
        let mut heard = trial.heard.iter();
        heard.any(|(stage, reply)| stages.contains(stage) && reply.is_positive())
    };
    let (passed, word) = match step {
        Step::Connect => (!matches!(trial.end, TrialEnd::NoCredentials(_)), "ok"),
        Step::Banner => (said(&[Stage::Greeting]), "ok"),
        Step::Ehlo if said(&[Stage::Helo]) => (true, "HELO"),
        Step::Ehlo if said(&[Stage::Lhlo]) => (true, "LHLO"),
        Step::Ehlo => (said(&[Stage::Ehlo]), "ok"),
        Step::StartTls => match &trial.tls {
            Some(tls) => (true, tls.version),
            None if trial.fault.is_some() => (beyond, "broken"),
            None => (beyond, "-"),
        },
        Step::Certificate => return certificate(trial, beyond),
        Step::SignIn if said(&[Stage::SignIn]) => (true, "ok"),
        Step::SignIn => (beyond, "-"),
        Step::Mail | Step::Rcpt => (beyond, "ok"),
    };
    let passed = passed && !matches!(trial.end, TrialEnd::NoCredentials(_));
    if passed {
        word.to_owned()
    } else {
        String::new()
    }
}

/// What was demanded of it; where nothing was, what it is worth.
fn certificate(trial: &Trial, beyond: bool) -> String {
    let shown = trial.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
    match (&trial.hop.security, shown) {
        (Security::Verified { .. } | Security::Dane { .. }, Some(_)) => {
            trial.hop.assurance(trial.tls.as_deref()).to_string()
        }
        (_, Some(shown)) if shown.is_trusted() => "(trusted)".to_owned(),
        (_, Some(_)) => "(not trusted)".to_owned(),
        (_, None) if beyond => "-".to_owned(),
        (_, None) => String::new(),
    }
}
