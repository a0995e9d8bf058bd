//! Mail that waits until its server asks for it: fetchmail asks by ETRN.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::{Ran, run};
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

/// Asks for the mail of these domains, as a host behind a line that is up now and then.
fn fetchmail(relay: &Relay, domains: &[&str]) -> Ran {
    let (host, port) = (relay.address().ip(), relay.address().port());
    let file = relay.folder().join("fetchmailrc");
    let fetched = domains.join(" ");
    let text = format!("poll {host} protocol etrn service {port} fetchdomains {fetched}\n");
    fs::write(&file, text).expect("a file for fetchmail");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&file, private).expect("its mode");
    let pid = relay.folder().join("fetchmail.pid");
    let words = [
        "--nodetach",
        "-v",
        "--fetchmailrc",
        file.to_str().expect("text"),
        "--pidfile",
        pid.to_str().expect("text"),
    ];
    run("fetchmail", &words)
}

#[test]
fn fetchmail_asks_and_gets_what_waits() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    // fetchmail has no word for the address from which it comes.
    let domain = |name: &str, client: &str| {
        format!(
            "[domain.\"{name}\"]\nroute = \"{}\"\n\
             on_demand = {{ clients = [\"{client}\"], expire = \"9d\" }}\n",
            server.route()
        )
    };
    let own = "127.0.0.1";
    let other = network.host(99).to_string();
    let config = format!(
        "{}{}",
        domain("office.test", own),
        domain("other.test", &other)
    );
    let mut relay = Relay::start(network, &config);

    let idle = fetchmail(&relay, &["office.test"]).expect_code(0);
    assert!(idle.text().contains("250"), "{}", idle.text());

    let mut dialogue = Dialogue::ready(network.stranger(), relay.address());
    let to = ["bob@office.test", "eve@other.test"];
    for id in ["one", "two"] {
        dialogue.submit("ann@client.test", &to, &message(id));
    }
    dialogue.ask("ETRN office.test", 459);
    let rows = relay.queue();
    assert_eq!(rows.len(), 4, "{rows:?}");
    let waits = rows[0]["waits_for"].as_str().expect("why it waits");
    let place = relay.place_of("on_demand = ");
    assert_eq!(
        waits,
        format!("until its server asks for it by ETRN ({place})")
    );
    let shape = relay.command(&["queue", "shape"]).expect_code(0).out;
    assert!(shape.contains("on-demand:office.test"), "{shape}");
    let shown = relay.command(&["route", "show", "bob@office.test"]).out;
    assert!(
        shown.contains("waits until somebody asks by ETRN"),
        "{shown}"
    );
    assert!(shown.contains("\"9d\""), "{shown}");
    let said = relay.command(&[
        "relay",
        "check",
        "--client",
        "192.0.2.1",
        "--rcpt",
        "bob@office.test",
    ]);
    assert!(
        said.out.contains("waits until somebody asks"),
        "{}",
        said.text()
    );
    // It waits over a restart as well.
    relay.kill();
    relay.run();
    assert_eq!((server.count(), relay.queue().len()), (0, 4));

    fetchmail(&relay, &["office.test"]).expect_code(0);
    until_true("both messages to arrive", seconds(30), || {
        server.count() == 2
    });
    until_true("the rest to wait", seconds(30), || relay.queue().len() == 2);
    let to = server.received().into_iter().flat_map(|message| message.to);
    assert!(to.into_iter().all(|to| to == "bob@office.test"));
    // fetchmail calls it a failed login, and leaves out the domains behind it.
    let refused = fetchmail(&relay, &["other.test", "office.test"]).expect_code(3);
    assert!(refused.text().contains("459"), "{}", refused.text());
    relay.wait_for_log(&["mail was asked for", "office.test"]);
}
