//! `[console]`: where the web console is served, who else vouches for people there, and for how long
//! somebody stays signed in.

use std::net::SocketAddr;

use crate::config::{Console, ConsoleBind, Oidc, Tls};
use crate::form::Item;
use crate::options::{console as options, console_oidc as oidc, quarantine};
use crate::settings::{Settings, positive};
use crate::tls;

/// What an issuer cannot be asked without.
const TOGETHER: &str = "issuer and client_id belong together";

/// `global` is `[tls]`.
pub(crate) fn read(settings: &mut Settings, global: &Tls) -> Console {
    let is_own = settings.is_set(options::CERTIFICATE) || settings.is_set(options::KEY);
    let certificates = if is_own {
        tls::pairs(settings, options::CERTIFICATE.into(), options::KEY.into())
    } else {
        global.certificates.clone()
    };
    let acme = global.acme.clone().filter(|_| !is_own);
    let has_none = certificates.is_empty() && acme.is_none();
    let written = settings.get(options::BIND).unwrap_or_default();
    let of_links = settings.get(quarantine::LINK_BIND);
    let console = Console {
        binds: binds(settings, "the console", written, is_own, has_none),
        links: binds(settings, "the page of links", of_links, false, has_none),
        is_default: !settings.is_set(options::BIND),
        tls: Tls {
            certificates,
            acme,
            client_ca: None,
            client_ca_server_purpose: false,
            ..global.clone()
        },
        hostnames: settings.values(options::HOSTNAMES),
        idle_timeout: settings.get(options::IDLE_TIMEOUT),
        absolute_timeout: settings.get(options::ABSOLUTE_TIMEOUT),
        oidc: issuer(settings),
    };
    for timeout in [
        options::IDLE_TIMEOUT,
        options::ABSOLUTE_TIMEOUT,
        oidc::ABSOLUTE_TIMEOUT,
    ] {
        positive(settings, timeout);
    }
    console
}

fn issuer(settings: &mut Settings) -> Option<Oidc> {
    let help = "write `issuer` and `client_id`, or leave the section out";
    if !settings.is_begun(oidc::SECTION, help) {
        return None;
    }
    let issuer = settings.get(oidc::ISSUER);
    let issuer = settings.needed(oidc::ISSUER, issuer, TOGETHER);
    let client_id = settings.get(oidc::CLIENT_ID).filter(|id| !id.is_empty());
    let client_id = settings.needed(oidc::CLIENT_ID, client_id, TOGETHER);
    let algorithms = settings.values(oidc::ALGORITHMS);
    if algorithms.is_empty() {
        let message = "no token can be checked without an algorithm".to_owned();
        settings.error_at(oidc::ALGORITHMS, message, "write [\"RS256\"]");
    }
    // OpenID Connect Core section 3.1.2.1: "OpenID Connect requests MUST contain the openid scope
    // value."
    let scope = settings.get(oidc::SCOPE);
    if !scope.split(' ').any(|word| word == "openid") {
        let message = "without openid in its scope, no issuer says who somebody is".to_owned();
        settings.error_at(oidc::SCOPE, message, "write \"openid email profile\"");
    }
    Some(Oidc {
        place: settings.place_of(oidc::ISSUER),
        issuer: issuer?,
        client_id: client_id?,
        client_secret: settings.secret(oidc::CLIENT_SECRET),
        ca: settings.path(oidc::CA),
        scope,
        user_claim: settings.get(oidc::USER_CLAIM),
        role_claim: settings.get(oidc::ROLE_CLAIM),
        roles: [oidc::ADMIN, oidc::OPERATOR, oidc::VIEWER].map(|role| settings.values(role)),
        algorithms: algorithms.into_iter().map(str::to_owned).collect(),
        absolute_timeout: settings.get(oidc::ABSOLUTE_TIMEOUT),
    })
}

/// Neither passwords nor links pass in clear: off loopback there has to be a certificate that somebody
/// chose. One that we made ourselves would teach people to pass over what their browser says.
fn binds(
    settings: &mut Settings,
    what: &str,
    written: Vec<Item<SocketAddr>>,
    by_tls: bool,
    has_none: bool,
) -> Vec<ConsoleBind> {
    let mut binds: Vec<ConsoleBind> = Vec::new();
    for item in written {
        let mut bind = ConsoleBind {
            address: item.value,
            tls: by_tls,
        };
        let address = bind.address;
        if binds.iter().any(|other| other.address == address) && address.port() != 0 {
            let message = format!("{what} is bound to {address} twice");
            settings.error(&item.span, message, "once is enough");
        }
        if !bind.is_loopback() {
            bind.tls = true;
            if has_none {
                let message = format!("{what} at {address} would be reached in clear");
                let label = "write console.certificate and console.key, or [tls] or [tls.acme], or bind it to 127.0.0.1, behind ssh -L or a proxy";
                settings.error(&item.span, message, label);
            }
        }
        binds.push(bind);
    }
    binds
}
