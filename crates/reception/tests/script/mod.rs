//! What the words of a dialogue mean: settings, answers of the world, octets.

use std::sync::Arc;
use std::time::Duration;

use mail::{Domain, Place, Reply};
use reception::{Session, Settings, SignedIn};
use relay_policy::{Fact, Rights};
use smtp::BareLf;

use crate::driver::{
    Driver, Store, settings, tls, with_mail_on_demand, with_sign_in, with_way_back,
};

/// The session, its settings and its world, as the `config:` lines of a dialogue want them.
pub fn make_driver<'t>(config: impl Iterator<Item = &'t str>) -> Driver {
    let mut config: Vec<_> = config.filter_map(|word| word.split_once('=')).collect();
    let mut take = |name: &str| {
        let at = config.iter().position(|(key, _)| *key == name)?;
        Some(config.remove(at).1)
    };
    let client = take("client").unwrap_or("203.0.113.9");
    let mut settings = settings(take("names").is_some());
    let kind = ["busy", "turned_away", "early_talker"].map(|kind| take(kind).is_some());
    if take("postmaster").is_some() {
        settings.postmaster = None;
    }
    let from_the_start = door(
        &mut settings,
        take("tls"),
        take("sign_in"),
        take("mechanisms"),
    );
    if let Some(clients) = take("on_demand") {
        settings = with_mail_on_demand(settings, clients);
    }
    let (waits, screens) = (take("waits").is_some(), take("prdr").is_some());
    if take("bare_lf").is_some() {
        settings.bare_lf = BareLf::Mend;
    }
    if take("way_back").is_some() {
        settings = with_way_back(settings);
    }
    settings.strict_pipelining = take("strict").is_some();
    settings.success_to_strangers = take("success").is_none();
    let number = |value: &str| value.parse().unwrap();
    settings.tarpit = Duration::from_secs(take("tarpit").map_or(0, number).into());
    let recipients_for_now = take("recipients_for_now").map(number);
    let bounces_for_now = take("bounces_for_now").map(number);
    let (too_fast, misfit) = (take("too_fast").is_some(), take("misfit").is_some());
    for (key, value) in config {
        set_limit(&mut settings, key, number(value));
    }
    let client = (client.parse::<std::net::IpAddr>().unwrap(), 40_000).into();
    let make = |settings, mut client: mail::Client| {
        client.tls = from_the_start.then(tls);
        let mut session = match kind {
            [true, _, _] => Session::busy(settings, client, 1),
            [_, true, _] => {
                let text = format!("{} may not connect here", client.address());
                Session::turned_away(settings, client, 1, Reply::new(554, 7, 1, text))
            }
            [_, _, true] => Session::early_talker(settings, client, 1),
            [false, false, false] => Session::new(settings, client, 1),
        };
        if screens {
            session.offer_prdr();
        }
        session.record();
        session
    };
    let mut driver = Driver::with(make, settings, client);
    driver.recipients_for_now = recipients_for_now;
    driver.bounces_for_now = bounces_for_now;
    driver.misfit = misfit;
    driver.waits = waits;
    driver.screens = screens;
    driver.too_fast = too_fast.then(|| Reply::new(450, 7, 1, "Too many messages, try again later"));
    driver
}

/// Sets what the listener offers and requires; whether TLS is there from the start.
fn door(
    settings: &mut Settings,
    tls: Option<&str>,
    sign_in: Option<&str>,
    mechanisms: Option<&str>,
) -> bool {
    let Some(tls) = tls else { return false };
    if sign_in.is_some() {
        let mechanisms: Vec<_> = mechanisms.unwrap_or("PLAIN,LOGIN").split(',').collect();
        *settings = with_sign_in(settings.clone(), &mechanisms);
    }
    let mut rules = (*settings.rules).clone();
    rules.listener.tls.offered = true;
    rules.listener.tls.required = tls == "required";
    rules.listener.sign_in.required = sign_in == Some("required");
    settings.rules = Arc::new(rules);
    tls == "from-the-start"
}

/// Reads `challenge TEXT`, `yes USER`, `no REPLY`.
pub fn sign_in(text: &str) -> SignedIn {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("challenge", text) => SignedIn::Challenge(octets(text)),
        ("yes", user) => SignedIn::Yes {
            user: user.into(),
            rights: Arc::new(Rights {
                may_relay: true,
                senders: Box::default(),
                only_to: Box::default(),
                place: Place::Default,
            }),
        },
        ("no", reply) => {
            let code = reply[..3].parse().unwrap();
            SignedIn::No(Reply::new(code, 7, 8, reply[3..].trim().to_owned()).into())
        }
        (other, _) => panic!("what is `sign-in: {other}`?"),
    }
}

fn set_limit(settings: &mut Settings, key: &str, value: u32) {
    let limits = &mut settings.limits;
    match key {
        "message_size" => limits.message_size = value.into(),
        "session_size" => limits.session_size = Some(value.into()),
        "passed_over" => limits.passed_over = value.into(),
        "recipients" => limits.recipients = value,
        "recipients_of_strangers" => limits.recipients_of_strangers = value,
        "messages" => limits.messages = value,
        "errors" => limits.errors = value,
        "unknown_recipients" => limits.unknown_recipients = value,
        "sign_in_failures" => limits.sign_in_failures = value,
        "postponed" => limits.postponed = value,
        "idle_commands" => limits.idle_commands = value,
        "command_line" => limits.command_line.line = value as usize,
        "command_passed_over" => limits.command_line.passed_over = value as usize,
        "content_line" => limits.content_line = value as usize,
        "content_inline" => limits.content_inline = value as usize,
        "hops" => limits.hops = value,
        "header_size" => limits.header_size = value.into(),
        _ => panic!("what is `{key}`?"),
    }
}

pub fn fact(text: &str) -> Fact<Domain> {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("yes", name) => Fact::Yes(Domain::parse(name).unwrap()),
        ("no", _) => Fact::No,
        ("cannot-tell", _) => Fact::CannotTell,
        (other, _) => panic!("what is `fact: {other}`?"),
    }
}

pub fn store(text: &str) -> Store {
    match text {
        "works" => Store::Works,
        "low-space" => Store::LowSpace,
        "full" => Store::Full,
        "rejects" => Store::Rejects,
        "unknown" => Store::Unknown,
        other => panic!("what is `store: {other}`?"),
    }
}

/// Reads `text\r\n\x00` and `text*N`.
pub fn octets(text: &str) -> Vec<u8> {
    let (text, times) = match text.rsplit_once('*') {
        Some((text, times)) => times.parse().map_or((text, 1), |times| (text, times)),
        None => (text, 1),
    };
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        out.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('x') => {
                let hex: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&hex, 16).unwrap()
            }
            Some('\\') => b'\\',
            other => panic!("what is \\{other:?}?"),
        });
    }
    out.repeat(times)
}
