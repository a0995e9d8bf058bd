//! Local domains: each message becomes a file in the drop directory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::client::{message, submit};
use crate::network::Network;
use crate::relay::Relay;
use crate::wait::{seconds, until};

const FILED_SECONDS_MAX: u64 = 20;
/// The spool keeps larger content as a file.
const LARGE: usize = 300_000;

fn send(relay: &Relay, id: &str, content: &str) {
    submit(
        relay.network.permitted(),
        relay.address(),
        "ann@client.test",
        &[&format!("{id}@apps.test")],
        content,
    );
}

/// The only file in `folder`.
fn only_file(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("a folder").map(Result::unwrap);
    let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn filed(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter(|file| file.file_name().to_string_lossy().ends_with(".eml"))
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .collect()
}

#[test]
fn a_message_that_cannot_be_read_leaves_the_others_of_its_directory_their_way() {
    let network = Network::new();
    let mut relay = Relay::prepare(network, "");
    let in_the_way = relay.data_dir().join("drop");
    let folder = in_the_way.join("inbox");
    relay.write_config(&format!(
        "[domain.\"apps.test\"]\ntype = \"local\"\ndrop_directory = {folder:?}\n\
         [queue]\nretry = [\"1h\"]\nprobe = \"1h\"\n"
    ));
    relay.run();
    fs::write(&in_the_way, "no folder").expect("a file in the way");
    let long = message("damaged") + &"It is long.\r\n".repeat(LARGE / 13);
    send(&relay, "damaged", &long);
    relay.wait_for_log(&["damaged@apps.test", "Could not write the file"]);
    assert!(relay.stop().success());
    let body = only_file(&relay.data_dir().join("spool/bodies"));
    let octets = fs::read(&body).expect("a body file");
    fs::write(&body, &octets[..LARGE / 2]).expect("half a body file");
    fs::remove_file(&in_the_way).expect("the way is free");
    relay.run();
    let id = relay.queue()[0]["id"].as_str().expect("an id").to_owned();
    relay.command(&["queue", "retry", &id]).expect_code(0);
    relay.wait_for_log(&["damaged@apps.test", "The message could not be read"]);
    send(&relay, "whole", &message("whole"));
    let found = until("a file", seconds(FILED_SECONDS_MAX), || {
        filed(&folder).pop()
    });
    assert!(found.contains("X-Receiver: whole@apps.test"), "{found}");
    // Half a message is nobody's, not even under another name.
    only_file(&folder);
    // The file is there before its outcome is written down.
    let left = until("one message", seconds(FILED_SECONDS_MAX), || {
        let queue = relay.queue();
        (queue.len() == 1).then(|| queue[0]["to"].clone())
    });
    assert_eq!(left, "damaged@apps.test");
}

#[test]
fn a_directory_has_a_quota_and_a_file_for_each_recipient() {
    let network = Network::new();
    let mut relay = Relay::prepare(network, "");
    let folder = relay.data_dir().join("inbox");
    relay.write_config(&format!(
        "[domain.\"apps.test\"]\ntype = \"local\"\ndrop_directory = {folder:?}\n\
         drop_quota = \"20KiB\"\ndrop_file_per = \"recipient\"\n"
    ));
    relay.run();
    let to = ["ann@apps.test", "bob@apps.test"];
    let send = |content: &str| {
        let (permitted, address) = (relay.network.permitted(), relay.address());
        submit(permitted, address, "eve@client.test", &to, content);
    };
    send(&message("apart"));
    relay.wait_until_empty();
    let mut files = filed(&folder);
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    for (file, recipient) in files.iter().zip(to) {
        let lines = file.lines().filter(|line| line.starts_with("X-Receiver: "));
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [format!("X-Receiver: {recipient}")]
        );
    }

    // Each of the two files would fit, and not both.
    send(&(message("large") + &"It is long.\r\n".repeat(900)));
    relay.wait_for_log(&["bob@apps.test", "452 4.2.2 Mailbox full"]);
    assert_eq!(filed(&folder).len(), 2, "nothing of it is there");
    let another = relay.data_dir().join("taken");
    fs::rename(&folder, &another).expect("somebody takes the files");
    relay.write_config(&format!(
        "[domain.\"apps.test\"]\ntype = \"local\"\ndrop_directory = {folder:?}\n"
    ));
    relay.command(&["reload"]).expect_code(0);
    relay.command(&["queue", "retry"]).expect_code(0);
    relay.wait_until_empty();
    assert_eq!(filed(&folder).len(), 1, "one file for both");
}
