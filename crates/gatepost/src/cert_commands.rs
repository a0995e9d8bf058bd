use std::path::Path;
use std::process::ExitCode;

use mail::{Certificate, Domain};
use serde::Serialize;
use tls::first_certificate;

use crate::cli::{CertVerb, Cli};
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::output::say;

/// What others write down of a certificate, to know it again.
#[derive(Serialize)]
struct Pins {
    names: Box<[Box<str>]>,
    certificate: String,
    key: Option<String>,
    tlsa: Vec<String>,
}

/// `gatepost cert ...`
pub fn command(cli: &Cli, verb: &CertVerb) -> Outcome {
    match verb {
        CertVerb::Fingerprint { file } => fingerprint(cli, file),
    }
}

fn fingerprint(cli: &Cli, file: &Path) -> Outcome {
    let pins = Pins::of(first_certificate(file).map_err(Failure::No)?);
    if cli.json {
        return output::json(&pins);
    }
    if !pins.names.is_empty() {
        say!("{}", pins.names.join(", "));
    }
    say!("certificate  {}", pins.certificate);
    if let Some(key) = &pins.key {
        say!("key          {key}");
    }
    for record in &pins.tlsa {
        say!("TLSA         {record}");
    }
    Ok(ExitCode::SUCCESS)
}

impl Pins {
    fn of(certificate: Certificate) -> Self {
        Self {
            certificate: certificate.fingerprint(),
            key: certificate.key_pin(),
            tlsa: records(&certificate),
            names: certificate.names,
        }
    }
}

/// What a domain publishes for a mail server that shows this certificate, one for each of its hosts.
/// `HOST` is where its name belongs when the certificate does not say it.
fn records(certificate: &Certificate) -> Vec<String> {
    let hosts = certificate.names.iter().filter(|name| is_host(name));
    let mut hosts: Vec<&str> = hosts.map(|name| &**name).collect();
    if hosts.is_empty() {
        hosts.push("HOST");
    }
    hosts
        .into_iter()
        .filter_map(|host| tlsa(certificate, host))
        .collect()
}

/// The record for `host`, which shows this certificate (RFC 7672 section 3.1.1: DANE-EE(3), SPKI(1),
/// SHA-256(1)); `None` where its key cannot be told.
pub fn tlsa(certificate: &Certificate, host: &str) -> Option<String> {
    let pin = certificate.key_pin()?;
    let digits = pin.trim_start_matches("spki:sha256:");
    Some(format!("_25._tcp.{host}. IN TLSA 3 1 1 {digits}"))
}

fn is_host(name: &str) -> bool {
    name.contains('.') && Domain::parse(name).is_ok()
}
