//! A disk that is small, and one that is full: how much messages on their way may take of it, and
//! what is served all the same. The disk is a tmpfs of the test's own, so only root may.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::thread;

use crate::client::{Dialogue, Reply, message, submit};
use crate::network::Network;
use crate::program::{need_root, run};
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer, route_to};
use crate::wait::{seconds, until_true};

const DISK: &str = "120m";
const FLOOR: u64 = 20_000_000;
const SESSIONS: usize = 10;
const OCTETS_PER_SESSION: usize = 15_000_000;

pub struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    fn mount(place: PathBuf) -> Self {
        Self::mount_sized(place, DISK)
    }

    pub fn mount_sized(place: PathBuf, size: &str) -> Self {
        need_root("it mounts a small disk");
        fs::create_dir(&place).expect("a folder");
        let options = format!("size={size}");
        let place_text = place.display().to_string();
        run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "none", &place_text],
        )
        .expect_code(0);
        Self { place }
    }

    /// It has room for more from now on.
    pub fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        let place = self.place.display().to_string();
        run("mount", &["-o", &options, &place]).expect_code(0);
    }

    fn free(&self) -> u64 {
        let place = self.place.display().to_string();
        let ran = run("df", &["--output=avail", "--block-size=1", &place]).expect_code(0);
        let number = ran.out.lines().last().and_then(|n| n.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no number: {}", ran.text()))
    }

    fn assert_floor(&self) {
        let free = self.free();
        assert!(free >= FLOOR, "{free} are free");
    }

    /// What somebody else has on it.
    fn others(&self) -> PathBuf {
        self.place.join("somebody-elses")
    }

    /// Somebody else writes until no more than that is free.
    pub fn fill_up_to(&self, free: u64) {
        let octets = self.free().saturating_sub(free);
        let zeros = vec![0; usize::try_from(octets).expect("a small disk")];
        fs::write(self.others(), zeros).expect("it has room");
    }

    /// What somebody else has there goes.
    pub fn empty(&self) {
        fs::remove_file(self.others()).expect("somebody else's file");
    }

    /// Somebody else writes until nothing is free.
    fn fill(&self) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.others())
            .expect("a file");
        let piece = vec![0; 4096];
        while file.write_all(&piece).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy", &self.place.display().to_string()]);
    }
}

/// A relay with its data on that disk.
fn prepare(network: Network, more: &str) -> (SmallDisk, Relay) {
    let relay = Relay::prepare(network, more);
    let config = fs::read_to_string(relay.config()).expect("a configuration");
    let floor = format!("min_free = \"{}MB\"", FLOOR / 1_000_000);
    relay.write_whole_config(&config.replace("min_free = \"0MB\"", &floor));
    (SmallDisk::mount(relay.data_dir()), relay)
}

/// Sends a message and not its end.
fn send_unfinished(session: &mut Dialogue) {
    session.ask("MAIL FROM:<ann@client.test>", 250);
    session.ask("RCPT TO:<bob@hosted.test>", 250);
    session.ask("DATA", 354);
    session.send(message("large").as_bytes());
    let line = format!("{}\r\n", "x".repeat(98)).repeat(1000);
    for _ in 0..OCTETS_PER_SESSION / line.len() {
        session.send(line.as_bytes());
    }
}

#[test]
fn messages_on_their_way_leave_min_free_free() {
    let network = Network::new();
    let route = route_to(network.mail_server());
    let more = format!("[domain.\"hosted.test\"]\nroute = \"{route}\"\n");
    let (disk, mut relay) = prepare(network, &more);
    relay.run();
    let mut sessions: Vec<Dialogue> = (0..SESSIONS)
        .map(|_| Dialogue::ready(network.permitted(), relay.address()))
        .collect();
    thread::scope(|scope| {
        let senders: Vec<_> = sessions
            .iter_mut()
            .map(|session| scope.spawn(|| send_unfinished(session)))
            .collect();
        while !senders.iter().all(|sender| sender.is_finished()) {
            disk.assert_floor();
        }
    });
    let replies: Vec<Reply> = sessions
        .iter_mut()
        .map(|session| session.say("."))
        .collect();
    disk.assert_floor();
    for reply in &replies {
        assert!([250, 452].contains(&reply.code), "{}", reply.text());
    }
    assert!(replies.iter().any(|reply| reply.code == 452));
    // What was refused is gone: there is room for others.
    until_true("mail to be taken again", seconds(10), || {
        let mut session = Dialogue::ready(network.permitted(), relay.address());
        session.say("MAIL FROM:<ann@client.test>").code == 250
    });
    assert!(relay.stop().success());
}

#[test]
fn a_start_on_a_full_disk_serves_what_waits() {
    let network = Network::new();
    let address = network.mail_server();
    let more = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[queue]\nretry = [\"1s\"]\nprobe = \"1s\"\n",
        route_to(address)
    );
    let (disk, mut relay) = prepare(network, &more);
    relay.run();
    let large = format!("{}{}", message("large"), "0123456789\r\n".repeat(20_000));
    let sent = [
        ("bob@hosted.test", message("small")),
        ("nobody@hosted.test", message("refused")),
        ("bob@hosted.test", large),
    ];
    for (recipient, text) in &sent {
        submit(
            network.permitted(),
            relay.address(),
            "ann@hosted.test",
            &[recipient],
            text,
        );
    }
    disk.fill();
    relay.kill();
    disk.fill();
    relay.run();
    let mut session = Dialogue::ready(network.permitted(), relay.address());
    let reply = session.say("MAIL FROM:<ann@client.test>");
    assert_eq!(reply.code, 452, "{}", reply.text());
    let server = RecordingServer::start_with(
        address,
        Conduct {
            at_recipient: |path| path.starts_with("nobody").then_some("550 5.1.1 Unknown"),
            ..Conduct::default()
        },
    );
    server.wait_for("small");
    server.wait_for("large");
    server.wait_where("the notice", |received| received.from.is_empty());
    relay.wait_until_empty();
    assert_eq!(server.count(), 3, "each once");
    fs::remove_file(disk.others()).expect("somebody else's file");
    until_true("mail to be taken again", seconds(10), || {
        let mut session = Dialogue::ready(network.permitted(), relay.address());
        session.say("MAIL FROM:<ann@client.test>").code == 250
    });
    assert!(relay.stop().success());
}
