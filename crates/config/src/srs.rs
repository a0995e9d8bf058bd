//! `[srs]`: how senders of forwarded messages are rewritten. The secrets are read by whoever uses
//! them; until then nobody is rewritten and nothing is turned back.

use std::time::Duration;

use ::srs::Scheme;
use relay_policy::Rewriting;

use crate::config::Srs;
use crate::options::srs as options;
use crate::settings::Settings;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `None` where there is no such section, or where it is wrong.
pub(crate) fn read(settings: &mut Settings) -> Option<(Rewriting, Srs)> {
    let help = "write `domain` and `secret`, or leave the section out";
    if !settings.is_begun(options::SECTION, help) {
        return None;
    }
    let age_days = age_days(settings);
    let domain = settings.get(options::DOMAIN);
    let secret = settings.secret(options::SECRET);
    let (Some(domain), Some(secret)) = (domain, secret) else {
        missing(settings);
        return None;
    };
    let no_secrets = Scheme::new([""; 0], age_days);
    let rewriting = Rewriting {
        domain,
        scheme: no_secrets,
        place: settings.place_of(options::DOMAIN),
    };
    let srs = Srs {
        secret,
        old_secrets: settings.secrets(options::OLD_SECRETS),
        age_days,
    };
    Some((rewriting, srs))
}

/// Says so at the first option that was written.
fn missing(settings: &mut Settings) {
    let within = format!("{}.", options::SECTION);
    let mut written = settings.values.range(within.clone()..);
    let first = written.next().filter(|(key, _)| key.starts_with(&within));
    if let Some(span) = first.map(|(_, setting)| setting.key.clone()) {
        let message = format!("[{}] needs `domain` and `secret`", options::SECTION);
        let label = "write domain = \"example-srs.net\" and secret = \"file:srs.secret\"";
        settings.error_in(options::SECTION, &span, message, label);
    }
}

/// Nothing that is configured takes longer than a year, and the days of a stamp begin anew after
/// almost three.
fn age_days(settings: &mut Settings) -> u16 {
    let days = settings.get(options::AGE).as_secs() / DAY.as_secs();
    if days == 0 {
        let message = "`age` in [srs] is at least a day".to_owned();
        settings.error_at(options::AGE, message, "write \"21d\"");
    }
    days.try_into().unwrap_or(u16::MAX)
}
