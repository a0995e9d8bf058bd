//! The console in a real browser: Chromium, as people use it. `browser/console.mjs` says what it does
//! and what it looks for on every page.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::path_of;
use crate::relay::{Relay, binary};
use crate::server::{Conduct, RecordingServer};
use crate::wait::{seconds, until};

/// What strangers write where it is shown: it has to be text everywhere.
const HOSTILE: &str = "<script>document.title='stolen'</script><img src=x onerror=alert(1)>";

/// A relay that has seen some mail.
struct Scene {
    relay: Relay,
    console: SocketAddr,
    _server: RecordingServer,
}

impl Scene {
    fn new() -> Scene {
        let network = Network::new();
        let server = RecordingServer::start_with(
            network.mail_server(),
            Conduct {
                at_recipient: |to| {
                    to.starts_with("nobody")
                        .then_some("550 5.1.1 No such user here")
                },
                ..Conduct::default()
            },
        );
        let console = network.free_port(network.relay());
        // Nobody listens there: its mail waits.
        let down = network.free_port(network.relay());
        let settings = format!(
            "[console]\nbind = \"{console}\"\n[submit]\nsocket = \"submit.sock\"\n\
             [domain.\"hosted.test\"]\nroute = \"{}\"\n\
             [domain.\"down.test\"]\nroute = \"[{}]:{}\"\n\
             [log.w3c]\nformat = \"w3c\"\nfields = \"all\"\n\
             [[screen]]\nname = \"programs\"\nwhen = {{ extension = \"exe\" }}\nthen = \"hold\"\n",
            server.route(),
            down.ip(),
            down.port()
        );
        let relay = Relay::start(network, &settings);
        let scene = Scene {
            relay,
            console,
            _server: server,
        };
        scene.mail();
        scene
    }

    fn mail(&self) {
        let from = self.relay.network.stranger();
        let mut client = Dialogue::connect(from, self.relay.address());
        client.expect(220);
        client.ask(&format!("HELO {}", HOSTILE.replace(' ', "")), 250);
        for to in ["bob@hosted.test", "nobody@hosted.test", "dave@down.test"] {
            let reply = client.submit("ann@client.test", &[to], &message("ordinary"));
            assert_eq!(reply.code, 250, "{}", reply.text());
        }
        let held = format!(
            "From: <ann@client.test>\r\nSubject: {HOSTILE}\r\nMIME-Version: 1.0\r\n\
             Content-Type: application/octet-stream; name=\"{}.exe\"\r\n\r\nMZ\r\n",
            HOSTILE.replace('\'', "")
        );
        client.submit("ann@client.test", &["bob@hosted.test"], &held);
        client.ask("MAIL FROM:<eve@client.test>", 250);
        client.ask("RCPT TO:<victim@elsewhere.test>", 550);
        until("the failure is known", seconds(20), || {
            self.newest("state:failed").map(|_| ())
        });
        self.relay.wait_for_deferral("dave@down.test");
    }

    /// The queue id of the newest that became of something.
    fn newest(&self, filter: &str) -> Option<String> {
        let ran = self
            .relay
            .command(&["track", filter, "--json"])
            .expect_code(0);
        let rows: Value = serde_json::from_str(&ran.out).expect("JSON");
        rows[0]["id"].as_str().map(str::to_owned)
    }

    fn url(&self) -> String {
        format!("http://{}", self.console)
    }

    /// Runs a task of console.mjs.
    fn visit(&self, task: &str, more: &Value) -> Visit {
        let ran = self
            .relay
            .command(&["console", "login", "--json"])
            .expect_code(0);
        let link: Value = serde_json::from_str(&ran.out).expect("JSON");
        let link = link["url"].as_str().expect("a link");
        visit(&self.url(), link, task, more)
    }

    /// The same to its end: what was found.
    fn visited(&self, task: &str, more: &Value) -> Value {
        self.visit(task, more).end()
    }

    fn pages(&self) -> Value {
        let failed = self.newest("state:failed").expect("a message that failed");
        let waiting = self.newest("to:dave@down.test").expect("one that waits");
        let held = self
            .relay
            .command(&["quarantine", "list", "--json"])
            .expect_code(0);
        let held: Value = serde_json::from_str(&held.out).expect("JSON");
        let held = held[0]["id"].as_str().expect("one that is held");
        let page = |name: &str, path: &str, text: &str| json!({ "name": name, "path": path, "text": text });
        json!([
            page("overview", "/", "Closed"),
            page("tracking", "/tracking", "victim@elsewhere.test"),
            page(
                "tracking-none",
                "/tracking?filter=to%3Anone%40x.test",
                "Nothing matches"
            ),
            page(
                "message",
                &format!("/message/{failed}"),
                "No such user here"
            ),
            page("waiting", &format!("/message/{waiting}"), "dave@down.test"),
            page("queues", "/queues", "dave@down.test"),
            page(
                "queues-none",
                "/queues?filter=to%3Anone%40x.test",
                "Nothing matches"
            ),
            page("destinations", "/queues?view=sites", "suspended"),
            page("operations", "/operations", "None of late"),
            page(
                "act",
                "/act?do=bounce&filter=to%3Adave%40down.test",
                "Bounce 1 recipient"
            ),
            page("sessions", "/sessions", "Clients"),
            page("quarantine", "/quarantine", "programs"),
            page("held", &format!("/quarantine/{held}"), "onerror"),
            page("devices", "/devices", "Tried and were not permitted"),
            page(
                "check",
                "/diagnose?client=203.0.113.9&rcpt=victim%40elsewhere.test",
                "Unable to relay"
            ),
            page("proof", "/diagnose/proof", "Prove it"),
            page("delivery", "/diagnose/delivery", "Nothing is sent"),
            page("dns", "/diagnose/dns", "Look at what others see"),
            page("send", "/diagnose/send", "Send it"),
            page("doctor", "/diagnose/doctor", "No mail is sent"),
            page("configuration", "/configuration", "relay.allow"),
            page(
                "change",
                "/configuration/change?key=relay.allow",
                "What would it do?"
            ),
            page(
                "effect",
                "/configuration/try?edit=relay.allow&append=192.0.2.7",
                "192.0.2.7"
            ),
            page(
                "listeners",
                "/configuration/sections?of=listener",
                "internet"
            ),
            page(
                "domains",
                "/configuration/sections?of=domain",
                "hosted.test"
            ),
            page(
                "section",
                "/configuration/section?key=domain.%22hosted.test%22",
                "More options"
            ),
            page("section-new", "/configuration/section?of=listener", "Name"),
            page("routes", "/configuration/sections?of=route", "smart hosts"),
            page(
                "settings",
                "/configuration/settings",
                "TLS and certificates"
            ),
            page(
                "settings-relay",
                "/configuration/section?key=relay",
                "only the list"
            ),
            page("rules", "/configuration/rules", "programs"),
            page("file", "/configuration/file", "What would it do?"),
            page("versions", "/configuration/versions", "Versions"),
            page("log", "/logs", "listening"),
            page("log-w3c", "/logs?log=w3c", "victim@elsewhere.test"),
            page("audit", "/audit", "console"),
            page("help", "/help", "Smart host"),
            page("api", "/api", "/v1/status"),
        ])
    }
}

/// The browser at work.
pub struct Visit {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Visit {
    /// Until it says that it is ready.
    fn ready(&mut self) {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
    }

    /// Panics with every problem that it found.
    pub fn end(mut self) -> Value {
        let mut text = String::new();
        self.out.read_to_string(&mut text).expect("its output");
        let _reaped = self.child.wait();
        let last = text.lines().last().unwrap_or_default();
        let found: Value =
            serde_json::from_str(last).unwrap_or_else(|_| panic!("node said: {text}"));
        let problems: Vec<String> = (found["problems"].as_array().into_iter().flatten())
            .map(ToString::to_string)
            .collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        found
    }
}

/// Has console.mjs do a task at a console.
pub fn visit(url: &str, link: &str, task: &str, more: &Value) -> Visit {
    let shots = target().join("console-pictures");
    fs::create_dir_all(&shots).expect("a folder for pictures");
    let mut settings = json!({
        "modules": target().join("peers/browser/node_modules"),
        "chromium": path_of("chromium"),
        "url": url,
        "link": link,
        "shots": shots,
        "task": task,
        "hostile": "stolen",
    });
    let all = settings.as_object_mut().expect("an object");
    all.extend(more.as_object().cloned().unwrap_or_default());
    let program =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/browser/console.mjs");
    let mut child = Command::new(path_of("node"))
        .arg(program)
        .arg(settings.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let out = BufReader::new(child.stdout.take().expect("its output"));
    Visit { child, out }
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn each_page_is_whole_in_every_width_and_look() {
    let scene = Scene::new();
    let found = scene.visited("pages", &json!({ "pages": scene.pages() }));
    let octets = found["first_visit_octets"].as_u64().expect("octets");
    assert!(octets < 150_000, "a first visit takes {octets} octets");
    println!("a first visit takes {octets} octets");
}

#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn everything_is_there_without_script_and_by_keys_alone() {
    let scene = Scene::new();
    scene.visited("without_script", &json!({ "pages": scene.pages() }));
    scene.visited("keys", &json!({}));
}

#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn a_page_follows_what_happens() {
    let scene = Scene::new();
    let live = json!({ "live": { "path": "/tracking", "text": "late@hosted.test" } });
    let mut visit = scene.visit("live", &live);
    visit.ready();
    let mut client = Dialogue::ready(scene.relay.network.stranger(), scene.relay.address());
    client.submit("ann@client.test", &["late@hosted.test"], &message("late"));
    visit.end();
}

/// A bounce is at most three clicks from its SMTP dialogue.
#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn from_the_overview_to_the_dialogue_of_a_bounce_are_three_clicks() {
    let scene = Scene::new();
    let steps = json!([
        { "link_with": "Failed" },
        { "link": "nobody@hosted.test" },
        { "text": "C: RCPT TO:<nobody@hosted.test>" },
    ]);
    scene.visited("act", &json!({ "act": { "path": "/", "steps": steps } }));
}

/// From the first visit to a relay that is proven closed, and a device that is let in.
#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn a_newcomer_proves_the_relay_closed_and_permits_a_device() {
    let scene = Scene::new();
    let stranger = scene.relay.network.stranger();
    let steps = json!([
        { "text": "That is proven, by trying" },
        { "link": "Prove it" },
        { "button": "Prove it" },
        { "text": "as it should" },
        { "menu": "Overview" },
        { "nothing_of": "That is proven, by trying" },
        { "menu": "Devices" },
        { "link": "make it permitted" },
        { "text": "may then" },
        { "fill": "reason", "value": "the new printer" },
        { "button": "Apply it" },
        { "text": "the new printer" },
    ]);
    scene.visited("act", &json!({ "act": { "path": "/", "steps": steps } }));
    let check = [
        "relay",
        "check",
        "--client",
        &stranger.to_string(),
        "--rcpt",
        "x@elsewhere.test",
    ];
    scene.relay.command(&check).expect_code(0);
    // What would open it is not applied.
    let bind = format!("{}:0", scene.relay.network.relay());
    let open = json!([[bind, "0.0.0.0:25"], [stranger.to_string(), "0.0.0.0/0"]]);
    let steps = json!([
        { "replaced": open },
        { "button": "What would it do?" },
        { "text": "this configuration is an open relay" },
        { "nothing": "Apply it" },
    ]);
    scene.visited(
        "act",
        &json!({ "act": { "path": "/configuration/file", "steps": steps } }),
    );
}

/// An operator tries a delivery and sees it stage by stage; bounces what waits, with a reason.
#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn an_operator_tries_a_delivery_and_bounces_what_waits() {
    let scene = Scene::new();
    let steps = json!([
        { "fill": "address", "value": "nobody@hosted.test" },
        { "button": "Try it" },
        { "text": "No such user here" },
    ]);
    scene.visited(
        "act",
        &json!({ "act": { "path": "/diagnose/delivery", "steps": steps } }),
    );
    let steps = json!([
        { "fill": "filter", "value": "to:dave@down.test" },
        { "button": "Find" },
        { "link": "bounce" },
        { "fill": "reason", "value": "it will never come back" },
        { "button": "Bounce 1 recipient" },
        { "text": "done" },
        { "menu": "Audit" },
        { "text": "it will never come back" },
    ]);
    scene.visited(
        "act",
        &json!({ "act": { "path": "/queues", "steps": steps } }),
    );
}

/// The demo, ended however the test ends.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// What docs/console.md shows; `REWRITE=1` puts the pictures there.
#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn the_demo_leads_to_the_console_and_looks_as_documented() {
    let mut demo = Demo(
        Command::new(binary())
            .arg("demo")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts"),
    );
    let mut said = BufReader::new(demo.0.stdout.take().expect("its output")).lines();
    let link = said.find_map(|line| {
        let line = line.expect("a line");
        Some(line.trim().to_owned()).filter(|line| line.contains("/login?token="))
    });
    let link = link.expect("a link");
    let url = link.split("/login").next().expect("an address");
    // It goes on talking while it is looked at.
    let rest = std::thread::spawn(move || said.map_while(Result::ok).for_each(drop));
    let picture =
        |name: &str, path: &str, click: &str| json!({ "name": name, "path": path, "click": click });
    let pictures = json!([
        picture("console-overview", "/", ""),
        picture("console-tracking", "/tracking", ""),
        picture(
            "console-message",
            "/tracking?filter=state%3Aexpired&events=true",
            "dead.example"
        ),
        picture(
            "console-check",
            "/diagnose?client=203.0.113.9&from=eve%40good.example&rcpt=victim%40elsewhere.example",
            ""
        ),
    ]);
    visit(url, &link, "pictures", &json!({ "pictures": pictures })).end();
    drop(demo);
    rest.join().expect("its output is read to the end");
    for picture in pictures.as_array().into_iter().flatten() {
        let name = format!("{}.png", picture["name"].as_str().expect("a name"));
        let (made, kept) = (
            target().join("console-pictures").join(&name),
            docs().join(&name),
        );
        if std::env::var_os("REWRITE").is_some() {
            fs::copy(&made, &kept).expect("the picture is kept");
        }
        assert!(kept.exists(), "docs/{name} is missing: REWRITE=1");
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}
