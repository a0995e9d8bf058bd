use std::sync::Arc;

use mail::{Client, Timestamp};
use reception::{Accepted, Admission, StoreTrouble};
use route::Routes;
use spool::{Commit, Content, Health, Message, NewMessage, Receipt, Recipient, SpoolError};

/// What a session hears at MAIL, by the health of the spool; `id` names the message if it may come.
pub fn admission(health: &Health, id: mail::QueueId) -> Admission {
    match health {
        Health::Accepting => Admission::Open {
            id,
            recipients: None,
            bounces: None,
        },
        Health::LowSpace { .. } => Admission::LowSpace,
        Health::Failed(_) => Admission::Failed,
    }
}

/// A received message as the spool takes it: arrived `now` (on the queue's line), all recipients
/// waiting, all due at once, filed as `routes` have it. What comes back from a filter is as if it had come from
/// the client who gave it to us at first.
pub fn new_message(
    accepted: Accepted,
    client: &Client,
    content: Content,
    now: Timestamp,
    routes: &Routes,
) -> NewMessage {
    let Accepted {
        id,
        envelope,
        head,
        size,
        from_stranger,
        user,
        origin,
        ..
    } = accepted;
    let came_from = origin.and_then(|origin| origin.address);
    let message = Message {
        id,
        arrived: now,
        reverse_path: envelope.reverse_path,
        parameters: envelope.parameters,
        client: match came_from {
            Some(address) => address.to_string().into(),
            None => client.to_string().into(),
        },
        user: user.as_deref().map(Into::into),
        from_stranger,
        head: head.into(),
        size,
    };
    let recipients = (0..)
        .zip(envelope.recipients)
        .map(|(number, recipient)| {
            let host = recipient.admitted.recipient().host();
            let own = queue::own_way(routes, &message.reverse_path, &recipient.admitted);
            Recipient {
                filed: own.map(|site| site.filed_name(host)),
                parameters: recipient.parameters,
                ..Recipient::waiting(number, recipient.admitted, now)
            }
        })
        .collect();
    NewMessage {
        message: Arc::new(message),
        recipients,
        content,
    }
}

/// What the session is to hear after a commit. Anything but proof of storage is trouble: an unknown
/// outcome never yields a 250.
pub fn stored(commit: Commit) -> Result<Receipt, StoreTrouble> {
    match commit {
        Commit::Stored(receipt) => Ok(receipt),
        Commit::Rejected(error) => Err(trouble(&error)),
        Commit::Unknown(_) | Commit::Applied { .. } | Commit::Begun(_) | Commit::Advanced(_) => {
            Err(StoreTrouble::Failed)
        }
    }
}

/// What the queue manager is to hear of a message that is on stable storage. Content that was not
/// spilled goes along, so that what goes out at once is never read back.
pub fn stored_event(new: NewMessage) -> queue::Event {
    let NewMessage {
        message,
        recipients,
        content,
    } = new;
    let content = match content {
        Content::Inline(content) => Some(content),
        Content::Large(_) => None,
    };
    queue::Event::Stored {
        message,
        recipients,
        content,
    }
}

/// What the session is to hear of a body or message that certainly is not stored: 452 when there is
/// no room, else 451.
pub fn trouble(error: &SpoolError) -> StoreTrouble {
    match error {
        SpoolError::Full => StoreTrouble::Full,
        SpoolError::Io(_) | SpoolError::Corrupt(_) | SpoolError::Invalid(_) => StoreTrouble::Failed,
    }
}
