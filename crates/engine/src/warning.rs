use admission::{Over, Reaction};
use mail::{QueueId, ReversePath};
use message::{WarningFacts, warning};
use queue::Moment;
use spool::NewMessage;

use crate::NoticeSettings;
use crate::settle::own_message;

/// Tells the postmaster of somebody who sends too much, wherever his mail is read; none where
/// nobody is postmaster. `next_id` makes the queue ids.
pub fn warn_of(
    over: &Over,
    settings: &NoticeSettings,
    now: Moment,
    mut next_id: impl FnMut() -> QueueId,
) -> Vec<NewMessage> {
    let Some(to) = &settings.postmaster else {
        return Vec::new();
    };
    let subject = format!("Too much is sent by {}", over.subject.shown());
    let text = [
        over.to_string(),
        what_follows(over.reaction.value).to_owned(),
        "Somebody may send in its name. You are told once, until nothing was too much for a day: \
         `gatepost guardian list` shows what is sent meanwhile, and `gatepost guardian clear` \
         counts anew."
            .to_owned(),
    ];
    let write = |place| {
        let id = next_id();
        let written = warning(&WarningFacts {
            id,
            hostname: &settings.hostname,
            sender_domain: &settings.sender_domain,
            now: now.wall,
            to,
            subject: &subject,
            text: &text,
        });
        own_message(settings, id, now, ReversePath::Null, place, written)
    };
    settings.forwards.places_of(to).map(write).collect()
}

fn what_follows(reaction: Reaction) -> &'static str {
    match reaction {
        Reaction::Tell => "The messages go out all the same.",
        Reaction::Postpone => "The messages are postponed: their client is asked to come again.",
        Reaction::Hold => {
            "The messages are held: `gatepost queue list state:held` shows them, and `gatepost queue \
             release` lets them go."
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use admission::{Limit, Measure, Rate, Subject};
    use mail::{Mailbox, Timestamp};
    use relay_policy::Grounds;
    use spool::Content;

    use super::*;
    use crate::sample::id;

    fn written(postmaster: Option<Mailbox>, user: &str) -> Vec<NewMessage> {
        let environment = config::Environment {
            hostname: mail::Domain::parse("relay.test").ok(),
            addresses: Vec::new(),
        };
        let text = "[listener.in]\nbind = \"0.0.0.0:25\"\n";
        let loaded = config::parse("gatepost.toml", text, &environment);
        let config = loaded.unwrap_or_else(|why| panic!("{why}")).config;
        let settings = NoticeSettings {
            postmaster,
            ..crate::Setup::new(config).notices
        };
        let over = Over {
            subject: Subject::User(user.into()),
            measure: Measure::NewRecipients,
            count: 61,
            most: Rate {
                count: 50,
                per: Duration::from_secs(3600),
            },
            usual: None,
            reaction: Limit::default_of(Reaction::Hold),
        };
        warn_of(&over, &settings, Moment::of(Timestamp::default()), || id(7))
    }

    #[test]
    fn the_postmaster_is_told_by_a_message_of_our_own() {
        assert!(written(None, "ann").is_empty(), "nobody is postmaster");
        let postmaster = Mailbox::parse("postmaster@here.test").unwrap();
        let warnings = written(Some(postmaster.clone()), "ann\r\nBcc:all@there.test");
        let [warning] = &warnings[..] else {
            panic!("{} warnings", warnings.len());
        };
        assert_eq!(warning.message.reverse_path, mail::ReversePath::Null);
        let to = &warning.recipients[0].admitted;
        assert_eq!(
            (to.recipient(), to.grounds()),
            (&postmaster, Grounds::OwnNotice)
        );
        let Content::Inline(content) = &warning.content else {
            panic!("it is small");
        };
        let text = String::from_utf8_lossy(content);
        let subject =
            "Subject: Too much is sent by user \"ann\\\\x0d\\\\x0aBcc:all@there.test\"\r\n";
        assert!(text.contains(subject), "{text}");
        let why =
            "\r\n\r\n61 new recipients of user \"ann\\\\x0d\\\\x0aBcc:all@there.test\" in 1 h";
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("\nBcc"), "{text}");
    }
}
