//! The configuration file: what an administrator may write, what is meant when nothing is written,
//! and what is wrong with it.
//!
//! One TOML file (and the files it includes) becomes one [`Config`]. Every mistake is shown at
//! once, each with file, line, column, the text and the nearest right name; nothing is guessed. A
//! configuration that would relay for strangers is refused with a proof, an empty one is a closed
//! door. One table, [`OPTIONS`], holds every option with its kind, its default and a line of help:
//! parser, suggestions, `config explain` and `config show` all read it.
//!
//! No file is read here but through [`Files`], so the whole can be tested from memory.

mod assemble;
mod auth;
mod config;
mod deliveries;
mod diagnostic;
mod directories;
mod dns_lists;
mod document;
mod domains;
mod explain;
mod files;
mod forms;
mod kind;
mod limits;
mod listeners;
mod load;
mod options;
mod posture;
mod quantity;
mod recipients;
mod relay;
mod relay_tests;
mod routes;
mod settings;
mod show;
mod source;
mod suggest;
mod tls;
mod value;

pub use config::{
    Account, Auth, Badmail, CertificateFiles, ClientProof, Config, Control, Delivery, Directory,
    Dns, DomainSettings, EightBit, FiltersWritten, Issuer, KeySource, Kind as ListenerKind, Limits,
    Listener, Log, LogFormat, LogLevel, LogTarget, Outbound, Queue, RouteAuth, RouteCredentials,
    Spool, SpoolKind, Tls, TlsVersion, Transcript, Verify,
};
pub use diagnostic::{Diagnostic, Diagnostics, Location, Note, Severity};
pub use explain::explain;
pub use files::{Disk, Files};
pub use kind::Kind;
pub use load::{Environment, Loaded, control_socket, load, parse};
pub use options::{Force, OPTIONS, OptionSpec};
pub use relay_tests::{Expected, RelayTest};
pub use show::{Shown, show};
pub use value::Secret;
