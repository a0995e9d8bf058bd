//! The configuration file: what an administrator may write, what is meant when nothing is written,
//! and what is wrong with it.
//!
//! One TOML file (and the files it includes) becomes one [`Config`]. Every mistake is shown at
//! once, each with file, line, column, the text and the nearest right name; nothing is guessed. A
//! configuration that would relay for strangers is refused with a proof, an empty one is a closed
//! door. One table (`options.rs`) holds every option with its type, how it is written, its default
//! and its meaning: the typed settings, suggestions, `config explain`, `config show`, the reference
//! of the documents, the manual page and the schema all come from it.
//!
//! No file is read here but through [`Files`], so the whole can be tested from memory.

mod acme;
mod after_queue;
mod assemble;
mod auth;
mod config;
mod console;
mod deliveries;
mod described;
mod diagnostic;
mod diff;
mod directories;
mod dkim;
mod dns_lists;
mod document;
mod domains;
mod edit;
mod environment;
mod explain;
mod files;
mod form;
mod forward;
mod greylist;
mod limits;
mod listeners;
mod load;
mod local;
mod manual;
mod on_demand;
mod option;
mod options;
mod parts;
mod posture;
mod presets;
mod protocol_logs;
mod quantity;
mod recipients;
mod reference;
mod relay;
mod relay_test;
mod relay_tests;
mod routes;
mod scanners;
mod schema;
mod screens;
mod sections;
mod send_as;
mod send_only_to;
mod sender_routes;
mod settings;
mod show;
mod shown;
mod smart_host;
mod source;
mod srs;
mod suggest;
mod syslogs;
mod table;
mod text;
mod tls;
mod values;
mod words;
mod zone;

pub use config::{
    Account, Acme, AcmeBinding, AcmeChallenge, AcmeName, Auth, CertificateFiles, ClientProof,
    Config, Console, ConsoleBind, Control, Copies, Delivery, Digest, DigestTo, Directory, Dkim,
    DkimKey, Dns, DomainSettings, Filing, FiltersWritten, Issuer, KeySource, Kind as ListenerKind,
    Late, Learning, Limits, Links, Listener, Local, Log, LogFormat, LogLevel, LogTarget, MayAdd,
    NoticeClass, Notices, Oidc, OpenTelemetry, Outbound, Pickup, Privacy, ProtocolLog,
    ProtocolLogTarget, Quarantine, Reports, RouteAuth, RouteCredentials, Scanner, ScannerAddress,
    ScannerKind, Screening, Secret, Spool, SpoolKind, Srs, Stop, Submit, Syslog, Tls, TlsVersion,
    Tracking, Transcripts, Verify,
};
pub use delivery::EightBit;
pub use described::{Described, described};
pub use diagnostic::{Diagnostic, Diagnostics, Location, Note, Severity};
pub use diff::diff;
pub use edit::{Change, Edit, EditError, edit, is_value, text_value, written};
pub use environment::Environment;
pub use explain::explain;
pub use files::{Disk, FILE_OCTETS_MAX, Files, Replaced, hash, read_file};
pub use load::{Loaded, LocalSubmission, control_socket, load, local_submission, parse};
pub use manual::manual;
pub use option::Facts;
pub use reference::reference;
pub use relay_test::{Expected, RelayTest};
pub use schema::schema;
pub use show::show;
pub use shown::Shown;
pub use table::options;
