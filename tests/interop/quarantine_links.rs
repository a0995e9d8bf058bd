//! Readers of a digest release and delete what is held for them, by links.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::run;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

/// A relay that holds what speaks of a lottery, whose recipients may release it, and programs, which
/// they may not.
struct Scene {
    relay: Relay,
    server: RecordingServer,
    pages: SocketAddr,
}

impl Scene {
    fn start() -> Scene {
        let network = Network::new();
        let server = RecordingServer::start(network.mail_server());
        let pages = network.free_port(network.relay());
        let settings = format!(
            "[domain.\"hosted.test\"]\nroute = \"{}\"\n\
             [quarantine]\ndigest = \"recipients\"\nlink_bind = \"{pages}\"\nlink_url = \"http://{pages}/\"\n\
             [[screen]]\nname = \"prizes\"\nwhen.words = \"lottery\"\nthen = \"hold\"\nrelease_by_link = true\n\
             [[screen]]\nname = \"programs\"\nwhen.extension = \"exe\"\nthen = \"hold\"\n",
            server.route()
        );
        let relay = Relay::start(network, &settings);
        // What was held before the first look at the quarantine is not told.
        let looked = relay.data_dir().join("digest");
        until_true("the first look", seconds(20), || looked.exists());
        Scene {
            relay,
            server,
            pages,
        }
    }

    fn send(&self, to: &[&str], subject: &str, text: &str) {
        let mut client = Dialogue::ready(self.relay.network.stranger(), self.relay.address());
        let sent = client.submit("ann@client.test", to, &(message(subject) + text));
        assert_eq!(sent.code, 250, "{}", sent.text());
    }

    /// Has everybody told, and gives the links for this one.
    fn links_of(&self, to: &str) -> Vec<String> {
        let told = self.relay.command(&["quarantine", "digest"]);
        assert!(told.expect_code(0).out.contains(to));
        let digest = self.server.wait_where("the digest", |one| {
            one.to == [to] && one.text().contains("In quarantine")
        });
        let text = digest.text();
        let encoded = text.split("base64\r\n\r\n").nth(1).expect("a plain text");
        let encoded = encoded.split("--").next().unwrap_or_default();
        let plain = STANDARD
            .decode(encoded.replace("\r\n", ""))
            .expect("base64");
        let plain = String::from_utf8(plain).expect("UTF-8");
        let lines = plain
            .lines()
            .filter_map(|line| line.strip_prefix("Release  "));
        lines.map(str::to_owned).collect()
    }

    fn asked(&self, arguments: &[&str]) -> (u16, String) {
        let silent = ["--silent", "--include", "--path-as-is"];
        let answer = run("curl", &[&silent, arguments].concat())
            .expect_code(0)
            .out;
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        (code.expect("a status"), answer)
    }

    fn held(&self) -> u64 {
        let status = self.relay.status().expect("it runs");
        status["queue"]["quarantined"].as_u64().expect("a number")
    }
}

#[test]
fn a_recipient_releases_and_deletes_his_own_by_links_that_do_nothing_when_followed() {
    let scene = Scene::start();
    let both = ["bob@hosted.test", "eve@hosted.test"];
    scene.send(&both, "first", "A lottery <b>win</b>\r\n");
    scene.send(&both[..1], "second", "Another lottery\r\n");
    let links = scene.links_of(both[0]);
    let [first, second] = &links[..] else {
        panic!("two links: {links:?}")
    };
    assert!(
        first.starts_with(&format!("http://{}/", scene.pages)),
        "{first}"
    );

    // Programs that look at mail follow links.
    for arguments in [&[first.as_str()][..], &["--head", first], &[first]] {
        let (code, page) = scene.asked(arguments);
        assert_eq!(code, 200, "{page}");
        for field in [
            "content-security-policy: default-src 'none'",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(page.contains(field), "{page}");
        }
    }
    assert_eq!(scene.held(), 3);
    let (_, page) = scene.asked(&[first]);
    for words in ["bob@hosted.test", "ann@client.test", "first", "prizes"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("eve@"), "{page}");

    let post = ["--request", "POST"];
    let (code, page) = scene.asked(&[&post[..], &[&format!("{first}/release")]].concat());
    assert_eq!(code, 200, "{page}");
    let released = scene.server.wait_for("first");
    assert_eq!(released.to, ["bob@hosted.test"]);
    let (code, page) = scene.asked(&[&post[..], &[&format!("{second}/delete")]].concat());
    assert_eq!(code, 200, "{page}");
    until_true("it is deleted", seconds(20), || scene.held() == 1);

    // Once is enough.
    for link in [first, second] {
        assert_eq!(scene.asked(&[link]).0, 410);
        for verb in ["release", "delete"] {
            assert_eq!(
                scene
                    .asked(&[&post[..], &[&format!("{link}/{verb}")]].concat())
                    .0,
                410
            );
        }
    }
    let audit =
        std::fs::read_to_string(scene.relay.data_dir().join("audit.jsonl")).expect("the audit log");
    let by_link: Vec<&str> = audit
        .lines()
        .filter(|row| row.contains("\"way\":\"link\""))
        .collect();
    assert_eq!(by_link.len(), 2, "{audit}");
    assert!(
        by_link[0].contains("to:<bob@hosted.test>")
            && by_link[0].contains("quarantine/link/release"),
        "{audit}"
    );
}

#[test]
fn a_link_counts_for_nothing_but_what_it_was_made_for() {
    let scene = Scene::start();
    let bob = ["bob@hosted.test"];
    let program =
        "MIME-Version: 1.0\r\nContent-Disposition: attachment; filename=\"run.exe\"\r\n\r\nx\r\n";
    let mut client = Dialogue::ready(scene.relay.network.stranger(), scene.relay.address());
    let headed = format!("From: ann@client.test\r\nSubject: program\r\n{program}");
    assert_eq!(client.submit("ann@client.test", &bob, &headed).code, 250);
    scene.send(&bob, "prize", "A lottery\r\n");
    let links = scene.links_of(bob[0]);
    let [link] = &links[..] else {
        panic!("programs have none: {links:?}")
    };
    let base = format!("http://{}/", scene.pages);
    let token = link.strip_prefix(&base).expect("its beginning");
    let mut other = token.to_owned();
    let last = if other.starts_with('A') { "B" } else { "A" };
    other.replace_range(..1, last);
    let post = ["--request", "POST"];
    for path in [&*other, "x", "", &token[1..], "%2e%2e/x", "v1/quarantine"] {
        let url = format!("{base}{path}");
        assert_eq!(scene.asked(&[&url]).0, 404, "{url}");
        let act = format!("{base}{path}/release");
        let (code, page) = scene.asked(&[&post[..], &[&act]].concat());
        assert!(matches!(code, 404 | 405), "{act}: {page}");
    }
    assert_eq!(
        scene
            .asked(&[&post[..], &[&format!("{link}/bounce")]].concat())
            .0,
        404
    );
    assert_eq!(scene.held(), 2);

    // Rules of today count for links of yesterday.
    let text = std::fs::read_to_string(scene.relay.config()).expect("the configuration");
    scene
        .relay
        .write_whole_config(&text.replace("release_by_link = true", "release_by_link = false"));
    scene.relay.command(&["reload"]).expect_code(0);
    assert_eq!(scene.asked(&[link]).0, 404);
    assert_eq!(
        scene
            .asked(&[&post[..], &[&format!("{link}/release")]].concat())
            .0,
        404
    );
    assert_eq!(scene.held(), 2);
    let audit =
        std::fs::read_to_string(scene.relay.data_dir().join("audit.jsonl")).unwrap_or_default();
    assert!(!audit.contains("quarantine/link"), "{audit}");
}
