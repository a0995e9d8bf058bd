//! The forms of words, numbers and lists that the table of options uses.

use std::path::PathBuf;

use admission::Reaction;
use delivery::{EightBit, Protocol};
use protocol_log::{Field, Form, Rotation};
use relay_policy::{CertificateEntry, DomainKind, Entry, SenderMatch};
use route::{IpFamily, TlsDemand};
use screening::Direction;
use smtp::BareLf;
use syslog::{Facility, Form as SyslogForm, Framing};

use crate::config::{
    AcmeChallenge, DigestTo, Kind, LogFormat, LogLevel, MayAdd, NoticeClass, Privacy, ScannerKind,
    TlsVersion, Transcripts,
};
use crate::form::{Called, List, OneOrMany, Text, Whole, WordOrList, Words};
use crate::parts::{Dmarc, Preset, ScannerWord, ScreenWord, Wanted};
use crate::values::{CERTIFICATE, CLIENT, PATH, RECIPIENTS, RecipientsAt, TEXT};

pub(crate) const COUNT: Whole = Whole {
    min: 1,
    max: 1_000_000,
};
pub(crate) const PORT: Whole = Whole {
    min: 1,
    max: 65_535,
};
pub(crate) const PERCENT: Whole = Whole { min: 1, max: 100 };
pub(crate) const HOUR: Whole = Whole { min: 0, max: 23 };
pub(crate) const TICKETS: Whole = Whole { min: 0, max: 8 };
pub(crate) const WEIGHT: Whole = Whole {
    min: -1000,
    max: 1000,
};
/// Of one host among those of a route.
pub(crate) const HOST_WEIGHT: Whole = Whole { min: 1, max: 1000 };
pub(crate) const CLIENTS: List<Text<Entry>> = List(CLIENT);
pub(crate) const CERTIFICATES: List<Text<CertificateEntry>> = List(CERTIFICATE);
pub(crate) const PATHS: OneOrMany<Text<PathBuf>> = OneOrMany(PATH);
pub(crate) const SERVICES: Words<Preset> = Words(&[
    ("microsoft365", Preset::Microsoft365),
    ("hve", Preset::Hve),
    ("google", Preset::Google),
    ("ses", Preset::Ses),
]);
/// Whether all clients are meant but those of a list.
pub(crate) const MODES: Words<bool> = Words(&[("only-list", false), ("all-except", true)]);
pub(crate) const KINDS: Words<Kind> = Words(&[
    ("mx", Kind::Mx),
    ("submission", Kind::Submission),
    ("submissions", Kind::Submissions),
]);
pub(crate) const SIGN_IN: Words<Wanted> = Words(&[
    ("off", Wanted::NOT),
    ("optional", Wanted::OFFERED),
    ("required", Wanted::REQUIRED),
]);
pub(crate) const ENCRYPTION: Words<Wanted> = Words(&[
    ("off", Wanted::NOT),
    ("offer", Wanted::OFFERED),
    ("require", Wanted::REQUIRED),
    ("implicit", Wanted::FROM_THE_START),
]);
pub(crate) const BARE_LF: Words<BareLf> =
    Words(&[("refuse", BareLf::Refuse), ("mend", BareLf::Mend)]);
pub(crate) const ACCEPTED_RISKS: Words<()> = Words(&[("open-relay", ())]);
pub(crate) const TLS_VERSIONS: Words<TlsVersion> =
    Words(&[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)]);
pub(crate) const ACME_CHALLENGES: Words<AcmeChallenge> = Words(&[
    ("http-01", AcmeChallenge::Http),
    ("tls-alpn-01", AcmeChallenge::TlsAlpn),
    ("dns-01", AcmeChallenge::Dns),
]);
pub(crate) const TLS_DEMANDS: Words<TlsDemand> = Words(&[
    ("off", TlsDemand::Off),
    ("opportunistic", TlsDemand::Opportunistic),
    ("require", TlsDemand::Require),
    ("verify", TlsDemand::Verify),
]);
pub(crate) const DOMAIN_KINDS: Words<DomainKind> = Words(&[
    ("remote", DomainKind::Remote),
    ("local", DomainKind::Local),
    ("blocked", DomainKind::Blocked),
]);
pub(crate) const SCREEN: Words<ScreenWord> = Words(&[
    ("accept", ScreenWord::Accept),
    ("refuse", ScreenWord::Refuse),
    ("discard", ScreenWord::Discard),
    ("hold", ScreenWord::Hold),
    ("strip", ScreenWord::Strip),
]);
pub(crate) const SCANNERS: Words<ScannerKind> = Words(&[
    ("clamd", ScannerKind::Clamd),
    ("rspamd", ScannerKind::Rspamd),
    ("spamd", ScannerKind::Spamd),
    ("icap", ScannerKind::Icap),
    ("hook", ScannerKind::Hook),
    ("milter", ScannerKind::Milter),
    ("policy", ScannerKind::Policy),
]);
pub(crate) const INFECTED: Words<ScannerWord> = Words(&[
    ("refuse", ScannerWord::Refuse),
    ("hold", ScannerWord::Hold),
    ("discard", ScannerWord::Discard),
    ("accept", ScannerWord::Accept),
]);
pub(crate) const TOO_LARGE: Words<ScannerWord> = Words(&[
    ("accept", ScannerWord::Accept),
    ("hold", ScannerWord::Hold),
    ("refuse", ScannerWord::Refuse),
]);
pub(crate) const ON_FAILURE: Words<ScannerWord> = Words(&[
    ("postpone", ScannerWord::Postpone),
    ("accept", ScannerWord::Accept),
    ("hold", ScannerWord::Hold),
]);
pub(crate) const MAY_ADD: Words<MayAdd> = Words(&[
    ("hosted", MayAdd::Hosted),
    ("anybody", MayAdd::Anybody),
    ("nobody", MayAdd::Nobody),
]);
pub(crate) const ASKED_AT: Words<bool> = Words(&[("rcpt", false), ("end-of-message", true)]);
pub(crate) const PARALLEL: Whole = Whole { min: 1, max: 1000 };
pub(crate) const DMARC: Words<Dmarc> = Words(&[
    ("ignore", Dmarc::Ignore),
    ("tag", Dmarc::Tag),
    ("respect", Dmarc::Respect),
]);
pub(crate) const SPF: Words<&str> = Words(&[
    ("none", "none"),
    ("neutral", "neutral"),
    ("pass", "pass"),
    ("fail", "fail"),
    ("softfail", "softfail"),
    ("temperror", "temperror"),
    ("permerror", "permerror"),
]);
pub(crate) const DKIM: Words<&str> = Words(&[
    ("none", "none"),
    ("neutral", "neutral"),
    ("pass", "pass"),
    ("fail", "fail"),
    ("policy", "policy"),
    ("temperror", "temperror"),
    ("permerror", "permerror"),
]);
pub(crate) const ARC: Words<&str> = Words(&[("none", "none"), ("pass", "pass"), ("fail", "fail")]);
pub(crate) const DMARC_RESULTS: Words<&str> = Words(&[
    ("none", "none"),
    ("pass", "pass"),
    ("fail", "fail"),
    ("temperror", "temperror"),
    ("permerror", "permerror"),
    ("several-authors", "several-authors"),
]);
pub(crate) const DMARC_POLICIES: Words<&str> = Words(&[
    ("none", "none"),
    ("quarantine", "quarantine"),
    ("reject", "reject"),
]);
pub(crate) const DIRECTIONS: Words<Direction> =
    Words(&[("in", Direction::In), ("out", Direction::Out)]);
pub(crate) const CONTENT_KINDS: Words<contents::Kind> = Words(&{
    let mut words = [("", contents::Kind::ALL[0]); contents::Kind::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = (contents::Kind::ALL[at].name(), contents::Kind::ALL[at]);
        at += 1;
    }
    words
});
/// Whether only those are meant who may relay anyway, or a list of clients.
pub(crate) const ACCEPT_FROM: WordOrList<Words<bool>, Text<Entry>> = WordOrList {
    word: Words(&[("anyone", false), ("relay", true)]),
    each: CLIENT,
    expected: "\"anyone\", \"relay\" or a list of clients",
};
pub(crate) const RECIPIENTS_OR_LIST: WordOrList<Text<RecipientsAt>, Text<String>> = WordOrList {
    word: RECIPIENTS,
    each: TEXT,
    expected: "\"file:PATH\", \"ldap:NAME\", \"verify\" or a list of recipients",
};
/// Whether a recipient is accepted about whom nobody could be asked.
pub(crate) const UNASKED: Words<bool> = Words(&[("postpone", false), ("accept", true)]);
pub(crate) const NOTICE_CLASSES: List<Words<NoticeClass>> = List(Words(&[
    ("failed", NoticeClass::Failed),
    ("delayed", NoticeClass::Delayed),
    ("delivered", NoticeClass::Delivered),
    ("badmail", NoticeClass::Badmail),
]));
/// Whether what strangers sent becomes badmail in place of a bounce.
pub(crate) const STRANGERS: Words<bool> = Words(&[("send", false), ("badmail", true)]);
pub(crate) const EIGHT_BIT: Words<EightBit> =
    Words(&[("send", EightBit::Send), ("bounce", EightBit::Bounce)]);
/// Whether the hosts of a route are tried in random order.
pub(crate) const PROTOCOLS: Words<Protocol> =
    Words(&[("smtp", Protocol::Smtp), ("lmtp", Protocol::Lmtp)]);
pub(crate) const FILES_PER: Words<bool> = Words(&[("message", false), ("recipient", true)]);
pub(crate) const SCREENED: Words<bool> = Words(&[("before", false), ("after", true)]);
pub(crate) const ORDERS: Words<bool> = Words(&[("failover", false), ("spread", true)]);
pub(crate) const FAMILIES: Called<Words<IpFamily>> = Called(
    "\"any\", 4 or 6",
    Words(&[
        ("any", IpFamily::Any),
        ("4", IpFamily::V4),
        ("6", IpFamily::V6),
    ]),
);
/// How users sign in with us; SASL's registered names.
pub(crate) const MECHANISMS: List<Words<&'static str>> = List(Words(&[
    ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS"),
    ("SCRAM-SHA-256", "SCRAM-SHA-256"),
    ("PLAIN", "PLAIN"),
    ("LOGIN", "LOGIN"),
    ("OAUTHBEARER", "OAUTHBEARER"),
    ("XOAUTH2", "XOAUTH2"),
]));
pub(crate) const ALL_MECHANISMS: &str = concat!(
    r#"["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", "#,
    r#""OAUTHBEARER", "XOAUTH2"]"#
);
/// How we sign in elsewhere with a password.
pub(crate) const PASSWORD_MECHANISMS: Words<&'static str> = Words(&[
    ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS"),
    ("SCRAM-SHA-256", "SCRAM-SHA-256"),
    ("PLAIN", "PLAIN"),
    ("LOGIN", "LOGIN"),
]);
/// Signatures of tokens: by key pairs alone, as a key that both sides know would let us make tokens
/// (and `none` anybody).
pub(crate) const ALGORITHMS: List<Words<&'static str>> = List(Words(&[
    ("RS256", "RS256"),
    ("RS384", "RS384"),
    ("RS512", "RS512"),
    ("PS256", "PS256"),
    ("PS384", "PS384"),
    ("PS512", "PS512"),
    ("ES256", "ES256"),
    ("ES384", "ES384"),
    ("EdDSA", "EdDSA"),
]));
pub(crate) const SENDER_MATCHES: Words<SenderMatch> = Words(&[
    ("off", SenderMatch::Off),
    ("listed", SenderMatch::Listed),
    ("own", SenderMatch::Own),
]);
pub(crate) const PRESETS: Words<()> = Words(&[("iis", ())]);
pub(crate) const DIGESTS: Words<Option<DigestTo>> = Words(&[
    ("off", None),
    ("postmaster", Some(DigestTo::Postmaster)),
    ("recipients", Some(DigestTo::Recipients)),
]);
/// Whether badmail is kept.
pub(crate) const REACTIONS: Words<Reaction> = Words(&[
    ("tell", Reaction::Tell),
    ("postpone", Reaction::Postpone),
    ("hold", Reaction::Hold),
]);
pub(crate) const BADMAIL: Words<bool> = Words(&[("keep", true), ("discard", false)]);
/// Whether the spool is shared.
pub(crate) const SPOOL_KINDS: Words<bool> = Words(&[("local", false), ("postgres", true)]);
pub(crate) const LOG_LEVELS: Words<LogLevel> = Words(&[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
]);
pub(crate) const PRIVACY: Words<Privacy> = Words(&[
    ("off", Privacy::Off),
    ("hash", Privacy::Hash),
    ("cut", Privacy::Cut),
]);
/// `None`: not there yet.
pub(crate) const LOG_FORMATS: Words<Option<LogFormat>> = Words(&[
    ("text", Some(LogFormat::Text)),
    ("json", Some(LogFormat::Json)),
    ("w3c", None),
]);
pub(crate) const PROTOCOL_LOG_FORMATS: Words<Form> = Words(&[
    ("w3c", Form::W3c),
    ("iis", Form::Iis),
    ("ncsa", Form::Ncsa),
    ("json", Form::Json),
    ("maillog", Form::Maillog),
]);
pub(crate) const W3C_FIELDS: OneOrMany<Words<&'static [Field]>> = OneOrMany(Words(&[
    ("all", Field::ALL),
    ("date", &[Field::Date]),
    ("time", &[Field::Time]),
    ("c-ip", &[Field::ClientIp]),
    ("cs-username", &[Field::UserName]),
    ("s-sitename", &[Field::SiteName]),
    ("s-computername", &[Field::ComputerName]),
    ("s-ip", &[Field::ServerIp]),
    ("s-port", &[Field::ServerPort]),
    ("cs-method", &[Field::Method]),
    ("cs-uri-stem", &[Field::UriStem]),
    ("cs-uri-query", &[Field::UriQuery]),
    ("sc-status", &[Field::Status]),
    ("sc-win32-status", &[Field::Win32Status]),
    ("sc-bytes", &[Field::BytesSent]),
    ("cs-bytes", &[Field::BytesReceived]),
    ("time-taken", &[Field::TimeTaken]),
    ("cs-version", &[Field::Version]),
    ("cs-host", &[Field::Host]),
    ("cs(User-Agent)", &[Field::UserAgent]),
    ("cs(Cookie)", &[Field::Cookie]),
    ("cs(Referer)", &[Field::Referer]),
]));
pub(crate) const ROTATIONS: Words<Rotation> = Words(&[
    ("daily", Rotation::Daily),
    ("hourly", Rotation::Hourly),
    ("weekly", Rotation::Weekly),
    ("monthly", Rotation::Monthly),
    ("size", Rotation::Size),
    ("none", Rotation::None),
]);
pub(crate) const SYSLOG_FORMATS: Words<SyslogForm> =
    Words(&[("rfc3164", SyslogForm::Bsd), ("rfc5424", SyslogForm::Ietf)]);
pub(crate) const FRAMINGS: Words<Framing> = Words(&[
    ("octet-counting", Framing::OctetCounting),
    ("lf", Framing::Lf),
]);
pub(crate) const FACILITIES: Words<Facility> = Words(&[
    ("mail", Facility::MAIL),
    ("user", Facility::USER),
    ("daemon", Facility::DAEMON),
    ("auth", Facility::AUTH),
    ("authpriv", Facility::AUTHPRIV),
    ("local0", Facility::local(0)),
    ("local1", Facility::local(1)),
    ("local2", Facility::local(2)),
    ("local3", Facility::local(3)),
    ("local4", Facility::local(4)),
    ("local5", Facility::local(5)),
    ("local6", Facility::local(6)),
    ("local7", Facility::local(7)),
]);
/// RFC 5426 section 3.2: every server takes 480 octets. A datagram has no more than 65,507.
pub(crate) const SYSLOG_BYTES: Whole = Whole {
    min: 480,
    max: 65_000,
};
pub(crate) const TRANSCRIPTS: Words<Transcripts> = Words(&[
    ("off", Transcripts::Off),
    ("failures", Transcripts::Failures),
    ("all", Transcripts::All),
]);
