//! The binary called as `sendmail`: by hand, by another account, by the programs that call it, and
//! while the relay is down.

use std::fs::{self, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::network::Network;
use crate::program::{self, Ran};
use crate::relay::{Relay, binary};
use crate::server::{Conduct, Received, RecordingServer};
use crate::wait::{seconds, until_true};

/// `nobody`, as Debian has it.
const NOBODY: u32 = 65_534;
/// `daemon`, a user and a group.
const DAEMON: u32 = 1;
const ARRIVAL_SECONDS_MAX: u64 = 30;

/// A machine on which `sendmail` is the binary: its relay is open for this machine alone.
struct Machine {
    relay: Relay,
    server: RecordingServer,
}

impl Machine {
    fn new() -> Machine {
        Machine::before(Conduct::default())
    }

    /// Its mail goes to a server of this conduct.
    fn before(conduct: Conduct) -> Machine {
        let network = Network::new();
        let server = RecordingServer::start_with(network.mail_server(), conduct);
        let relay = Relay::prepare(network, "");
        let machine = Machine { relay, server };
        // Everybody may reach it.
        let folder = machine.relay.folder();
        fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("a mode");
        machine.write_config("");
        symlink(binary(), folder.join("sendmail")).expect("a link");
        // Programs call it without a word about its configuration, which is not in its usual place.
        let text = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >{:?}\nexec {:?} -C {:?} \"$@\"\n",
            folder.join("called"),
            folder.join("sendmail"),
            machine.relay.config()
        );
        let wrapper = machine.sendmail();
        fs::write(&wrapper, text).expect("a script");
        fs::set_permissions(&wrapper, Permissions::from_mode(0o755)).expect("a mode");
        machine
    }

    /// With a pickup directory to which everybody may write.
    fn with_pickup() -> Machine {
        let machine = Machine::new();
        let directory = machine.directory();
        fs::create_dir(&directory).expect("a folder");
        fs::set_permissions(&directory, Permissions::from_mode(0o3733)).expect("a mode");
        machine.may_pick_up(true);
        machine
    }

    fn write_config(&self, more: &str) {
        let rule = if more.is_empty() {
            "relay.submit = true\n"
        } else {
            ""
        };
        let socket = self.relay.folder().join("submit.sock");
        self.relay.write_bare_config(
            rule,
            &format!(
                "[listener.internet]\nbind = \"{}:0\"\n[submit]\nsocket = {socket:?}\n\
                 [log]\nformat = \"json\"\n[outbound]\nroute = \"{}\"\n{more}",
                self.relay.network.relay(),
                self.server.route(),
            ),
        );
    }

    /// By the socket mail may go anywhere, and by the directory when it `relays`.
    fn may_pick_up(&self, relays: bool) {
        self.write_config(&format!(
            "[pickup]\ndirectory = {:?}\n[relay]\npickup = {relays}\nsubmit = true\n",
            self.directory()
        ));
    }

    fn directory(&self) -> PathBuf {
        self.relay.folder().join("pickup")
    }

    /// What programs are told to call.
    fn sendmail(&self) -> PathBuf {
        self.relay.folder().join("bin-sendmail")
    }

    fn call(&self, arguments: &[&str], input: &str) -> Ran {
        self.call_as(None, arguments, input)
    }

    fn call_as(&self, uid: Option<u32>, arguments: &[&str], input: &str) -> Ran {
        let mut command = program::limited(&self.relay.folder().join("sendmail"));
        command.arg("-C").arg(self.relay.config()).args(arguments);
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        program::finish(command, input.as_bytes())
    }

    /// The arguments of the last call by a program.
    fn called(&self) -> String {
        let called = fs::read_to_string(self.relay.folder().join("called"));
        called.expect("a call").replace('\n', " ").trim().to_owned()
    }

    fn arrived(&self, subject: &str) -> Received {
        self.server.wait_for(subject)
    }
}

fn letter(subject: &str) -> String {
    format!(
        "To: bob@far.test\nBcc: secret@far.test\nSubject: {subject}\n\nhello\n.\nbehind a dot\n"
    )
}

#[test]
fn a_call_hands_in_a_message_or_says_why_not() {
    let mut machine = Machine::new();
    machine.relay.run();
    machine
        .call(&["-i", "bob@far.test"], &letter("plain"))
        .expect_code(0);
    let plain = machine.arrived("plain");
    assert_eq!(
        (plain.from.as_str(), plain.to.len()),
        ("root@relay.test", 1)
    );
    let text = plain.text();
    assert!(
        text.contains("From: <root@relay.test>") && text.contains("\r\nDate: "),
        "{text}"
    );
    assert!(
        !text.contains("secret") && text.ends_with("hello\r\n.\r\nbehind a dot\r\n"),
        "{text}"
    );
    let received = plain.header("Received").expect("Received");
    assert!(received.contains("uid 0 of this machine"), "{received}");
    let line = machine
        .relay
        .wait_for_log(&["message accepted", "uid:0", "local-submission"]);
    assert!(line.contains("relay.submit"), "{line}");
    machine
        .call(
            &[
                "-t",
                "-f",
                "ann@relay.test",
                "-F",
                "Ann A.",
                "-N",
                "never",
                "-R",
                "hdrs",
            ],
            &letter("read"),
        )
        .expect_code(0);
    let read = machine.server.wait_where("both recipients", |one| {
        one.subject() == "read" && one.to.len() == 2
    });
    assert_eq!(read.from, "ann@relay.test");
    assert!(
        read.text().contains("From: \"Ann A.\" <ann@relay.test>"),
        "{}",
        read.text()
    );
    assert!(!read.text().contains("secret"), "{}", read.text());
    assert!(read.text().ends_with("hello\r\n"), "{}", read.text());
    for (arguments, input, code, said) in [
        (&["-i"][..], "x\n", 64, "no recipients are named"),
        (&["-t"], "Subject: x\n\n", 64, "no recipients are named"),
        (&["-y"], "", 64, "-y: unknown option"),
        (&["bob smith"], "x\n", 65, "is no address"),
        (&["-C", "/nowhere", "bob@far.test"], "x\n", 78, "/nowhere"),
        (&["bob@[10.0.0.1"], "x\n", 65, "is no address"),
    ] {
        let ran = machine.call(arguments, input).expect_code(code);
        assert!(
            ran.err.starts_with("sendmail: ") && ran.err.contains(said),
            "{}",
            ran.err
        );
    }
    // What is in another file is not shown to whoever names it.
    let ran = machine.call(&["-C", "/etc/hostname", "bob@far.test"], "x\n");
    assert!(!ran.err.contains("TOML"), "{}", ran.err);
    let smtp = "EHLO here\r\nMAIL FROM:<ann@relay.test>\r\nRCPT TO:<bob@far.test>\r\nDATA\r\n";
    let smtp = format!(
        "{smtp}Bcc: secret@far.test\r\nSubject: spoken\r\n\r\nhi\r\n.\r\nAUTH PLAIN AAA=\r\nQUIT\r\n"
    );
    let spoken = machine.call(&["-bs"], &smtp).expect_code(0).out;
    assert!(
        !spoken.contains("STARTTLS") && !spoken.contains("AUTH"),
        "{spoken}"
    );
    assert!(
        spoken.contains("\r\n354 ") && spoken.contains("\r\n50"),
        "{spoken}"
    );
    let arrived = machine.arrived("spoken").text();
    assert!(!arrived.contains("secret"), "{arrived}");
    machine.call(&["-bp"], "").expect_code(0);
    machine
        .relay
        .command(&["sendmail", "-t", "-i"])
        .expect_code(64);
    let verbose = machine
        .call(&["-v", "-i", "bob@far.test"], &letter("verbose"))
        .expect_code(0);
    assert!(verbose.err.contains("250 2.0.0"), "{}", verbose.err);
}

/// -N, -R and -V, with their values apart or joined, reach a server that offers DSN (RFC 3461).
#[test]
fn wishes_for_notices_reach_the_next_server() {
    let mut machine = Machine::before(Conduct {
        extensions: &["8BITMIME", "DSN"],
        ..Conduct::default()
    });
    machine.relay.run();
    let call = |options: &[&str], subject: &str| {
        let arguments = [&["-i"], options, &["bob@far.test"]].concat();
        machine.call(&arguments, &letter(subject)).expect_code(0);
        let arrived = machine.arrived(subject);
        let words = |text: &str| -> Vec<String> {
            let text = text.to_uppercase();
            let words = text.split_whitespace().map(str::to_owned);
            words
                .filter(|word| {
                    ["RET=", "ENVID=", "NOTIFY="]
                        .iter()
                        .any(|key| word.starts_with(key))
                })
                .collect()
        };
        (words(&arrived.parameters), words(&arrived.about.join(" ")))
    };
    let apart = ["-N", "success,delay", "-R", "hdrs", "-V", "job+2B7"];
    let (of_message, of_recipient) = call(&apart, "apart");
    // In xtext, as callers write it: a plus sign goes by its code.
    assert_eq!(of_message, ["RET=HDRS", "ENVID=JOB+2B7"]);
    assert_eq!(of_recipient, ["NOTIFY=SUCCESS,DELAY"]);
    let joined = ["-Nnever", "-Rfull", "-Vjob8"];
    let (of_message, of_recipient) = call(&joined, "joined");
    assert_eq!(of_message, ["RET=FULL", "ENVID=JOB8"]);
    assert_eq!(of_recipient, ["NOTIFY=NEVER"]);
    let (of_message, of_recipient) = call(&[], "none");
    assert!(of_message.is_empty() && of_recipient.is_empty());
}

#[test]
fn a_refusal_is_told_with_its_code_and_nobody_gets_anything() {
    let mut machine = Machine::new();
    machine.write_config(
        "[relay]\nsubmit = false\n[domain.\"hosted.test\"]\nroute = \"mx\"\nrecipients = [\"ann@hosted.test\"]\n",
    );
    machine.relay.run();
    for (to, code, said) in [
        (
            "ann@hosted.test,eve@hosted.test",
            67,
            "eve@hosted.test: 550 5.1.1",
        ),
        (
            "ann@hosted.test,bob@far.test",
            69,
            "bob@far.test: 550 5.7.1 Unable to relay",
        ),
    ] {
        let ran = machine
            .call(&["-i", to], &letter("refused"))
            .expect_code(code);
        assert!(ran.err.contains(said), "{}", ran.err);
    }
    assert_eq!(machine.relay.queued(), 0);
}

#[test]
fn every_account_may_send_and_is_named() {
    program::need_root("it becomes another account");
    let mut machine = Machine::new();
    machine.relay.run();
    machine
        .call_as(Some(NOBODY), &["-i", "bob@far.test"], &letter("other"))
        .expect_code(0);
    let other = machine.arrived("other");
    assert_eq!(other.from, "nobody@relay.test");
    let received = other.header("Received").expect("Received");
    assert!(received.contains("uid 65534 of this machine"), "{received}");
    machine
        .relay
        .wait_for_log(&["message accepted", "uid:65534"]);
    // The control socket is not for it, and neither is the submit socket when its mode says so.
    assert_ne!(machine.call_as(Some(NOBODY), &["-bp"], "").code, 0);
    let socket = machine.relay.folder().join("submit.sock");
    assert_eq!(
        fs::metadata(&socket).expect("a socket").mode() & 0o777,
        0o666
    );
    machine.relay.stop();
    let text = fs::read_to_string(machine.relay.config()).expect("a configuration");
    let text = text.replace(
        "[submit]\n",
        "[submit]\nmode = \"0660\"\ngroup = \"mail\"\n",
    );
    machine.relay.write_whole_config(&text);
    machine.relay.run();
    let about = fs::metadata(&socket).expect("a socket");
    assert_eq!((about.mode() & 0o777, about.gid() != 0), (0o660, true));
    machine
        .call_as(Some(NOBODY), &["-i", "bob@far.test"], &letter("shut"))
        .expect_code(77);
}

/// It is a field without an address that it counts as a relay of which nobody can tell anything.
#[test]
fn spamassassin_reads_the_way_of_what_was_handed_in_here() {
    let mut machine = Machine::new();
    machine.relay.run();
    machine
        .call(&["bob@far.test"], &letter("read"))
        .expect_code(0);
    let text = machine.arrived("read").text();
    let report = program::feed("spamassassin", &["-L", "-t"], text.as_bytes()).expect_code(0);
    assert!(
        report.out.contains("Content analysis details"),
        "{}",
        report.text()
    );
    assert!(!report.out.contains("UNPARSEABLE_RELAY"), "{}", report.out);
}

#[test]
fn one_account_leaves_room_for_the_others() {
    program::need_root("it becomes another account");
    let mut machine = Machine::new();
    machine.relay.run();
    let socket = machine.relay.folder().join("submit.sock");
    let greeted = |_| {
        let mut stream = UnixStream::connect(&socket).expect("a connection");
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).expect("a greeting");
        (stream, greeting)
    };
    let (held, turned_away): (Vec<_>, Vec<_>) = (0..60)
        .map(greeted)
        .partition(|(_, greeting)| greeting == b"220 ");
    assert_eq!((held.len(), turned_away.len()), (50, 10));
    assert!(turned_away.iter().all(|(_, greeting)| greeting == b"421 "));
    machine
        .call_as(Some(NOBODY), &["-i", "bob@far.test"], &letter("others"))
        .expect_code(0);
    machine.arrived("others");
}

#[test]
fn while_the_relay_is_down_messages_are_kept_and_nobody_else_reads_them() {
    program::need_root("it becomes another account");
    let mut machine = Machine::with_pickup();
    // As an account without rights, which owns the directory and nothing in it.
    let account = (Some(DAEMON), Some(DAEMON));
    std::os::unix::fs::chown(machine.directory(), account.0, account.1).expect("an owner");
    fs::set_permissions(machine.directory(), Permissions::from_mode(0o3733)).expect("a mode");
    let text = fs::read_to_string(machine.relay.config()).expect("a configuration");
    let as_root = "user = \"root\"\ngroup = \"root\"\n";
    assert!(text.contains(as_root), "{text}");
    let text = text.replace(as_root, "user = \"daemon\"\ngroup = \"daemon\"\n");
    machine.relay.write_whole_config(&text);
    let kept = machine.call_as(
        Some(NOBODY),
        &["-v", "-t", "-f", "<>", "-N", "never"],
        &letter("kept"),
    );
    let kept = kept.expect_code(0);
    assert!(kept.err.contains("kept for later"), "{}", kept.err);
    let mut files = fs::read_dir(machine.directory()).expect("the directory");
    let file = files.next().expect("a file").expect("a file").path();
    let about = fs::metadata(&file).expect("a file");
    assert_eq!(
        (about.mode() & 0o777, about.uid(), about.gid()),
        (0o640, NOBODY, DAEMON)
    );
    for (uid, program, path) in [(2, "cat", &file), (2, "ls", &machine.directory())] {
        let mut command = program::limited(&program::path_of(program));
        command.arg(path).uid(uid).gid(uid);
        assert_ne!(program::finish(command, b"").code, 0, "{program}");
    }
    machine.relay.run();
    let arrived = machine.server.wait_where("both recipients", |one| {
        one.subject() == "kept" && one.to.len() == 2
    });
    assert_eq!(arrived.from, "");
    let received = arrived.header("Received").expect("Received");
    assert!(received.contains("uid 65534 of this machine"), "{received}");
    assert!(!arrived.text().contains("secret"), "{}", arrived.text());
    until_true("the file to go", seconds(ARRIVAL_SECONDS_MAX), || {
        !file.exists()
    });
}

#[test]
fn what_the_relay_could_not_read_or_everybody_could_is_not_kept_so() {
    program::need_root("it becomes another account");
    let machine = Machine::with_pickup();
    let directory = machine.directory();
    let call = || machine.call_as(Some(NOBODY), &["-i", "bob@far.test"], &letter("kept"));
    // A group's, which is not that of the relay.
    chown(&directory, None, Some(NOBODY)).expect("a group");
    fs::set_permissions(&directory, Permissions::from_mode(0o3770)).expect("a mode");
    call().expect_code(0);
    let mut files = fs::read_dir(&directory).expect("the directory");
    let file = files.next().expect("a file").expect("a file");
    let about = file.metadata().expect("a file");
    assert_eq!((about.mode() & 0o777, about.gid()), (0o644, NOBODY));
    fs::remove_file(file.path()).expect("a file");
    fs::set_permissions(&directory, Permissions::from_mode(0o1777)).expect("a mode");
    let open = call().expect_code(75);
    assert!(open.err.contains("others may list"), "{}", open.err);
    // Mail that could only go by the socket.
    fs::set_permissions(&directory, Permissions::from_mode(0o3770)).expect("a mode");
    machine.may_pick_up(false);
    let forbidden = call().expect_code(75);
    assert!(forbidden.err.contains("relay.pickup"), "{}", forbidden.err);
    assert_eq!(fs::read_dir(&directory).expect("the directory").count(), 0);
}

#[test]
fn a_message_that_was_taken_is_no_failure_though_nobody_reads_what_is_told() {
    let mut machine = Machine::new();
    machine.relay.run();
    let input = machine.relay.folder().join("letter");
    fs::write(&input, letter("unheard")).expect("a file");
    let (unread, errors) = io::pipe().expect("a pipe");
    drop(unread);
    let mut command = program::limited(&machine.relay.folder().join("sendmail"));
    command.arg("-C").arg(machine.relay.config());
    command.args(["-v", "-i", "bob@far.test"]).stderr(errors);
    let input = fs::File::open(&input).expect("a file");
    let ended = command.stdin(input).status().expect("sendmail");
    assert_eq!(ended.code(), Some(0));
    machine.arrived("unheard");
}

#[test]
fn what_is_not_kept_is_a_failure() {
    let machine = Machine::new();
    let ran = machine
        .call(&["-i", "bob@far.test"], &letter("lost"))
        .expect_code(75);
    assert!(
        ran.err.contains("the relay cannot be reached"),
        "{}",
        ran.err
    );
    let ran = machine.call(&["-bs"], "QUIT\r\n").expect_code(75);
    assert!(ran.out.starts_with("421 "), "{}", ran.out);
}

/// Each program as Debian has it, its own way of calling, and what arrives.
#[test]
fn programs_send_as_they_do_everywhere() {
    let mut machine = Machine::new();
    machine.relay.run();
    let sendmail = machine.sendmail();
    let sendmail = sendmail.to_str().expect("a path");
    let home = machine.relay.folder().join("home");
    fs::create_dir(&home).expect("a folder");
    let run = |name: &str, arguments: &[&str], input: &str| {
        let mut command = program::limited(&program::path_of(name));
        command
            .args(arguments)
            .env("HOME", &home)
            .env("EMAIL", "ann@relay.test");
        command
            .env("MAILRC", home.join("mailrc"))
            .current_dir(&home);
        program::finish(command, input.as_bytes()).expect_code(0)
    };

    let mail = "var_dump(mail('bob@far.test', 'php', \"one\\ntwo\\n\", \"From: ann@relay.test\\r\\nBcc: secret@far.test\", '-fann@relay.test'));";
    let said = run(
        "php",
        &["-d", &format!("sendmail_path={sendmail} -t -i"), "-r", mail],
        "",
    );
    assert!(said.out.contains("bool(true)"), "{}", said.out);
    let php = machine.server.wait_where("both recipients", |one| {
        one.subject() == "php" && one.to.len() == 2
    });
    assert_eq!(php.from, "ann@relay.test");
    assert!(
        php.text().contains("\r\n\r\none\r\ntwo\r\n") && !php.text().contains("secret"),
        "{}",
        php.text()
    );

    fs::write(home.join("mailrc"), format!("set sendmail={sendmail}\n")).expect("a file");
    run(
        "bsd-mailx",
        &["-s", "mailx", "-b", "secret@far.test", "bob@far.test"],
        "one\n.\n",
    );
    let mailx = machine.server.wait_where("both recipients", |one| {
        one.subject() == "mailx" && one.to.len() == 2
    });
    assert!(!mailx.text().contains("secret"), "{}", mailx.text());

    fs::write(
        home.join("mailrc"),
        format!("set mta={sendmail} sendwait\n"),
    )
    .expect("a file");
    run(
        "s-nail",
        &[
            "-r",
            "ann@relay.test",
            "-s",
            "s-nail",
            "bob@far.test",
            "carl@far.test",
        ],
        "one\n",
    );
    let nail = machine.arrived("s-nail");
    assert_eq!((nail.from.as_str(), nail.to.len()), ("ann@relay.test", 2));

    fs::write(
        home.join(".muttrc"),
        format!(
            "set sendmail=\"{sendmail} -oem -oi\"\nset use_envelope_from=yes\nset from=ann@relay.test\n\
             set dsn_notify=failure,delay\nset dsn_return=hdrs\nset use_8bitmime=yes\nset record=\"\"\n"
        ),
    )
    .expect("a file");
    run("mutt", &["-s", "mutt", "bob@far.test"], "gr\u{fc}\u{df}e\n");
    assert_eq!(machine.arrived("mutt").from, "ann@relay.test");
    assert!(
        machine
            .called()
            .contains("-N failure,delay -R hdrs -- bob@far.test"),
        "{}",
        machine.called()
    );

    fs::write(
        home.join("patch"),
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n\
         From: ann@relay.test\nSubject: [PATCH] git\n\nwhy\n---\n",
    )
    .expect("a file");
    run(
        "git",
        &[
            "send-email",
            "--smtp-server",
            sendmail,
            "--from",
            "ann@relay.test",
            "--to",
            "bob@far.test",
            "--confirm=never",
            "--suppress-cc=all",
            "--envelope-sender=ann@relay.test",
            "patch",
        ],
        "",
    );
    machine.arrived("[PATCH] git");

    let perl = format!(
        "use MIME::Lite; MIME::Lite->new(From => 'ann@relay.test', To => 'bob@far.test', Bcc => 'secret@far.test', \
         Subject => 'perl', Data => \"one\\n.\\ntwo\\n\")->send('sendmail', '{sendmail} -t -oi -oem -fann@relay.test') or die;"
    );
    run("perl", &["-e", &perl], "");
    let perl = machine.server.wait_where("both recipients", |one| {
        one.subject() == "perl" && one.to.len() == 2
    });
    assert!(
        perl.text().ends_with(".\r\ntwo\r\n") && !perl.text().contains("secret"),
        "{}",
        perl.text()
    );

    // Those that run as services, by what they were seen or read to call.
    for (subject, arguments, text, to) in [
        (
            "cron",
            &[
                "-FCronDaemon",
                "-i",
                "-B8BITMIME",
                "-oem",
                "bob@far.test,carl@far.test",
            ][..],
            "From: \"(Cron Daemon)\" <root>\nTo: bob@far.test\nSubject: cron\n\n10%\r100%\n",
            2,
        ),
        (
            "fail2ban",
            &["-f", "ann@relay.test", "bob@far.test, carl@far.test"],
            "Subject: fail2ban\nFrom: x <ann@relay.test>\nTo: bob@far.test\n\nHi,\n.\n",
            2,
        ),
        (
            "mdadm",
            &["-t"],
            "From: mdadm monitoring <root>\nTo: bob@far.test\nSubject: mdadm\n\nfail\n",
            1,
        ),
        (
            "nodemailer",
            &["-i", "-f", "ann@relay.test", "bob@far.test"],
            "From: ann@relay.test\r\nBcc: secret@far.test\r\nSubject: nodemailer\r\n\r\none\ntwo\r\n",
            1,
        ),
    ] {
        machine.call(arguments, text).expect_code(0);
        let arrived = machine.arrived(subject);
        assert_eq!(arrived.to.len(), to, "{subject}");
        assert!(!arrived.text().contains("secret"), "{}", arrived.text());
    }
    assert!(machine.arrived("cron").text().ends_with("10% 100%\r\n"));
    assert!(
        machine
            .arrived("nodemailer")
            .text()
            .ends_with("\r\n\r\none\r\ntwo\r\n")
    );
}

/// Daemons with processes and a view of files of their own, in which the program is the machine's
/// sendmail and there are no jobs but theirs: `sh -c JOBS sh PROGRAM CRONTAB`. A job of cron's that is
/// done at its start goes the way of all others.
const JOBS: &str = r#"set -e
mount --bind "$1" /usr/sbin/sendmail
mount --bind "$2" /etc/crontab
for hidden in /run /etc/cron.d /var/spool/cron; do mount -t tmpfs -o mode=755 none $hidden; done
cd /var/spool/cron
mkdir -m 1730 crontabs
mkdir -m 1770 atjobs atspool
touch atjobs/.SEQ
chmod 600 atjobs/.SEQ
chown -R daemon:daemon atjobs atspool
cd /
cron -f &
# Nobody hears of it yet.
printf 'printf "printed by at\\n.\\nbehind a dot\\n"\n' | at now 2>&1 || true
# The shell stays: what ends it with unshare is lost to whoever becomes another account, as atd does.
atd -f &
wait"#;

struct Daemons(Child);

impl Daemons {
    fn start(sendmail: &Path, crontab: &Path) -> Daemons {
        program::need_root("only root has file systems of its own");
        let mut command = Command::new(program::path_of("unshare"));
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", JOBS, "sh", path(sendmail), path(crontab)]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Daemons(command.spawn().expect("daemons"))
    }
}

impl Drop for Daemons {
    /// All of them end with the first, the shell, which ends with its parent.
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn what_jobs_of_cron_and_at_print_is_sent() {
    let mut machine = Machine::new();
    machine.write_config(&format!(
        "[relay]\nsubmit = true\n[domain.\"relay.test\"]\nroute = \"{}\"\n",
        machine.server.route()
    ));
    machine.relay.run();
    let crontab = machine.relay.folder().join("crontab");
    let text = "@reboot root printf 'printed by cron\\n.\\nbehind a dot\\n'\n\
                MAILTO=\"it@far.test,ops@far.test\"\n\
                @reboot daemon echo gr\u{fc}\u{df}e\n\
                MAILTO=\"\"\n@reboot root echo nobody reads this\n";
    fs::write(&crontab, text).expect("a table");
    let _daemons = Daemons::start(&machine.sendmail(), &crontab);

    let printed = |by: &str| {
        machine.server.wait_where(by, |got| {
            let body = format!("\r\n\r\nprinted by {by}\r\n.\r\nbehind a dot\r\n");
            got.text().ends_with(&body)
        })
    };
    let by_cron = printed("cron");
    assert_eq!(
        (&*by_cron.from, &by_cron.to[..]),
        ("root@relay.test", &["root@relay.test".to_owned()][..])
    );
    assert!(
        by_cron.subject().starts_with("Cron <root@"),
        "{}",
        by_cron.subject()
    );
    assert!(
        by_cron
            .header("From")
            .is_some_and(|from| from.contains("root"))
    );
    let by_at = printed("at");
    assert_eq!(
        (&*by_at.from, &by_at.to[..]),
        ("root@relay.test", &["root@relay.test".to_owned()][..])
    );
    assert!(
        by_at.subject().contains("Output from your job"),
        "{}",
        by_at.subject()
    );
    let to = ["it@far.test", "ops@far.test"];
    let of_daemon = machine
        .server
        .wait_where("another account's", |got| got.to == to);
    assert_eq!(of_daemon.from, "daemon@relay.test");
    assert!(
        of_daemon.text().contains("\r\n\r\ngr\u{fc}\u{df}e\r\n"),
        "{}",
        of_daemon.text()
    );
    assert_eq!(machine.server.count(), 3);
}

/// It leaves Bcc in the header, and ends the lines of header and body in different ways.
#[test]
#[ignore = "needs nodemailer: scripts/test browser"]
fn nodemailer_sends_and_nobody_reads_who_else_gets_it() {
    let mut machine = Machine::new();
    machine.relay.run();
    let sendmail = machine.sendmail();
    let program = "const mail = { from: 'ann@relay.test', to: 'bob@far.test', bcc: 'secret@far.test', \
                   subject: 'nodemailer', text: 'one\\ntwo\\n' }; \
                   require(process.argv[1]).createTransport({ sendmail: true, path: process.argv[2] }) \
                   .sendMail(mail).catch((why) => { console.error(why); process.exit(1); });";
    let nodemailer = crate::script::nodemailer().join("nodemailer");
    let (nodemailer, sendmail) = (nodemailer.display(), sendmail.display());
    let words = [
        "-e",
        program,
        &nodemailer.to_string(),
        &sendmail.to_string(),
    ];
    program::run("node", &words).expect_code(0);
    let sent = machine.server.wait_where("both recipients", |one| {
        one.subject() == "nodemailer" && one.to.len() == 2
    });
    let text = sent.text();
    assert!(text.contains("\r\n\r\none\r\ntwo\r\n"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

/// By the names that programs look for, whatever the path.
#[test]
fn both_usual_names_are_answered_to() {
    let machine = Machine::new();
    let lib = machine.relay.folder().join("lib");
    fs::create_dir(&lib).expect("a folder");
    for name in ["sendmail", "mailq"] {
        symlink(binary(), lib.join(name)).expect("a link");
    }
    let run = |name: &str, arguments: &[&str]| {
        let mut command = program::limited(&lib.join(name));
        command.args(arguments);
        program::finish(command, b"")
    };
    run("sendmail", &["-y"]).expect_code(64);
    let config = machine.relay.config();
    run("mailq", &["-C", path(&config)]).expect_code(69);
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path")
}
