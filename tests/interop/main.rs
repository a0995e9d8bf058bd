//! The built binary among real peers. Each test starts its own relay, as `gatepost run`, in a loopback network of its
//! own, with clients before it and servers behind it that others wrote (swaks, Python's smtplib, curl, Postfix with
//! smtp-source and smtp-sink, unbound, nmap) or that write down every octet. `scripts/test` installs them.
//!
//! The tests tell what an administrator would see: replies, messages that arrive, the queue, the exit code. They link
//! nothing of Gatepost.

// The parties.
mod client;
mod dns;
mod load;
mod network;
mod postfix;
mod program;
mod relay;
mod server;
mod wait;

// What is shown.
mod backlog;
mod bounces;
mod command_line;
mod configuration;
mod crash;
mod mail_programs;
mod open_relay;
mod outage;
mod postfix_peers;
mod reload;
mod routing;
mod running;
mod smuggling;
mod sync_order;
