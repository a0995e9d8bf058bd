//! A name server of the tests' own, on loopback.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Name, Rtype, Ttl};
use domain::rdata::{A, Aaaa, Cname, Mx, Tlsa, Txt};
use tokio::net::UdpSocket;

use super::Resolver;

/// A record, or a fault.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    A([u8; 4]),
    Aaaa(Ipv6Addr),
    Mx(u16, &'static str),
    Txt(&'static str),
    /// Usage, selector, matching, data.
    Tlsa(u8, u8, u8, Vec<u8>),
    /// A TLSA record of these octets.
    RawTlsa(Vec<u8>),
    Cname(&'static str),
    /// SERVFAIL for everything of this name.
    Fail,
}

type Records = Vec<(String, Data)>;

#[derive(Default)]
struct State {
    records: Records,
    asked: Vec<String>,
}

/// Answers until dropped with its runtime. Names with `signed` in them are vouched for by DNSSEC.
pub(crate) struct Pretend {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Pretend {
    pub(crate) async fn serve(records: &[(&str, Data)]) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            let mut question = [0; 1232];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                let answer = answer(&question[..length], &mut shared.lock().unwrap());
                if let Some(answer) = answer {
                    let _client_gone = socket.send_to(&answer, from).await;
                }
            }
        });
        let pretend = Self { address, state };
        pretend.set(records);
        pretend
    }

    /// Replaces all records.
    pub(crate) fn set(&self, records: &[(&str, Data)]) {
        let records = records.iter().map(|(n, d)| ((*n).to_owned(), d.clone()));
        self.state.lock().unwrap().records = records.collect();
    }

    /// How often anything was asked about this name.
    pub(crate) fn asked(&self, name: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|asked| *asked == name).count()
    }

    pub(crate) fn resolver(&self) -> Arc<Resolver> {
        Arc::new(Resolver::new(&[self.address], Duration::from_secs(5)))
    }
}

fn answer(question: &[u8], state: &mut State) -> Option<Vec<u8>> {
    let message = Message::from_octets(question).ok()?;
    let asked = message.sole_question().ok()?;
    let text = asked.qname().to_string().to_ascii_lowercase();
    let name = text.trim_end_matches('.');
    state.asked.push(name.to_owned());
    let records = || state.records.iter().filter(|(owner, _)| owner == name);
    let rcode = if records().next().is_none() {
        Rcode::NXDOMAIN
    } else if records().any(|(_, data)| matches!(data, Data::Fail)) {
        Rcode::SERVFAIL
    } else {
        Rcode::NOERROR
    };
    let mut answer = MessageBuilder::new_vec()
        .start_answer(&message, rcode)
        .ok()?;
    let vouched = message.header().ad() && name.contains("signed");
    answer.header_mut().set_ad(vouched);
    let (owner, ttl) = (asked.qname(), Ttl::from_secs(60));
    for (_, data) in records() {
        match (data, asked.qtype()) {
            (Data::A(a), Rtype::A) => answer.push((owner, ttl, A::new((*a).into()))).ok()?,
            (Data::Aaaa(a), Rtype::AAAA) => answer.push((owner, ttl, Aaaa::new(*a))).ok()?,
            (Data::Mx(n, host), Rtype::MX) => {
                let host: Name<Vec<u8>> = host.parse().ok()?;
                answer.push((owner, ttl, Mx::new(*n, host))).ok()?;
            }
            (Data::Txt(text), Rtype::TXT) => {
                let text = Txt::<Vec<u8>>::build_from_slice(text.as_bytes()).ok()?;
                answer.push((owner, ttl, text)).ok()?;
            }
            (Data::Tlsa(u, s, m, data), Rtype::TLSA) => {
                let tlsa = Tlsa::new((*u).into(), (*s).into(), (*m).into(), data.clone());
                answer.push((owner, ttl, tlsa)).ok()?;
            }
            (Data::RawTlsa(data), Rtype::TLSA) => {
                let raw = UnknownRecordData::from_octets(Rtype::TLSA, data.clone()).ok()?;
                answer.push((owner, ttl, raw)).ok()?;
            }
            (Data::Cname(target), _) => {
                let target: Name<Vec<u8>> = target.parse().ok()?;
                answer.push((owner, ttl, Cname::new(target))).ok()?;
            }
            _ => {}
        }
    }
    Some(answer.finish())
}
