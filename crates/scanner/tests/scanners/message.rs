use scanner::{Subject, TlsFacts};

/// The text that spam scanners take for spam, in two halves, so that no file of ours holds it.
const GTUBE: [&str; 2] = [
    "XJS*C4JDBQADN1.NSBN3*2IDNEN*",
    "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X",
];

const HEADER: &str = "Received: from client.example (client.example [192.0.2.7])\r\n\
    \tby mx.example with ESMTP id 01abc for <bob@example.com>;\r\n\
    \tThu, 01 Jan 2026 10:00:00 +0000\r\n\
    From: Ann <ann@client.example>\r\nTo: bob@example.com\r\nSubject: Minutes\r\n\
    Date: Thu, 01 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";

pub fn plain() -> String {
    format!("{HEADER}Here are the minutes of our meeting.\r\n")
}

pub fn spam() -> String {
    format!("{HEADER}{}\r\n", GTUBE.concat())
}

/// What is told of a content of this length.
pub fn subject(size: usize) -> Subject {
    Subject {
        queue_id: "01abc".to_owned(),
        client: Some("192.0.2.7".parse().expect("an address")),
        client_name: Some("client.example".to_owned()),
        hello: Some("client.example".to_owned()),
        user: None,
        sender: "ann@client.example".to_owned(),
        recipients: vec!["bob@example.com".to_owned(), "carol@example.com".to_owned()],
        tls: Some(TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
        }),
        server: "mx.example".to_owned(),
        facts: Vec::new(),
        size: size as u64,
    }
}
