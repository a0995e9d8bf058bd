//! `gatepost bench`: a source and a sink, against each other.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn gatepost(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command.args(["--json", "bench"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// One that ends after so many messages, and where it listens.
fn sink(messages: &str, arguments: &[&str]) -> (Child, String) {
    let listening = ["sink", "--listen", "127.0.0.1:0", "--messages", messages];
    let mut sink = gatepost(&[&listening, arguments].concat())
        .spawn()
        .expect("a sink");
    let mut line = String::new();
    BufReader::new(sink.stderr.take().expect("its errors"))
        .read_line(&mut line)
        .expect("where it listens");
    let address = line.trim().rsplit(' ').next().expect("an address");
    (sink, address.to_owned())
}

fn source(target: &str, arguments: &[&str]) -> Output {
    gatepost(&[&["source", "--target", target], arguments].concat())
        .output()
        .expect("a source")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn all_that_is_sent_arrives_and_is_timed() {
    for more in [&["--keep"] as &[&str], &[], &["--rate", "500"]] {
        let (sink, address) = sink("60", &[]);
        let load = ["--messages", "60", "--sessions", "7", "--size", "10000"];
        let sent = source(&address, &[&load, more].concat());
        assert!(sent.status.success(), "{sent:?}");
        let (sent, came) = (json(&sent), json(&sink.wait_with_output().expect("an end")));
        assert_eq!(sent["accepted"], 60, "{sent}");
        assert!(sent["until_250_ms"]["p99"].as_f64() > Some(0.0), "{sent}");
        assert_eq!(came["messages"], 60, "{came}");
        assert!(came["octets"].as_u64() > Some(600_000), "{came}");
        assert!(came["on_their_way_ms"]["p50"].is_number(), "{came}");
        let connections = if more == ["--keep"] { 7 } else { 60 };
        assert_eq!(came["connections"], connections, "{came}");
    }
}

#[test]
fn sessions_are_taken_up_again_as_often_as_was_asked_for() {
    for (percent, least, most) in [("0", 0, 0), ("100", 30, 39)] {
        let (sink, address) = sink("40", &["--starttls"]);
        let load = ["--messages", "40", "--sessions", "1", "--starttls"];
        let sent = source(
            &address,
            &[&load as &[&str], &["--resume", percent]].concat(),
        );
        let (sent, came) = (json(&sent), json(&sink.wait_with_output().expect("an end")));
        assert_eq!(sent["handshakes"], 40, "{sent}");
        assert_eq!(came["encrypted"], 40, "{came}");
        let resumed = sent["resumed"].as_u64().expect("a number");
        assert!((least..=most).contains(&resumed), "{sent}");
    }
}

#[test]
fn so_many_recipients_are_refused_and_deferred() {
    let (sink, address) = sink("80", &["--refuse", "10", "--defer", "10"]);
    let sent = source(&address, &["--messages", "100", "--sessions", "1"]);
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    let (sent, came) = (json(&sent), json(&sink.wait_with_output().expect("an end")));
    assert_eq!(
        (&sent["accepted"], &sent["refused"]),
        (&80.into(), &20.into()),
        "{sent}"
    );
    assert_eq!(
        (&came["refused"], &came["deferred"]),
        (&10.into(), &10.into()),
        "{came}"
    );
}

#[test]
fn nothing_goes_beyond_this_machine_unasked() {
    for (arguments, lacking) in [
        (
            &["source", "--target", "192.0.2.1:25"] as &[&str],
            "--beyond-loopback",
        ),
        (
            &["source", "--target", "192.0.2.1:25", "--beyond-loopback"],
            "--public-address",
        ),
        (&["source", "--target", "10.0.0.1:25"], "--beyond-loopback"),
        (&["sink", "--listen", "0.0.0.0:0"], "--beyond-loopback"),
    ] {
        let refused = gatepost(arguments).output().expect("a refusal");
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(lacking), "{said}");
    }
}

/// With its last message a sink ends, and whoever sent it has its 250 before.
#[test]
fn the_last_message_has_its_reply() {
    for _ in 0..20 {
        let (sink, address) = sink("1", &[]);
        let sent = source(&address, &["--messages", "1", "--size", "200000"]);
        assert!(sent.status.success(), "{sent:?}");
        let came = json(&sink.wait_with_output().expect("an end"));
        assert_eq!(came["messages"], 1, "{came}");
        assert!(came["octets"].as_u64() > Some(200_000), "{came}");
    }
}

#[test]
fn what_cannot_be_meant_is_a_mistake() {
    let sink = ["sink", "--listen", "127.0.0.1:0"];
    let source = ["source", "--target", "127.0.0.1:9"];
    for (arguments, said) in [
        (
            &[&sink[..], &["--refuse", "60", "--defer", "60"]].concat(),
            "--defer",
        ),
        (&[&sink[..], &["--messages", "0"]].concat(), "--messages"),
        (&[&source[..], &["--messages", "0"]].concat(), "--messages"),
        (
            &[&source[..], &["--to", "a@b.test>\r\nRCPT TO:<c@d.test"]].concat(),
            "--to",
        ),
        (
            &[&source[..], &["--from", "a@b.test\r\n"]].concat(),
            "--from",
        ),
    ] {
        let refused = gatepost(arguments).output().expect("a refusal");
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(error.contains(said), "{error}");
    }
    let (mut gone, nobody) = self::sink("1", &[]);
    gone.kill().and_then(|()| gone.wait()).expect("an end");
    let sent = self::source(&nobody, &["--messages", "3", "--sessions", "2"]);
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    assert_eq!(json(&sent)["broken"], 3, "{sent:?}");
}
