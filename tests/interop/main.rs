//! The built binary among real peers. Each test starts its own relay, as `gatepost run`, in a
//! loopback network of its own, with clients before it and servers behind it that others wrote
//! (swaks, Python's smtplib, curl, msmtp, GNU SASL, openssl, GnuTLS, NSS, wolfSSL, Postfix with
//! smtp-source and smtp-sink, Dovecot, Exim, slapd, unbound, nmap, testssl.sh, postsrsd, Mail::SRS,
//! PHP, mailx, mutt, fetchmail, git, cron, at, Prometheus, rsyslog, syslog-ng, journald, chronyd, Pebble) or that write down every octet. `scripts/test` installs them.
//!
//! The tests tell what an administrator would see: replies, messages that arrive, the queue, the
//! exit code. They link nothing of Gatepost.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the peers talk over sockets and have deadlines"
)]
#![allow(clippy::too_many_lines, reason = "a scene is read from top to bottom")]

// Relays, servers and clients, of which the tests below are made.
mod audit_by_testssl;
mod authority;
mod client;
#[path = "../corpora/mod.rs"]
mod collections;
mod directory;
mod dns;
mod dovecot;
mod encrypted;
mod envelope_table;
mod exim;
mod faketime;
mod issuer;
mod load;
mod lost_rows;
mod network;
mod pebble;
mod peer_certificates;
mod postfix;
mod program;
mod relay;
mod scanners;
mod screened_late;
mod screening;
mod script;
mod server;
mod signed_zone;
mod srs;
mod submission_setup;
mod syslog_servers;
mod wait;

// Each shows one side of what a user of the relay would notice.
mod abuse;
mod acknowledged;
mod acme;
mod activation;
mod after_queue;
mod amavis;
mod arc;
mod backlog;
mod blind_copies;
mod bounces;
mod browser;
mod certificates;
mod change_configuration;
mod client_certificates;
mod clock;
mod coming_from_isa_and_gfi;
mod command_line;
mod config_diff;
mod configuration;
mod console;
mod console_issuer;
mod console_sign_in;
mod control_socket;
mod corpora;
mod crash;
mod dane;
mod dkim_keys;
mod dns_lists;
mod doctor;
mod drop_directory;
mod envelopes;
mod five_minutes;
mod forwarding;
mod full_disk;
mod full_logs;
mod greylisting;
mod guardian;
mod half_closed;
mod hooks;
mod hours;
mod import_exchange;
mod import_postfix;
mod init;
mod journal;
mod judges;
mod lmtp;
mod mail_programs;
mod mailman;
mod milters;
mod misbehaving;
mod monitoring;
mod mta_sts;
mod notify;
mod old_machines;
mod on_demand;
mod one_write;
mod only_to;
mod open_relay;
mod opentelemetry;
mod operations;
mod outage;
mod outbound_sign_in;
mod outbound_tls;
mod pace;
mod pauses;
mod pickup;
mod policy_services;
mod postfix_peers;
mod privacy;
mod protocol_logs;
mod prove;
mod proxies;
mod proxy;
mod quarantine;
mod quarantine_links;
mod recipients;
mod relay_chain;
mod relay_tests;
mod reload;
mod reporting;
mod reports;
mod retention;
mod route_hosts;
mod route_show;
mod routing;
mod running;
mod scarce;
mod send_as;
mod sender_routes;
mod sendmail;
mod sessions;
mod sign_in;
mod signals;
mod signing;
mod slow_disk;
mod smuggling;
mod starttls;
mod submission;
mod sync_order;
mod syslog;
mod test_delivery;
mod test_dns;
mod tls_peers;
mod tls_reports;
mod tokens;
mod tracking;
mod transcripts;
mod upgrade;
mod watchdog;
