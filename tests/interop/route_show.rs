//! `gatepost route show` against a real resolver and the live relay: mail goes where it says.

use serde_json::Value;

use crate::client::{message, submit};
use crate::dns::{self, NameServer};
use crate::network::Network;
use crate::program;
use crate::relay::Relay;
use crate::server::RecordingServer;

fn prefix(network: Network) -> String {
    let address = network.host(0).to_string();
    let prefix = address.strip_suffix(".0");
    prefix.expect("a network address").to_owned()
}

/// What is said of one thing, with its place.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines();
    let found = lines.find(|line| line.trim_start().starts_with(name));
    found.unwrap_or_else(|| panic!("no {name}: {text}"))
}

#[test]
fn mail_goes_where_route_show_says() {
    let network = Network::new();
    let zone = "far MX 20 b.far\nfar MX 10 a.far\na.far A NET.21\nb.far A NET.22\nnull MX 0 .";
    let zone = zone.replace("NET", &prefix(network));
    let names = NameServer::start(network.name_server(), &zone);
    let first = RecordingServer::start(network.free_port(network.host(21)));
    let port = first.address.port();
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"cloud\"\n\
         [domain.\"closed.test\"]\ntype = \"blocked\"\n\
         [route.cloud]\nhosts = \"[192.0.2.1]\"\npreset = \"microsoft365\"\n\
         auth.user = \"us@cloud.test\"\nauth.secret = \"file:cloud.secret\"\n\
         [forward]\n\"info@hosted.test\" = [\"info@hosted.test\", \"ann@far.test\"]\n\
         [outbound]\nport = {port}\nprivate_mx = [\"127.0.0.0/8\"]\ntls = \"off\"\nrate = \"900/1h\"\n\
         {}[queue]\nretry = [\"7m\", \"2h\"]\n",
        names.config()
    );
    let mut relay = Relay::prepare(network, &config);
    let secret = relay.folder().join("cloud.secret");
    std::fs::write(&secret, "NEVER_SHOWN\n").expect("the secret is written");
    program::run("chmod", &["600", &secret.display().to_string()]).expect_code(0);
    relay.run();

    let far = relay.command(&["route", "show", "bob@far.test"]);
    let far = far.expect_code(0).out;
    let hosts: Vec<&str> = far.lines().filter(|line| line.contains(" host ")).collect();
    let hop = |name: &str, last| format!("{name}.far.test [{}]:{port}", network.host(last));
    assert!(hosts[0].contains(&hop("a", 21)), "{far}");
    assert!(hosts[1].contains(&hop("b", 22)), "{far}");
    assert!(hosts[0].contains("in clear"), "{far}");
    for (name, written) in [
        ("tls", "tls = \"off\""),
        ("rate", "rate"),
        ("retry after", "retry"),
    ] {
        let place = relay.place_of(written);
        assert!(line(&far, name).ends_with(&place), "{place}: {far}");
    }
    submit(
        network.permitted(),
        relay.address(),
        "ann@hosted.test",
        &["bob@far.test"],
        &message("as-shown"),
    );
    first.wait_for("as-shown");

    let cloud = relay.command(&["route", "show", "bob@hosted.test"]);
    let cloud = cloud.expect_code(0).out;
    assert!(
        line(&cloud, "host").contains("[192.0.2.1]:587, encrypted, with a certificate"),
        "{cloud}"
    );
    let connections = line(&cloud, "connections");
    assert!(connections.contains(" 3 ") && connections.ends_with("preset"));
    let sign_in = line(&cloud, "sign-in");
    assert!(sign_in.contains("us@cloud.test") && sign_in.ends_with(&relay.place_of("auth.user")));
    assert!(!cloud.contains("NEVER_SHOWN"));

    for (recipient, code) in [
        ("bob@null.test", 1),
        ("bob@nowhere.test", 1),
        ("bob@closed.test", 1),
        ("bob@[127.0.0.1", 2),
    ] {
        let ran = relay.command(&["route", "show", recipient]);
        ran.expect_code(code);
    }
    let json = relay.command(&["route", "show", "--json", "info@hosted.test"]);
    let json: Value = serde_json::from_str(&json.expect_code(0).out).expect("JSON");
    let sites = [&json["ways"][0]["site"], &json["ways"][1]["site"]];
    assert_eq!(sites, ["route:cloud", "mx:far.test"]);
    assert_eq!(json["ways"][1]["hosts"][0]["name"], "a.far.test");
}

#[test]
fn what_dns_cannot_tell_is_75() {
    let network = Network::new();
    let config = format!(
        "{}timeout = \"1s\"\n",
        dns::config_for(network.name_server())
    );
    let relay = Relay::prepare(network, &config);
    let ran = relay.command(&["route", "show", "bob@far.test"]);
    let text = ran.expect_code(75).out;
    assert!(line(&text, "no way").contains("451 4.4.3"), "{text}");
}
