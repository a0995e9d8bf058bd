//! What the table of options fills: for the sections without a name, for a listener, for a route.

use ::route::SiteOptions;
use admission::SlotLimits;
use mail::Place;
use relay_policy::Demand;

use crate::config::{
    Delivery, Dns, Log, Notices, Outbound, Reports, Spool, Stop, Tracking, Verify,
};

/// What options of sections without a name say.
pub(crate) struct Sections {
    /// For the sessions of every listener, before the listener's own words.
    pub session: reception::Settings,
    pub admission: admission::Limits,
    pub guardian: admission::GuardianRules,
    pub greylisting: greylisting::Settings,
    pub queue: ::queue::Settings,
    pub notices: Notices,
    pub outbound: Outbound,
    pub dns: Dns,
    pub verify: Verify,
    pub spool: Spool,
    pub log: Log,
    pub reports: Reports,
    pub tracking: Tracking,
    pub stop: Stop,
}

/// What the table fills of a `[listener.NAME]`.
pub(crate) struct ListenerParts {
    pub session: reception::Settings,
    pub slots: SlotLimits,
}

/// What is wanted of clients: that they sign in, or encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub offered: bool,
    pub required: bool,
    /// From the first octet.
    pub at_once: bool,
}

impl Wanted {
    pub const NOT: Self = Self {
        offered: false,
        required: false,
        at_once: false,
    };
    pub const OFFERED: Self = Self {
        offered: true,
        ..Self::NOT
    };
    pub const REQUIRED: Self = Self {
        required: true,
        ..Self::OFFERED
    };
    pub const FROM_THE_START: Self = Self {
        at_once: true,
        ..Self::REQUIRED
    };

    pub fn demand(self, place: Place) -> Demand {
        Demand {
            offered: self.offered,
            required: self.required,
            place,
        }
    }
}

/// What is made of DMARC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Dmarc {
    #[default]
    Ignore,
    Tag,
    Respect,
}

/// What `then` of a `[[screen]]` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScreenWord {
    Accept,
    Refuse,
    Discard,
    Hold,
    Strip,
}

/// What becomes of a message by the word of a scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ScannerWord {
    Accept,
    Refuse,
    Discard,
    Hold,
    /// Where what was written cannot be read.
    #[default]
    Postpone,
}

/// A service that a route may name, to be filled in by what is known of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Preset {
    Microsoft365,
    Hve,
    Google,
    Ses,
}

/// What the table fills of a `[route.NAME]`.
#[derive(Default)]
pub(crate) struct RouteParts {
    /// For the table of routes.
    pub site: SiteOptions,
    /// For the connection.
    pub delivery: Delivery,
}
