//! A loopback network of a test's own. All of 127.0.0.0/8 is this machine, so every test takes a
//! /24 for itself and gives each party an address in it. Strangers and permitted clients differ by
//! address as they do in real life, and a port that a test lets go of, to play a server that is
//! down, cannot be taken by another test meanwhile.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};

static NETWORKS_TAKEN: AtomicU16 = AtomicU16::new(0);
/// Of the blocks 127.N.0.0/16, so many are a run's own.
const BLOCKS_EACH: u8 = 4;

static PORTS_TAKEN: AtomicU16 = AtomicU16::new(0);
const FIRST_PORT: u16 = 12_000;

/// The last octets that the tests agree on.
const RELAY: u8 = 1;
const PERMITTED: u8 = 2;
const STRANGER: u8 = 9;
const MAIL_SERVER: u8 = 10;
const NAME_SERVER: u8 = 53;

#[derive(Clone, Copy)]
pub struct Network {
    prefix: [u8; 3],
}

impl Network {
    pub fn new() -> Network {
        let [third, high] = NETWORKS_TAKEN.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        assert!(high < BLOCKS_EACH, "more tests than networks");
        // Two runs of the tests at the same time shall not meet either.
        let run = (std::process::id() % 56) as u8;
        let second = 16 + BLOCKS_EACH * run + high;
        Network {
            prefix: [127, second, third],
        }
    }

    pub fn host(&self, last: u8) -> IpAddr {
        let [a, b, c] = self.prefix;
        IpAddr::V4(Ipv4Addr::new(a, b, c, last))
    }

    /// Where the relay listens.
    pub fn relay(&self) -> IpAddr {
        self.host(RELAY)
    }

    /// The one client in `relay.allow`.
    pub fn permitted(&self) -> IpAddr {
        self.host(PERMITTED)
    }

    /// A client that nothing is known about.
    pub fn stranger(&self) -> IpAddr {
        self.host(STRANGER)
    }

    /// An address for the mail server of the hosted domain, with a port on which nobody listens
    /// yet.
    pub fn mail_server(&self) -> SocketAddr {
        self.free_port(self.host(MAIL_SERVER))
    }

    pub fn name_server(&self) -> SocketAddr {
        self.free_port(self.host(NAME_SERVER))
    }

    /// A port of `host` that is free for TCP and UDP, and stays so: nobody else uses this network,
    /// and the system gives out none so low by itself. It is not found by binding it: a program
    /// that starts at that moment would inherit the socket and hold it for a while.
    pub fn free_port(&self, host: IpAddr) -> SocketAddr {
        loop {
            let port = FIRST_PORT + PORTS_TAKEN.fetch_add(1, Ordering::Relaxed);
            let address = SocketAddr::new(host, port);
            if TcpStream::connect(address).is_err() {
                return address;
            }
        }
    }

    /// A port under 1024 of the relay's address; only root may bind it.
    pub fn free_low_port(&self) -> SocketAddr {
        let free = (1..1024)
            .rev()
            .find(|&port| TcpListener::bind((self.relay(), port)).is_ok());
        SocketAddr::new(
            self.relay(),
            free.expect("a free port under 1024; this test needs root"),
        )
    }
}
