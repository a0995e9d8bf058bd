//! The hook that the documentation shows, beside the relay.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::client::{Dialogue, message};
use crate::dns::NameServer;
use crate::network::Network;
use crate::program::signal;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        signal("KILL", self.0.id());
        let _ended = self.0.wait();
    }
}

/// The program in docs/hooks.md.
fn documented() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/hooks.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, program) = page.split_once("```python\n").expect("a program");
    program.split("```\n").next().expect("its end").to_owned()
}

#[test]
fn the_hook_of_the_documentation_holds_what_it_is_for() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let file = |name: &str| relay.folder().join(name);
    // Which says as well what else it was told.
    let sender = "question[\"envelope\"][\"sender\"]";
    let facts = format!("{sender} + \" \" + json.dumps(question[\"facts\"])");
    let program = documented().replace(sender, &facts);
    fs::write(file("hook.py"), program).expect("a program");
    let records = "client TXT \"v=spf1 -all\"\n";
    let names = NameServer::start(relay.network.name_server(), records);
    fs::write(file("hook.key"), "open sesame\n").expect("a key");
    fs::set_permissions(file("hook.key"), fs::Permissions::from_mode(0o600)).expect("rights");
    let address = relay.network.free_port(relay.network.host(7));
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = Command::new("/usr/bin/python3");
    command.arg(file("hook.py")).args([&host, &port]);
    command.arg(file("hook.key")).stdin(Stdio::null());
    let _hook = Running(command.spawn().expect("python3"));
    until_true("the hook to listen", seconds(30), || {
        TcpStream::connect(address).is_ok()
    });
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n\
         [scanner.lottery]\nkind = \"hook\"\naddress = \"{address}\"\nservice = \"/\"\n\
         secret = \"file:hook.key\"\n[authentication]\nspf = true\n{}",
        server.route(),
        names.config(),
    ));
    relay.run();
    let send = |id: &str, text: &str| {
        let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
        let text = format!("{}{text}\r\n", message(id));
        let taken = client.submit("ann@client.test", &["bob@hosted.test"], &text);
        assert_eq!(taken.code, 250, "{}", taken.text());
    };
    send("plain", "Nothing to win.");
    let plain = server.wait_for("plain");
    assert_eq!(
        plain.header("X-Gatepost-Scan").as_deref(),
        Some("lottery clean")
    );
    send("prize", "You have won the lottery.");
    let held = &relay.wait_until_held(1)[0];
    let id = held["id"].as_str().expect("an id");
    relay.command(&["queue", "release", id]).expect_code(0);
    let prize = server.wait_for("prize");
    assert_eq!(
        prize.header("X-Lottery").as_deref(),
        Some("ann@client.test {\"direction\": \"in\", \"spf\": \"fail\"}")
    );
    let told = prize.header("X-Gatepost-Scan");
    assert_eq!(told.as_deref(), Some("lottery spam, quarantine (lottery)"));
    let form = relay.command(&["scanner", "openapi"]).expect_code(0).out;
    assert!(form.contains("Gatepost-Signature"), "{form}");
}
