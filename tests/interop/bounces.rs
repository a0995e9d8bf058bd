//! What comes back to a sender whose message could not be delivered: one notice as RFC 3464 wants
//! it, read here by Python's own mail parser, and never a notice about a notice.

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::postfix::Postfix;
use crate::program::feed;
use crate::relay::Relay;
use crate::server::{Conduct, Received, RecordingServer, route_to};
use crate::wait::{seconds, until_true};

/// Prints the parts of a notice as JSON: what any mail program would make of it.
const TAKE_APART: &str = r#"
import email, email.policy, json, sys
notice = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(notice.iter_parts())
status = parts[1].get_payload()
print(json.dumps({
    "type": notice.get_content_type(),
    "report": notice.get_param("report-type"),
    "auto": notice["Auto-Submitted"],
    "to": notice["To"],
    "from": notice["From"],
    "parts": [part.get_content_type() for part in parts],
    "text": parts[0].get_content(),
    "message": dict(status[0].items()),
    "recipients": [dict(block.items()) for block in status[1:]],
    "original": parts[2].as_string() if len(parts) > 2 else "",
    "defects": [str(d) for part in notice.walk() for d in part.defects],
}))
"#;

fn taken_apart(notice: &Received) -> Value {
    let ran = feed("python3", &["-c", TAKE_APART], &notice.data).expect_code(0);
    serde_json::from_str(&ran.out).expect("JSON from Python")
}

/// A server for the senders' domain, `home.test`, and a relay that also hosts `hosted.test` at
/// `route`.
fn relay_with_home(route: &str, queue: &str) -> (Relay, RecordingServer) {
    let network = Network::new();
    let home = RecordingServer::start(network.free_port(network.host(11)));
    let config = format!(
        "[domain.\"home.test\"]\nroute = \"{}\"\n[domain.\"hosted.test\"]\nroute = \"{route}\"\n[queue]\n{queue}",
        home.route(),
    );
    (Relay::start(network, &config), home)
}

fn assert_is_report(notice: &Value) {
    assert_eq!(notice["type"], "multipart/report");
    assert_eq!(notice["report"], "delivery-status");
    assert_eq!(
        notice["defects"],
        Value::Array(Vec::new()),
        "Python's parser finds no fault"
    );
    assert!(
        notice["auto"]
            .as_str()
            .is_some_and(|value| value.starts_with("auto-")),
        "RFC 3834 marks it: {notice}"
    );
    assert_eq!(notice["parts"][0], "text/plain");
    assert_eq!(notice["parts"][1], "message/delivery-status");
    let original = notice["parts"][2].as_str().expect("a third part");
    assert!(
        ["text/rfc822-headers", "message/rfc822"].contains(&original),
        "{original}"
    );
    assert_eq!(notice["message"]["Reporting-MTA"], "dns; relay.test");
}

fn submit_to(relay: &Relay, recipient: &str, subject: &str) {
    submit(
        relay.network.stranger(),
        relay.address(),
        "ann@home.test",
        &[recipient],
        &message(subject),
    );
}

#[test]
fn an_expired_message_comes_back_as_one_report() {
    let nobody = Network::new().mail_server();
    let (relay, home) = relay_with_home(
        &route_to(nobody),
        "retry = [\"1s\"]\nexpire = \"4s\"\nprobe = \"1s\"\n",
    );
    submit_to(&relay, "bob@hosted.test", "expired");
    let notice = home.wait_where("a notice", |received| received.from.is_empty());
    assert_eq!(notice.to, ["ann@home.test"]);
    let report = taken_apart(&notice);
    assert_is_report(&report);
    let recipients = report["recipients"].as_array().expect("recipients");
    assert_eq!(recipients.len(), 1);
    assert_eq!(recipients[0]["Final-Recipient"], "rfc822; bob@hosted.test");
    assert_eq!(recipients[0]["Action"], "failed");
    let status = recipients[0]["Status"].as_str().expect("a status");
    // RFC 3463: 4.4.7 and 5.4.7 are "delivery time expired", 4.4.1 and 5.4.1 "no answer from host".
    assert!(
        ["4.4.7", "5.4.7", "4.4.1", "5.4.1"].contains(&status),
        "{status}"
    );
    let original = report["original"].as_str().expect("the original's header");
    assert!(original.contains("Subject: expired"), "{original}");
    relay.wait_until_empty();
    assert_eq!(home.count(), 1, "one notice, not two");
}

#[test]
fn a_refusal_comes_back_with_the_words_of_the_server() {
    let network = Network::new();
    let refuse = |path: &str| {
        path.starts_with("nobody")
            .then_some("550 5.1.1 <nobody@hosted.test> is not known here")
    };
    let server = RecordingServer::start_with(
        network.mail_server(),
        Conduct {
            at_recipient: refuse,
            ..Conduct::default()
        },
    );
    let (relay, home) = relay_with_home(&server.route(), "retry = [\"1s\"]\n");
    let recipients = ["bob@hosted.test", "nobody@hosted.test"];
    submit(
        relay.network.stranger(),
        relay.address(),
        "ann@home.test",
        &recipients,
        &message("half-refused"),
    );
    assert_eq!(
        server.wait_for("half-refused").to,
        ["bob@hosted.test"],
        "the other recipient gets the message"
    );

    let report = taken_apart(&home.wait_where("a notice", |received| received.from.is_empty()));
    assert_is_report(&report);
    let recipients = report["recipients"].as_array().expect("recipients");
    assert_eq!(
        recipients.len(),
        1,
        "only the refused recipient is reported: {report}"
    );
    assert_eq!(
        recipients[0]["Final-Recipient"],
        "rfc822; nobody@hosted.test"
    );
    assert_eq!(recipients[0]["Status"], "5.1.1");
    let diagnostic = recipients[0]["Diagnostic-Code"]
        .as_str()
        .expect("the server's words");
    assert!(
        diagnostic.starts_with("smtp;") && diagnostic.contains("is not known here"),
        "{diagnostic}"
    );
}

#[test]
fn a_refused_message_comes_back() {
    let network = Network::new();
    let conduct = Conduct {
        at_end: |_| Some("554 5.6.0 not this one"),
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let (relay, home) = relay_with_home(&server.route(), "retry = [\"1s\"]\n");
    submit_to(&relay, "bob@hosted.test", "refused-whole");
    let report = taken_apart(&home.wait_where("a notice", |received| received.from.is_empty()));
    assert_is_report(&report);
    assert_eq!(report["recipients"][0]["Status"], "5.6.0");
}

#[test]
fn a_long_wait_is_reported_once_and_the_message_goes_on_waiting() {
    let network = Network::new();
    let address = network.mail_server();
    let queue = "retry = [\"1s\"]\nprobe = \"1s\"\nexpire = \"1h\"\ndelay_notice = \"2s\"\n";
    let (relay, home) = relay_with_home(&route_to(address), queue);
    submit_to(&relay, "bob@hosted.test", "delayed");
    let notice = home.wait_where("a delay notice", |received| received.from.is_empty());
    let report = taken_apart(&notice);
    assert_is_report(&report);
    assert_eq!(report["recipients"][0]["Action"], "delayed");
    assert_eq!(bounce_parser(&notice), "none ");
    assert_eq!(flufl(&notice), "bob@hosted.test\n\n");
    assert_eq!(sisimai(&notice), "bob@hosted.test delayed 4.4.1 expired");
    let tries = || {
        relay
            .queue()
            .iter()
            .filter_map(|row| row["tries"].as_u64())
            .max()
            .unwrap_or(0)
    };
    let at_notice = tries();
    until_true("two more attempts", seconds(30), || {
        tries() >= at_notice + 2
    });
    assert_eq!(home.count(), 1, "one delay notice, not one per attempt");
    let server = RecordingServer::start(address);
    server.wait_for("delayed");
}

/// A server that refuses every recipient.
fn refusing(network: &Network) -> RecordingServer {
    let conduct = Conduct {
        at_recipient: |_| Some("550 5.1.1 nobody here"),
        ..Conduct::default()
    };
    RecordingServer::start_with(network.mail_server(), conduct)
}

/// A message whose sender's own server refuses the notice: it becomes badmail.
fn submit_badmail(relay: &Relay, subject: &str) {
    submit(
        relay.network.stranger(),
        relay.address(),
        "gone@hosted.test",
        &["bob@hosted.test"],
        &message(subject),
    );
}

#[test]
fn mail_from_the_null_sender_that_is_refused_is_dropped_and_logged_and_counted() {
    let network = Network::new();
    let server = refusing(&network);
    let nobody = network.free_port(network.host(12));
    let more = format!("[domain.\"silent.test\"]\nroute = \"{}\"", route_to(nobody));
    let queue = format!("retry = [\"1s\"]\nprobe = \"1s\"\nexpire = \"3s\"\n{more}");
    let (mut relay, home) = relay_with_home(&server.route(), &queue);
    let send = |to: &[&str]| {
        let large = format!("{}{}", message("null"), "x\r\n".repeat(200_000));
        let stranger = relay.network.stranger();
        submit(stranger, relay.address(), "", to, &large);
    };
    send(&["bob@hosted.test", "carl@hosted.test"]);
    // One that expires.
    send(&["dan@silent.test"]);
    relay.wait_until_empty();
    for (to, reply) in [
        ("bob@hosted.test", "550 5.1.1 nobody here"),
        ("carl@hosted.test", "550 5.1.1 nobody here"),
        ("dan@silent.test", "554 5.4.7 delivery time expired"),
    ] {
        relay.wait_for_log(&["dropped", "\"id\"", to, reply]);
    }
    let status = relay.status().expect("a running relay");
    assert_eq!(status["queue"]["dropped"], 3);
    assert_eq!(home.count(), 0, "nobody is told");
    // Nothing of it is on the disk any more, and nothing comes back.
    assert!(relay.stop().success());
    let bodies = relay.data_dir().join("spool/bodies");
    let left = std::fs::read_dir(bodies).map_or(0, |folder| folder.count());
    assert_eq!(left, 0);
    relay.run();
    assert_eq!(relay.queued(), 0);
}

#[test]
fn badmail_is_kept_for_its_age_and_then_dropped() {
    let network = Network::new();
    let server = refusing(&network);
    let queue = "retry = [\"1s\"]\nbadmail_age = \"6s\"\n";
    let (relay, _home) = relay_with_home(&server.route(), queue);
    submit_badmail(&relay, "soon-gone");
    let held = relay.wait_for_log(&["held as badmail", "gone@hosted.test", "nobody here"]);
    assert!(held.contains("\"id\""), "{held}");
    let listed = relay.command(&["queue", "list", "state:badmail", "--json"]);
    assert!(listed.expect_code(0).out.contains("gone@hosted.test"));
    relay.wait_for_log(&["dropped: badmail", "gone@hosted.test", "queue.badmail_age"]);
    relay.wait_until_empty();
    assert_eq!(relay.status().expect("a status")["queue"]["dropped"], 1);
}

/// The queue id in a line of the log.
fn id_in(line: &str) -> String {
    let line: Value = serde_json::from_str(line).expect("a line of JSON");
    line["id"].as_str().expect("an id").to_owned()
}

#[test]
fn badmail_is_looked_into_sent_again_and_purged() {
    let network = Network::new();
    let server = refusing(&network);
    let known = format!(
        "[domain.\"known.test\"]\nroute = \"{}\"\nrecipients = [\"bob@known.test\"]\n",
        server.route()
    );
    let queue = "retry = [\"1s\"]\nndr.strangers = \"badmail\"\n";
    let (relay, home) = relay_with_home(&server.route(), &format!("{queue}{known}"));
    submit_badmail(&relay, "lost");
    let notice = relay.wait_for_log(&["held as badmail", "gone@hosted.test", "nobody here"]);
    let notice = id_in(&notice);
    let view = |id: &str| relay.command(&["queue", "view", id]);
    let shown = view(&notice).expect_code(0).out;
    for line in [
        "to        gone@hosted.test\n",
        "held as   badmail: 550 5.1.1 nobody here\n",
        "Auto-Submitted: auto-replied\n",
        "bob@hosted.test",
        "message/delivery-status",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    // What a stranger wrote drives no terminal, and no part of it is more than text.
    let hostile = "Subject: =?utf-8?q?a=1b[2Jb?=\r\nContent-Type: text/html\r\n\r\n\
                   <script>alert(1)</script><p>shown \u{1b}[31mred</p>\r\n";
    let stranger = relay.network.stranger();
    let to = ["bob@known.test"];
    submit(stranger, relay.address(), "ann@home.test", &to, hostile);
    let stranger = relay.wait_for_log(&["held as badmail", "bob@known.test", "nobody here"]);
    let stranger = id_in(&stranger);
    let shown = view(&stranger).expect_code(0).out;
    assert!(shown.contains("Subject: a\\x1b[2Jb\n"), "{shown}");
    assert!(shown.contains("| shown \\x1b[31mred"), "{shown}");
    assert!(
        !shown.contains(['\u{1b}', '<']) || !shown.contains("script"),
        "{shown}"
    );
    let rows = relay.command(&["--json", "queue", "view", &stranger]);
    let rows: Value = serde_json::from_str(&rows.expect_code(0).out).expect("JSON");
    assert_eq!(rows["recipients"][0]["to"], "bob@known.test");
    assert_eq!(rows["recipients"][0]["rule"], Value::Null);
    // What is held for another reason is not shown so.
    relay.command(&["queue", "pause"]).expect_code(0);
    submit_to(&relay, "eve@hosted.test", "waiting");
    let waiting = relay.queue();
    let waiting = waiting.iter().find(|row| row["to"] == "eve@hosted.test");
    let waiting = waiting.and_then(|row| row["id"].as_str()).expect("a row");
    for _ in 0..2 {
        let refused = view(waiting);
        assert_eq!(refused.code, 1, "{}", refused.text());
        assert!(refused.err.contains("is not badmail"), "{}", refused.err);
        relay
            .command(&["queue", "hold", "to:eve@hosted.test"])
            .expect_code(0);
    }
    relay
        .command(&["queue", "delete", "to:eve@hosted.test", "--yes"])
        .expect_code(0);
    relay.command(&["queue", "resume"]).expect_code(0);
    // Its server takes it by now.
    let config = std::fs::read_to_string(relay.config()).expect("a configuration");
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"", server.route());
    let moved = format!("[domain.\"hosted.test\"]\nroute = \"{}\"", home.route());
    relay.write_whole_config(&config.replace(&hosted, &moved));
    relay.command(&["reload"]).expect_code(0);
    let filter = format!("id:{notice}");
    let again = relay.command(&["queue", "release", &filter, "state:badmail"]);
    assert_eq!(again.expect_code(0).out.trim(), "release: 1 recipients");
    let came = home.wait_where("the notice", |got| got.to == ["gone@hosted.test"]);
    assert_is_report(&taken_apart(&came));
    let purge = ["queue", "delete", "state:badmail"];
    assert_eq!(relay.command(&purge).code, 2, "it asks first");
    let purged = relay.command(&[&purge[..], &["--yes"]].concat());
    assert_eq!(purged.expect_code(0).out.trim(), "delete: 1 recipients");
    relay.wait_until_empty();
    assert_eq!(view(&stranger).code, 1);
    assert_eq!(home.count(), 1, "nobody is told");
}

#[test]
fn the_oldest_badmail_makes_room_when_there_is_too_much() {
    let network = Network::new();
    let server = refusing(&network);
    // Each notice has about 2 kB.
    let queue = "retry = [\"1s\"]\nbadmail_size = \"5kB\"\n";
    let (relay, _home) = relay_with_home(&server.route(), queue);
    let held = || -> Vec<String> {
        let listed = relay.command(&["queue", "list", "state:badmail", "--json"]);
        let rows: Value = serde_json::from_str(&listed.expect_code(0).out).expect("JSON");
        let rows = rows.as_array().expect("rows").iter();
        let mut ids: Vec<String> = rows.map(|row| row["id"].to_string()).collect();
        ids.sort();
        ids
    };
    for n in 1..=2 {
        submit_badmail(&relay, "kept");
        until_true("badmail", seconds(30), || held().len() == n);
    }
    let before = held();
    submit_badmail(&relay, "one-too-many");
    relay.wait_for_log(&["dropped: badmail", "queue.badmail_size"]);
    let after = held();
    assert_eq!((after.len(), &after[0]), (2, &before[1]), "{before:?}");
    assert!(after[1] > before[1], "the newest stays");
}

#[test]
fn badmail_that_is_not_wanted_is_dropped_at_once() {
    let network = Network::new();
    let server = refusing(&network);
    let queue = "retry = [\"1s\"]\nbadmail = \"discard\"\n";
    let (relay, _home) = relay_with_home(&server.route(), queue);
    submit_badmail(&relay, "unwanted");
    relay.wait_for_log(&["dropped", "gone@hosted.test", "nobody here"]);
    relay.wait_until_empty();
}

/// The whole way: the client is told apart when it connects, and the answer is needed when all
/// attempts are over.
#[test]
fn strangers_get_no_bounce_where_recipients_are_known_and_that_is_wished() {
    let network = Network::new();
    let server = refusing(&network);
    let open = RecordingServer::start_with(
        network.free_port(network.host(12)),
        Conduct {
            at_recipient: |_| Some("550 5.1.1 nobody here"),
            ..Conduct::default()
        },
    );
    let more = format!(
        "ndr.strangers = \"badmail\"\n[domain.\"known.test\"]\nroute = \"{}\"\nrecipients = [\"bob@known.test\"]\n",
        open.route()
    );
    let (relay, home) = relay_with_home(&server.route(), &more);
    let send = |client, to: &str, subject: &str| {
        submit(
            client,
            relay.address(),
            "ann@home.test",
            &[to],
            &message(subject),
        );
    };
    send(relay.network.stranger(), "bob@known.test", "held");
    relay.wait_for_log(&["held as badmail", "bob@known.test", "nobody here"]);
    // A mail server of ours is no stranger, and a domain without a list takes whatever comes.
    send(
        relay.network.permitted(),
        "bob@known.test",
        "by-a-mail-server",
    );
    send(relay.network.stranger(), "bob@hosted.test", "no-list");
    for subject in ["by-a-mail-server", "no-list"] {
        home.wait_where("a bounce", |got| {
            got.from.is_empty() && got.text().contains(&format!("Subject: {subject}"))
        });
    }
    let listed = relay.command(&["queue", "list", "state:badmail", "--json"]);
    let rows: Value = serde_json::from_str(&listed.expect_code(0).out).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!(home.count(), 2, "nobody hears of the one that is held");
}

#[test]
fn the_postmaster_gets_copies_of_bounces() {
    let network = Network::new();
    let server = refusing(&network);
    let queue = "retry = [\"1s\"]\nndr.copy_to = \"postmaster@home.test\"\n";
    let (relay, home) = relay_with_home(&server.route(), queue);
    submit_to(&relay, "bob@hosted.test", "copied");
    let of = |to: &str| home.wait_where("a notice", |got| got.to == [to]);
    let (bounce, copy) = (of("ann@home.test"), of("postmaster@home.test"));
    assert_eq!((&*bounce.from, &*copy.from), ("", ""));
    assert_eq!(copy.subject(), format!("Copy: {}", bounce.subject()));
    let report = taken_apart(&copy);
    assert_is_report(&report);
    assert_eq!(report["recipients"], taken_apart(&bounce)["recipients"]);
    let words = report["text"].as_str().expect("words");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "a copy of the notice that the sender of the message, <ann@home.test>, gets.";
    assert!(words.contains(told), "{words}");
}

#[test]
fn a_notice_that_cannot_be_delivered_makes_no_other_notice() {
    let network = Network::new();
    let server = refusing(&network);
    let (relay, home) = relay_with_home(&server.route(), "retry = [\"1s\"]\n");
    // A message from the null sender, as every notice is.
    submit(
        relay.network.stranger(),
        relay.address(),
        "",
        &["bob@hosted.test"],
        &message("null-sender"),
    );
    submit_badmail(&relay, "gone");
    relay.wait_until_held(1);
    assert_eq!((home.count(), server.count()), (0, 0));
    assert!(server.connections() >= 1);
}

/// What Mail::DeliveryStatus::BounceParser makes of a notice.
const BOUNCE_PARSER: &str = "
use Mail::DeliveryStatus::BounceParser;
local $/;
my $notice = Mail::DeliveryStatus::BounceParser->new(<STDIN>);
print $notice->is_bounce ? 'bounce' : 'none', ' ', join(',', $notice->addresses);
";

/// What flufl.bounce makes of it: who failed for now, who for good.
const FLUFL: &str = "
import email, sys
from flufl.bounce import all_failures
for found in all_failures(email.message_from_binary_file(sys.stdin.buffer)):
    print(*sorted(address.decode() for address in found))
";

/// What Sisimai makes of it: for each recipient the action, the status and its own word for why.
const SISIMAI: &str = "
use Sisimai;
binmode STDOUT, ':utf8';
my $found = Sisimai->make('STDIN', 'delivered' => 1) // [];
print join(' ', map { $_->recipient->address, $_->action, $_->deliverystatus, $_->reason } @$found);
";

fn sisimai(notice: &Received) -> String {
    // It reads files as programs of this system write them.
    let lines = notice.text().replace("\r\n", "\n");
    feed("perl", &["-e", SISIMAI], lines.as_bytes())
        .expect_code(0)
        .out
}

fn bounce_parser(notice: &Received) -> String {
    feed("perl", &["-e", BOUNCE_PARSER], &notice.data)
        .expect_code(0)
        .out
}

fn flufl(notice: &Received) -> String {
    // Debian's own Python, for which it has the package.
    let ran = feed("/usr/bin/python3", &["-c", FLUFL], &notice.data);
    ran.expect_code(0).out
}

fn from_us(received: &Received) -> bool {
    received.from.is_empty() && received.text().contains("postmaster@relay.test")
}

/// One message over a connection of its own, with parameters.
fn submit_with(relay: &Relay, parameters: &str, recipients: &[&str], subject: &str) {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    dialogue.ask(&format!("MAIL FROM:<ann@home.test> {parameters}"), 250);
    for recipient in recipients {
        dialogue.ask(&format!("RCPT TO:{recipient}"), 250);
    }
    dialogue.ask("DATA", 354);
    dialogue.send(message(subject).as_bytes());
    dialogue.ask(".", 250);
}

fn refuses_nobody(path: &str) -> Option<&'static str> {
    path.starts_with("nobody")
        .then_some("550 5.1.1 not known here")
}

#[test]
fn each_kind_of_action_has_a_notice_of_its_own_that_bounce_readers_read() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: refuses_nobody,
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let (relay, home) = relay_with_home(&server.route(), "retry = [\"1s\"]\n");
    let recipients = [
        "<bob@hosted.test> NOTIFY=SUCCESS,FAILURE",
        "<nobody@hosted.test> NOTIFY=SUCCESS,FAILURE",
    ];
    submit_with(&relay, "", &recipients, "mixed");
    let told = |action: &str| {
        let field = format!("\r\nAction: {action}\r\n");
        home.wait_where(action, |received| received.text().contains(&field))
    };
    let (failed, relayed) = (told("failed"), told("relayed"));
    assert_eq!(bounce_parser(&failed), "bounce nobody@hosted.test");
    assert_eq!(flufl(&failed), "\nnobody@hosted.test\n");
    assert_eq!(
        sisimai(&failed),
        "nobody@hosted.test failed 5.1.1 userunknown"
    );
    assert_eq!(bounce_parser(&relayed), "none ");
    assert_eq!(flufl(&relayed), "\n\n");
    assert_eq!(sisimai(&relayed), "bob@hosted.test relayed 2.0.0 delivered");
    for (notice, spoken) in [(&failed, "550 5.1.1 not known here"), (&relayed, "250 ")] {
        let report = taken_apart(notice);
        assert_is_report(&report);
        let recipients = report["recipients"].as_array().expect("recipients");
        assert_eq!(recipients.len(), 1, "{report}");
        let remote = format!("dns; [{}]", server.address.ip());
        assert_eq!(recipients[0]["Remote-MTA"], remote.as_str());
        let code = recipients[0]["Diagnostic-Code"].as_str().expect("a code");
        assert!(code.starts_with(&format!("smtp; {spoken}")), "{code}");
    }
    assert_eq!(home.count(), 2);
}

/// RFC 6533: a notice about an address beyond ASCII has parts of other types, of which two of the
/// readers know nothing and the third not what the address is. Every other notice has the types that
/// they know, whatever extension the message used.
#[test]
fn only_a_notice_that_needs_them_has_parts_for_addresses_beyond_ascii() {
    let network = Network::new();
    let server = refusing(&network);
    let (relay, home) = relay_with_home(&server.route(), "retry = [\"1s\"]\n");
    submit_with(&relay, "SMTPUTF8", &["<nobody@hosted.test>"], "within");
    let about = |subject: &str| {
        let subject = format!("Subject: {subject}");
        home.wait_where("a notice", |got| {
            from_us(got) && got.text().contains(&subject)
        })
    };
    let within = about("within");
    assert_eq!(bounce_parser(&within), "bounce nobody@hosted.test");
    assert_eq!(flufl(&within), "\nnobody@hosted.test\n");
    assert_eq!(
        sisimai(&within),
        "nobody@hosted.test failed 5.1.1 userunknown"
    );
    submit_with(&relay, "SMTPUTF8", &["<j\u{fc}rgen@hosted.test>"], "beyond");
    let beyond = about("beyond");
    assert_eq!(bounce_parser(&beyond), "bounce ");
    let text = beyond.text();
    for line in [
        "Content-Type: message/global-delivery-status",
        "Final-Recipient: utf-8; j\u{fc}rgen@hosted.test",
        "Content-Type: message/global-headers",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn what_no_server_said_is_told_as_our_words_and_an_end_without_a_notice_is_logged() {
    let nobody = Network::new().mail_server();
    let queue = "retry = [\"1s\"]\nexpire = \"3s\"\nprobe = \"1s\"\n";
    let (relay, home) = relay_with_home(&route_to(nobody), queue);
    let recipients = ["<bob@hosted.test>", "<silent@hosted.test> NOTIFY=NEVER"];
    submit_with(&relay, "", &recipients, "unreachable");
    let notice = home.wait_where("a notice", from_us);
    let report = taken_apart(&notice);
    assert_is_report(&report);
    let recipients = report["recipients"].as_array().expect("recipients");
    assert_eq!(recipients.len(), 1, "{report}");
    assert_eq!(recipients[0]["Status"], "5.4.7");
    assert_eq!(recipients[0]["Remote-MTA"], Value::Null);
    let code = recipients[0]["Diagnostic-Code"].as_str().expect("a code");
    assert!(
        code.starts_with("x-gatepost; 451 4.4.1 Could not"),
        "{code}"
    );
    for to in ["bob@hosted.test", "silent@hosted.test"] {
        relay.wait_for_log(&[
            "\"expired\"",
            "\"id\"",
            to,
            "554 5.4.7 delivery time expired",
        ]);
    }
    relay.wait_until_empty();
    assert_eq!(flufl(&notice), "\nbob@hosted.test\n");
    assert_eq!(sisimai(&notice), "bob@hosted.test failed 4.4.1 expired");
}

#[test]
fn mail_filed_for_a_local_domain_is_reported_as_delivered() {
    let network = Network::new();
    let home = RecordingServer::start(network.mail_server());
    let drop = tempfile::TempDir::new().expect("a folder");
    let config = format!(
        "[domain.\"home.test\"]\nroute = \"{}\"\n[domain.\"apps.test\"]\ntype = \"local\"\ndrop_directory = {:?}\n",
        home.route(),
        drop.path().join("mail"),
    );
    let relay = Relay::start(network, &config);
    submit_with(&relay, "", &["<bob@apps.test> NOTIFY=SUCCESS"], "filed");
    let report = taken_apart(&home.wait_where("a notice", from_us));
    assert_is_report(&report);
    let recipient = &report["recipients"][0];
    assert_eq!(
        (&recipient["Action"], &recipient["Status"]),
        (&"delivered".into(), &"2.0.0".into())
    );
    assert_eq!(recipient["Remote-MTA"], Value::Null);
}

#[test]
fn envelope_ids_and_original_recipients_with_blanks_are_written_as_postfix_writes_them() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: refuses_nobody,
        ..Conduct::default()
    };
    // Postfix and we send to one server, which gets the notices of both.
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let config = format!(
        "[domain.\"home.test\"]\nroute = \"{0}\"\n[domain.\"hosted.test\"]\nroute = \"{0}\"\n",
        server.route(),
    );
    let relay = Relay::start(network, &config);
    let settings = format!("relayhost = {}", server.route());
    let postfix = Postfix::start(relay.network.free_port(relay.network.host(13)), &settings);
    let cases = [
        ("a+20b", "\"Ann+20B\"@else.test"),
        ("a+20+20+2Bb", "nobody+2B+2B@else.test"),
    ];
    for (n, (envid, original)) in cases.iter().enumerate() {
        for to in [relay.address(), postfix.address] {
            let mut dialogue = Dialogue::ready(relay.network.stranger(), to);
            dialogue.ask(&format!("MAIL FROM:<ann@home.test> ENVID={envid}"), 250);
            let original = format!("RCPT TO:<nobody@hosted.test> ORCPT=rfc822;{original}");
            dialogue.ask(&original, 250);
            dialogue.ask("DATA", 354);
            dialogue.send(message(&format!("odd-{n}")).as_bytes());
            dialogue.ask(".", 250);
        }
        let fields = |by: &str| {
            let about = format!("Subject: odd-{n}");
            let notice = server.wait_where(by, |received| {
                let text = received.text();
                received.from.is_empty() && text.contains(by) && text.contains(&about)
            });
            let report = taken_apart(&notice);
            let original = report["recipients"][0]["Original-Recipient"].clone();
            (report["message"]["Original-Envelope-Id"].clone(), original)
        };
        let ours = fields("Reporting-MTA: dns; relay.test");
        assert_eq!(
            ours,
            fields("Reporting-MTA: dns; postfix.test"),
            "{envid} {original}"
        );
        assert!(
            ours.0.as_str().is_some_and(|id| id.contains(' ')),
            "{ours:?}"
        );
    }
}

#[test]
fn answers_to_notices_go_to_the_postmaster_of_the_configuration() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: refuses_nobody,
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let config = format!(
        "[domain.\"home.test\"]\nroute = \"{0}\"\n[domain.\"hosted.test\"]\nroute = \"{0}\"\n",
        server.route(),
    );
    let mut relay = Relay::prepare(network, &config);
    let written = std::fs::read_to_string(relay.config()).expect("a configuration");
    relay.write_whole_config(&format!("postmaster = \"help@home.test\"\n{written}"));
    relay.run();
    submit_to(&relay, "nobody@hosted.test", "answer-me");
    let notice = server.wait_where("a notice", from_us);
    assert_eq!(
        notice.header("Reply-To").as_deref(),
        Some("<help@home.test>")
    );
}

/// A server that takes messages of up to so many octets, as it says.
const SMALL: &[&str] = &["PIPELINING", "8BITMIME", "SIZE 1000", "ENHANCEDSTATUSCODES"];

#[test]
fn a_message_too_large_for_every_host_of_its_site_comes_back_even_by_the_same_way() {
    let network = Network::new();
    let conduct = || Conduct {
        extensions: SMALL,
        // It means what it says.
        at_end: |received| (received.data.len() > 1000).then_some("552 5.3.4 too large"),
        ..Conduct::default()
    };
    let first = RecordingServer::start_with(network.free_port(network.host(12)), conduct());
    let second = RecordingServer::start_with(network.free_port(network.host(13)), conduct());
    let route = format!("[\"{}\", \"{}\"]", first.route(), second.route());
    let config = format!(
        "[domain.\"home.test\"]\nroute = {route}\n[domain.\"hosted.test\"]\nroute = {route}\n"
    );
    let relay = Relay::start(network, &config);
    let large = format!("{}{}", message("large"), "x\r\n".repeat(1000));
    let stranger = relay.network.stranger();
    submit(
        stranger,
        relay.address(),
        "ann@home.test",
        &["bob@hosted.test"],
        &large,
    );
    // The notice is shortened until it fits.
    let notice = first.wait_where("a notice", from_us);
    let report = taken_apart(&notice);
    assert_eq!(
        report["defects"],
        Value::Array(Vec::new()),
        "{}",
        notice.text()
    );
    let recipient = &report["recipients"][0];
    assert_eq!(recipient["Final-Recipient"], "rfc822; bob@hosted.test");
    assert_eq!(
        (&recipient["Action"], &recipient["Status"]),
        (&"failed".into(), &"5.3.4".into())
    );
    let code = recipient["Diagnostic-Code"].as_str().expect("a code");
    assert!(code.starts_with("x-gatepost; 552 5.3.4"), "{code}");
    assert_eq!(bounce_parser(&notice), "bounce bob@hosted.test");
    assert!(second.connections() > 0, "the other host was asked");
    relay.wait_until_empty();
}

#[test]
fn a_message_too_large_for_one_host_is_taken_by_another_of_its_site() {
    let network = Network::new();
    let conduct = Conduct {
        extensions: SMALL,
        ..Conduct::default()
    };
    let small = RecordingServer::start_with(network.free_port(network.host(12)), conduct);
    let large = RecordingServer::start(network.free_port(network.host(13)));
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = [\"{}\", \"{}\"]\n",
        small.route(),
        large.route(),
    );
    let relay = Relay::start(network, &config);
    let text = format!("{}{}", message("large"), "x\r\n".repeat(1000));
    let stranger = relay.network.stranger();
    submit(
        stranger,
        relay.address(),
        "ann@home.test",
        &["bob@hosted.test"],
        &text,
    );
    large.wait_for("large");
    assert_eq!(small.count(), 0);
    assert!(small.connections() > 0);
}

#[test]
fn a_message_to_many_domains_comes_back_in_one_notice() {
    let network = Network::new();
    let conduct = || Conduct {
        at_recipient: refuses_nobody,
        ..Conduct::default()
    };
    let servers: Vec<_> = (12..16)
        .map(|n| RecordingServer::start_with(network.free_port(network.host(n)), conduct()))
        .collect();
    let domains = servers
        .iter()
        .enumerate()
        .map(|(n, server)| format!("[domain.\"d{n}.test\"]\nroute = \"{}\"\n", server.route()));
    let domains: String = domains.collect();
    let (relay, home) = relay_with_home(
        &route_to(network.mail_server()),
        &format!("retry = [\"1s\"]\n{domains}"),
    );
    let recipients: Vec<String> = (0..4).map(|n| format!("<nobody@d{n}.test>")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    submit_with(&relay, "", &recipients, "to-many");
    let notice = home.wait_where("a notice", from_us);
    let report = taken_apart(&notice);
    assert_is_report(&report);
    let told = report["recipients"].as_array().expect("recipients").len();
    relay.wait_until_empty();
    assert_eq!((told, home.count()), (4, 1));
}

#[test]
fn what_the_administrator_bounces_comes_back_with_his_reason() {
    let nobody = Network::new().mail_server();
    let (relay, home) = relay_with_home(&route_to(nobody), "retry = [\"1h\"]\n");
    submit_to(&relay, "bob@hosted.test", "given up");
    let queue = ["queue", "bounce", "to:bob@hosted.test"];
    let unconfirmed = relay.command(&queue);
    assert_eq!(unconfirmed.code, 2);
    assert!(unconfirmed.err.contains("--yes"), "{}", unconfirmed.err);
    let reason = ["--yes", "--reason", "the branch is closed"];
    let bounced = relay.command(&[&queue[..], &reason].concat());
    assert_eq!(
        (bounced.code, bounced.out.trim()),
        (0, "bounce: 1 recipients")
    );
    let notice = home.wait_where("a notice", |received| received.from.is_empty());
    let report = taken_apart(&notice);
    assert_is_report(&report);
    assert_eq!(report["recipients"][0]["Action"], "failed");
    assert_eq!(report["recipients"][0]["Status"], "5.3.0");
    let text = notice.text();
    assert!(
        text.contains("given up by the administrator: the branch is closed"),
        "{text}"
    );
    relay.wait_until_empty();
    let log = relay.log();
    assert!(log.contains(r#""reason":"the branch is closed""#), "{log}");
}
