//! rspamd with its workers for messages, for learning and for fuzzy hashes, with two rules of ours,
//! and without the network.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use scanner::rspamd::{Command as Ask, Rspamd, Settings};
use scanner::{Answer, Class, Edit, Fault, Learned, Position, Secret, Which, Wish};

use crate::connection::{Address, Connection};
use crate::message::{plain, spam, subject};
use crate::server::{Server, folder, free_address};

/// One rule that gives back what rspamd was told, as fields, and one that marks.
const RULES: &str = r#"
rspamd_config:register_symbol{ name = 'TEST_FACTS', score = 1.5, callback = function(task)
  local recipients = task:get_recipients('smtp') or {}
  local facts = { task:get_from('smtp')[1].addr, tostring(task:get_from_ip()), task:get_helo(),
    task:get_hostname(), tostring(task:get_queue_id()), tostring(task:get_request_header('TLS-Version')),
    tostring(task:get_request_header('MTA-Name')), tostring(#recipients) }
  task:set_milter_reply({
    add_headers = { ['X-Facts'] = { value = table.concat(facts, ' '), order = 1 }, ['X-End'] = 'e' },
    remove_headers = { ['X-Old'] = 0 },
  })
  return true
end }
rspamd_config:register_symbol{ name = 'TEST_ENVELOPE', score = 0.1, callback = function(task)
  if task:get_subject() ~= 'another envelope' then return false end
  task:set_milter_reply({ change_from = 'new@client.example', add_rcpt = { 'dan@example.com' },
    del_rcpt = { 'carol@example.com' } })
  return true
end }
rspamd_config:register_symbol{ name = 'TEST_MARK', score = 7.0, callback = function(task)
  return task:get_subject() == 'mark me'
end }
"#;

struct Workers {
    server: Server,
    controller: SocketAddr,
}

fn rspamd() -> Workers {
    let folder = folder();
    let [normal, controller, fuzzy] = [(); 3].map(|()| free_address());
    let path = folder.path().display().to_string();
    let settings = include_str!("rspamd.conf")
        .replace("@path@", &path)
        .replace("@normal@", &normal.to_string())
        .replace("@controller@", &controller.to_string())
        .replace("@fuzzy@", &fuzzy.to_string());
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("a file");
    };
    write("rspamd.conf", &settings);
    write("rules.lua", RULES);
    // The whole list takes seconds to be read.
    write("tld", "com\nexample\n");
    let mut command = Command::new("/usr/bin/rspamd");
    command
        .args(["--no-fork", "--insecure", "--user=nobody", "--config"])
        .arg(folder.path().join("rspamd.conf"));
    let server = Server::start(command, Address::Tcp(normal), folder);
    crate::server::wait_for(&Address::Tcp(controller));
    Workers { server, controller }
}

impl Workers {
    /// Asks the worker that the question is for.
    fn ask(&self, command: Ask, password: &str, message: &str) -> Result<Answer, Fault> {
        let settings = Settings {
            host: "localhost".to_owned(),
            password: Some(Secret::new(password)),
            settings_id: None,
        };
        let mut connection = match command {
            Ask::Check | Ask::Ping => self.server.open(),
            _ => Connection::try_open(&Address::Tcp(self.controller)).expect("a controller"),
        };
        let (header, body) = message.split_at(message.len() / 2);
        let asked = Rspamd::new(command, &settings, &subject(message.len()));
        // In two parts that are never joined.
        connection
            .ask(asked, &[header.as_bytes(), body.as_bytes()])
            .map(|(answer, _)| answer)
    }
}

#[test]
fn rspamd_decides_by_its_action() {
    let workers = rspamd();
    let scan = |message: &str| match workers.ask(Ask::Check, "", message) {
        Ok(Answer::Finding(finding)) => finding,
        other => panic!("{other:?}"),
    };
    let found = scan(&plain());
    assert_eq!(
        (found.class, found.wish),
        (Class::Clean, Wish::None),
        "{found:?}"
    );
    assert_eq!((found.score, found.threshold), (Some(1.5), Some(15.0)));
    assert_eq!(found.symbols, [("TEST_FACTS".to_owned(), 1.5)]);
    let field = |name: &str, value: &str, place| Edit::Add {
        name: name.to_owned(),
        value: value.to_owned(),
        place,
    };
    let facts =
        "ann@client.example 192.0.2.7 client.example client.example 01abc TLSv1.3 mx.example 2";
    let removed = Edit::Remove {
        name: "X-Old".to_owned(),
        which: Which::All,
    };
    assert_eq!(
        found.edits,
        [
            removed,
            field("X-End", "e", Position::End(0)),
            field("X-Facts", facts, Position::Top(0)),
        ]
    );

    let found = scan(&plain().replace("Minutes", "another envelope"));
    for edit in [
        Edit::Sender("new@client.example".to_owned()),
        Edit::AddRecipient("dan@example.com".to_owned()),
        Edit::RemoveRecipient("carol@example.com".to_owned()),
    ] {
        assert!(found.edits.contains(&edit), "{found:?}");
    }

    let found = scan(&spam());
    assert_eq!(
        (found.class, found.wish),
        (Class::Spam, Wish::Refuse),
        "{found:?}"
    );
    assert_eq!(found.score, Some(15.0));
    assert!(
        found
            .reply
            .is_some_and(|reply| reply.to_lowercase().contains("gtube"))
    );

    let found = scan(&plain().replace("Minutes", "mark me"));
    assert_eq!(
        (found.class, found.wish),
        (Class::Spam, Wish::Mark),
        "{found:?}"
    );
    assert_eq!(found.action.as_deref(), Some("add header"));
}

#[test]
fn rspamd_learns_for_those_who_know_the_password() {
    let workers = rspamd();
    let text: String = (0..200)
        .map(|n| format!("word{n} thing{} ", n * 7))
        .collect();
    let message = plain().replace("minutes", &text);
    let learned = Ok(Answer::Learned(Learned::Now));
    let ask = |command, password| workers.ask(command, password, &message);
    assert_eq!(ask(Ask::LearnSpam, "secret"), learned);
    // Where its list of what it learned is in use at that moment, it learns once more.
    let known = (0..20).find_map(|_| match ask(Ask::LearnSpam, "secret") {
        Ok(Answer::Learned(Learned::NotNeeded(why))) => Some(why),
        Ok(Answer::Learned(Learned::Now)) => None,
        other => panic!("{other:?}"),
    });
    assert!(known.is_some_and(|why| why.contains("already")));
    assert_eq!(ask(Ask::LearnHam, "secret"), learned);
    let (flag, weight) = (1, 5);
    assert_eq!(ask(Ask::FuzzyAdd { flag, weight }, "secret"), learned);
    assert_eq!(ask(Ask::FuzzyDelete { flag }, "secret"), learned);
    for command in [Ask::LearnHam, Ask::FuzzyAdd { flag, weight }] {
        let refused = Fault::Failed("HTTP 401: Unauthorized".to_owned());
        assert_eq!(ask(command, "another"), Err(refused));
    }
    assert_eq!(ask(Ask::Ping, ""), Ok(Answer::Alive));
}
