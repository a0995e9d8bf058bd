//! `[syslog.NAME]`: servers to which logs go.

mod memory;

use config::{LogTarget, ProtocolLogTarget};
use memory::{bad, good};
use syslog::{Facility, Form, Framing};

#[test]
fn each_way_has_its_usual_form() {
    let text = "hostname = \"relay.example\"\n\
        [syslog.here]\nto = \"/dev/log\"\n[syslog.old]\nto = \"/dev/log\"\nformat = \"rfc3164\"\n\
        [syslog.udp]\nto = \"udp://logs.example\"\nfacility = \"local3\"\n\
        [syslog.tcp]\nto = \"tcp://192.0.2.1\"\nformat = \"rfc3164\"\nframing = \"lf\"\n\
        [syslog.tls]\nto = \"tls://logs.example\"\nca = \"ca.pem\"\nmax_bytes = 1000\n";
    let log = good(text).config.log;
    let format = |name: &str| {
        let format = &log.syslogs[name].format;
        (format.form, format.framing, format.max_bytes)
    };
    assert_eq!(format("here"), (Form::Local, Framing::Datagram, 8096));
    assert_eq!(format("old"), format("here"));
    assert_eq!(format("udp"), (Form::Ietf, Framing::Datagram, 2048));
    assert_eq!(format("tcp"), (Form::Bsd, Framing::Lf, 8096));
    assert_eq!(format("tls"), (Form::Ietf, Framing::OctetCounting, 1000));
    assert_eq!(log.syslogs["udp"].format.facility, Facility::local(3));
    assert_eq!(&*log.syslogs["udp"].format.host, "relay.example");
    assert_eq!(log.syslogs["tls"].to.to_string(), "tls://logs.example:6514");
}

#[test]
fn logs_go_where_they_are_told() {
    let text = "[log]\nstdout = false\nsyslog = [\"here\"]\n[syslog.here]\nto = \"/dev/log\"\n\
        [log.a]\n[log.b]\nformat = \"json\"\nsyslog = \"here\"\n[log.c]\nformat = \"maillog\"\nsyslog = \"here\"\n";
    let log = good(text).config.log;
    assert_eq!(log.target, LogTarget::Nowhere);
    assert_eq!(&*log.syslog[0].name, "here");
    assert!(!log.journald);
    let log = good("log.journald = true\n").config.log;
    assert!(log.journald && log.target == LogTarget::Nowhere);
    let log = good("[log]\njournald = true\nstdout = true\n").config.log;
    assert!(log.journald && log.target == LogTarget::Stdout);
    let log = good(text).config.log;
    let goes_out = |log: &config::ProtocolLog| log.target != ProtocolLogTarget::Files;
    let out: Vec<bool> = log.protocol.iter().map(goes_out).collect();
    assert_eq!(out, [false, true, true]);
}

#[test]
fn what_makes_no_sense_is_said() {
    let here = "[syslog.here]\nto = \"/dev/log\"\n";
    for (text, said) in [
        (
            "[syslog.x]\nfacility = \"mail\"\n",
            "[syslog.x] has no `to`",
        ),
        ("[syslog.x]\nto = \"logs.example:514\"\n", "tcp://host"),
        ("[syslog.x]\nto = \"/l\"\nmax_bytes = 100\n", "from 480 to"),
        (
            "[syslog.x]\nto = \"/l\"\nframing = \"lf\"\n",
            "nothing to frame",
        ),
        (
            "[syslog.x]\nto = \"tcp://l\"\nca = \"c\"\n",
            "nothing is encrypted",
        ),
        (
            "[syslog.x]\nto = \"tls://l\"\nkey = \"c\"\n",
            "needs its key",
        ),
        (
            "[log]\nsyslog = \"her\"\n[syslog.here]\nto = \"/l\"\n",
            "did you mean `here`?",
        ),
        ("[log]\nstdout = false\n", "must go somewhere"),
        (
            "[log.x]\nsyslog = \"here\"\n[syslog.here]\nto = \"/l\"\n",
            "only the formats json and maillog",
        ),
    ] {
        let refused = bad(text).to_string();
        assert!(refused.contains(said), "{text}\n{refused}");
    }
    let text = format!("{here}[log.x]\nformat = \"json\"\nsyslog = \"here\"\nkeep = \"1d\"\n");
    let warnings = good(&text).warnings;
    let has = |words: &str| warnings.iter().any(|one| one.to_string().contains(words));
    assert!(has("`log.x.keep` is not read: there are no files"));
}

/// A reload would leave the log where it was.
#[test]
fn where_the_log_goes_changes_with_a_restart_only() {
    let text = |to: &str| {
        format!(
            "log.syslog = \"here\"\n[syslog.here]\nto = \"{to}\"\n[syslog.other]\nto = \"{to}\"\n"
        )
    };
    let change = |old: &str, new: &str| {
        let (old, new) = (good(old).config, good(new).config);
        old.change_of_fixed(&new).map(str::to_owned)
    };
    assert_eq!(change(&text("/a"), &text("/a")), None);
    assert_eq!(
        change(&text("/a"), &text("/b")).as_deref(),
        Some("log.syslog")
    );
}
