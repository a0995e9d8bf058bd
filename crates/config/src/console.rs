//! `[console]`: where the web console is served, and for how long somebody stays signed in.

use crate::config::{Console, ConsoleBind, Tls};
use crate::options::console as options;
use crate::settings::{Settings, positive};
use crate::tls;

/// `global` is `[tls]`.
pub(crate) fn read(settings: &mut Settings, global: &Tls) -> Console {
    let is_own = settings.is_set(options::CERTIFICATE) || settings.is_set(options::KEY);
    let certificates = if is_own {
        tls::pairs(settings, options::CERTIFICATE.into(), options::KEY.into())
    } else {
        global.certificates.clone()
    };
    let console = Console {
        binds: binds(settings, is_own, certificates.is_empty()),
        is_default: !settings.is_set(options::BIND),
        tls: Tls {
            certificates,
            client_ca: None,
            client_ca_server_purpose: false,
            ..global.clone()
        },
        hostnames: settings.values(options::HOSTNAMES),
        idle_timeout: settings.get(options::IDLE_TIMEOUT),
        absolute_timeout: settings.get(options::ABSOLUTE_TIMEOUT),
    };
    for timeout in [options::IDLE_TIMEOUT, options::ABSOLUTE_TIMEOUT] {
        positive(settings, timeout);
    }
    console
}

/// Passwords never pass in clear: off loopback there has to be a certificate that somebody chose. One
/// that we made ourselves would teach people to pass over what their browser says.
fn binds(settings: &mut Settings, is_own: bool, has_none: bool) -> Vec<ConsoleBind> {
    let written = settings.get(options::BIND).unwrap_or_default();
    let mut binds: Vec<ConsoleBind> = Vec::new();
    for item in written {
        let mut bind = ConsoleBind {
            address: item.value,
            tls: is_own,
        };
        let address = bind.address;
        if binds.iter().any(|other| other.address == address) && address.port() != 0 {
            let message = format!("the console is bound to {address} twice");
            settings.error(&item.span, message, "once is enough");
        }
        if !bind.is_loopback() {
            bind.tls = true;
            if has_none {
                let message = format!("the console at {address} would be reached in clear");
                let label = "write console.certificate and console.key, or [tls], or bind it to 127.0.0.1 and come by ssh -L";
                settings.error(&item.span, message, label);
            }
        }
        binds.push(bind);
    }
    binds
}
