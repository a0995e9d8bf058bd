//! Many messages over several connections at a time, each with a subject of its own, and exact
//! books: a message counts as acknowledged when, and only when, this client has read the 250 to its
//! end.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::thread;

use crate::client::{Dialogue, message};
use crate::relay::Relay;
use crate::wait::{seconds, until_true};

pub struct Load<'a> {
    pub from: IpAddr,
    pub to: SocketAddr,
    pub recipient: &'a str,
    /// Begins every subject, so that two loads differ.
    pub name: &'a str,
    pub connections: usize,
    pub messages_per_connection: usize,
    /// What was acknowledged so far; other threads may look while the load runs.
    pub acknowledged: &'a Mutex<BTreeSet<String>>,
}

impl Load<'_> {
    /// Sends everything, or as much as the relay lives to take.
    pub fn run(&self) {
        thread::scope(|scope| {
            for connection in 0..self.connections {
                scope.spawn(move || self.one_connection(connection));
            }
        });
    }

    fn one_connection(&self, connection: usize) {
        let Ok(mut dialogue) = Dialogue::try_connect(self.from, self.to) else {
            return;
        };
        dialogue.send(b"EHLO load.test\r\n");
        let ready = dialogue.reply().is_some() && dialogue.reply().is_some();
        if !ready {
            return;
        }
        for number in 0..self.messages_per_connection {
            let subject = format!("{}-{connection}-{number}", self.name);
            if self.send(&mut dialogue, &subject).is_none() {
                return;
            }
            self.acknowledged
                .lock()
                .expect("no panic holds the books")
                .insert(subject);
        }
        dialogue.send(b"QUIT\r\n");
        let _farewell = dialogue.reply();
    }

    /// RFC 2920: envelope and DATA go out together. `None` when the relay is gone; any refusal
    /// fails the test.
    fn send(&self, dialogue: &mut Dialogue, subject: &str) -> Option<()> {
        let envelope = format!(
            "MAIL FROM:<load@client.test>\r\nRCPT TO:<{}>\r\nDATA\r\n",
            self.recipient
        );
        dialogue.send(envelope.as_bytes());
        for code in [250, 250, 354] {
            let reply = dialogue.reply()?;
            if reply.code == 421 {
                return None;
            }
            assert_eq!(reply.code, code, "{subject}: {}", reply.text());
        }
        dialogue.send(format!("{}.\r\n", message(subject)).as_bytes());
        let reply = dialogue.reply()?;
        if reply.code == 421 {
            return None;
        }
        assert_eq!(reply.code, 250, "{subject}: {}", reply.text());
        Some(())
    }
}

/// Three times: mail for `bob@hosted.test` comes over eight connections until so many messages more are
/// acknowledged, then the relay is killed amid it and started again. All that was acknowledged.
pub fn killed_under_load(relay: &mut Relay, enough: usize) -> BTreeSet<String> {
    let acknowledged = Mutex::new(BTreeSet::new());
    let count = || acknowledged.lock().expect("no panic holds the books").len();
    for round in 0..3 {
        let before = count();
        let load = Load {
            from: relay.network.permitted(),
            to: relay.address(),
            recipient: "bob@hosted.test",
            name: &format!("kill-{round}"),
            connections: 8,
            messages_per_connection: usize::MAX,
            acknowledged: &acknowledged,
        };
        thread::scope(|scope| {
            scope.spawn(|| load.run());
            until_true("enough messages to be acknowledged", seconds(60), || {
                count() >= before + enough
            });
            relay.kill();
        });
        relay.run();
    }
    acknowledged.into_inner().expect("no panic holds the books")
}
