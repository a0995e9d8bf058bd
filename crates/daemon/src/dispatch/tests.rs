use bytes::Bytes;
use config::Environment;
use filter::Filter;
use mail::{
    Delivery, Domain, MailParameters, Mailbox, Notify, Outcome, QueueId, RcptParameters, Reply,
    Timestamp,
};
use queue::Reach;
use relay_policy::{Admitted, Grounds};
use spool::{Content, Message, NewMessage, Page, Recipient, Spool};

use super::*;
use crate::active::ActiveConfiguration;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::storage::{open_spool, spool_directory};

/// Its sender wants to hear of success.
fn letter(id: QueueId, now: Timestamp) -> NewMessage {
    let content = Bytes::from_static(b"Subject: x\r\n\r\ntext\r\n");
    let recipient = Recipient {
        parameters: RcptParameters {
            notify: Some(Notify {
                success: true,
                failure: true,
                delay: false,
            }),
            original: None,
        },
        ..Recipient::waiting(
            0,
            Admitted::from_stored(
                Mailbox::parse("bob@hosted.test").unwrap(),
                Grounds::OurDomain,
            ),
            now,
        )
    };
    let message = Message {
        id,
        arrived: now,
        reverse_path: ReversePath::parse("ann@client.test").unwrap(),
        parameters: MailParameters::default(),
        client: "127.0.0.1".into(),
        head: Bytes::new(),
        size: content.len() as u64,
    };
    NewMessage {
        message: Arc::new(message),
        recipients: vec![recipient],
        content: Content::Inline(content),
    }
}

#[tokio::test]
async fn what_was_delivered_before_a_stop_is_written_down_with_its_notice_of_success() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "data_dir = \"{}\"\n[domain.\"hosted.test\"]\nroute = \"127.0.0.1\"\n",
        folder.path().display()
    );
    let environment = Environment {
        hostname: Domain::parse("relay.test").ok(),
        addresses: Vec::new(),
    };
    let config = config::parse("gatepost.toml", &text, &environment).unwrap();
    let config = config.config;
    let spool = open_spool(&config).unwrap();
    let clock = Clock::resume(&spool_directory(&config.data_dir)).unwrap();
    let (disk, disk_thread) = Disk::start(Arc::clone(&spool) as Arc<dyn Spool>).unwrap();
    let (inputs, mut inbox) = mpsc::unbounded_channel();
    let active = ActiveConfiguration::new(config, None).unwrap();
    let shared = Arc::clone(&spool) as Arc<dyn Spool>;
    let services = Arc::new(Services::new(shared, clock, disk, inputs, active));
    let mut dispatch = Dispatch::new(Arc::clone(&services));

    let (id, now) = (services.new_id(), services.clock.line());
    let letter = letter(id, now);
    let stored = spool.commit(vec![Change::Store(letter.clone())]);
    assert!(matches!(stored[..], [Commit::Stored(_)]), "{stored:?}");
    let mut actions = Vec::new();
    let started = Event::Started {
        domains: Vec::new(),
    };
    let stored = Event::Stored {
        message: letter.message,
        recipients: letter.recipients,
        content: None,
    };
    for event in [started, stored] {
        dispatch.queue.handle(now, event, &mut actions);
    }
    let [Action::Hire { agent, .. }] = actions[..] else {
        panic!("{actions:?}")
    };
    // Told, and not heard yet, when the stop has no more time.
    let delivered = Outcome::Delivered(Delivery {
        reply: Reply::new(250, 2, 0, "taken"),
        host: Some("mx.hosted.test".into()),
    });
    let ended = Event::JobEnded {
        agent,
        results: vec![(0, delivered)],
        reach: Reach::ToTheEnd,
        reusable: false,
        dsn_passed: Vec::new(),
    };
    assert!(services.dispatch.send(Input::Event(ended)).is_ok());
    dispatch.write_what_is_known(&mut inbox).await;
    services.disk.finish();
    disk_thread.join().unwrap();

    let first = Page {
        after: None,
        limit: 9,
    };
    let left = spool.find(&Filter::everything(), first).unwrap();
    let [notice] = &left[..] else {
        panic!("{left:?}")
    };
    assert_eq!(notice.message.reverse_path, ReversePath::Null);
    let to = notice.recipients[0].admitted.recipient();
    assert_eq!(to.as_str(), "ann@client.test");
}
