//! What a right configuration means.

mod memory;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::*;
use mail::{Client, Domain, Mailbox, ReversePath};
use memory::{Memory, good};
use relay_policy::{Decision, Facts, Rules, decide};
use route::NextHop;

/// The quick start of the README.
const QUICK_START: &str = r#"hostname = "relay.example.com"

[listener.internet]                # a virtual server: mail from the Internet, no sign-in
bind = "0.0.0.0:25"

[listener.submission]              # a virtual server: your people; port 587 implies sign-in and TLS
bind = "0.0.0.0:587"

[domain."example.com"]             # remote domain: accepted from anyone ...
route = "[192.168.1.254]"          # ... and handed to this smart host

[relay]                            # who may send to every other domain
allow = ["192.168.1.254"]          # "only the list below"

[tls]                              # leave out: a self-signed pair is made, with a warning
certificate = "/etc/gatepost/relay.crt"
key = "/etc/gatepost/relay.key"
"#;

fn answer(rules: &Rules, client: &str, recipient: &str) -> String {
    let peer = SocketAddr::new(client.parse().unwrap(), 40_000);
    let client = Client::new(
        peer,
        "192.0.2.25:25".parse().unwrap(),
        rules.listener.name.clone(),
    );
    let recipient = Mailbox::parse(recipient).unwrap();
    match decide(
        rules,
        &client,
        &ReversePath::Null,
        &recipient,
        &Facts::default(),
    ) {
        Decision::Carry { why, .. } => format!("carry: {} ({why})", why.place),
        Decision::Refuse { reply, why } => format!("{reply} ({})", why.place),
        Decision::Postpone { reply, .. } => reply.to_string(),
        Decision::Ask(question) => format!("{question:?}"),
    }
}

fn next_hop(config: &Config, host: &str) -> (String, String) {
    let site = config.routes.site(&mail::Host::parse(host).unwrap());
    (site.name.to_string(), site.place.to_string())
}

#[test]
fn the_quick_start_is_right_and_needs_no_further_word() {
    let loaded = good(QUICK_START);
    let config = loaded.config;
    assert_eq!(config.hostname.as_str(), "relay.example.com");
    assert_eq!(
        config.postmaster.map(|m| m.to_string()).as_deref(),
        Some("postmaster@example.com")
    );
    let names: Vec<&str> = config.listeners.iter().map(|l| &*l.name).collect();
    assert_eq!(names, ["internet", "submission"]);
    assert_eq!(config.listeners[0].kind, ListenerKind::Mx);
    assert_eq!(config.listeners[1].kind, ListenerKind::Submission);
    assert_eq!(loaded.warnings, []);
    let pair = CertificateFiles {
        chain: "/etc/gatepost/relay.crt".into(),
        key: "/etc/gatepost/relay.key".into(),
        place: config.tls.certificates[0].place.clone(),
    };
    assert_eq!(pair.place.to_string(), "gatepost.toml:16");
    assert!(
        config
            .listeners
            .iter()
            .all(|listener| listener.tls.certificates == [pair.clone()])
    );
    let rules = &config.listeners[0].rules;
    let answers = [
        (
            "203.0.113.9",
            "bob@example.com",
            "carry: gatepost.toml:9 (example.com is a remote domain)",
        ),
        (
            "203.0.113.9",
            "bob@else.example",
            "550 5.7.1 Unable to relay for bob@else.example (gatepost.toml:13)",
        ),
        (
            "192.168.1.254",
            "bob@else.example",
            "carry: gatepost.toml:13 (matches relay.allow entry 192.168.1.254)",
        ),
    ];
    for (client, recipient, expected) in answers {
        assert_eq!(answer(rules, client, recipient), expected);
    }
    let site = config
        .routes
        .site(&mail::Host::parse("example.com").unwrap());
    assert!(matches!(&*site.next_hop, NextHop::SmartHosts(hosts) if hosts.len() == 1));
    assert_eq!(site.place.to_string(), "gatepost.toml:10");
}

#[test]
fn an_empty_file_is_a_closed_relay_without_a_listener() {
    for text in ["", "\u{feff}", "# nothing\r\n", "\n\n"] {
        let loaded = good(text);
        assert!(loaded.config.listeners.is_empty());
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.config.hostname.as_str(), "system.test");
        assert_eq!(loaded.config.postmaster, None);
        let said = answer(&loaded.config.rules, "203.0.113.9", "bob@else.example");
        assert_eq!(
            said,
            "550 5.7.1 Unable to relay for bob@else.example (default)"
        );
    }
}

#[test]
fn every_default_is_in_force() {
    let config = good("[listener.a]\nbind = \"127.0.0.1:0\"\n").config;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let listener = &config.listeners[0];
    assert_eq!(
        (listener.slots.in_all.value, listener.slots.per_client.value),
        (1000, 20)
    );
    let session = &listener.session.limits;
    assert_eq!(session.timeouts.command, minutes(5));
    assert_eq!(
        config.queue.retry,
        [1, 5, 15, 30, 60, 120, 240].map(minutes)
    );
    assert_eq!(config.queue.expire, minutes(2880));
    assert_eq!(config.queue.delay_notice, Some(minutes(720)));
    assert_eq!(config.queue.probe, minutes(5));
    assert_eq!(session.message_size, 25_000_000);
    assert_eq!(
        (
            session.recipients,
            session.recipients_of_strangers,
            session.hops,
            session.errors
        ),
        (1000, 100, 30, 20)
    );
    assert_eq!(
        (session.command_line.line, session.content_line),
        (2048, 65_536)
    );
    assert_eq!(
        (
            session.timeouts.data_initiation,
            session.timeouts.data_block
        ),
        (minutes(2), minutes(3))
    );
    assert_eq!(
        config.spool,
        Spool {
            kind: SpoolKind::Local,
            min_free: 500_000_000
        }
    );
    assert_eq!(
        config.control.socket,
        PathBuf::from("/var/lib/gatepost/control.sock")
    );
    assert_eq!(config.log.target, LogTarget::Stdout);
    assert_eq!(config.user.name, "gatepost");
    assert_eq!(
        config.dns,
        Dns {
            servers: Vec::new(),
            timeout: Duration::from_secs(10)
        }
    );
    assert_eq!(config.queue.site_connections_max, 20);
    assert_eq!(next_hop(&config, "else.example").0, "mx:else.example");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_written_is_in_force() {
    let text = r#"
        data_dir = "/srv/gp"
        postmaster = "admin@a.test"
        user = "root"
        [listener.a]
        bind = ["127.0.0.1:2525", "[::1]:2525"]
        hostname = "mx.a.test"
        banner = "at your service"
        max_sessions = 7
        max_per_client = 3
        idle_timeout = "1h30m"
        [listener.sub]
        bind = "127.0.0.1:587"
        kind = "mx"
        [domain."local.test"]
        type = "local"
        [domain."*.b.test"]
        route = ["10.0.0.5:2525", "[mx.isp.test]"]
        eight_bit = "bounce"
        [domain."c.test"]
        route = "isp"
        [route.isp]
        hosts = ["mx1.isp.test", "mx2.isp.test:26"]
        order = "spread"
        max_connections = 3
        timeout = "7s"
        [outbound]
        route = "[10.9.9.9]"
        port = 2525
        ip = 4
        private_mx = ["127.0.0.0/8", "10.0.0.1"]
        [dns]
        servers = ["127.0.0.1:5353", "::1"]
        timeout = "500ms"
        [limits]
        message_size = "10MiB"
        [queue]
        retry = ["1s"]
        expire = "1h"
        delay_notice = "off"
        probe = "1s"
        ndr.return_size = "1kB"
        [spool]
        min_free = "0MB"
        [log]
        level = "debug"
        format = "json"
        file = "/var/log/gatepost"
        [control]
        socket = "/run/gp.sock"
    "#;
    let loaded = good(text);
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    let listener = &config.listeners[0];
    assert_eq!(listener.binds.len(), 2);
    assert_eq!(listener.hostname.as_str(), "mx.a.test");
    assert_eq!(&*listener.session.banner, "at your service");
    assert_eq!(
        (listener.slots.in_all.value, listener.slots.per_client.value),
        (7, 3)
    );
    let timeouts = &listener.session.limits.timeouts;
    assert_eq!(timeouts.command, Duration::from_secs(5400));
    assert_eq!(config.listeners[1].kind, ListenerKind::Mx);
    assert_eq!(
        config.postmaster.as_ref().map(Mailbox::as_str),
        Some("admin@a.test")
    );
    assert_eq!(next_hop(&config, "local.test").0, "local:local.test");
    assert_eq!(
        next_hop(&config, "x.b.test").0,
        "[10.0.0.5]:2525,[mx.isp.test]:2525"
    );
    assert_eq!(next_hop(&config, "c.test").0, "route:isp");
    assert_eq!(next_hop(&config, "else.test").0, "[10.9.9.9]:2525");
    let options = config.routes.options("route:isp").unwrap();
    assert!(options.spread);
    assert_eq!(
        (options.connections_max, options.timeout),
        (Some(3), Some(Duration::from_secs(7)))
    );
    let domain = |name| config.domains.find(&Domain::parse(name).unwrap());
    assert_eq!(
        domain("x.b.test").map(|d| d.eight_bit),
        Some(EightBit::Bounce)
    );
    assert_eq!(domain("else.test"), None);
    assert_eq!(
        config.dns.servers,
        ["127.0.0.1:5353", "[::1]:53"].map(|s| s.parse().unwrap())
    );
    assert_eq!(config.dns.timeout, Duration::from_millis(500));
    assert_eq!(listener.session.limits.message_size, 10 << 20);
    assert_eq!(config.queue.retry, [Duration::from_secs(1)]);
    assert_eq!(
        (config.queue.delay_notice, config.notices.return_size),
        (None, 1000)
    );
    assert_eq!(config.spool.min_free, 0);
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(
        config.log.target,
        LogTarget::File("/var/log/gatepost".into())
    );
    assert_eq!(config.control.socket, PathBuf::from("/run/gp.sock"));
}

#[test]
fn a_listener_replaces_relay_key_by_key_and_deny_is_added() {
    let text = "[relay]\nallow = [\"10.0.0.1\"]\ndeny = [\"10.0.0.7\"]\n\
        [listener.a]\nbind = \"0.0.0.0:25\"\n\
        [listener.b]\nbind = \"0.0.0.0:26\"\nrelay = { allow = [\"10.0.0.2\", \"10.0.0.7\", \"10.0.0.8\"], deny = [\"10.0.0.8\"] }\n\
        [listener.c]\nbind = \"127.0.0.1:27\"\nrelay.mode = \"all-except\"\nrelay.except = [\"10.0.0.3\"]\n";
    let config = good(text).config;
    let may = |listener: usize, client: &str| {
        answer(&config.listeners[listener].rules, client, "b@else.test").starts_with("carry")
    };
    let clients = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.7", "10.0.0.8"];
    let expected = [
        [true, false, false, false, false],
        [false, true, false, false, false],
        [true, true, false, false, true],
    ];
    for (listener, expected) in expected.into_iter().enumerate() {
        assert_eq!(
            clients.map(|client| may(listener, client)),
            expected,
            "listener {listener}"
        );
    }
}

#[test]
fn an_accepted_risk_is_a_warning_with_its_proof() {
    let text = "[listener.a]\nbind = \"0.0.0.0:25\"\n[relay]\nmode = \"all-except\"\naccept_risk = \"open-relay\"\n";
    let loaded = good(text);
    let warning = loaded.warnings[0].to_string();
    assert!(
        warning.starts_with("warning: this configuration is an open relay"),
        "{warning}"
    );
    assert!(
        warning.contains("proof: 203.0.113.9 -> someone@elsewhere.example"),
        "{warning}"
    );
}

#[test]
fn an_address_that_strangers_may_have_is_told() {
    let text =
        "[listener.a]\nbind = \"0.0.0.0:25\"\n[relay]\nallow = [\"10.0.0.5\", \"172.17.0.1\"]\n";
    let warnings = good(text).warnings;
    assert_eq!(warnings.len(), 1);
    let at = warnings[0].location.as_ref().map(|at| (at.line, at.column));
    assert_eq!(at, Some((4, 22)), "{}", warnings[0]);
}

#[test]
fn the_preset_of_iis_sets_what_is_not_written() {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let loaded = good("[queue]\npreset = \"iis\"\n");
    assert_eq!(loaded.config.queue.retry, [15, 30, 60, 240].map(minutes));
    assert!(
        show(&loaded.config, false)
            .contains("queue.retry = [\"15m\", \"30m\", \"60m\", \"240m\"]  # default")
    );
    let own = good("[queue]\npreset = \"iis\"\nretry = [\"2m\"]\n");
    assert_eq!(own.config.queue.retry, [minutes(2)]);
}

#[test]
fn files_are_included_in_order_and_share_sections() {
    let files = Memory::default()
        .with("gatepost.toml", "include = [\"conf.d/*.toml\", \"more.toml\", \"none.d/*.toml\"]\n[listener.a]\nbind = \"127.0.0.1:25\"\n")
        .with("conf.d/b.toml", "[domain.\"b.test\"]\nroute = \"[10.0.0.2]\"\n")
        .with("conf.d/a.toml", "\n[domain.\"a.test\"]\nroute = \"[10.0.0.1]\"\n")
        .with("conf.d/.hidden.toml", "nonsense")
        .with("conf.d/a.toml.old", "nonsense")
        .with("more.toml", "[listener.a]\nmax_sessions = 5\n");
    let config = files.load().unwrap().config;
    assert_eq!(
        config.postmaster.as_ref().map(Mailbox::as_str),
        Some("postmaster@a.test")
    );
    assert_eq!(
        next_hop(&config, "a.test"),
        ("[10.0.0.1]:25".into(), "conf.d/a.toml:3".into())
    );
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].slots.in_all.value, 5);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = format!("\u{feff}{}", QUICK_START.replace('\n', "\r\n"));
    let config = good(&text).config;
    assert_eq!(config.listeners[1].place.to_string(), "gatepost.toml:6");
    assert_eq!(config.hostname.as_str(), "relay.example.com");
}

#[test]
fn a_huge_list_is_read_in_no_time() {
    let addresses: Vec<String> = (0..100_000u32)
        .map(|n| format!("\"{}\"", std::net::Ipv4Addr::from(0x0A00_0000 + 2 * n)))
        .collect();
    let text = format!(
        "[listener.a]\nbind = \"0.0.0.0:25\"\n[relay]\nallow = [{}]\n",
        addresses.join(", ")
    );
    let config = good(&text).config;
    let rules = Arc::clone(&config.listeners[0].rules);
    assert_eq!(rules.relay.access.list.entries().len(), 100_000);
    let said = answer(&rules, "10.0.0.4", "b@else.test");
    assert_eq!(
        said,
        "carry: gatepost.toml:4 (matches relay.allow entry 10.0.0.4)"
    );
}

#[test]
fn what_is_shown_can_be_traced() {
    let loaded = good(
        "hostname = \"a.test\"\n[relay]\nallow = [\n  \"10.0.0.1\", # one\n  \"10.0.0.2\",\n]\n[spool]\nnode = \"a\"\n",
    );
    let changed = "hostname = \"a.test\"  # gatepost.toml:1\n\
        relay.allow = [\"10.0.0.1\", \"10.0.0.2\"]  # gatepost.toml:3\n\
        spool.node = \"a\"  # gatepost.toml:8, not in force yet\n";
    assert_eq!(show(&loaded.config, true), changed);
    let all = show(&loaded.config, false);
    assert!(
        all.contains("\nqueue.expire = \"2d\"  # default\n"),
        "{all}"
    );
}

/// Each option says what it means, and is found by `explain` and by its section.
#[test]
fn every_option_is_documented() {
    for facts in options() {
        let (key, meaning) = (facts.key(), facts.meaning);
        assert!(
            !meaning.is_empty() && meaning.ends_with(['.', ':', '>']) || meaning.contains(':'),
            "{key}"
        );
        let key = key.replace('*', "some.name").replace("[]", "");
        let text = explain(&key).unwrap_or_else(|| panic!("{key} is not explained"));
        assert!(text.contains(meaning), "{key}: {text}");
        let section = facts.section.replace('*', "NAME").replace("[]", "");
        if !section.is_empty() {
            assert!(
                explain(&section).is_some_and(|text| text.contains(meaning)),
                "[{section}]"
            );
        }
    }
    assert_eq!(explain("relay.alow"), None);
    assert!(explain("listener").is_some_and(|text| text.starts_with("[listener.NAME]")));
}

/// Each option can be written in its section: none is shadowed by another or by a section.
#[test]
fn every_option_can_be_written() {
    for facts in options() {
        // Written as a table, no option of ours is right but those that take anything: so each is
        // reached, and says what it takes.
        let key = facts.key().replace('*', "x");
        let (section, name) = key.rsplit_once('.').unwrap_or(("", &key));
        // What a section must have, so that only the option itself can be wrong.
        let (owner, needed) = match section {
            s if s.starts_with("route.x") => ("route.x", "hosts = [\"10.0.0.1\"]"),
            s if s.starts_with("listener.x") => ("listener.x", "bind = \"127.0.0.1:25\""),
            _ => ("", ""),
        };
        let needed = if needed.starts_with(&format!("{name} ")) {
            ""
        } else {
            needed
        };
        let mut head = if owner.is_empty() {
            String::new()
        } else {
            format!("[{owner}]\n{needed}\n")
        };
        if let Some(list) = section.strip_suffix("[]") {
            head.push_str(&format!("[[{list}]]\n"));
        } else if let Some((list, within)) = section.split_once("[].") {
            head.push_str(&format!("[[{list}]]\n[{list}.{within}]\n"));
        } else if section != owner {
            head.push_str(&format!("[{section}]\n"));
        }
        let text = format!("{head}{name} = 1979-05-27\n");
        let said = match config::parse("f", &text, &memory::environment()) {
            Ok(loaded) => show(&loaded.config, true),
            Err(why) => why.to_string(),
        };
        let taken = said.contains(&format!("`{name}`")) && said.contains("must be")
            || said.contains("not in force yet");
        assert!(taken, "{text}{said}");
    }
}

#[test]
fn one_limit_of_recipients_holds_for_all_until_strangers_have_their_own() {
    let recipients = |text: &str| {
        let limits = good(text).config.session.limits;
        (limits.recipients, limits.recipients_of_strangers)
    };
    for (text, expected) in [
        ("", (1000, 100)),
        ("[limits]\nrecipients = 700\n", (700, 700)),
        ("[limits]\nrecipients_of_strangers = 200\n", (1000, 200)),
        (
            "[limits]\nrecipients = 700\nrecipients_of_strangers = 200\n",
            (700, 200),
        ),
    ] {
        assert_eq!(recipients(text), expected, "{text}");
    }
}

/// What a crate takes when nobody configures it is what the table says.
#[test]
fn defaults_of_the_table_are_those_of_the_parts() {
    let config = good("[listener.a]\nbind = \"127.0.0.1:25\"\n").config;
    assert_eq!(config.queue, queue::Settings::default());
    let session = &config.listeners[0].session;
    let parts = reception::Settings::new(session.hostname.clone(), Arc::clone(&session.rules));
    assert_eq!(
        session.limits,
        reception::Limits {
            session_size: session.limits.session_size,
            ..parts.limits
        }
    );
    assert_eq!(
        (
            &session.banner,
            session.bare_lf,
            session.success_to_strangers
        ),
        (&parts.banner, parts.bare_lf, parts.success_to_strangers)
    );
}

#[test]
fn notices_go_where_they_are_wanted() {
    let domains = "[domain.\"a.test\"]\nrecipients = [\"x@a.test\"]\n[domain.\"b.test\"]\n";
    let read = |ndr: &str| good(&format!("{domains}[queue.ndr]\n{ndr}\n"));
    let config = read("").config;
    assert_eq!(config.notices.copies.to, None);
    assert_eq!(config.notices.copies.classes, [NoticeClass::Failed]);
    let held = |config: &Config, name: &str| {
        let name = Domain::parse(name).unwrap();
        config.queue.strangers_to_badmail.find(&name) == Some(&true)
    };
    assert!(!held(&config, "a.test"));
    let config = read("copy_to = \"pm@a.test\"\ncopies = [\"delayed\", \"badmail\"]").config;
    let copies = &config.notices.copies;
    assert_eq!(copies.to.as_ref().map(Mailbox::as_str), Some("pm@a.test"));
    assert_eq!(copies.classes, [NoticeClass::Delayed, NoticeClass::Badmail]);
    let config = read("strangers = \"badmail\"").config;
    let known = ["a.test", "b.test"].map(|name| held(&config, name));
    assert_eq!(known, [true, false]);
    let unknown = good("[domain.\"b.test\"]\n[queue]\nndr.strangers = \"badmail\"\n");
    let said = "no domain has `recipients`: strangers get bounces all the same";
    assert_eq!(unknown.warnings[0].message, said);
}

#[test]
fn mail_waits_for_those_who_are_written() {
    let config = good(
        "[domain.\"office.test\"]\nroute = \"b.test\"\n\
         on_demand = { users = \"ann\", clients = [\"192.0.2.7\"], expire = \"9d\" }\n\
         [domain.\"*.office.test\"]\n\
         [domain.\"*.test\"]\nroute = \"b.test\"\non_demand.users = [\"bob\"]\n",
    )
    .config;
    let days = |host: &str| {
        let on_demand = config.queue.on_demand(&mail::Host::parse(host).unwrap());
        on_demand.map(|on_demand| on_demand.expire.as_secs() / 86_400)
    };
    assert_eq!(days("office.test"), Some(9));
    // Another entry, which says nothing of it, is the more specific one.
    assert_eq!(days("a.office.test"), None);
    assert_eq!(days("home.test"), Some(7));
    assert_eq!(days("home.example"), None);
    let office = Domain::parse("office.test").unwrap();
    let rule = config.rules.domains.find(&office);
    let who = rule.and_then(|rule| rule.on_demand.as_ref()).unwrap();
    assert_eq!((&*who.users[0], who.clients.entries().len()), ("ann", 1));
    assert_eq!(who.place.to_string(), "gatepost.toml:3");
}

#[test]
fn what_only_a_restart_can_change_is_told_by_its_meaning() {
    let changed = |text: &str| {
        let (old, new) = (good("").config, good(text).config);
        old.change_of_fixed(&new).map(str::to_owned)
    };
    for (text, expected) in [
        ("", None),
        ("[limits]\nhops = 7\n", None),
        ("data_dir = \"/elsewhere\"", Some("data_dir")),
        ("user = \"root\"", Some("user")),
        ("user = 'gatepost'", None),
        ("[spool]\nmin_free = \"500000 kB\"", None),
        ("[spool]\nmin_free = \"1GB\"", Some("spool.min_free")),
        ("[log]\nfile = \"/var/log/x\"", Some("log.file")),
        (
            "[control]\nsocket = \"/var/lib/gatepost/control.sock\"",
            None,
        ),
        (
            "[control]\nsocket = \"/run/x.sock\"",
            Some("control.socket"),
        ),
    ] {
        assert_eq!(changed(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn hours_without_a_time_zone_are_told_of_once() {
    let route = "[route.a]\nhosts = \"a.test\"\nhours = \"22:00-06:00\"\n";
    let large = "[route.b]\nhosts = \"b.test\"\nlarge = { over = \"10MB\", hours = \"Sat\" }\n";
    let zone = "[queue]\ntime_zone = \"UTC\"\n";
    let cases = [
        (format!("{route}{large}"), 1),
        (large.to_owned(), 1),
        (format!("{route}{large}{zone}"), 0),
        ("[route.a]\nhosts = \"a.test\"\n".to_owned(), 0),
    ];
    for (text, expected) in cases {
        let loaded = Memory::default().with("gatepost.toml", &text).load();
        let warnings = loaded.unwrap().warnings;
        let about_zone = |warning: &&Diagnostic| warning.message.contains("time zone");
        assert_eq!(
            warnings.iter().filter(about_zone).count(),
            expected,
            "{text}"
        );
    }
}
