//! Who may come in at the console. The console asks it within the process; what it serves to browsers
//! is its own.
//!
//! Who comes in is in the audit log. Who is refused is not, as strangers could fill it: that is in the
//! log, and among what is tracked, as sign-ins of SMTP are.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use admission::REFUSAL_AFTER;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use config::{Config, ConsoleBind};
use lookups::{Asked, Brought};
use metrics::AtConsole;
use sign_in::{ConsoleRole, Found, Sources, prepare_name};

use super::act::{self, Act};
use super::{Answer, Trouble};
use crate::api::{
    ConsoleIssuerAnswer, ConsoleIssuerBegun, ConsoleIssuerRow, ConsoleIssuerWanted, ConsoleLink,
    ConsoleLinkWanted, ConsoleRedeemed, ConsoleSignIn, ConsoleSignedIn, ConsoleStill, ConsoleToken,
    ConsoleUser, ConsoleVouched,
};
use crate::clock;
use crate::console_links::VALID_FOR;
use crate::shared::Shared;
use crate::sign_in::{Claim, ConsoleIssuer, Unvouched, Unwelcome, Vouched, is_by_issuer};

/// What whoever is refused hears, whatever was wrong.
const WRONG: &str = "name, password or code is wrong";

/// Characters of what an issuer says when it refuses.
const ERROR_CHARACTERS_MAX: usize = 300;

/// What whoever has the right password hears, where that is not all.
pub(super) const NEEDS_CODE: &str = "the code of the second factor is needed too";

/// `POST /v1/console/sign-in`
pub(super) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<ConsoleSignIn>,
) -> Answer<ConsoleSignedIn> {
    let client: IpAddr = asked.client.parse().map_err(Trouble::bad)?;
    let client = client.to_canonical();
    let claim = Claim {
        user: asked.user,
        password: asked.password,
        code: asked.code,
    };
    let services = &shared.services;
    let active = services.active();
    let settings = active.sign_in_settings();
    match services.sign_ins.at_console(settings, client, &claim).await {
        Ok(welcome) => {
            let (name, how) = (&welcome.name, AtConsole::Password);
            services
                .journal
                .signed_in_at_console(Some(client), name, how);
            let what = format!("as {}, from {client}", welcome.role);
            act::came_in(Arc::clone(&services.audit), name, "sign-in", what).await;
            Ok(Json(ConsoleSignedIn {
                name: welcome.name.to_string(),
                role: welcome.role.to_string(),
                second_factor: welcome.second_factor,
                stamp: settings.sources.stamp(&welcome.name),
            }))
        }
        Err(Unwelcome::Wrong { user, why }) => {
            let (user, journal) = (user.as_deref(), &services.journal);
            journal.refused_at_console(client, user, WRONG, &why);
            Err(Trouble(StatusCode::UNAUTHORIZED, WRONG.to_owned()))
        }
        Err(Unwelcome::NeedsCode) => Err(Trouble(StatusCode::UNAUTHORIZED, NEEDS_CODE.to_owned())),
        Err(Unwelcome::Unavailable) => {
            let why = "nobody can tell now who signs in: try again later".to_owned();
            Err(Trouble(StatusCode::SERVICE_UNAVAILABLE, why))
        }
    }
}

/// `POST /v1/console/links`
pub(super) async fn link(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(ConsoleLinkWanted { by }): Json<ConsoleLinkWanted>,
) -> Answer<ConsoleLink> {
    let by = act.by(by)?;
    let active = shared.services.active();
    let url = address(&active.setup.config).ok_or_else(|| {
        let why = "the console is off: console.bind in the configuration says where it is served";
        Trouble(StatusCode::CONFLICT, why.to_owned())
    })?;
    if let Some(why) = shared.absent().first() {
        return Err(Trouble(StatusCode::CONFLICT, why.clone()));
    }
    let token = shared.services.console_links.make(&by, Instant::now());
    tracing::info!(%by, "a link to the console was made");
    Ok(Json(ConsoleLink {
        url: format!("{url}/login?token={token}"),
        token,
        expires: (clock::now() + VALID_FOR).to_string(),
    }))
}

/// `POST /v1/console/redeem`
pub(super) async fn redeem(
    State(shared): State<Arc<Shared>>,
    Json(ConsoleToken { token }): Json<ConsoleToken>,
) -> Answer<ConsoleRedeemed> {
    let by = shared.services.console_links.redeem(&token, Instant::now());
    let Some(by) = by else {
        tracing::info!("a link to the console was refused");
        let why = "this link is used up, too old, or none of ours".to_owned();
        return Err(Trouble(StatusCode::UNAUTHORIZED, why));
    };
    let services = &shared.services;
    (services.journal).signed_in_at_console(None, &by, AtConsole::Link);
    let what = format!("as {}", ConsoleRole::Admin);
    act::came_in(Arc::clone(&services.audit), &by, "redeem", what).await;
    Ok(Json(ConsoleRedeemed {
        name: by.into(),
        role: ConsoleRole::Admin.to_string(),
    }))
}

/// `GET /v1/console/issuer`
pub(super) async fn issuer(State(shared): State<Arc<Shared>>) -> Answer<ConsoleIssuerRow> {
    let name = the_issuer(&shared)?.name().to_owned();
    Ok(Json(ConsoleIssuerRow { name }))
}

/// `POST /v1/console/issuer/begin`
pub(super) async fn issuer_begin(
    State(shared): State<Arc<Shared>>,
    Json(ConsoleIssuerWanted { redirect }): Json<ConsoleIssuerWanted>,
) -> Answer<ConsoleIssuerBegun> {
    let issuer = the_issuer(&shared)?;
    let flow = shared.services.console_flows.begin(clock::since_start());
    let asked = Asked {
        state: &flow.state,
        nonce: &flow.nonce,
        verifier: &flow.verifier,
        redirect: &redirect,
    };
    let url = issuer.provider.address(asked).await;
    let away = |why: String| Trouble(StatusCode::SERVICE_UNAVAILABLE, why);
    Ok(Json(ConsoleIssuerBegun {
        url: url.map_err(|why| away(why.to_string()))?,
        ticket: flow.ticket,
    }))
}

/// `POST /v1/console/issuer/end`
pub(super) async fn issuer_end(
    State(shared): State<Arc<Shared>>,
    Json(answer): Json<ConsoleIssuerAnswer>,
) -> Answer<ConsoleVouched> {
    let client: IpAddr = answer.client.parse().map_err(Trouble::bad)?;
    let client = client.to_canonical();
    let issuer = the_issuer(&shared)?;
    let services = &shared.services;
    match vouched(&shared, &issuer, client, &answer).await {
        Ok(Vouched { name, role, stamp }) => {
            let how = AtConsole::Issuer;
            services
                .journal
                .signed_in_at_console(Some(client), &name, how);
            let what = format!("as {role}, from {client}, by {}", issuer.name());
            act::came_in(Arc::clone(&services.audit), &name, "issuer", what).await;
            Ok(Json(ConsoleVouched {
                role: role.to_string(),
                seconds: issuer.settings.absolute_timeout.as_secs(),
                name,
                stamp,
            }))
        }
        Err(Unvouched::Away(why)) => Err(Trouble(StatusCode::SERVICE_UNAVAILABLE, why)),
        Err(why) => {
            if let Some((user, noted)) = why.noted() {
                services.journal.refused_at_console(client, user, noted, "");
            }
            Err(Trouble(StatusCode::UNAUTHORIZED, why.to_string()))
        }
    }
}

async fn vouched(
    shared: &Shared,
    issuer: &Arc<ConsoleIssuer>,
    client: IpAddr,
    answer: &ConsoleIssuerAnswer,
) -> Result<Vouched, Unvouched> {
    let services = &shared.services;
    let refused = |why: &str| Unvouched::Refused(why.to_owned());
    let flow = (services.console_flows).find(&answer.ticket, &answer.state, clock::since_start());
    let flow = flow.ok_or(Unvouched::NotBegun(
        "this sign-in was not begun in this browser, or too long ago: begin it again",
    ))?;
    if let Some(error) = &answer.error {
        let error: String = error.chars().take(ERROR_CHARACTERS_MAX).collect();
        let why = format!("the issuer says: {}", mail::escaped(&error));
        // As long as any refusal takes: who begins again and again fills no log.
        tokio::time::sleep(REFUSAL_AFTER).await;
        return Err(Unvouched::Refused(why));
    }
    let brought = Brought {
        code: &answer.code,
        issuer: answer.issuer.as_deref(),
        verifier: &flow.verifier,
        redirect: &answer.redirect,
    };
    let active = services.active();
    let settings = active.sign_in_settings();
    let vouched = (services.sign_ins).by_issuer(settings, issuer, client, &flow, brought);
    let vouched = vouched.await?;
    match services.console_flows.use_up(&flow, clock::since_start()) {
        true => Ok(vouched),
        false => Err(refused("this sign-in is used up: begin it again")),
    }
}

fn the_issuer(shared: &Shared) -> Result<Arc<ConsoleIssuer>, Trouble> {
    let issuer = shared.services.active().sign_in_settings().issuer.clone();
    issuer.ok_or_else(|| {
        let why = "no issuer vouches for people here: [console.oidc] would name one";
        Trouble(StatusCode::NOT_FOUND, why.to_owned())
    })
}

/// `POST /v1/console/still`
pub(super) async fn still(
    State(shared): State<Arc<Shared>>,
    Json(ConsoleUser { user, stamp }): Json<ConsoleUser>,
) -> Answer<ConsoleStill> {
    let nobody = || Trouble(StatusCode::NOT_FOUND, "nobody at the console".to_owned());
    let name = prepare_name(&user).ok_or_else(nobody)?;
    let active = shared.services.active();
    let settings = active.sign_in_settings();
    let sources = Arc::clone(&settings.sources);
    if let Some(stamp) = stamp.filter(|stamp| is_by_issuer(stamp)) {
        let issuer = settings.issuer.clone().ok_or_else(nobody)?;
        return still_by_issuer(issuer, sources, name, stamp).await;
    }
    let sought = Arc::clone(&sources);
    // A directory may have to be asked.
    let found = tokio::task::spawn_blocking(move || sought.find(&name)).await;
    let away = |why: String| Trouble(StatusCode::SERVICE_UNAVAILABLE, why);
    let found = found.map_err(|fault| away(fault.to_string()))?;
    match found.map_err(|why| away(why.to_string()))? {
        Found::User(account) => {
            let (role, _) = sources.console(&account).ok_or_else(nobody)?;
            Ok(Json(ConsoleStill {
                role: role.to_string(),
                stamp: sources.stamp(&account.name),
            }))
        }
        Found::Barred | Found::Nobody => Err(nobody()),
    }
}

/// The same of somebody for whom an issuer vouched.
async fn still_by_issuer(
    issuer: Arc<ConsoleIssuer>,
    sources: Arc<Sources>,
    name: String,
    stamp: String,
) -> Answer<ConsoleStill> {
    let away = |why: String| Trouble(StatusCode::SERVICE_UNAVAILABLE, why);
    // A directory may have to be asked.
    let found = tokio::task::spawn_blocking(move || issuer.still(&sources, &name, &stamp)).await;
    let found = found.map_err(|fault| away(fault.to_string()))?;
    match found.map_err(|why| away(why.to_string()))? {
        Some(Vouched { role, stamp, .. }) => Ok(Json(ConsoleStill {
            role: role.to_string(),
            stamp,
        })),
        None => Err(Trouble(
            StatusCode::NOT_FOUND,
            "nobody at the console".to_owned(),
        )),
    }
}

/// How a browser reaches the console first, without a path; `None` when it is off.
fn address(config: &Config) -> Option<String> {
    let bind: &ConsoleBind = config.console.binds.first()?;
    let (scheme, usual_port) = if bind.tls {
        ("https", 443)
    } else {
        ("http", 80)
    };
    // A certificate is for a name, and 0.0.0.0 is no address that a browser could ask.
    let host = match bind.address {
        address if bind.tls || address.ip().is_unspecified() => config.hostname.to_string(),
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    let port = bind.address.port();
    Some(if port == usual_port {
        format!("{scheme}://{host}")
    } else {
        format!("{scheme}://{host}:{port}")
    })
}

#[cfg(test)]
mod tests {
    use config::Environment;

    use super::*;

    #[test]
    fn a_browser_is_led_to_where_the_console_is() {
        let tls = "certificate = \"c\"\nkey = \"k\"\n";
        for (lines, expected) in [
            ("", Some("http://127.0.0.1:8025")),
            ("bind = \"off\"\n", None),
            ("bind = \"[::1]:80\"\n", Some("http://[::1]")),
            (
                &format!("{tls}bind = \"192.0.2.1:443\"\n"),
                Some("https://relay.test"),
            ),
            (
                &format!("{tls}bind = [\"[::]:8443\", \"127.0.0.1:1\"]\n"),
                Some("https://relay.test:8443"),
            ),
        ] {
            let text = format!("hostname = \"relay.test\"\n[console]\n{lines}");
            let environment = Environment {
                hostname: None,
                addresses: Vec::new(),
            };
            let config = config::parse("f", &text, &environment).unwrap().config;
            assert_eq!(address(&config).as_deref(), expected, "{lines}");
        }
    }
}
