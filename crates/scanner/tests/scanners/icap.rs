//! c-icap with its module for ClamAV, in front of a clamd of ours.

use std::fs;
use std::process::Command;

use scanner::icap::{AskOptions, Icap, Service};
use scanner::{Answer, Class, Finding, IcapOptions, Method, Wish};

use crate::clamd::{FOUND, on_a_socket};
use crate::connection::{Address, Connection};
use crate::message::{plain, subject};
use crate::server::{Server, folder, free_address};

struct Icapd {
    server: Server,
    _clamd: Server,
}

fn c_icap() -> Icapd {
    let clamd = on_a_socket();
    let folder = folder();
    let address = free_address();
    let modules = format!("/usr/lib/{}-linux-gnu/c_icap", std::env::consts::ARCH);
    let settings = include_str!("c-icap.conf")
        .replace("@path@", &folder.path().display().to_string())
        .replace("@address@", &address.to_string())
        .replace("@modules@", &modules)
        .replace("@clamd@", &clamd.path("clamd.sock").display().to_string());
    let file = folder.path().join("c-icap.conf");
    fs::write(&file, settings).expect("a configuration");
    let mut command = Command::new("/usr/bin/c-icap");
    command.args(["-N", "-D", "-d", "1", "-f"]).arg(file);
    Icapd {
        server: Server::start(command, Address::Tcp(address), folder),
        _clamd: clamd,
    }
}

fn service(path: &str, method: Method, preview: Option<u64>) -> Service {
    Service {
        host: "icap.example".to_owned(),
        path: path.to_owned(),
        method,
        preview,
    }
}

/// What the service says of a content, and whether another may follow on the connection.
fn show(connection: &mut Connection, service: &Service, content: &str) -> (Finding, bool) {
    let icap = Icap::new(service, &subject(content.len()));
    match connection.ask(icap, &[content.as_bytes()]) {
        Ok((Answer::Finding(finding), is_reusable)) => (finding, is_reusable),
        other => panic!("{other:?}"),
    }
}

fn options(connection: &mut Connection, path: &str) -> IcapOptions {
    let ask = AskOptions::new(&service(path, Method::Response, None));
    match connection.ask(ask, &[]) {
        Ok((Answer::Options(options), true)) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_tells_its_options_and_keeps_the_connection() {
    let icapd = c_icap();
    let mut connection = icapd.server.open();
    for path in ["avscan", "avscan", "echo"] {
        let options = options(&mut connection, path);
        assert_eq!(options.methods, [Method::Response, Method::Request]);
        assert!(options.preview.is_some(), "{options:?}");
        assert!(options.allows_204 && options.tag.is_some(), "{options:?}");
    }
    let (found, _) = show(
        &mut connection,
        &service("avscan", Method::Response, None),
        &plain(),
    );
    assert_eq!(found.class, Class::Clean);
}

#[test]
fn what_is_clean_passes_with_and_without_preview_and_204() {
    let icapd = c_icap();
    let long = format!("{}{}", plain(), "More of it.\r\n".repeat(6_000));
    let mut answers = 0;
    for path in ["avscan", "always200"] {
        for method in [Method::Response, Method::Request] {
            for preview in [None, Some(0), Some(100), Some(1024)] {
                for content in [&plain(), &long] {
                    let service = service(path, method, preview);
                    let (found, _) = show(&mut icapd.server.open(), &service, content);
                    let what = format!("{service:?} {}", content.len());
                    assert_eq!(
                        found,
                        Finding {
                            class: Class::Clean,
                            ..Finding::default()
                        },
                        "{what}"
                    );
                    answers += 1;
                }
            }
        }
    }
    assert_eq!(answers, 32);
}

#[test]
fn a_hit_is_found_whichever_way_the_message_is_shown() {
    let icapd = c_icap();
    let short = plain().replace("minutes", FOUND);
    let long = format!("{}{FOUND}\r\n", plain().repeat(150));
    for method in [Method::Response, Method::Request] {
        for preview in [None, Some(1024)] {
            for content in [&short, &long] {
                let service = service("avscan", method, preview);
                let (found, _) = show(&mut icapd.server.open(), &service, content);
                assert_eq!(
                    (found.class, found.wish),
                    (Class::Infected, Wish::Refuse),
                    "{found:?}"
                );
                assert_eq!(found.names, ["Gatepost.Test.UNOFFICIAL"]);
            }
        }
    }
}

#[test]
fn what_is_too_large_for_clamd_is_no_virus() {
    let icapd = c_icap();
    let large = plain().repeat(1000);
    let service = service("avscan", Method::Response, Some(1024));
    let (found, _) = show(&mut icapd.server.open(), &service, &large);
    assert_eq!(found.class, Class::Limit, "{found:?}");
}

#[test]
fn an_unknown_service_is_a_fault() {
    let icapd = c_icap();
    let icap = Icap::new(&service("nothing", Method::Response, None), &subject(3));
    let answer = icapd.server.open().ask(icap, &[b"abc"]);
    let fault = answer.expect_err("there is no such service").to_string();
    assert_eq!(fault, "failed: ICAP 404 Service not found");
}
