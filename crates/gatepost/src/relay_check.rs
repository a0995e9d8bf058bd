use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

use daemon::api::RelayAnswer;
use daemon::diagnosis::relay_check::{self, Asked, Memory, Through};
use dkim::Signers;
use engine::Setup;
use greylisting::Reputation;
use lookups::{OfflineLookups, srs_scheme};
use mail::{Domain, Mailbox, Reply, ReversePath};
use relay_policy::{Approach, CertificatePattern, Greylisted};

use crate::cli::{Cli, RelayCheck};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{greylist, output, run};

/// `gatepost relay check`: the decision of the running code, step by step.
pub fn check(cli: &Cli, arguments: &RelayCheck) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let asked = asked(arguments)?;
    let setup = match config.rules.rewriting.is_some() {
        // As they are in force: with the secrets by which SRS addresses are turned back.
        true => {
            let scheme = srs_scheme(&config).map_err(Failure::Configuration)?;
            Setup::new(config).with_srs(scheme)
        }
        false => Setup::new(config),
    };
    let lookups = OfflineLookups::new(setup).map_err(Failure::Configuration)?;
    let memory = OfTheRunning {
        cli,
        lookups: &lookups,
    };
    let checked = relay_check::check(lookups.inquiries(), &memory, &asked);
    let explanation = lookups.run(checked)?;
    if cli.json {
        output::json(&serde_json::json!(RelayAnswer::from(&explanation)))?;
    } else {
        say!("{explanation}");
    }
    Ok(exit_code(explanation.answer.as_ref()))
}

fn asked(arguments: &RelayCheck) -> Result<Asked, Failure> {
    let mail = arguments.mail.trim_start_matches('<').trim_end_matches('>');
    let mail = ReversePath::parse_routed(mail)
        .map_err(|e| Failure::Usage(format!("--mail {}: {e}", arguments.mail)))?;
    let rcpt = Mailbox::parse_recipient(&arguments.rcpt)
        .map_err(|e| Failure::Usage(format!("--rcpt {}: {e}", arguments.rcpt)))?;
    let certificate = arguments.certificate.as_deref().map(|text| {
        CertificatePattern::parse(text)
            .map_err(|why| Failure::Usage(format!("--certificate {text}: {why}")))
    });
    let message = arguments.message.as_deref().map(|file| {
        let octets = std::fs::read(file);
        let octets = octets.map(|octets| relay_check::on_the_wire(&octets));
        octets.map_err(|why| Failure::Usage(format!("--message {}: {why}", file.display())))
    });
    Ok(Asked {
        through: match &arguments.local {
            Some(way) => Through::Local(way.clone()),
            None => Through::Listener(arguments.listener.clone()),
        },
        client: arguments.client.filter(|_| arguments.local.is_none()),
        hello: arguments.helo.clone().unwrap_or_default(),
        mail,
        rcpt,
        user: arguments.user.clone(),
        tls: arguments.tls,
        certificate: certificate.transpose()?,
        message: message.transpose()?,
    })
}

/// What a relay remembers that runs by this configuration, and nothing where none does.
struct OfTheRunning<'a> {
    cli: &'a Cli,
    lookups: &'a OfflineLookups,
}

impl Memory for OfTheRunning<'_> {
    async fn greylisted(&self, approach: &Approach) -> Option<Greylisted> {
        tokio::task::block_in_place(|| greylist::look(self.cli, approach))
    }

    async fn reputation(&self, client: IpAddr, domain: Option<&Domain>) -> Reputation {
        let worth = tokio::task::block_in_place(|| greylist::reputation(self.cli, client, domain));
        Reputation {
            client: worth.client,
            domain: worth.domain,
        }
    }

    fn signers(&self) -> Result<Arc<Signers>, String> {
        let signers = lookups::signers(self.lookups.inquiries().config());
        signers.map(Arc::new).map_err(|wrong| wrong.join("\n"))
    }
}

fn exit_code(answer: Option<&Reply>) -> ExitCode {
    match answer {
        Some(reply) if reply.is_positive() => ExitCode::SUCCESS,
        Some(reply) if reply.is_permanent() => ExitCode::from(1),
        Some(_) | None => ExitCode::from(75),
    }
}
