mod parameter;

use std::fmt;

use mail::{Domain, Host, MailParameters, Mailbox, RcptParameters, ReversePath};

use crate::{Auth, SyntaxError, SyntaxFault, Verb};

/// One command, parsed once. What is in it is valid; whether it is welcome now is not its business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `EHLO name`
    Ehlo(HelloName),
    /// `HELO name`
    Helo(HelloName),
    /// `MAIL FROM:<...>`
    Mail(Mail),
    /// `RCPT TO:<...>`
    Rcpt(Rcpt),
    /// `DATA`
    Data,
    /// `BDAT size [LAST]`
    Bdat {
        /// How many octets of content follow the command.
        size: u64,
        /// The message ends with them.
        last: bool,
    },
    /// `RSET`
    Rset,
    /// `NOOP`
    Noop,
    /// `VRFY`; about whom does not matter, for nobody is told.
    Vrfy,
    /// `HELP`
    Help,
    /// `QUIT`
    Quit,
    /// `STARTTLS`
    StartTls,
    /// `AUTH mechanism [initial response]`
    Auth(Auth),
    /// `ETRN node`
    Etrn(EtrnNode),
    /// `ATRN [domain,...]`: the domains; none stands for all that the client may have.
    Atrn(Vec<Domain>),
    /// `XFORWARD ...`: what stands behind the verb, for [`crate::Origin::learn`] where that is welcome.
    Xforward(Box<str>),
    /// A verb that the standards know and we do not serve.
    NotImplemented(Verb),
    /// Another protocol: HTTP, TLS, SSH.
    Foreign,
    /// A verb that nobody knows.
    Unknown,
}

/// For what ETRN asks (RFC 1985 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtrnNode {
    /// `example.com`: mail for this domain.
    Domain(Domain),
    /// `@example.com`: mail for this domain and all below it.
    WithSubdomains(Domain),
    /// `#name`: a queue of the server's own, by its name.
    Queue(Box<str>),
}

/// By what name a client greets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloName {
    /// As sent; printable, without blanks. Nothing may be concluded from it.
    pub text: Box<str>,
    /// The name or address that it is, if it is one. Many good clients send what is neither, so
    /// that alone is no fault.
    pub host: Option<Host>,
}

/// `MAIL`: who sends, and what is said about the message beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// To whom notices about the message go; none in `<>`.
    pub reverse_path: ReversePath,
    /// `SIZE=`, octets; a number too large for 64 bits is the largest one.
    pub size: Option<u64>,
    /// `AUTH=`, in xtext (RFC 4954 section 5). A claim of the client: it gives no right.
    pub auth: Option<Box<str>>,
    /// `PRDR`: the client takes a reply for each recipient behind the content (draft-hall-prdr-00).
    pub prdr: bool,
    /// What is said about the message and travels with it.
    pub parameters: MailParameters,
}

/// `RCPT`: who is to get the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// Whom the message is for.
    pub path: RcptPath,
    /// What is said about the recipient.
    pub parameters: RcptParameters,
}

/// What stands in the angle brackets of RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RcptPath {
    /// An address with its domain.
    Mailbox(Mailbox),
    /// `<postmaster>`, without a domain (RFC 5321 section 4.5.1).
    Postmaster,
}

/// RFC 5321 section 4.5.3.1.2 has 255 octets for a domain; no client's name is longer.
const HELLO_LEN_MAX: usize = 255;

impl Rcpt {
    /// RFC 5321 section 4.5.3.1.3: "The maximum total length of a reverse-path or forward-path is
    /// 256 octets (including the punctuation and element separators)." A local part of 64 and a
    /// domain of 253 octets already make more, so a path may be as long as both; how it is divided
    /// between them does not matter.
    pub const PATH_LEN_MAX: usize = Mailbox::LEN_MAX + 2;
}

impl Command {
    /// Parses one line, given without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
        let line = line.trim_ascii_end();
        let word = line.split(|b| *b == b' ').next().unwrap_or_default();
        let verb = Verb::of(word);
        let rest = &line[word.len()..];
        parse_rest(verb, rest).map_err(|fault| SyntaxError { verb, fault })
    }

    /// Which command it is.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Ehlo(_) => Verb::Ehlo,
            Self::Helo(_) => Verb::Helo,
            Self::Mail(_) => Verb::Mail,
            Self::Rcpt(_) => Verb::Rcpt,
            Self::Data => Verb::Data,
            Self::Bdat { .. } => Verb::Bdat,
            Self::Rset => Verb::Rset,
            Self::Noop => Verb::Noop,
            Self::Vrfy => Verb::Vrfy,
            Self::Help => Verb::Help,
            Self::Quit => Verb::Quit,
            Self::StartTls => Verb::StartTls,
            Self::Auth(_) => Verb::Auth,
            Self::Etrn(_) => Verb::Etrn,
            Self::Atrn(_) => Verb::Atrn,
            Self::Xforward(_) => Verb::Xforward,
            Self::NotImplemented(verb) => *verb,
            Self::Foreign => Verb::Foreign,
            Self::Unknown => Verb::Unknown,
        }
    }
}

fn parse_rest(verb: Verb, rest: &[u8]) -> Result<Command, SyntaxFault> {
    if verb == Verb::Foreign {
        return Ok(Command::Foreign);
    }
    if rest.iter().any(u8::is_ascii_control) {
        return Err(SyntaxFault::Control);
    }
    let rest = std::str::from_utf8(rest).map_err(|_| SyntaxFault::NotUtf8)?;
    if rest.chars().any(char::is_control) {
        return Err(SyntaxFault::Control);
    }
    // Without the one blank behind the verb.
    let argument = rest.get(1..).unwrap_or_default();
    match verb {
        Verb::Ehlo => hello(argument).map(Command::Ehlo),
        Verb::Helo => hello(argument).map(Command::Helo),
        Verb::Mail => mail(argument).map(Command::Mail),
        Verb::Rcpt => rcpt(argument).map(Command::Rcpt),
        Verb::Bdat => bdat(argument),
        Verb::Data => alone(argument, Command::Data),
        Verb::Rset => alone(argument, Command::Rset),
        Verb::Quit => alone(argument, Command::Quit),
        Verb::StartTls => alone(argument, Command::StartTls),
        Verb::Noop => Ok(Command::Noop),
        Verb::Help => Ok(Command::Help),
        Verb::Vrfy if argument.is_empty() => Err(SyntaxFault::Expected("VRFY address")),
        Verb::Vrfy => Ok(Command::Vrfy),
        Verb::Auth => Auth::parse(argument).map(Command::Auth),
        Verb::Etrn => etrn(argument).map(Command::Etrn),
        Verb::Atrn => atrn(argument).map(Command::Atrn),
        Verb::Xforward => Ok(Command::Xforward(argument.into())),
        Verb::Expn | Verb::Turn | Verb::Send | Verb::Xclient => Ok(Command::NotImplemented(verb)),
        Verb::Foreign => Ok(Command::Foreign),
        Verb::Unknown => Ok(Command::Unknown),
    }
}

/// RFC 5321 section 4.1.1: "Several commands (RSET, DATA, QUIT) are specified as not permitting
/// parameters. In the absence of specific extensions [...] clients MUST NOT send such parameters
/// and servers SHOULD reject commands containing them".
fn alone(argument: &str, command: Command) -> Result<Command, SyntaxFault> {
    if argument.is_empty() {
        Ok(command)
    } else {
        Err(SyntaxFault::UnexpectedArgument)
    }
}

fn hello(argument: &str) -> Result<HelloName, SyntaxFault> {
    let valid = !argument.is_empty()
        && argument.len() <= HELLO_LEN_MAX
        && !argument.contains(char::is_whitespace);
    if !valid {
        return Err(SyntaxFault::Expected("EHLO hostname"));
    }
    Ok(HelloName {
        text: argument.into(),
        host: Host::parse(argument).ok(),
    })
}

fn bdat(argument: &str) -> Result<Command, SyntaxFault> {
    const SYNTAX: SyntaxFault = SyntaxFault::Expected("BDAT size [LAST]");
    let (size, last) = match argument.split_once(' ') {
        None => (argument, false),
        Some((size, word)) if word.eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(SYNTAX),
    };
    if !size.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SYNTAX);
    }
    // A size beyond 64 bits is an error like any other: such a chunk could never be counted off.
    size.parse()
        .map(|size| Command::Bdat { size, last })
        .map_err(|_| SYNTAX)
}

/// RFC 1985 section 5.1: one option character, and the name behind it.
fn etrn(argument: &str) -> Result<EtrnNode, SyntaxFault> {
    const SYNTAX: SyntaxFault = SyntaxFault::Expected("ETRN [@]domain");
    let domain = |text| Domain::parse(text).map_err(|_| SYNTAX);
    match (argument.strip_prefix('@'), argument.strip_prefix('#')) {
        (Some(name), _) => domain(name).map(EtrnNode::WithSubdomains),
        (_, Some(name)) if name.is_empty() || name.contains(' ') => Err(SYNTAX),
        (_, Some(name)) => Ok(EtrnNode::Queue(name.into())),
        (None, None) => domain(argument).map(EtrnNode::Domain),
    }
}

/// RFC 2645 section 5.2.1: domains with commas between them, or none.
fn atrn(argument: &str) -> Result<Vec<Domain>, SyntaxFault> {
    const SYNTAX: SyntaxFault = SyntaxFault::Expected("ATRN [domain,domain]");
    if argument.is_empty() {
        return Ok(Vec::new());
    }
    let names = argument.split(',').map(|name| Domain::parse(name.trim()));
    names.collect::<Result<_, _>>().map_err(|_| SYNTAX)
}

fn mail(argument: &str) -> Result<Mail, SyntaxFault> {
    let (path, parameters) = path(
        argument,
        "FROM:",
        SyntaxFault::Expected("MAIL FROM:<address>"),
    )?;
    let reverse_path = ReversePath::parse_routed(path).map_err(SyntaxFault::Address)?;
    let mut mail = Mail::new(reverse_path);
    parameter::parse_mail(parameters, &mut mail)
        .map_err(|(name, fault)| SyntaxFault::Parameter(name, fault))?;
    Ok(mail)
}

fn rcpt(argument: &str) -> Result<Rcpt, SyntaxFault> {
    let (path, parameters) = path(argument, "TO:", SyntaxFault::Expected("RCPT TO:<address>"))?;
    if path.is_empty() {
        return Err(SyntaxFault::NullRecipient);
    }
    // RFC 5321 section 4.1.1.3: "<Postmaster>" in any case.
    let path = if path.eq_ignore_ascii_case("postmaster") {
        RcptPath::Postmaster
    } else {
        // RFC 5321 appendix C deprecates source routes, and appendix F.2 says why: they are a
        // relay's instruction from a stranger.
        if path.starts_with('@') {
            return Err(SyntaxFault::SourceRoute);
        }
        Mailbox::parse_recipient(path)
            .map(RcptPath::Mailbox)
            .map_err(SyntaxFault::Address)?
    };
    let mut rcpt = Rcpt {
        path,
        parameters: RcptParameters::default(),
    };
    parameter::parse_rcpt(parameters, &mut rcpt)
        .map_err(|(name, fault)| SyntaxFault::Parameter(name, fault))?;
    Ok(rcpt)
}

/// Splits `FROM:<path> parameters` into the path, without brackets, and what is behind it.
fn path<'a>(
    argument: &'a str,
    keyword: &'static str,
    syntax: SyntaxFault,
) -> Result<(&'a str, &'a str), SyntaxFault> {
    let head = argument.get(..keyword.len()).ok_or(syntax)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(syntax);
    }
    // RFC 5321 section 3.3: "spaces are not permitted on either side of the colon". Those behind it
    // are taken all the same: cameras, printers and scripts of three decades send them, and they
    // can mean nothing else.
    let rest = argument[keyword.len()..].trim_start_matches(' ');
    let (path, parameters) = match rest.strip_prefix('<') {
        Some(inner) => bracketed(inner)?,
        None => bare(rest)?,
    };
    if !parameters.is_empty() && !parameters.starts_with(' ') {
        return Err(syntax);
    }
    if path.len() + 2 > Rcpt::PATH_LEN_MAX {
        return Err(SyntaxFault::PathTooLong);
    }
    Ok((path, parameters))
}

/// The path up to its closing bracket, and what is behind that.
fn bracketed(inner: &str) -> Result<(&str, &str), SyntaxFault> {
    let end = find_unquoted(inner, b'>').ok_or(SyntaxFault::NoBrackets)?;
    Ok((&inner[..end], &inner[end + 1..]))
}

/// A path in no brackets ends at the first blank. The same machines send it, and it too can mean
/// nothing else; it goes on in brackets.
fn bare(rest: &str) -> Result<(&str, &str), SyntaxFault> {
    let end = find_unquoted(rest, b' ').unwrap_or(rest.len());
    if end == 0 {
        // Not the null path: that is two brackets.
        return Err(SyntaxFault::NoBrackets);
    }
    Ok(rest.split_at(end))
}

/// The place of the first `wanted` that is not inside a quoted local part.
fn find_unquoted(text: &str, wanted: u8) -> Option<usize> {
    let mut quoted = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                bytes.next();
            }
            other if other == wanted && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

impl Mail {
    /// A sender, and nothing said about the message.
    pub fn new(reverse_path: ReversePath) -> Self {
        Self {
            reverse_path,
            size: None,
            auth: None,
            prdr: false,
            parameters: MailParameters::default(),
        }
    }
}

/// As it stands on the wire, without the line end.
impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MAIL FROM:{}", self.reverse_path)?;
        if let Some(size) = self.size {
            write!(f, " SIZE={size}")?;
        }
        write!(f, "{}", self.parameters)?;
        if let Some(auth) = &self.auth {
            write!(f, " AUTH={auth}")?;
        }
        if self.prdr {
            f.write_str(" PRDR")?;
        }
        Ok(())
    }
}

/// As it stands on the wire, without the line end.
impl fmt::Display for Rcpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            RcptPath::Mailbox(mailbox) => write!(f, "RCPT TO:<{mailbox}>")?,
            RcptPath::Postmaster => f.write_str("RCPT TO:<postmaster>")?,
        }
        write!(f, "{}", self.parameters)
    }
}

#[cfg(test)]
mod tests;
