use mail::{BodyKind, EnvelopeId, Notify, Ret};

use super::*;

fn parse(line: &str) -> Result<Command, SyntaxError> {
    Command::parse(line.as_bytes())
}

/// The reply's code and status for a line that must be refused.
fn refusal(line: &[u8]) -> String {
    let reply = Command::parse(line)
        .map_err(SyntaxError::reply)
        .expect_err(&line.escape_ascii().to_string());
    format!("{} {}", reply.code(), reply.status())
}

fn mail(line: &str) -> Mail {
    match parse(line) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt(line: &str) -> Rcpt {
    match parse(line) {
        Ok(Command::Rcpt(rcpt)) => rcpt,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn etrn_and_atrn_are_read() {
    let domain = |name| mail::Domain::parse(name).unwrap();
    let node = |line| match parse(line) {
        Ok(Command::Etrn(node)) => Some(node),
        _ => None,
    };
    let office = || domain("office.example");
    assert_eq!(
        node("ETRN office.example"),
        Some(EtrnNode::Domain(office()))
    );
    assert_eq!(
        node("etrn @Office.Example"),
        Some(EtrnNode::WithSubdomains(office()))
    );
    assert_eq!(node("ETRN #slow"), Some(EtrnNode::Queue("slow".into())));
    for line in [
        "ETRN",
        "ETRN ",
        "ETRN @",
        "ETRN #",
        "ETRN a b",
        "ETRN &a",
        "ETRN #a b",
    ] {
        assert_eq!(node(line), None, "{line}");
    }
    let domains = |line| match parse(line) {
        Ok(Command::Atrn(domains)) => Some(domains),
        _ => None,
    };
    assert_eq!(domains("ATRN"), Some(Vec::new()));
    assert_eq!(domains("ATRN office.example"), Some(vec![office()]));
    assert_eq!(
        domains("atrn office.example, b.example"),
        Some(vec![office(), domain("b.example")])
    );
    for line in [
        "ATRN ,",
        "ATRN a.example,",
        "ATRN a b",
        "ATRN @office.example",
    ] {
        assert_eq!(domains(line), None, "{line}");
    }
}

#[test]
fn simple_commands_are_read() {
    let cases = [
        ("DATA", Command::Data),
        ("data  ", Command::Data),
        ("RSET", Command::Rset),
        ("NOOP", Command::Noop),
        ("NOOP whatever it says", Command::Noop),
        ("QUIT", Command::Quit),
        ("HELP", Command::Help),
        ("HELP MAIL", Command::Help),
        ("VRFY bob", Command::Vrfy),
        ("StartTLS", Command::StartTls),
        ("EXPN list", Command::NotImplemented(Verb::Expn)),
        ("TURN", Command::NotImplemented(Verb::Turn)),
        (
            "xforward ADDR=127.0.0.1",
            Command::Xforward("ADDR=127.0.0.1".into()),
        ),
        (
            "XCLIENT ADDR=127.0.0.1",
            Command::NotImplemented(Verb::Xclient),
        ),
        (
            "BDAT 0",
            Command::Bdat {
                size: 0,
                last: false,
            },
        ),
        (
            "BDAT 86 LAST",
            Command::Bdat {
                size: 86,
                last: true,
            },
        ),
        (
            "bdat 18446744073709551615 last",
            Command::Bdat {
                size: u64::MAX,
                last: true,
            },
        ),
        ("GET / HTTP/1.1", Command::Foreign),
        ("Host: relay.example", Command::Foreign),
        ("SSH-2.0-OpenSSH_9.9", Command::Foreign),
        ("", Command::Unknown),
        (" NOOP", Command::Unknown),
        ("PING", Command::Unknown),
    ];
    for (line, command) in cases {
        assert_eq!(parse(line), Ok(command), "{line:?}");
    }
}

#[test]
fn a_greeting_is_a_name_or_something_like_one() {
    let host = |line: &str| match parse(line) {
        Ok(Command::Ehlo(name) | Command::Helo(name)) => name.host.map(|h| h.to_string()),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(host("EHLO Client.Example"), Some("client.example".into()));
    assert_eq!(host("HELO [192.0.2.1]"), Some("[192.0.2.1]".into()));
    assert_eq!(host("EHLO my_pc(1)"), None);
}

#[test]
fn senders_are_read() {
    let cases = [
        ("MAIL FROM:<>", ""),
        ("MAIL FROM:<ann@x.example>", "ann@x.example"),
        ("mail from:<ann@x.example>", "ann@x.example"),
        ("MAIL FROM: <ann@x.example>", "ann@x.example"),
        ("MAIL FROM:  <ann@x.example>", "ann@x.example"),
        ("MAIL FROM:ann@x.example", "ann@x.example"),
        ("MAIL FROM: ann@x.example SIZE=5", "ann@x.example"),
        ("MAIL FROM:\"a b\"@x.example BODY=7BIT", "\"a b\"@x.example"),
        ("MAIL FROM:<@a.example:ann@x.example>", "ann@x.example"),
        (
            "MAIL FROM:<@a.example,@[192.0.2.1]:ann@x.example> SIZE=5",
            "ann@x.example",
        ),
        ("MAIL FROM:@a.example:ann@x.example", "ann@x.example"),
        (
            "MAIL FROM:<@a.example:\"x:@y\"@x.example>",
            "\"x:@y\"@x.example",
        ),
        // RFC 5321 says nothing against an address for a name in a sender, and machines without a
        // name have none other.
        ("MAIL FROM:<scanner@192.0.2.9>", "scanner@192.0.2.9"),
        ("MAIL FROM:<\"a > b\"@x.example>", "\"a > b\"@x.example"),
        (
            "MAIL FROM:<\"a\\\"> b\"@x.example>",
            "\"a\\\"> b\"@x.example",
        ),
        (
            "MAIL FROM:<ann@[IPv6:2001:db8::1]>",
            "ann@[IPv6:2001:db8::1]",
        ),
        (
            "MAIL FROM:<jürgen@bücher.example> SMTPUTF8",
            "jürgen@bücher.example",
        ),
    ];
    for (line, path) in cases {
        assert_eq!(mail(line).reverse_path.as_str(), path, "{line}");
    }
}

#[test]
fn recipients_are_read() {
    let mailbox = |line: &str| match rcpt(line).path {
        RcptPath::Mailbox(mailbox) => mailbox.to_string(),
        RcptPath::Postmaster => "postmaster".to_owned(),
    };
    let long = format!("{}@x.example", "a".repeat(Mailbox::LEN_MAX - 10));
    for (line, address) in [
        ("RCPT TO:<bob@x.example>", "bob@x.example"),
        ("RCPT TO:bob@x.example", "bob@x.example"),
        ("RCPT TO: bob@x.example NOTIFY=NEVER", "bob@x.example"),
        ("RCPT TO:postmaster", "postmaster"),
        ("RCPT TO:\"a > b\"@x.example", "\"a > b\"@x.example"),
        ("RCPT TO:<bob@127.0.0.1.example>", "bob@127.0.0.1.example"),
        (&format!("RCPT TO:<{long}>"), &long),
    ] {
        assert_eq!(mailbox(line), address, "{line}");
    }
    let rcpt = rcpt("RCPT TO: bob@x.example NOTIFY=NEVER");
    assert_eq!(rcpt.to_string(), "RCPT TO:<bob@x.example> NOTIFY=NEVER");
}

#[test]
fn parameters_are_read_in_any_order_and_case() {
    let line = "MAIL FROM:<a@x.example> envid=QQ+2B1 BODY=8bitmime  SMTPUTF8 size=100 RET=hdrs prdr AUTH=<>";
    let expected = Mail {
        size: Some(100),
        auth: Some("<>".into()),
        prdr: true,
        parameters: MailParameters {
            body: BodyKind::EightBit,
            smtputf8: true,
            ret: Some(Ret::Headers),
            envid: EnvelopeId::new("QQ+2B1"),
        },
        ..Mail::new(ReversePath::parse("a@x.example").unwrap())
    };
    assert_eq!(mail(line), expected);
    let line = "RCPT TO:<b@x.example> NOTIFY=success,DELAY ORCPT=rfc822;b+2Bc@x.example";
    let RcptParameters { notify, original } = rcpt(line).parameters;
    assert_eq!(
        notify,
        Some(Notify {
            success: true,
            failure: false,
            delay: true
        })
    );
    assert_eq!(original.unwrap().as_str(), "rfc822;b+2Bc@x.example");
}

#[test]
fn postmaster_needs_no_domain() {
    for line in ["RCPT TO:<postmaster>", "RCPT TO:<PostMaster>"] {
        assert_eq!(rcpt(line).path, RcptPath::Postmaster);
    }
    assert_eq!(refusal(b"MAIL FROM:<postmaster>"), "501 5.1.7");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_malformed_is_refused_with_its_code() {
    let long_local = format!("RCPT TO:<{}@x.example>", "a".repeat(Mailbox::LEN_MAX - 9));
    let long_path = format!("RCPT TO:<{}@x.example>", "a".repeat(2000));
    let long_envid = format!("MAIL FROM:<> ENVID={}", "a".repeat(101));
    let long_hello = format!("EHLO {}", "a".repeat(256));
    let cases: &[(&[u8], &str)] = &[
        // Arguments that are missing, or that may not be there:
        (b"EHLO", "501 5.5.4"),
        (b"EHLO a b", "501 5.5.4"),
        (long_hello.as_bytes(), "501 5.5.4"),
        (b"EHLO a\x07b", "500 5.5.2"),
        (b"EHLO \xff", "501 5.5.2"),
        (b"DATA x", "501 5.5.4"),
        (b"RSET x", "501 5.5.4"),
        (b"QUIT now", "501 5.5.4"),
        (b"STARTTLS now", "501 5.5.4"),
        (b"VRFY", "501 5.5.4"),
        (b"AUTH", "501 5.5.4"),
        (b"BDAT", "501 5.5.4"),
        (b"BDAT -1", "501 5.5.4"),
        (b"BDAT +1", "501 5.5.4"),
        (b"BDAT 1 FIRST", "501 5.5.4"),
        (b"BDAT 18446744073709551616", "501 5.5.4"),
        // Paths that name nobody, or in no way that we take:
        (b"MAIL", "501 5.5.4"),
        (b"MAIL FROM", "501 5.5.4"),
        (b"MAIL TO:<a@x>", "501 5.5.4"),
        (b"MAIL FROM:", "501 5.1.7"),
        (b"MAIL FROM: ", "501 5.1.7"),
        (b"MAIL FROM: SIZE=5", "501 5.1.7"),
        (b"MAIL FROM:ann", "501 5.1.7"),
        (b"MAIL FROM:Ann <a@x.example>", "501 5.1.7"),
        (b"MAIL FROM:a@x.example>", "501 5.1.7"),
        (b"MAIL FROM:\"a@x.example", "501 5.1.7"),
        (b"MAIL FROM:<@us.example>", "501 5.1.7"),
        (b"MAIL FROM:<@us.example:>", "501 5.1.7"),
        (b"MAIL FROM:<@us.example,:a@x.example>", "501 5.1.7"),
        (b"MAIL FROM:<@us example:a@x.example>", "501 5.1.7"),
        (b"MAIL FROM:<us.example:a@x.example>", "501 5.1.7"),
        (
            b"MAIL FROM:<@us.example:@us.example:a@x.example>",
            "501 5.1.7",
        ),
        (b"MAIL FROM:<a@x.example", "501 5.1.7"),
        (b"MAIL FROM:<a@x.example>SIZE=1", "501 5.5.4"),
        (b"MAIL FROM:<a>", "501 5.1.7"),
        (b"MAIL FROM:<x!a>", "501 5.1.7"),
        (b"RCPT TO:", "501 5.1.3"),
        (b"RCPT TO:a", "501 5.1.3"),
        (b"RCPT TO:Ann <a@x.example>", "501 5.1.3"),
        (b"RCPT TO:@us.example:u@x.example", "501 5.1.3"),
        (b"RCPT TO:a@x.example,b@x.example", "501 5.1.3"),
        (b"RCPT TO:<root@127.0.0.1>", "501 5.1.3"),
        (b"RCPT TO:<root@2130706433>", "501 5.1.3"),
        (b"RCPT TO:<root@0x7f.0.0.1>", "501 5.1.3"),
        (b"RCPT TO:root@127.0.0.1", "501 5.1.3"),
        (b"RCPT TO:<>", "501 5.1.3"),
        (b"RCPT TO:<@us.example:u@x.example>", "501 5.1.3"),
        (b"RCPT TO:<@[192.0.2.1]:u@x.example>", "501 5.1.3"),
        (b"RCPT TO:<u@x.example@us.example>", "501 5.1.3"),
        (b"RCPT TO:<u@x.example.>", "501 5.1.3"),
        (b"RCPT TO:<u@x..example>", "501 5.1.3"),
        (b"RCPT TO:<\"u@x.example\">", "501 5.1.3"),
        (b"RCPT TO:<u%x.example>", "501 5.1.3"),
        (b"RCPT TO:<x!u>", "501 5.1.3"),
        (b"RCPT TO:<u@x.example>,<v@x.example>", "501 5.5.4"),
        (b"RCPT TO:<u@x.example(comment)>", "501 5.1.3"),
        (b"RCPT TO:<u@\xef\xbd\x85xample.com>", "501 5.1.3"),
        (b"RCPT TO:<u@\xff>", "501 5.5.2"),
        (b"RCPT TO:<u\tx@x.example>", "500 5.5.2"),
        (b"RCPT TO:<u\xc2\x85@x.example>", "500 5.5.2"),
        (long_local.as_bytes(), "501 5.1.3"),
        (long_path.as_bytes(), "501 5.1.3"),
        // Parameters that do not belong there, or with values that are none:
        (b"MAIL FROM:<> FOO", "555 5.5.4"),
        (b"MAIL FROM:<> NOTIFY=NEVER", "555 5.5.4"),
        (b"RCPT TO:<a@x.example> SIZE=1", "555 5.5.4"),
        (b"MAIL FROM:<> SIZE", "501 5.5.4"),
        (b"MAIL FROM:<> SIZE=-1", "501 5.5.4"),
        (b"MAIL FROM:<> SIZE=1 SIZE=1", "501 5.5.4"),
        (b"MAIL FROM:<> BODY=BINARYMIME", "504 5.5.4"),
        (b"MAIL FROM:<> BODY=9BIT", "501 5.5.4"),
        (b"MAIL FROM:<> SMTPUTF8=yes", "501 5.5.4"),
        (b"MAIL FROM:<> RET=ALL", "501 5.5.4"),
        (b"MAIL FROM:<> ENVID=a+0D+0Ab", "501 5.5.4"),
        (b"MAIL FROM:<> AUTH=", "501 5.5.4"),
        (b"MAIL FROM:<> PRDR=1", "501 5.5.4"),
        (b"MAIL FROM:<> PRDR prdr", "501 5.5.4"),
        (b"RCPT TO:<a@x.example> PRDR", "555 5.5.4"),
        (long_envid.as_bytes(), "501 5.5.4"),
        (b"RCPT TO:<a@x.example> NOTIFY=NEVER,DELAY", "501 5.5.4"),
        (b"RCPT TO:<a@x.example> NOTIFY=", "501 5.5.4"),
        (b"RCPT TO:<a@x.example> ORCPT=bob", "501 5.5.4"),
        (b"RCPT TO:<a@x.example> ORCPT=rfc822;b+0Ac", "501 5.5.4"),
    ];
    for (line, code) in cases {
        assert_eq!(refusal(line), *code, "{}", line.escape_ascii());
    }
}
