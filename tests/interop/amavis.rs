//! amavisd-new behind the queue, by LMTP and back by SMTP, and before it, by amavisd-milter.
//! `scripts/test scanners` installs both.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::{need_root, path_of, run, signal};
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer};
use crate::wait::{seconds, until_true};

/// Perl with SpamAssassin in it takes its time.
const START_SECONDS_MAX: u64 = 120;
/// The text that all filters of spam take for spam, in two parts.
const SPAM: [&str; 2] = [
    "XJS*C4JDBQADN1.NSBN3*2IDNEN*",
    "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X",
];

const BANNED: &str = "From: ann@client.test\r\nSubject: banned\r\nMessage-ID: <banned@client.test>\r\n\
                  Date: Mon, 06 Jul 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
                  Content-Type: application/octet-stream; name=\"x.exe\"\r\n\
                  Content-Disposition: attachment; filename=\"x.exe\"\r\n\r\nnothing\r\n";

/// Of what it logs, where a test fails.
const LINES_SHOWN: usize = 100;

/// An amavisd that runs until this is dropped.
struct Amavis {
    folder: TempDir,
    address: SocketAddr,
    process: Option<Child>,
}

impl Amavis {
    fn start(network: Network, way_back: SocketAddr) -> Self {
        need_root("amavisd wants a configuration of root's, and an account of its own");
        let folder = TempDir::new().expect("a folder");
        let everybody = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), everybody).expect("rights");
        let mut amavis = Self {
            folder,
            address: network.free_port(network.host(20)),
            process: None,
        };
        for name in ["", "tmp", "db", "kept"] {
            fs::create_dir_all(amavis.home().join(name)).expect("a folder");
        }
        let home = amavis.home();
        run(
            "chown",
            &["-R", "amavis:amavis", &home.display().to_string()],
        )
        .expect_code(0);
        let home = home.display();
        let settings = format!(
            "use strict;\n\
             $MYHOME = '{home}'; $TEMPBASE = '{home}/tmp'; $db_home = '{home}/db';\n\
             $QUARANTINEDIR = '{home}/kept'; $helpers_home = '{home}';\n\
             $pid_file = '{home}/pid'; $lock_file = '{home}/lock';\n\
             $daemon_user = 'amavis'; $daemon_group = 'amavis'; $max_servers = 2;\n\
             $mydomain = 'hosted.test'; $myhostname = 'filter.hosted.test';\n\
             @local_domains_maps = (['.hosted.test']);\n\
             $inet_socket_bind = '{ip}'; $inet_socket_port = {port}; @inet_acl = qw(127.0.0.0/8);\n\
             $forward_method = 'smtp:[{back}]:{back_port}'; $notify_method = $forward_method;\n\
             $enable_db = 0; $enable_zmq = 0; $DO_SYSLOG = 0; $log_level = 2; $LOGFILE = '{home}/log';\n\
             @bypass_virus_checks_maps = (1); $sa_local_tests_only = 1;\n\
             $sa_tag_level_deflt = -999; $sa_tag2_level_deflt = 6; $sa_kill_level_deflt = 9999;\n\
             $sa_spam_subject_tag = '***SPAM*** ';\n\
             $final_spam_destiny = D_PASS; $final_bad_header_destiny = D_PASS;\n\
             $final_banned_destiny = D_REJECT; $banned_admin = undef; $banned_quarantine_to = undef;\n\
             $banned_filename_re = new_RE(qr'\\.exe$'i);\n\
             $unix_socketname = '{home}/amavisd.sock'; $interface_policy{{'SOCK'}} = 'MILTER';\n\
             $policy_bank{{'MILTER'}} = {{ protocol => 'AM.PDP' }};\n1;\n",
            ip = amavis.address.ip(),
            port = amavis.address.port(),
            back = way_back.ip(),
            back_port = way_back.port(),
        );
        fs::write(amavis.settings(), settings).expect("a configuration");
        amavis.run();
        amavis
    }

    /// What belongs to its account.
    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("amavisd.conf")
    }

    fn run(&mut self) {
        let output = fs::File::create(self.folder.path().join("output")).expect("a file");
        let mut command = Command::new(path_of("amavisd"));
        command.arg("-c").arg(self.settings()).arg("foreground");
        command.stdin(Stdio::null());
        command
            .stdout(output.try_clone().expect("a file"))
            .stderr(output);
        self.process = Some(command.spawn().expect("amavisd"));
        let address = self.address;
        until_true("amavisd to listen", seconds(START_SECONDS_MAX), || {
            TcpStream::connect(address).is_ok()
        });
    }

    /// Ends it and its children, who then have no parent to listen for.
    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal("TERM", process.id());
            let _ended = process.wait();
        }
    }
}

impl Drop for Amavis {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["output", "home/log"] {
                let text = fs::read_to_string(self.folder.path().join(name));
                let text = text.unwrap_or_default();
                let lines: Vec<&str> = text.lines().rev().take(LINES_SHOWN).collect();
                for line in lines.iter().rev() {
                    eprintln!("amavisd: {line}");
                }
            }
        }
        self.stop();
    }
}

struct Scene {
    relay: Relay,
    amavis: Amavis,
    server: RecordingServer,
    world: RecordingServer,
    way_back: SocketAddr,
}

impl Scene {
    fn start() -> Self {
        let network = Network::new();
        let conduct = Conduct {
            at_recipient: |path| {
                (path == "secret@hosted.test").then_some("550 5.1.1 not known here")
            },
            ..Conduct::default()
        };
        let server = RecordingServer::start_with(network.mail_server(), conduct);
        let world = RecordingServer::start(network.free_port(network.host(30)));
        let way_back = network.free_port(network.relay());
        let amavis = Amavis::start(network, way_back);
        let mut relay = Relay::prepare(network, "");
        relay.write_config(&format!(
            "[domain.\"hosted.test\"]\nroute = \"{}\"\n[outbound]\nroute = \"{}\"\n\
             [queue]\nretry = [\"1s\"]\nprobe = \"1s\"\n\
             [after_queue]\nroute = \"amavis\"\nreturn_listener = \"back\"\n\
             [route.amavis]\nhosts = \"[{}]:{}\"\n\
             [listener.back]\nbind = \"{way_back}\"\n\
             [[screen]]\nwhen.to = \"old@hosted.test\"\nredirect_to = \"secret@hosted.test\"\n",
            server.route(),
            world.route(),
            amavis.address.ip(),
            amavis.address.port(),
        ));
        relay.run();
        Self {
            relay,
            amavis,
            server,
            world,
            way_back,
        }
    }

    /// Has the way back be at this address from now on.
    fn move_way_back(&self, from: SocketAddr, to: SocketAddr) {
        let text = fs::read_to_string(self.relay.config()).expect("the configuration");
        let moved = text.replace(&from.to_string(), &to.to_string());
        self.relay.write_whole_config(&moved);
        self.relay.command(&["reload"]).expect_code(0);
    }

    /// What the queue heard for each of these, who all wait.
    fn heard_for(&self, waiting: &[&str]) -> Vec<String> {
        let heard = waiting.iter().map(|to| self.relay.wait_for_deferral(to));
        let heard = heard.collect();
        assert_eq!(self.relay.queue().len(), waiting.len());
        heard
    }

    /// Something else is where the filter goes, and takes one of two; our way back is `elsewhere`
    /// for so long.
    fn half_at_a_time(&self, elsewhere: SocketAddr) {
        self.move_way_back(self.way_back, elsewhere);
        let takes_one = Conduct {
            at_recipient: |path| (path == "carol@hosted.test").then_some("451 4.3.0 not now"),
            ..Conduct::default()
        };
        let other = RecordingServer::start_with(self.way_back, takes_one);
        self.send(&["bob@hosted.test", "carol@hosted.test"], &message("half"));
        assert_eq!(other.wait_for("half").to, ["bob@hosted.test"]);
        let heard = self.heard_for(&["carol@hosted.test"]).remove(0);
        assert!(heard.contains("not now"), "{heard}");
        assert_eq!(other.count(), 1);
        drop(other);
        self.move_way_back(elsewhere, self.way_back);
        assert_eq!(self.server.wait_for("half").to, ["carol@hosted.test"]);
        self.relay.wait_until_empty();
    }

    fn send(&self, to: &[&str], text: &str) {
        self.send_from(self.relay.network.stranger(), to, text);
    }

    fn send_from(&self, client: IpAddr, to: &[&str], text: &str) {
        let mut client = Dialogue::ready(client, self.relay.address());
        let reply = client.submit("ann@client.test", to, text);
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
}

#[test]
#[ignore = "needs amavisd-new: scripts/test scanners"]
fn mail_goes_through_amavis_once_and_comes_out_as_it_says() {
    let mut all = Scene::start();
    let stranger = all.relay.network.stranger().to_string();

    // Two recipients, one message, each its own answer.
    all.send(&["bob@hosted.test", "carol@hosted.test"], &message("clean"));
    let clean = all.server.wait_for("clean");
    assert!(clean.header("X-Spam-Status").is_some(), "{}", clean.text());
    let received = clean.headers("Received");
    let by_us = received
        .iter()
        .filter(|field| field.contains("by relay.test"));
    assert_eq!((by_us.count(), received.len()), (2, 3), "{received:?}");
    all.relay.wait_until_empty();
    assert_eq!(all.server.count(), 1);
    let first = received.last().and_then(|field| field.split(" id ").nth(1));
    let id = first
        .and_then(|rest| rest.split([';', ' ']).next())
        .expect("an id");
    all.relay.wait_for_log(&[
        "message accepted",
        "came back from the filter amavis",
        "filtered-of-strangers",
        &format!("\"origin\":\"{stranger}\""),
        &format!("\"origin_id\":\"{id}\""),
    ]);

    // What goes out is known as ours on the way back, too.
    all.send_from(
        all.relay.network.permitted(),
        &["eve@away.test"],
        &message("out"),
    );
    all.world.wait_for("out");
    all.relay
        .wait_for_log(&["came back from the filter", "\"filtered\"", "eve@away.test"]);

    let spam = format!("{}{}{}\r\n", message("spam"), SPAM[0], SPAM[1]);
    all.send(&["bob@hosted.test"], &spam);
    let tagged = all.server.wait_for("***SPAM*** spam");
    assert!(
        tagged
            .header("X-Spam-Flag")
            .is_some_and(|flag| flag == "YES")
    );

    // It says no, and the sender hears of it from us; the bounce does not go there.
    all.send(&["bob@hosted.test"], BANNED);
    let bounce = all
        .world
        .wait_where("a bounce", |one| one.to == ["ann@client.test"]);
    assert!(bounce.text().contains("BANNED"), "{}", bounce.text());
    assert!(bounce.header("X-Spam-Status").is_none());
    all.relay.wait_until_empty();

    // It tells on the way back for whom a message was that a rule sent elsewhere.
    all.send(&["old@hosted.test"], &message("moved"));
    let bounce = all.world.wait_where("another bounce", |one| {
        one.from.is_empty() && one.text().contains("old@hosted.test")
    });
    let text = bounce.text();
    assert!(
        text.contains("Final-Recipient: rfc822; old@hosted.test"),
        "{text}"
    );
    // Its own `Received`, in the header that comes back.
    assert_eq!(text.matches("secret").count(), 1, "{text}");
    all.relay.wait_until_empty();

    // While it is down mail waits, with the reason; then it goes on.
    all.amavis.stop();
    all.send(&["bob@hosted.test"], &message("later"));
    let heard = all.relay.wait_for_deferral("bob@hosted.test");
    assert!(heard.contains("refused"), "{heard}");
    all.amavis.run();
    all.server.wait_for("later");
    all.relay.wait_until_empty();
    assert_eq!(all.server.count(), 3);
}

#[test]
#[ignore = "needs amavisd-new: scripts/test scanners"]
fn mail_waits_while_the_way_back_is_gone_or_refuses_and_each_recipient_gets_it_once() {
    let both = ["bob@hosted.test", "carol@hosted.test"];
    let all = Scene::start();
    let (way_back, network) = (all.way_back, all.relay.network);
    // A connection to the way back is there, and kept for the next message.
    all.send(&both, &message("before"));
    all.server.wait_for("before");
    all.relay.wait_until_empty();

    // A reload moves it: nobody is where the filter goes.
    let elsewhere = network.free_port(network.host(31));
    all.move_way_back(way_back, elsewhere);
    all.send(&both, &message("gone"));
    for heard in all.heard_for(&both) {
        assert!(heard.contains(": 451 4.5.0 "), "{heard}");
    }
    all.move_way_back(elsewhere, way_back);
    all.server.wait_for("gone");
    all.relay.wait_until_empty();

    // It is there, and takes the filter for a stranger.
    let text = fs::read_to_string(all.relay.config()).expect("the configuration");
    let of_nobody = format!("[after_queue]\nfrom = [\"{}\"]\n", network.host(32));
    let closed = text.replace("[after_queue]\n", &of_nobody);
    all.relay.write_whole_config(&closed);
    all.relay.command(&["reload"]).expect_code(0);
    all.send(&both, &message("closed"));
    for heard in all.heard_for(&both) {
        assert!(heard.contains(": 451 4.5.0 "), "{heard}");
    }
    all.relay.write_whole_config(&text);
    all.relay.command(&["reload"]).expect_code(0);
    all.server.wait_for("closed");
    all.relay.wait_until_empty();

    all.half_at_a_time(elsewhere);

    // Nobody got anything twice, and no sender heard of it.
    let to = |name: &str| {
        let all = all.server.received().into_iter();
        let to: Vec<_> = all.filter(|one| one.subject() == name).collect();
        let mut to: Vec<_> = to.into_iter().flat_map(|one| one.to).collect();
        to.sort();
        to
    };
    for name in ["before", "gone", "closed"] {
        assert_eq!(to(name), both, "{name}");
    }
    assert_eq!(to("half"), ["carol@hosted.test"]);
    assert_eq!(all.world.count(), 0);
}

/// amavisd-milter, between a relay and an amavisd, until this is dropped.
struct Between {
    socket: PathBuf,
    process: Child,
}

impl Between {
    /// Of the account of amavisd, which is to read what it writes.
    fn start(amavis: &Amavis) -> Self {
        let home = amavis.home();
        let socket = home.join("milter.sock");
        // It wants it to be nobody else's.
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(home.join("tmp"), private).expect("rights");
        let mut command = Command::new(path_of("setpriv"));
        command.args(["--reuid=amavis", "--regid=amavis", "--clear-groups"]);
        command.arg(path_of("amavisd-milter")).arg("-f");
        command.arg("-s").arg(format!("local:{}", socket.display()));
        command.arg("-S").arg(home.join("amavisd.sock"));
        command.arg("-w").arg(home.join("tmp"));
        command.arg("-p").arg(home.join("milter.pid"));
        command.current_dir(&home).stdin(Stdio::null());
        let process = command.spawn().expect("amavisd-milter");
        let is_up = || UnixStream::connect(&socket).is_ok();
        until_true(
            "amavisd-milter to listen",
            seconds(START_SECONDS_MAX),
            is_up,
        );
        Self { socket, process }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[test]
#[ignore = "needs amavisd-new: scripts/test scanners"]
fn amavisd_milter_changes_refuses_and_says_when_amavisd_is_down() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let nobody = network.free_port(network.relay());
    let mut amavis = Amavis::start(network, nobody);
    let between = Between::start(&amavis);
    let relay = Relay::start(
        network,
        &format!(
            "[domain.\"hosted.test\"]\nroute = \"{}\"\n\
             [scanner.amavis]\nkind = \"milter\"\naddress = {:?}\n",
            server.route(),
            between.socket,
        ),
    );
    let sent = |text: &str| {
        let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
        let reply = client.submit("ann@client.test", &["bob@hosted.test"], text);
        reply.text()
    };
    assert!(sent(&message("clean")).starts_with("250 "));
    let clean = server.wait_for("clean");
    let status = clean.header("X-Spam-Status").unwrap_or_default();
    assert!(status.starts_with("No"), "{}", clean.text());

    let spam = format!("{}{}{}\r\n", message("spam"), SPAM[0], SPAM[1]);
    assert!(sent(&spam).starts_with("250 "));
    let tagged = server.wait_for("***SPAM*** spam");
    assert_eq!(tagged.header("X-Spam-Flag").as_deref(), Some("YES"));

    let refused = sent(BANNED);
    assert!(
        refused.starts_with("554 5.7.0") && refused.contains("BANNED"),
        "{refused}"
    );
    relay.wait_for_log(&[
        "message refused",
        "BANNED",
        &relay.place_of("[scanner.amavis]"),
    ]);

    amavis.stop();
    let later = sent(&message("later"));
    assert!(later.starts_with("451 4.6.0"), "{later}");
}
