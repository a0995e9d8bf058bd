//! `gatepost import postfix`: a real Postfix, and our relay with what the command makes of its
//! configuration. Both are asked the same table of envelopes and have to decide the same at RCPT,
//! but for what is listed here with its reason.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use crate::client::Dialogue;
use crate::network::Network;
use crate::postfix::Postfix;
use crate::program::run;
use crate::relay::{self, Relay};

/// One configuration of Postfix.
struct Site {
    main: &'static str,
    files: &'static [(&'static str, &'static str)],
    clients: &'static [&'static str],
    senders: &'static [&'static str],
    recipients: &'static [&'static str],
    /// Why a row may be decided otherwise; `None` when it may not.
    known: fn(&Row) -> Option<&'static str>,
}

/// Only the lists shall decide, and a stranger may be clumsy for as long as it likes.
const PATIENT: &str = "inet_protocols = all\nsmtpd_authorized_xclient_hosts = 127.0.0.0/8\nsmtpd_error_sleep_time = 0\n\
    smtpd_soft_error_limit = 10000\nsmtpd_hard_error_limit = 10000\nsmtpd_junk_command_limit = 10000\n\
    smtpd_client_event_limit_exceptions = static:all\n";

/// A relay as it is set up today.
const TODAY: Site = Site {
    main: "myhostname = relay.example.com\nmydestination =\n\
        mynetworks = 127.0.0.0/8, !10.1.7.7, 10.1.0.0/16, [2001:db8:1::]/48, ${config_directory}/more_networks,\n  \
          texthash:$config_directory/by_address\n\
        relay_domains = !secret.example.com, example.com, texthash:$config_directory/domains\n\
        relay_recipient_maps = hash:$config_directory/recipients\n\
        transport_maps = texthash:$config_directory/transport\n\
        relayhost = [192.0.2.200]\n\
        smtpd_relay_restrictions = check_client_access cidr:$config_directory/clients,\n  \
          permit_mynetworks,\n  # a comment in between\n  defer_unauth_destination\n\
        smtpd_client_restrictions = check_client_access texthash:$config_directory/refused\n\
        smtpd_sender_restrictions = check_sender_access texthash:$config_directory/senders, reject_non_fqdn_sender\n\
        smtpd_recipient_restrictions = check_recipient_access texthash:$config_directory/closed, permit_mynetworks,\n  \
          check_recipient_access inline:{{inner.test = REJECT}, {guest.test = OK}}\n\
        message_size_limit = 20000000\nmaximal_queue_lifetime = 3d\n",
    files: &[
        ("more_networks", "# one more\n192.0.2.77\n"),
        // Whole addresses alone are looked for in such a table.
        ("by_address", "192.0.2.79 x\n198.18 x\n"),
        ("domains", "second.test x\ninner.test x\nopen.test x\n"),
        (
            "recipients",
            "ann@example.com x\nbob@example.com x\ncarl@sub.example.com x\n@open.test x\n@inner.test x\nann@second.test x\n",
        ),
        (
            "transport",
            "example.com smtp:[192.0.2.10]\n.example.com smtp:[192.0.2.11]:2525\npartner.test smtp:[192.0.2.12]\n\
             gone.test error:5.1.2 gone\nopen.test :[192.0.2.13]\n",
        ),
        (
            "clients",
            "10.1.8.0/24 REJECT not these\n198.51.100.0/25 OK\n!0.0.0.0/1 DUNNO\n198.51.100.200 OK\n",
        ),
        (
            "refused",
            "203.0.113.66 REJECT\n203.0.114 554 5.7.1 the whole network\n198.51.100.9 REJECT\n10.1.9.9 permit_auth_destination, reject\n",
        ),
        (
            "senders",
            "spam@foreign.test REJECT\nbad.test REJECT\n.worse.test 550 no, which finds nobody\n",
        ),
        ("closed", "closed.test REJECT\nbob@example.com REJECT\n"),
    ],
    clients: &[
        "127.0.0.1",
        "10.1.0.1",
        "10.1.7.7",
        "10.1.8.5",
        "10.1.9.9",
        "192.0.2.77",
        "192.0.2.78",
        "192.0.2.79",
        "198.18.0.1",
        "198.51.100.5",
        "198.51.100.9",
        "198.51.100.200",
        "203.0.113.9",
        "203.0.113.66",
        "203.0.114.3",
        "2001:db8:1::5",
        "2001:db8:2::5",
    ],
    senders: &[
        "",
        "a@foreign.test",
        "ann@example.com",
        "spam@foreign.test",
        "x@bad.test",
        "x@sub.bad.test",
        "x@a.worse.test",
    ],
    recipients: &[
        "ann@example.com",
        "bob@example.com",
        "nobody@example.com",
        "carl@sub.example.com",
        "ann@sub.example.com",
        "u@a.b.example.com",
        "anybody@open.test",
        "ann@second.test",
        "nobody@second.test",
        "u@inner.test",
        "u@closed.test",
        "u@guest.test",
        "u@secret.example.com",
        "u@sub.secret.example.com",
        "u@foreign.test",
        "u@partner.test",
        "u@gone.test",
        "postmaster@example.com",
        "u%foreign.test@example.com",
        "u@[192.0.2.99]",
    ],
    known: of_today,
};

fn of_today(row: &Row) -> Option<&'static str> {
    Some(match row.recipient {
        "u@inner.test" if row.client == "198.51.100.5" => {
            "what is closed to strangers is open to all who may relay, not to mynetworks alone"
        }
        "u@inner.test" if row.client == "10.1.9.9" => {
            "what is closed to strangers is closed to a permitted client that may not relay"
        }
        "postmaster@example.com" => {
            "postmaster of a hosted domain is always taken (RFC 5321 section 4.5.1)"
        }
        _ => return None,
    })
}

/// One as it was set up before there was a list for relaying: all in the list for recipients.
const BEFORE: Site = Site {
    main: "myhostname = relay.example.com\nmyorigin = example.org\n\
        mydestination = $myhostname, localhost\n\
        mynetworks = 10.0.0.0/8\n\
        parent_domain_matches_subdomains =\n\
        relay_domains = example.org .example.org\n\
        virtual_alias_domains = alias.test, whole.test\n\
        virtual_alias_maps = texthash:$config_directory/virtual\n\
        smtpd_restriction_classes = insiders\n\
        insiders = permit_mynetworks, reject\n\
        smtpd_relay_restrictions =\n\
        smtpd_recipient_restrictions = check_client_access cidr:{{10.9.0.0/16 REJECT}, {192.0.2.0/28 OK}},\n  \
          permit_mynetworks,\n  check_sender_access inline:{{bad.test = REJECT}, {<> = DUNNO}},\n  \
          check_recipient_access inline:{{guest.test = OK}},\n  reject_unauth_destination\n",
    files: &[(
        "virtual",
        "info@alias.test ann@example.org, bob@foreign.test\nroot ann@example.org\n@whole.test @example.org\n\
         sales@example.org ann@example.org\n",
    )],
    clients: &[
        "10.0.0.1",
        "10.9.9.9",
        "192.0.2.15",
        "192.0.2.16",
        "203.0.113.9",
        "2001:db8::1",
    ],
    senders: &["", "a@foreign.test", "x@bad.test", "x@sub.bad.test"],
    recipients: &[
        "u@example.org",
        "u@sub.example.org",
        "sales@example.org",
        "info@alias.test",
        "nobody@alias.test",
        "anybody@whole.test",
        "u@sub.whole.test",
        "u@guest.test",
        "u@sub.guest.test",
        "u@foreign.test",
        "root@relay.example.com",
        "nobody@relay.example.com",
        "daemon@localhost",
    ],
    known: of_before,
};

fn of_before(row: &Row) -> Option<&'static str> {
    let local =
        row.recipient.ends_with("@relay.example.com") || row.recipient.ends_with("@localhost");
    Some(match (row.sender, row.client) {
        _ if local => "mail for accounts of the machine: there are no mailboxes here",
        ("x@bad.test", "10.0.0.1" | "192.0.2.15") => {
            "refused senders are refused from permitted clients, too"
        }
        _ => return None,
    })
}

/// An envelope.
struct Row {
    client: &'static str,
    sender: &'static str,
    recipient: &'static str,
}

#[test]
fn a_relay_of_today_decides_the_same() {
    decide_the_same(&TODAY);
}

#[test]
fn a_relay_of_before_decides_the_same() {
    decide_the_same(&BEFORE);
}

fn decide_the_same(site: &Site) {
    let network = Network::new();
    let proxy = network.permitted();
    let settings = format!("{PATIENT}{}", site.main);
    let postfix = Postfix::start_among(network.mail_server(), &settings, site.files);
    let relay = imported(network, &postfix.configuration());
    let (mut asked, mut differences, mut reasons) = (0, Vec::new(), Vec::new());
    for client in site.clients {
        let rows = rows(site, client);
        let theirs = of_postfix(proxy, &postfix, &rows);
        let ours = of_relay(&relay, &rows);
        for ((row, theirs), ours) in rows.iter().zip(theirs).zip(ours) {
            asked += 1;
            if accepted(&theirs) == accepted(&ours) {
                continue;
            }
            match (site.known)(row) {
                Some(reason) => reasons.push(reason),
                None => differences.push(format!(
                    "{} <{}> <{}>\n    Postfix: {theirs}\n    we: {ours}",
                    row.client, row.sender, row.recipient
                )),
            }
        }
    }
    assert!(asked >= 200, "only {asked} envelopes");
    assert!(
        differences.is_empty(),
        "{} of {asked} are decided otherwise:\n{}",
        differences.len(),
        differences.join("\n")
    );
    let known = rows_of_all(site)
        .iter()
        .filter_map(site.known)
        .collect::<std::collections::BTreeSet<_>>();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(
        reasons,
        known.into_iter().collect::<Vec<_>>(),
        "a difference that is none any more"
    );
}

fn accepted(reply: &str) -> bool {
    reply.starts_with("250")
}

fn rows(site: &Site, client: &'static str) -> Vec<Row> {
    let of_sender = |&sender: &&'static str| {
        let recipients = site.recipients.iter();
        recipients.map(move |&recipient| Row {
            client,
            sender,
            recipient,
        })
    };
    site.senders.iter().flat_map(of_sender).collect()
}

fn rows_of_all(site: &Site) -> Vec<Row> {
    site.clients
        .iter()
        .flat_map(|client| rows(site, client))
        .collect()
}

/// Imports the folder of an instance and starts a relay with what comes out, at other addresses and
/// behind a proxy.
fn imported(network: Network, folder: &Path) -> Relay {
    let mut relay = Relay::prepare(network, "");
    let (folder, output) = (
        folder.display().to_string(),
        relay.config().display().to_string(),
    );
    let again = relay.command(&["import", "postfix", &folder, "--output", &output]);
    again.expect_code(1);
    let ran = relay
        .command(&["import", "postfix", &folder, "--output", &output, "--force"])
        .expect_code(0);
    assert!(ran.err.contains("relay proof: closed"), "{}", ran.text());
    let text = fs::read_to_string(relay.config()).expect("what was imported");
    let (name, rest) = text
        .split_once("[listener.")
        .and_then(|(_, rest)| rest.split_once(']'))
        .expect("a listener");
    let bind = rest
        .lines()
        .find(|line| line.starts_with("bind = "))
        .expect("where it listens");
    let here = format!(
        "bind = \"{}:0\"\nproxy_protocol_from = [\"{}\"]",
        relay.network.relay(),
        relay.network.permitted()
    );
    let text = text.replace(bind, &here).replace("[limits]", NO_LIMITS);
    let whole = format!(
        "{}data_dir = {:?}\nconsole.bind = \"off\"\n{text}\n[spool]\nmin_free = \"0MB\"\n[log]\nformat = \"json\"\n{}",
        relay::account(),
        relay.data_dir(),
        crate::dns::config_for(relay.network.name_server()),
    );
    relay.write_whole_config(&whole);
    relay.run_with(name);
    relay
}

const NO_LIMITS: &str = "[limits]\nidle_commands = 10000\nmessages = 10000\nunknown_recipients = 10000\n\
    tarpit = \"0s\"\nrate_per_client = { connections = \"off\" }\nrate_per_network = { connections = \"off\" }";

fn of_postfix(proxy: IpAddr, postfix: &Postfix, rows: &[Row]) -> Vec<String> {
    let client = rows[0].client;
    let family = if client.contains(':') { "IPV6:" } else { "" };
    let mut dialogue = Dialogue::open(proxy, postfix.address);
    dialogue.ask("EHLO proxy.test", 250);
    let greeting = dialogue.say(&format!("XCLIENT ADDR={family}{client}"));
    answers(
        &mut dialogue,
        greeting.is_refusal().then(|| greeting.text()),
        rows,
    )
}

fn of_relay(relay: &Relay, rows: &[Row]) -> Vec<String> {
    let client = rows[0].client.parse().expect("an address");
    let mut dialogue = Dialogue::proxied(relay.network.permitted(), relay.address(), client);
    let greeting = dialogue.reply().expect("a greeting or a refusal");
    answers(
        &mut dialogue,
        greeting.is_refusal().then(|| greeting.text()),
        rows,
    )
}

fn answers(dialogue: &mut Dialogue, refused: Option<String>, rows: &[Row]) -> Vec<String> {
    if let Some(refused) = refused {
        return vec![refused; rows.len()];
    }
    dialogue.ask("EHLO client.test", 250);
    let mut answer = |row: &Row| {
        let mut reply = dialogue.say(&format!("MAIL FROM:<{}>", row.sender));
        if reply.code == 250 {
            reply = dialogue.say(&format!("RCPT TO:<{}>", row.recipient));
        }
        dialogue.ask("RSET", 250);
        reply.text()
    };
    rows.iter().map(&mut answer).collect()
}

#[test]
fn nothing_is_written_over_and_a_secret_is_not_shown() {
    let relay = Relay::prepare(Network::new(), "");
    let folder = relay.folder().join("postfix");
    fs::create_dir(&folder).expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
    write(
        "main.cf",
        "myhostname = a.example.com\nmynetworks = 10.0.0.0/8\nrelayhost = [192.0.2.1]:587\n\
        smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\n",
    );
    write("sasl_passwd", "[192.0.2.1]:587 relay:s3cret-word\n");
    // A device has no end, and is no file of a configuration.
    std::os::unix::fs::symlink("/dev/zero", folder.join("master.cf")).expect("a link");
    let import = |more: &[&str]| {
        let mut arguments = vec!["import", "postfix"];
        let folder = folder.display().to_string();
        arguments.push(&folder);
        arguments.extend(more);
        relay.command(&arguments)
    };
    let ran = import(&[]).expect_code(0);
    assert!(
        ran.out.contains("user = \"relay\"") && ran.err.contains("sasl_passwd:1"),
        "{}",
        ran.text()
    );
    assert!(!ran.text().contains("s3cret"), "{}", ran.text());
    let report = relay.folder().join("report").display().to_string();
    let ran = import(&["--report", &report, "--json"]).expect_code(0);
    assert!(
        ran.out.contains("\"fate\": \"translated\"") && !ran.out.contains("s3cret"),
        "{}",
        ran.text()
    );
    import(&["--report", &report]).expect_code(1);
    import(&["--report", &report, "--force"]).expect_code(0);
    assert_eq!(run("grep", &["-c", "s3cret", &report]).out.trim(), "0");
    fs::remove_file(folder.join("main.cf")).expect("it was there");
    import(&[]).expect_code(78);
}
