use std::net::{Ipv4Addr, SocketAddr};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype, Ttl};
use domain::rdata::{A, Mx};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// MX records of the pretend Internet: domain, mail host, its address.
const ZONE: [(&str, &str, [u8; 4]); 3] = [
    ("good.example", "mx.good.example", [127, 0, 0, 11]),
    ("grey.example", "mx.grey.example", [127, 0, 0, 12]),
    ("dead.example", "mx.dead.example", [127, 0, 0, 13]),
];

/// Answers for `*.example` on a free loopback port, until aborted.
pub async fn serve() -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    let task = tokio::spawn(async move {
        let mut question = [0; 1232];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            if let Some(answer) = answer(&question[..length]) {
                // A client that is gone asks again or not.
                let _gone = socket.send_to(&answer, from).await;
            }
        }
    });
    Ok((address, task))
}

fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let message = Message::from_octets(question).ok()?;
    let asked = message.sole_question().ok()?;
    let name = asked.qname().to_string().to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    let known = ZONE
        .iter()
        .any(|(domain, host, _)| name == *domain || name == *host);
    let rcode = if known {
        Rcode::NOERROR
    } else {
        Rcode::NXDOMAIN
    };
    let mut answer = MessageBuilder::new_vec()
        .start_answer(&message, rcode)
        .ok()?;
    let ttl = Ttl::from_secs(60);
    for (domain, host, address) in ZONE {
        if name == domain && asked.qtype() == Rtype::MX {
            let host: Name<Vec<u8>> = host.parse().ok()?;
            answer.push((asked.qname(), ttl, Mx::new(10, host))).ok()?;
        }
        if name == host && asked.qtype() == Rtype::A {
            answer
                .push((asked.qname(), ttl, A::new(address.into())))
                .ok()?;
        }
    }
    Some(answer.finish())
}
