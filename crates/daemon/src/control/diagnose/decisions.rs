//! What the relay would answer, step by step.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use dkim::Signers;
use greylisting::Reputation;
use mail::{Domain, Mailbox, ReversePath};
use relay_policy::{Approach, CertificatePattern, Greylisted};

use super::turns::{in_time, turn};
use crate::api::{RelayAnswer, RelayQuestion};
use crate::control::{Answer, Trouble};
use crate::diagnosis::relay_check::{self, Asked, Memory, Through};
use crate::services::Services;
use crate::shared::Shared;
use crate::strangers;

/// Octets of a message that is screened.
const MESSAGE_OCTETS_MAX: usize = 1 << 20;

/// `POST /v1/relay/check`
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    Json(question): Json<RelayQuestion>,
) -> Answer<RelayAnswer> {
    let asked = asked(question)?;
    let turn = turn(&shared)?;
    let inquiries = shared.services.active().inquiries();
    let memory = OfThisRelay(&shared.services);
    let checked = relay_check::check(&inquiries, &memory, &asked);
    let explanation = in_time(turn, checked).await?;
    Ok(Json((&explanation).into()))
}

fn asked(question: RelayQuestion) -> Result<Asked, Trouble> {
    let wrong = |what: &str, text: &str, why: &dyn ToString| {
        let (text, why) = (mail::escaped(text), why.to_string());
        Trouble::bad(format!("{what} {text}: {why}"))
    };
    let client = question.client.as_deref().map(|text| {
        let parsed = text.trim().parse::<IpAddr>();
        parsed.map_err(|why| wrong("client", text, &why))
    });
    let client = client.transpose()?;
    if client.is_some() == question.local.is_some() {
        let why = "name either the address of a `client`, or a way of this machine as `local`";
        return Err(Trouble::bad(why));
    }
    let from = question.from.trim();
    let from = from.trim_start_matches('<').trim_end_matches('>');
    let mail = ReversePath::parse_routed(from).map_err(|why| wrong("from", from, &why))?;
    let rcpt = question.rcpt.trim();
    let rcpt = Mailbox::parse_recipient(rcpt).map_err(|why| wrong("rcpt", rcpt, &why))?;
    let certificate = question.certificate.as_deref().map(|text| {
        let parsed = CertificatePattern::parse(text);
        parsed.map_err(|why| wrong("certificate", text, &why))
    });
    let message = question.message;
    let too_large = |message: &String| message.len() > MESSAGE_OCTETS_MAX;
    if message.as_ref().is_some_and(too_large) {
        let why = format!("the message has more than {MESSAGE_OCTETS_MAX} octets");
        return Err(Trouble::bad(why));
    }
    Ok(Asked {
        through: match question.local {
            Some(way) => Through::Local(way),
            None => Through::Listener(question.listener),
        },
        client,
        hello: question.helo.unwrap_or_default(),
        mail,
        rcpt,
        user: question.user,
        tls: question.tls,
        certificate: certificate.transpose()?,
        message: message.map(|text| relay_check::on_the_wire(text.as_bytes())),
    })
}

/// What this relay remembers.
struct OfThisRelay<'a>(&'a Services);

impl Memory for OfThisRelay<'_> {
    async fn greylisted(&self, approach: &Approach) -> Option<Greylisted> {
        Some(strangers::look(self.0, approach).await)
    }

    async fn reputation(&self, client: IpAddr, domain: Option<&Domain>) -> Reputation {
        let (active, now) = (self.0.active(), self.0.clock.line());
        let settings = &active.setup.config.limits.greylisting;
        let history = self.0.history.all();
        history.reputation(settings, client, domain, now)
    }

    fn signers(&self) -> Result<Arc<Signers>, String> {
        Ok(Arc::clone(self.0.active().setup.signers()))
    }
}
