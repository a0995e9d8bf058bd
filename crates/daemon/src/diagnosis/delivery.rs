//! Every host to which mail for an address may go, tried as far as RCPT: nothing is sent.

mod advice;
mod lookup;
mod stages;

use std::sync::Arc;

use delivery::Submitted;
use lookups::{Inquiries, Trial};
use mail::{Mailbox, Outcome, Reply, ReversePath};
use route::{Plan, Site};

pub use self::advice::advice;
pub use self::lookup::Lookup;
use self::stages::word;
pub use self::stages::{Step, cell, failure};
use super::route::taken;
use super::{Fault, relay_check};

/// What would become of mail for one recipient.
pub struct Way {
    /// The recipient, after forwarding.
    pub recipient: Mailbox,
    /// The site, and those where its mail goes otherwise.
    pub sites: Vec<Tried>,
}

/// A site, and its hosts as they were tried.
pub struct Tried {
    /// The site.
    pub site: Site,
    /// What DNS said on the way.
    pub lookups: Vec<Lookup>,
    /// Where to connect.
    pub plan: Plan,
    /// Each host, in the order of the plan.
    pub trials: Vec<Trial>,
}

/// What would become of it.
pub enum Verdict {
    /// It would be taken; by whom.
    Taken(String),
    /// It would be bounced; why.
    Refused(String),
    /// It would wait; why.
    Waits(String),
}

/// What has come to an end while others are still tried.
pub enum Progress<'a> {
    /// The way to a site is known.
    Site {
        /// For whom.
        recipient: &'a Mailbox,
        /// Still without trials.
        tried: &'a Tried,
    },
    /// A host was tried.
    Host {
        /// For whom.
        recipient: &'a Mailbox,
        /// Of which site.
        site: &'a Site,
        /// What came of it.
        trial: &'a Trial,
    },
}

/// Tries every host to which mail from `from` for `address` may go. `on` hears what has been done as
/// it is done.
///
/// # Errors
/// Nothing is taken for it.
pub async fn deliver(
    inquiries: &Inquiries,
    from: &ReversePath,
    address: &Mailbox,
    on: &(impl Fn(Progress<'_>) + Send + Sync),
) -> Result<Vec<Way>, Fault> {
    let config = inquiries.config();
    let rules = Arc::clone(&config.rules);
    let recipient = relay_check::meant(config, &rules, address);
    taken(&rules, &recipient)?;
    let targets = rules.forwards.targets(&recipient, |_| true);
    let targets = targets.into_iter().flatten();
    let mut recipients: Vec<Mailbox> = targets.map(|(target, _)| target).collect();
    if recipients.is_empty() {
        recipients.push(recipient);
    }
    let mut ways = Vec::new();
    for recipient in recipients {
        ways.push(way(inquiries, from, recipient, on).await);
    }
    Ok(ways)
}

async fn way(
    inquiries: &Inquiries,
    from: &ReversePath,
    recipient: Mailbox,
    on: &(impl Fn(Progress<'_>) + Send + Sync),
) -> Way {
    let routes = &inquiries.config().routes;
    let first = routes.site_from(from.mailbox(), recipient.host());
    let (mut sites, mut turn) = (Vec::new(), Some(&first));
    while let Some(site) = turn {
        let tried = tried(inquiries, site, (from, &recipient), on).await;
        let goes_on = matches!(tried.plan, Plan::Hops(_) | Plan::Otherwise(_));
        sites.push(tried);
        turn = site.otherwise.as_deref().filter(|_| goes_on);
    }
    Way { recipient, sites }
}

async fn tried(
    inquiries: &Inquiries,
    site: &Site,
    (from, recipient): (&ReversePath, &Mailbox),
    on: &(impl Fn(Progress<'_>) + Send + Sync),
) -> Tried {
    let lookups::Way { plan, answers, .. } = inquiries.way(site, recipient).await;
    let mut tried = Tried {
        site: site.clone(),
        lookups: lookup::lookups(&answers),
        plan,
        trials: Vec::new(),
    };
    on(Progress::Site {
        recipient,
        tried: &tried,
    });
    // As a message of somebody of ours: nobody is known who would have signed in.
    let submitted = Submitted {
        sender: from,
        client: "",
        user: None,
        from_stranger: false,
    };
    let sent_as = inquiries.config().send_as.sent_as(&submitted, &site.name);
    let from = sent_as.map_or(from.clone(), |sent_as| ReversePath::Mailbox(sent_as.sender));
    if let Plan::Hops(hops) = &tried.plan {
        let on_end = |_, trial: &Trial| {
            on(Progress::Host {
                recipient,
                site,
                trial,
            });
        };
        let trials = inquiries.try_hosts(site, hops, (&from, recipient), on_end);
        tried.trials = trials.await;
    }
    tried
}

impl Way {
    /// As delivery would have it: the first host decides that has a word to say on the message.
    pub fn verdict(&self) -> Verdict {
        let decided = self.sites.iter().find_map(Tried::verdict);
        decided.unwrap_or_else(|| {
            let mut trials = self.sites.iter().flat_map(|tried| &tried.trials);
            let last = trials.next_back();
            let why = last.and_then(failure).map(|(_, why)| why);
            Verdict::Waits(why.unwrap_or_else(|| "there is no host to connect to".to_owned()))
        })
    }
}

impl Tried {
    /// `None`: its mail goes elsewhere, or waits when there is nowhere else.
    fn verdict(&self) -> Option<Verdict> {
        match &self.plan {
            Plan::Hops(_) => self.trials.iter().find_map(|trial| {
                let reply = word(trial)?;
                Some(by_reply(reply, &trial.hop.to_string()))
            }),
            Plan::Directory(path) => Some(Verdict::Taken(path.display().to_string())),
            Plan::Stop(Outcome::Delivered(delivery)) => {
                Some(Verdict::Taken(delivery.reply.to_string()))
            }
            Plan::Stop(Outcome::Deferred(failure)) => {
                Some(Verdict::Waits(failure.reply.to_string()))
            }
            Plan::Stop(Outcome::Failed(failure)) => {
                Some(Verdict::Refused(failure.reply.to_string()))
            }
            Plan::Ask(_) => Some(Verdict::Waits("the way cannot be found out".to_owned())),
            Plan::Otherwise(_) => None,
        }
    }
}

fn by_reply(reply: &Reply, host: &str) -> Verdict {
    if reply.is_positive() {
        Verdict::Taken(host.to_owned())
    } else if reply.is_permanent() {
        Verdict::Refused(format!("{host} said {reply}"))
    } else {
        Verdict::Waits(format!("{host} said {reply}"))
    }
}
