//! Mail programs that others wrote, as users: each mechanism of sign-in that a program knows, after
//! STARTTLS and over TLS from the start, with the certificate checked. What is sent goes to a
//! foreign domain, so it arrives only because the user is who he says.

use std::net::SocketAddr;

use crate::issuer::Issuer;
use crate::program::{Ran, feed, run};
use crate::submission_setup::{PASSWORD, SubmissionSetup, USER};
use crate::wait::side_by_side;

/// The two ways to be encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    AfterStartTls,
    FromTheStart,
}

const WAYS: [Way; 2] = [Way::AfterStartTls, Way::FromTheStart];

impl Way {
    fn address(self, setup: &SubmissionSetup) -> SocketAddr {
        match self {
            Way::AfterStartTls => setup.submission(),
            Way::FromTheStart => setup.submissions(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Way::AfterStartTls => "starttls",
            Way::FromTheStart => "implicit",
        }
    }
}

/// A message came over TLS from somebody who signed in (RFC 3848), and the trace does not tell who
/// it was.
fn assert_signed_in(setup: &SubmissionSetup, subject: &str) {
    let received = setup.server.wait_for(subject);
    assert_eq!(received.to, ["bob@elsewhere.test"]);
    let trace = received.header("Received").expect("a Received field");
    assert!(trace.contains("with ESMTPSA"), "{trace}");
    assert!(trace.contains("TLSv1."), "{trace}");
    assert!(!trace.contains(USER), "{trace}");
}

#[test]
fn swaks_signs_in() {
    let setup = SubmissionSetup::open("");
    side_by_side(&WAYS, |&way| {
        for mechanism in ["PLAIN", "LOGIN"] {
            let subject = format!("swaks-{mechanism}-{}", way.name());
            swaks(&setup, way, mechanism, PASSWORD, &subject).expect_code(0);
            assert_signed_in(&setup, &subject);
        }
        let refused = swaks(&setup, way, "PLAIN", "wrong", "no");
        // 28 is swaks's word for a sign-in that failed.
        assert_eq!(refused.code, 28, "{}", refused.text());
        assert!(refused.out.contains("535 5.7.8"), "{}", refused.out);
    });
}

fn swaks(setup: &SubmissionSetup, way: Way, mechanism: &str, password: &str, subject: &str) -> Ran {
    let tls = match way {
        Way::AfterStartTls => "--tls",
        Way::FromTheStart => "--tls-on-connect",
    };
    let (to, from) = (way.address(setup).to_string(), setup.stranger().to_string());
    let header = format!("Subject: {subject}");
    let trust = setup.trust();
    let mut words = vec![
        "--server",
        &to,
        "--local-interface",
        &from,
        "--helo",
        "client.test",
    ];
    words.extend([tls, "--tls-verify", "--tls-ca-path", &trust]);
    words.extend([
        "--auth",
        mechanism,
        "--auth-user",
        USER,
        "--auth-password",
        password,
    ]);
    words.extend([
        "--from",
        USER,
        "--to",
        "bob@elsewhere.test",
        "--header",
        &header,
    ]);
    run("swaks", &words)
}

const SMTPLIB: &str = r#"
import base64, hashlib, hmac, os, smtplib, ssl, sys
host, port, source, trust, user, password, way = sys.argv[1:8]
context = ssl.create_default_context(cafile=trust)

def connect():
    options = dict(local_hostname="client.test", source_address=(source, 0), timeout=30)
    if way == "implicit":
        return smtplib.SMTP_SSL(host, int(port), context=context, **options)
    smtp = smtplib.SMTP(host, int(port), **options)
    smtp.ehlo()
    assert not smtp.has_extn("auth"), "AUTH before TLS"
    smtp.starttls(context=context)
    return smtp

def send(smtp, subject):
    smtp.sendmail(user, ["bob@elsewhere.test"], f"Subject: smtplib-{subject}-{way}\r\n\r\nhello\r\n")
    smtp.quit()

class Scram:
    """RFC 5802 and 7677, without channel binding."""
    def __init__(self, user, password, flag="n"):
        self.head = flag + ",,"
        self.password, self.nonce, self.server_signature = password, base64.b64encode(os.urandom(18)).decode(), None
        self.bare = f"n={user},r={self.nonce}"
    def __call__(self, challenge=None):
        if challenge is None:
            return self.head + self.bare
        if isinstance(challenge, bytes):
            challenge = challenge.decode()
        fields = dict(field.split("=", 1) for field in challenge.split(","))
        if "v" in fields:
            assert base64.b64decode(fields["v"]) == self.server_signature, "the relay does not know the password"
            return ""
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce)
        hashed = lambda key, text: hmac.new(key, text.encode(), hashlib.sha256).digest()
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        client_key, without_proof = hashed(salted, "Client Key"), f"c={base64.b64encode(self.head.encode()).decode()},r={fields['r']}"
        signed = ",".join([self.bare, challenge, without_proof])
        signature = hashed(hashlib.sha256(client_key).digest(), signed)
        self.server_signature = hashed(hashed(salted, "Server Key"), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        return f"{without_proof},p={base64.b64encode(proof).decode()}"

with connect() as smtp:
    smtp.login(user, password)
    send(smtp, "login")
with connect() as smtp:
    smtp.ehlo()
    scram = Scram(user, password)
    assert smtp.auth("SCRAM-SHA-256", scram)[0] == 235
    assert scram.server_signature
    send(smtp, "scram")
# Another user each time: three failures ban the pair of user and network.
for wrong in ("login", "scram", "downgraded"):
    smtp = connect()
    smtp.ehlo()
    try:
        if wrong == "login":
            smtp.login(way + user, "wrong")
        elif wrong == "scram":
            smtp.auth("SCRAM-SHA-256", Scram(way, password))
        else:
            # RFC 5802 section 6: could bind to the connection, and saw no offer of it; but there was one.
            smtp.auth("SCRAM-SHA-256", Scram(user, password, "y"))
        print(wrong, "accepted")
    except smtplib.SMTPAuthenticationError as why:
        print(wrong, why.smtp_code)
    smtp.close()
"#;

#[test]
fn smtplib_signs_in_and_speaks_scram() {
    let setup = SubmissionSetup::open("");
    side_by_side(&WAYS, |way| {
        let to = way.address(&setup);
        let (host, port) = (to.ip().to_string(), to.port().to_string());
        let (from, trust) = (setup.stranger().to_string(), setup.trust());
        let mut words = vec!["-c", SMTPLIB, &host, &port, &from, &trust];
        words.extend([USER, PASSWORD, way.name()]);
        let ran = run("python3", &words).expect_code(0);
        assert_eq!(ran.out, "login 535\nscram 535\ndowngraded 535\n");
        for mechanism in ["login", "scram"] {
            assert_signed_in(&setup, &format!("smtplib-{mechanism}-{}", way.name()));
        }
    });
}

#[test]
fn msmtp_signs_in() {
    let setup = SubmissionSetup::open("");
    side_by_side(&WAYS, |&way| {
        for mechanism in ["plain", "login", "scram-sha-256"] {
            let subject = format!("msmtp-{mechanism}-{}", way.name());
            msmtp(&setup, way, mechanism, &subject).expect_code(0);
            assert_signed_in(&setup, &subject);
        }
    });
}

fn msmtp(setup: &SubmissionSetup, way: Way, mechanism: &str, subject: &str) -> Ran {
    let to = way.address(setup);
    let mut words = vec![
        "--file=/dev/null".to_owned(),
        format!("--host={}", to.ip()),
        format!("--port={}", to.port()),
        format!("--source-ip={}", setup.stranger()),
        "--domain=client.test".to_owned(),
        "--tls=on".to_owned(),
        format!("--tls-trust-file={}", setup.trust()),
        "--tls-host-override=relay.test".to_owned(),
        format!("--auth={mechanism}"),
        format!("--user={USER}"),
        format!("--passwordeval=echo {PASSWORD}"),
        format!("--from={USER}"),
    ];
    if way == Way::FromTheStart {
        words.push("--tls-starttls=off".to_owned());
    }
    words.push("bob@elsewhere.test".to_owned());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    feed(
        "msmtp",
        &words,
        format!("Subject: {subject}\n\nhello\n").as_bytes(),
    )
}

#[test]
fn curl_signs_in_with_passwords_and_tokens() {
    let issuer = Issuer::new();
    let setup = SubmissionSetup::open(&issuer.settings());
    let (token, forged) = (issuer.token(USER), Issuer::new().token(USER));
    let (with_password, with_token) = (format!("{USER}:{PASSWORD}"), format!("{USER}:"));
    for way in WAYS {
        for mechanism in ["PLAIN", "LOGIN"] {
            let secret = ["--user", &with_password];
            assert_curl_sends(&setup, way, mechanism, &secret);
        }
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            let secret = ["--user", &with_token, "--oauth2-bearer", &token];
            assert_curl_sends(&setup, way, mechanism, &secret);
        }
    }
    for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
        let secret = ["--user", &with_token, "--oauth2-bearer", &forged];
        let ran = curl(&setup, Way::FromTheStart, mechanism, &secret, "forged");
        // 67 is curl's word for a sign-in that failed.
        assert_eq!(ran.code, 67, "{}", ran.text());
    }
    assert!(!setup.relay.log().contains(&token), "a token is in the log");
}

fn assert_curl_sends(setup: &SubmissionSetup, way: Way, mechanism: &str, secret: &[&str]) {
    let subject = format!("curl-{mechanism}-{}", way.name());
    curl(setup, way, mechanism, secret, &subject).expect_code(0);
    assert_signed_in(setup, &subject);
}

fn curl(setup: &SubmissionSetup, way: Way, mechanism: &str, secret: &[&str], subject: &str) -> Ran {
    let scheme = match way {
        Way::AfterStartTls => "smtp",
        Way::FromTheStart => "smtps",
    };
    let to = way.address(setup);
    let url = format!("{scheme}://relay.test:{}/client.test", to.port());
    let resolve = format!("relay.test:{}:{}", to.port(), to.ip());
    let (from, trust) = (setup.stranger().to_string(), setup.trust());
    let login = format!("AUTH={mechanism}");
    let mut words = vec![
        "--silent",
        "--show-error",
        "--interface",
        &from,
        &url,
        "--resolve",
        &resolve,
    ];
    words.extend(["--ssl-reqd", "--cacert", &trust, "--login-options", &login]);
    words.extend(secret);
    words.extend([
        "--mail-from",
        USER,
        "--mail-rcpt",
        "bob@elsewhere.test",
        "--upload-file",
        "-",
    ]);
    feed(
        "curl",
        &words,
        format!("Subject: {subject}\r\n\r\nhello\r\n").as_bytes(),
    )
}

/// SCRAM bound to the connection (RFC 5802, RFC 9266): a proof overheard on one is worth nothing on
/// another.
#[test]
fn gsasl_signs_in_bound_to_its_connection() {
    let setup = SubmissionSetup::open("");
    for mechanism in ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"] {
        gsasl(&setup, mechanism, PASSWORD).expect_code(0);
        let signed_in = format!("\"mechanism\":\"{mechanism}\"");
        assert!(
            setup.relay.log().contains(&signed_in),
            "{}",
            setup.relay.log()
        );
        let refused = gsasl(&setup, mechanism, "wrong");
        assert_ne!(refused.code, 0, "{}", refused.text());
        assert!(refused.text().contains("535"), "{}", refused.text());
    }
}

fn gsasl(setup: &SubmissionSetup, mechanism: &str, password: &str) -> Ran {
    let to = setup.submission();
    let words = [
        "--client".to_owned(),
        "--smtp".to_owned(),
        "--verbose".to_owned(),
        format!("--connect={}:{}", to.ip(), to.port()),
        format!("--x509-ca-file={}", setup.trust()),
        format!("--mechanism={mechanism}"),
        format!("--authentication-id={USER}"),
        format!("--password={password}"),
    ];
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    if !mechanism.ends_with("-PLUS") {
        words.push("--no-cb");
    }
    run("gsasl", &words)
}
