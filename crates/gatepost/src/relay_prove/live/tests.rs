use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::thread::{self, JoinHandle};

use mail::{Domain, Mailbox};
use relay_audit::prove::{Cast, Finding, Judgement, Meaning, judgement};

use super::super::play_all;
use super::*;

/// A server with a script: the greeting, then an answer to each line as long as there is one. Gives
/// all lines that it heard.
struct Server {
    address: String,
    heard: JoinHandle<Vec<String>>,
}

impl Server {
    /// `answer` gets the line and how many refusals this connection has seen; none ends the
    /// connection. Serves until a connection brings nothing.
    fn new(greeting: &'static str, answer: fn(&str, u32) -> Option<&'static str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = thread::spawn(move || {
            let mut heard = Vec::new();
            for stream in listener.incoming() {
                if !serve(stream.unwrap(), greeting, answer, &mut heard) {
                    break;
                }
            }
            heard
        });
        Self { address, heard }
    }

    /// Plays the whole battery.
    fn probed(self, hosted: Option<&str>) -> (Vec<Finding>, Vec<String>) {
        let mut live = Live::connect(&self.address, false).unwrap();
        assert_eq!(live.name(), Some("us.test"));
        let mailbox = |text: &str| Mailbox::parse(text).unwrap();
        let cast = Cast {
            relay: Domain::parse("us.test").unwrap(),
            address: live.address(),
            sender: mailbox("a@x.test"),
            recipient: mailbox("u@x.test"),
            hosted: hosted.map(mailbox),
            srs: None,
        };
        let findings = play_all(&mut live, &cast);
        drop(live);
        (findings, self.heard())
    }

    fn heard(self) -> Vec<String> {
        drop(TcpStream::connect(&self.address).unwrap());
        let heard = self.heard.join().unwrap();
        for line in &heard {
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            assert!(verb != "DATA" && verb != "BDAT", "{line}");
        }
        heard
    }
}

/// Serves one connection; false when it brought nothing.
fn serve(
    mut stream: TcpStream,
    greeting: &str,
    answer: fn(&str, u32) -> Option<&'static str>,
    heard: &mut Vec<String>,
) -> bool {
    // Who has gone hears nothing.
    let _gone = stream.write_all(greeting.as_bytes());
    let (before, mut refusals) = (heard.len(), 0);
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        let answer = answer(&line, refusals);
        heard.push(line);
        let Some(answer) = answer else { break };
        refusals += u32::from(answer.starts_with('5'));
        let _gone = stream.write_all(answer.as_bytes());
    }
    heard.len() > before
}

/// What a good relay says, for which `b@ours.test` is the only recipient.
fn closed(line: &str, _: u32) -> Option<&'static str> {
    let rcpt = line.strip_prefix("RCPT TO:");
    Some(match rcpt {
        Some("<b@ours.test>") => "250 ok\r\n",
        Some(_) => "550 5.7.1 no\r\n",
        None if line.starts_with("EHLO ") => "250-us.test\r\n250 SIZE\r\n",
        None => "250 ok\r\n",
    })
}

fn accepted(findings: &[Finding]) -> usize {
    let accepted = |f: &&Finding| f.answer.as_ref().is_ok_and(Reply::is_positive);
    findings.iter().filter(accepted).count()
}

#[test]
fn a_closed_server_is_found_closed_in_one_session() {
    let (findings, heard) = Server::new("220 hi\r\n", closed).probed(Some("b@ours.test"));
    assert_eq!(judgement(&findings), Judgement::Closed, "{findings:?}");
    assert_eq!(accepted(&findings), 1);
    let hellos = heard.iter().filter(|line| line.starts_with("EHLO "));
    assert_eq!(hellos.count(), 1);
}

#[test]
fn without_a_control_refusals_prove_nothing() {
    let (findings, _) = Server::new("220 hi\r\n", closed).probed(None);
    assert_eq!(judgement(&findings), Judgement::Unknown);
}

#[test]
fn an_open_server_is_found_open() {
    let open = |line: &str, refusals: u32| match line {
        "RCPT TO:<u@x.test>" => Some("250 ok\r\n"),
        _ => closed(line, refusals),
    };
    let (findings, _) = Server::new("220 hi\r\n", open).probed(Some("b@ours.test"));
    assert_eq!(judgement(&findings), Judgement::Open);
}

#[test]
fn what_may_be_a_name_of_the_servers_own_is_not_told() {
    let odd = |line: &str, refusals: u32| match line {
        "RCPT TO:<u%x.test@us.test>" => Some("250 ok\r\n"),
        _ => closed(line, refusals),
    };
    let (findings, _) = Server::new("220 hi\r\n", odd).probed(Some("b@ours.test"));
    assert_eq!(judgement(&findings), Judgement::Unknown);
    let mut odd = findings
        .iter()
        .filter(|f| f.judgement == Judgement::Unknown);
    assert!(odd.all(|f| f.probe.meaning == Meaning::Suspect));
}

#[test]
fn a_server_that_hangs_up_is_called_again() {
    let hangs_up = |line: &str, refusals: u32| match refusals {
        2.. => None,
        _ => closed(line, refusals),
    };
    let says_so = |line: &str, refusals: u32| match refusals {
        2.. => Some("421 4.7.0 enough\r\n"),
        _ => closed(line, refusals),
    };
    let at_once = |line: &str, refusals: u32| match refusals {
        1.. => None,
        _ => closed(line, refusals),
    };
    for answer in [hangs_up, says_so, at_once] {
        let (findings, heard) = Server::new("220 hi\r\n", answer).probed(Some("b@ours.test"));
        assert_eq!(judgement(&findings), Judgement::Closed, "{findings:?}");
        assert!(
            heard
                .iter()
                .filter(|line| line.starts_with("EHLO "))
                .count()
                > 20
        );
    }
}

#[test]
fn a_server_that_hangs_up_on_everything_is_left_alone() {
    let deaf = |line: &str, refusals: u32| match line.get(..4) {
        Some("EHLO") => closed(line, refusals),
        _ => None,
    };
    let (findings, heard) = Server::new("220 hi\r\n", deaf).probed(Some("b@ours.test"));
    assert_eq!(judgement(&findings), Judgement::Unknown);
    let hellos = heard.iter().filter(|line| line.starts_with("EHLO "));
    assert!(hellos.count() <= CONNECTIONS_MAX as usize);
}

#[test]
fn who_wants_a_sign_in_first_is_not_tried_further() {
    let wants = |line: &str, refusals: u32| match line.get(..4) {
        Some("MAIL") => Some("530 5.7.0 Authentication required\r\n"),
        _ => closed(line, refusals),
    };
    let (findings, _) = Server::new("220 hi\r\n", wants).probed(Some("b@ours.test"));
    assert_eq!(findings.len(), 1);
    assert_eq!(judgement(&findings), Judgement::Unknown);
}

#[test]
fn who_knows_no_ehlo_hears_helo() {
    let old = |line: &str, refusals: u32| match line.get(..4) {
        Some("EHLO") => Some("502 what?\r\n"),
        Some("HELO") => Some("250 us.test\r\n"),
        _ => closed(line, refusals),
    };
    let (findings, _) = Server::new("220 hi\r\n", old).probed(Some("b@ours.test"));
    assert_eq!(judgement(&findings), Judgement::Closed);
}

#[test]
fn who_turns_us_away_proves_nothing() {
    let server = Server::new("554 5.7.1 go away\r\n", closed);
    let why = Live::connect(&server.address, false).err().unwrap();
    assert_eq!(why.0, "the server turns us away: 554 5.7.1 go away");
}

#[test]
fn an_endless_banner_is_not_heard_out() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let talker = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(b"220-welcome\r\n").is_ok() {}
    });
    assert!(Live::connect(&address, false).is_err());
    talker.join().unwrap();
}

#[test]
fn nobody_there_is_said_so() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    assert!(Live::connect(&address, false).is_err());
}
