//! What ends a session before its client does: the relay stops, or it was reloaded and the rules by
//! which the session decides are no longer in force, or there are other users.

use engine::Incoming;
use tokio::sync::watch;

use crate::services::{Services, Stop};

/// Hears of it.
pub(crate) struct Ending {
    stop: watch::Receiver<Stop>,
    new_rules: watch::Receiver<()>,
    new_users: watch::Receiver<()>,
    /// How far a stop has come that was heard of.
    heard: Stop,
}

/// What one session is to be told.
pub(crate) enum News {
    Stop(Stop),
    Rules,
    Users,
}

impl Ending {
    /// To be made before the session's rules are looked up, so that no reload is missed.
    pub(crate) fn new(services: &Services) -> Self {
        Self {
            stop: services.stop.subscribe(),
            new_rules: services.new_rules.subscribe(),
            new_users: services.new_users.subscribe(),
            heard: Stop::Running,
        }
    }

    /// Somebody is about to sign in by the users of now: only a later change concerns that.
    pub(crate) fn knows_users(&mut self) {
        self.new_users.mark_unchanged();
    }

    /// Comes when the relay waits for nobody any more.
    pub(crate) async fn now(&mut self) {
        // An error says that the relay is gone altogether.
        drop(self.stop.wait_for(|stop| *stop == Stop::Now).await);
    }

    /// The next thing to be told, each thing once.
    pub(crate) async fn next(&mut self) -> News {
        let heard = self.heard;
        let news = tokio::select! {
            stop = self.stop.wait_for(|stop| *stop > heard) => {
                News::Stop(stop.map_or(Stop::Now, |stop| *stop))
            }
            Ok(()) = self.new_rules.changed() => News::Rules,
            Ok(()) = self.new_users.changed() => News::Users,
        };
        if let News::Stop(stop) = news {
            self.heard = stop;
        }
        news
    }
}

impl News {
    /// Tells the session this news.
    pub(crate) fn tell(self, incoming: &mut Incoming) {
        match self {
            Self::Stop(Stop::Now) => incoming.on_cut_off(),
            Self::Stop(Stop::Running | Stop::Draining) | Self::Rules => incoming.on_shutdown(),
            Self::Users => incoming.on_new_users(),
        }
    }
}
