//! How fast mail may go out: rates of sites, and presets of well-known services.

mod memory;

use std::time::Duration;

use config::*;
use mail::Place;
use memory::{bad, good};
use route::{RateUnit, SendRate, TlsDemand};

const MESSAGES: RateUnit = RateUnit::Messages;
const RECIPIENTS: RateUnit = RateUnit::Recipients;

fn rate(count: u32, unit: RateUnit, seconds: u64) -> SendRate {
    let per = Duration::from_secs(seconds);
    SendRate { count, unit, per }
}

/// The rates of a `[route.r]` with these lines, and those of every other site.
fn rates(lines: &str) -> (Option<Vec<SendRate>>, Vec<SendRate>) {
    let loaded = good(&format!("route.r.hosts = \"[192.0.2.1]\"\n{lines}\n"));
    assert_eq!(loaded.warnings, [], "{lines}");
    let of_route = loaded
        .config
        .routes
        .options("route:r")
        .unwrap()
        .rates
        .clone();
    (of_route, loaded.config.queue.site_rates)
}

#[test]
fn rates_are_written_for_all_sites_or_for_one() {
    let minute = rate(30, MESSAGES, 60);
    let day = rate(10_000, RECIPIENTS, 86_400);
    assert_eq!(rates(""), (None, vec![]));
    assert_eq!(rates("outbound.rate = \"30/1m\""), (None, vec![minute]));
    let both = "route.r.rate = [\"30/1m\", \"10000 recipients/1d\"]";
    assert_eq!(rates(both), (Some(vec![minute, day]), vec![]));
    let none = "outbound.rate = \"30/1m\"\nroute.r.rate = []";
    assert_eq!(rates(none), (Some(vec![]), vec![minute]));
}

#[test]
fn a_rate_that_is_none_is_an_error_that_says_how_to_write_one() {
    for text in ["30", "0/1m", "30/1", "30 mails/1m", "x/1m"] {
        let said = bad(&format!("outbound.rate = \"{text}\"")).to_string();
        assert!(
            said.contains("must be a rate of messages or recipients"),
            "{said}"
        );
        assert!(said.contains("100 recipients/1m"), "{said}");
    }
}

/// The options of a route that are in force, each with its place.
fn shown(lines: &str) -> Vec<String> {
    let loaded = good(&format!("[route.r]\nhosts = \"[mx.test]\"\n{lines}\n"));
    let options = loaded.config.options();
    let of_route = options.filter(|option| option.key.starts_with("route.r."));
    let set = of_route.filter(|option| option.place != Place::Default);
    set.map(|option| {
        format!(
            "{} = {}  # {}",
            &option.key[8..],
            option.value,
            option.place
        )
    })
    .collect()
}

#[test]
fn a_preset_fills_in_what_the_route_does_not_say() {
    let lines = "preset = \"microsoft365\"\nmax_connections = 2\n\
                 auth = { user = \"us\", token_url = \"https://t.test/\", client_id = \"c\", \
                 client_secret = \"env:S\" }";
    let shown = shown(lines);
    for expected in [
        "preset = \"microsoft365\"  # gatepost.toml:3",
        "port = 587  # preset",
        "tls = \"verify\"  # preset",
        "max_connections = 2  # gatepost.toml:4",
        "rate = [\"30/1m\", \"10000 recipients/1d\"]  # preset",
        "auth.scope = \"https://outlook.office365.com/.default\"  # preset",
    ] {
        assert!(
            shown.iter().any(|line| line == expected),
            "{expected}: {shown:?}"
        );
    }
}

#[test]
fn a_preset_is_in_force_as_if_it_were_written() {
    let auth = "auth = { user = \"us\", secret = \"env:S\" }";
    for (preset, mechanism, rates) in [
        ("microsoft365", None, 2),
        ("hve", Some("LOGIN"), 0),
        ("google", None, 2),
        ("ses", Some("PLAIN"), 0),
    ] {
        let text = format!(
            "[outbound]\nroute = \"r\"\n\
             [route.r]\nhosts = [\"[a.test]\", \"[b.test]:2525\"]\npreset = \"{preset}\"\n{auth}\n"
        );
        let loaded = good(&text);
        assert_eq!(loaded.warnings, [], "{preset}");
        let config = loaded.config;
        let options = config.routes.options("route:r").unwrap();
        assert_eq!(options.tls, Some(TlsDemand::Verify), "{preset}");
        assert_eq!(
            options.rates.as_ref().map_or(0, Vec::len),
            rates,
            "{preset}"
        );
        let site = config.routes.site(&mail::Host::parse("x.test").unwrap());
        let route::NextHop::SmartHosts(hosts) = &*site.next_hop else {
            panic!("{site:?}");
        };
        let ports: Vec<_> = hosts.iter().map(|host| host.port).collect();
        assert_eq!(ports, [Some(587), Some(2525)], "{preset}");
        let RouteAuth { credentials, .. } = config.deliveries["route:r"].auth.as_ref().unwrap();
        let RouteCredentials::Password { mechanism: by, .. } = credentials else {
            panic!("{credentials:?}");
        };
        assert_eq!(by.as_deref(), mechanism, "{preset}");
    }
    let wrong = bad("[route.r]\nhosts = \"[a.test]\"\npreset = \"gogle\"\n").to_string();
    assert!(wrong.contains("did you mean \"google\"?"), "{wrong}");
}
