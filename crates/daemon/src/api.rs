//! What goes over the control socket, as JSON: the same types on both ends.

mod acme;
mod audit;
mod configuration;
mod console;
mod diagnose;
mod doctor;
mod greylist;
mod guardian;
mod held;
mod log_lines;
mod observed;
mod quarantine;
mod track;
mod trials;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
/// The verbs of `POST /v1/queue/VERB`, by their words.
pub use spool::Verb;

pub use self::acme::{AcmeQuery, AcmeRenew, AcmeRenewing, AcmeRow};
pub use self::audit::{AuditQuery, AuditRow};
pub use self::configuration::{
    ConfigApplied, ConfigChange, ConfigChanged, ConfigClients, ConfigDecision, ConfigEdit,
    ConfigEffect, ConfigOption, ConfigOptionsQuery, ConfigProblem, ConfigProposal, ConfigReplay,
    ConfigRollBack, ConfigText, ConfigTextQuery, ConfigTried, ConfigValue, ConfigVerb,
    ConfigVersion, NamedFile,
};
pub use self::console::{
    ConsoleIssuerAnswer, ConsoleIssuerBegun, ConsoleIssuerRow, ConsoleIssuerWanted, ConsoleLink,
    ConsoleLinkWanted, ConsoleRedeemed, ConsoleSignIn, ConsoleSignedIn, ConsoleStill, ConsoleToken,
    ConsoleUser, ConsoleVouched,
};
pub use self::diagnose::{
    LastRelayProof, Posture, PostureLine, RelayAdmitted, RelayAnswer, RelayProbe, RelayProof,
    RelayProofOfListener, RelayProofParts, RelayProved, RelayQuestion, RelayStep,
};
pub use self::doctor::{DoctorFinding, DoctorFound, DoctorQuestion};
pub use self::greylist::{
    GreylistAnswer, GreylistCleared, GreylistQuery, GreylistQuestion, GreylistRow, GreylistSubject,
    ReputationAnswer, ReputationQuery,
};
pub use self::guardian::{
    GuardianCleared, GuardianCounts, GuardianQuery, GuardianRow, GuardianSubject,
};
pub use self::held::{HeldField, HeldMessage, HeldPart, HeldRow, HeldText, UnreadPart};
pub use self::log_lines::{
    LogEvent, LogField, LogLine, LogQuery, ProtocolLogQuery, ProtocolLogRow, ProtocolLogTail,
};
pub use self::observed::{
    DeviceLists, DeviceRefusal, DeviceRow, DevicesQuery, Rates, RatesQuery, RefusedWhy,
};
pub use self::quarantine::{
    LearnedResult, LearnedRow, LinkedMessage, QuarantineChange, QuarantineCount, QuarantineDigest,
    QuarantineLearned, QuarantineLesson, QuarantinePage, QuarantineReleased, QuarantineReport,
    ReleaseLinkToken, TaughtAs,
};
pub use self::track::{
    Trace, TraceChange, TraceQuery, TraceRow, TracedMessage, TrackPage, TrackQuery, TrackRow,
    TrackingStatus, TranscriptRow, as_csv,
};
pub use self::trials::{
    DeliveryEvent, DeliveryHost, DeliveryLookup, DeliveryQuestion, DeliverySite, DeliveryStages,
    DeliveryTested, DeliveryWay, DnsFinding, DnsQuestion, DnsTested, RouteFact, RouteHost,
    RouteQuery, RouteShown, RouteWay, TestDoor, TestMessage, TestSent,
};

/// `GET /v1/status`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The relay's name.
    pub hostname: String,
    /// The version of Gatepost that runs.
    pub version: String,
    /// The process id of the relay.
    pub pid: u32,
    /// When it started, by its clock.
    #[serde(default)]
    pub started: String,
    /// Since the start.
    pub uptime_seconds: u64,
    /// Every configured listener and address.
    pub listeners: Vec<ListenerStatus>,
    /// How many clients are connected right now.
    pub sessions: u32,
    /// `closed` or `open`, and who may relay by which line.
    pub posture: String,
    /// What waits in the queue or is held there.
    pub queue: QueueStatus,
    /// Whether mail is accepted.
    pub spool: SpoolStatus,
    /// What is remembered of what became of messages; nothing when that is off.
    #[serde(default)]
    pub tracking: Option<TrackingStatus>,
    /// The programs beside us that look at messages, at each of their addresses.
    #[serde(default)]
    pub scanners: Vec<ScannerStatus>,
    /// What operators have paused.
    #[serde(default)]
    pub pauses: Vec<PauseRow>,
    /// What has come to a stand, each as one line.
    #[serde(default)]
    pub alarms: Vec<String>,
    /// What an operator should look at though nothing stands still, each as one line.
    #[serde(default)]
    pub attention: Vec<String>,
    /// What goes on as configured, and should not be forgotten.
    pub warnings: Vec<String>,
}

/// One scanner at one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScannerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// Why it does not answer; nothing where it does, as far as it was asked.
    pub trouble: Option<String>,
    /// Messages that are with it now, at all of its addresses together.
    pub busy: u64,
    /// How often it was asked since the configuration was read.
    pub asked: u64,
    /// How often there was no answer.
    pub failed: u64,
    /// What ClamAV it is: `ClamAV 1.4.6`.
    #[serde(default)]
    pub version: Option<String>,
    /// How many days old its signatures are.
    #[serde(default)]
    pub signatures_age_days: Option<u64>,
}

/// One listener at one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerStatus {
    /// The listener's name in the configuration.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// `mx`, `submission`, `submissions`
    pub kind: String,
}

/// The queue in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStatus {
    /// Messages in the spool: those with a recipient that waits or is held.
    pub messages: u64,
    /// Recipients that wait, those being tried right now among them.
    pub waiting: u64,
    /// Recipients being tried right now.
    pub active: u64,
    /// Recipients that are held: they are not tried until somebody releases them.
    pub held: u64,
    /// Those of them that screening holds.
    #[serde(default)]
    pub quarantined: u64,
    /// Those of them that have yet to be screened, after their 250.
    #[serde(default)]
    pub unscreened: u64,
    /// Recipients dropped since the start: undeliverable mail from the null sender, and badmail and
    /// quarantined mail for which there was no more room or time.
    #[serde(default)]
    pub dropped: u64,
    /// Connections to next hops.
    pub connections: u64,
    /// Sites that are left alone for now because they did not answer.
    pub suspended_sites: u64,
}

/// Whether mail is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpoolStatus {
    /// `accepting` or `stopped`
    pub state: String,
    /// Why it is stopped.
    pub why: Option<String>,
}

/// One recipient in the queue: `GET /v1/queue`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueRow {
    /// The message's queue id.
    pub id: String,
    /// MAIL FROM, nothing for `<>`.
    pub from: String,
    /// The address of the recipient.
    pub to: String,
    /// `waiting`, `active`, `held`, `unscreened` or `bouncing`
    pub state: String,
    /// Attempts so far.
    pub tries: u32,
    /// When it is tried next, RFC 3339.
    pub due: String,
    /// What the last attempt ended with.
    pub last_reply: Option<String>,
    /// Octets of the message.
    pub size: u64,
    /// When the message came, RFC 3339.
    pub arrived: String,
    /// Who brought it.
    pub client: String,
    /// Who had signed in.
    pub user: Option<String>,
    /// Why it was admitted: `our-domain`, `listed-client` ...
    pub grounds: String,
    /// Where it goes next.
    pub site: String,
    /// The configuration line that says so.
    pub place: String,
    /// Whether an operator led it there.
    #[serde(default)]
    pub rerouted: bool,
    /// Of one that waits though it is due: what it waits for.
    #[serde(default)]
    pub waits_for: Option<String>,
}

/// One site: `GET /v1/queue/shape`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteRow {
    /// The site's name.
    pub site: String,
    /// `up`, `paced`, `closed` (outside its hours), `paused`, `suspended` or `probing`; `on demand` for a domain whose mail waits
    /// until somebody asks for it
    pub state: String,
    /// Until when it is paced, closed, paused or suspended, RFC 3339.
    pub until: Option<String>,
    /// The rate that is used up, what was wrong with the site, or who paused it and why.
    pub why: Option<String>,
    /// The pace to which the site has brought us down, and in what words.
    pub slowed: Option<String>,
    /// Messages that have to wait for their size.
    #[serde(default)]
    pub large: Option<LargeRow>,
    /// Hosts of it that let nobody in of late, while others are tried before them.
    #[serde(default)]
    pub resting: Vec<RestingRow>,
    /// Connections there.
    pub connections: u64,
    /// How many there may be at present.
    pub connections_max: u64,
    /// Messages in memory that wait for one of them.
    pub ready: u64,
    /// Recipients delivered there in the last hour, of the sites that were tried last.
    #[serde(default)]
    pub delivered_in_hour: u64,
    /// So many milliseconds took the attempts of the last hour there at most, but for five of a
    /// hundred; nothing where there was none.
    #[serde(default)]
    pub p95_millis: Option<u64>,
}

/// One host that rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestingRow {
    /// Its name and address: `mx1.example.com [192.0.2.1]:25`.
    pub host: String,
    /// It is tried last until then, RFC 3339; from then on by one message.
    pub until: String,
    /// What was wrong with it.
    pub why: String,
}

/// Messages that are too large to go to a site at this time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LargeRow {
    /// Those of more octets.
    pub over: u64,
    /// Until then, RFC 3339.
    pub until: String,
}

impl SiteRow {
    /// What a message of this size waits for that is due there; `None` when it only waits for its
    /// turn.
    pub fn message_waits_for(&self, size: u64) -> Option<String> {
        let large = self.large.as_ref().filter(|large| size > large.over);
        let large =
            large.map(|large| format!("outside the hours of its size, next at {}", large.until));
        self.waits_for().or(large)
    }

    /// What all mail waits for that is due there; `None` when it only waits for its turn.
    pub fn waits_for(&self) -> Option<String> {
        if self.state == "paused" {
            return self.why.clone();
        }
        let (until, why) = (
            self.until.as_deref()?,
            self.why.as_deref().unwrap_or_default(),
        );
        Some(match self.state.as_str() {
            "paced" => format!("paced, next at {until}: {why}"),
            "closed" => format!("{why}, next at {until}"),
            state => format!("{state} until {until}: {why}"),
        })
    }
}

/// Which part of the queue: the query of `GET /v1/queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct QueueQuery {
    /// A filter; everything when empty.
    #[serde(default)]
    pub filter: String,
    /// Messages after this one.
    #[serde(default)]
    pub after: Option<String>,
    /// At most so many messages.
    #[serde(default)]
    pub limit: Option<usize>,
    /// A page, a count or a report ends after about so many recipients that were looked at.
    #[serde(default)]
    pub looks: Option<usize>,
}

/// Which sites: the query of `GET /v1/queue/shape`; all of them when empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct ShapeQuery {
    /// This one alone.
    #[serde(default)]
    pub site: Option<String>,
    /// Those behind this name.
    #[serde(default)]
    pub after: Option<String>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Those first that have the most trouble, and of these the ones with the most mail that is
    /// ready; in the order of names otherwise.
    #[serde(default)]
    pub worst: bool,
}

/// A page of recipients: the answer to `GET /v1/queue/page`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueuePage {
    /// What was found.
    pub rows: Vec<QueueRow>,
    /// Where to go on (`after`); `null` when there is nothing more. A page may be short, or empty,
    /// and there may be more all the same: a question takes only so much of the disk's time.
    pub next: Option<String>,
    /// When the last message came that was looked at, RFC 3339, where the page is short.
    pub reached: Option<String>,
}

/// The answer to `GET /v1/queue/count?filter=TEXT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// Messages with a recipient that matches.
    pub messages: u64,
    /// Recipients that wait.
    pub waiting: u64,
    /// Recipients that are held.
    pub held: u64,
    /// Those of them that have yet to be screened: nobody releases them.
    #[serde(default)]
    pub unscreened: u64,
    /// There may be more: not all were looked at, as `looks` says.
    #[serde(default)]
    pub is_cut: bool,
}

/// The body of `POST /v1/queue/VERB`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueChange {
    /// Which recipients the verb is for, as the text of a filter; all of them when it is empty.
    pub filter: String,
    /// Who says so.
    pub by: String,
    /// Why, for the log, and for the senders of what bounces.
    #[serde(default)]
    pub reason: Option<String>,
    /// To reroute: the name of the route, `NAME` of `[route.NAME]`.
    #[serde(default)]
    pub route: Option<String>,
    /// To reroute: back to what sender and domain say, in place of a route.
    #[serde(default)]
    pub back: bool,
}

/// A verb as the relay carries it out: `GET /v1/queue/operations`, and the answer of
/// `POST /v1/queue/VERB`, which does not wait for its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationRow {
    /// Its number: later ones have higher ones.
    pub number: u64,
    /// What is done.
    pub verb: String,
    /// To whom; ages are moments by now. Everything when empty.
    pub filter: String,
    /// Who said so.
    pub by: String,
    /// And why.
    pub reason: Option<String>,
    /// To which site those are led who are rerouted; nothing for those who are given back.
    #[serde(default)]
    pub route: Option<String>,
    /// `applying`, `waiting` (for the end of the ones before it), `done`, or `stopped` by an
    /// operator.
    pub state: String,
    /// When it was said, RFC 3339.
    pub begun: String,
    /// When it was done or stopped, RFC 3339.
    pub ended: Option<String>,
    /// Recipients looked at so far.
    pub looked_at: u64,
    /// How many recipients the verb was carried out for so far.
    pub changed: u64,
}

impl OperationRow {
    /// Whether it is done, or was stopped.
    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }
}

/// The query of `GET /v1/queue/operations/NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct OperationQuery {
    /// So many seconds the answer may wait for the end of the operation.
    #[serde(default)]
    pub wait: Option<u64>,
}

/// A pause of the whole queue or of a site: `GET /v1/queue/pauses`, and the answer of
/// `POST /v1/queue/pause`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseRow {
    /// The site; the whole queue when it is left out.
    pub site: Option<String>,
    /// Who said so.
    pub by: String,
    /// And why.
    pub reason: Option<String>,
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when, RFC 3339; until somebody resumes it when it is left out.
    pub until: Option<String>,
}

impl PauseRow {
    /// In words, without the site.
    pub fn words(&self) -> String {
        let until = self.until.as_ref();
        let until = until.map(|at| format!(" until {at}")).unwrap_or_default();
        let reason = self.reason.as_ref();
        let reason = reason.map(|why| format!(": {why}")).unwrap_or_default();
        format!("paused by {}{until}{reason}", self.by)
    }
}

/// The body of `POST /v1/queue/pause`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseChange {
    /// The site, by its name in `queue shape`; the whole queue when it is left out.
    #[serde(default)]
    pub site: Option<String>,
    /// Who says so.
    pub by: String,
    /// And why.
    #[serde(default)]
    pub reason: Option<String>,
    /// For how long, as `2h`; until somebody resumes it when it is left out.
    #[serde(default)]
    pub lasting: Option<String>,
}

/// The body of `POST /v1/queue/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResumeChange {
    /// The site; the pause of the whole queue when it is left out.
    #[serde(default)]
    pub site: Option<String>,
}

/// The answer of `POST /v1/queue/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resumed {
    /// How many pauses ended by it.
    pub pauses: u64,
}

/// One connection: `GET /v1/sessions`, and the answer of `POST /v1/sessions/ID/kill`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRow {
    /// `in-` and the session's number in the log, or `out-` and that of a delivery agent.
    pub id: String,
    /// The listener that it came through, or the site that it leads to.
    pub way: String,
    /// Who is at the other end.
    pub peer: String,
    /// Who signed in.
    pub user: Option<String>,
    /// When it began, RFC 3339.
    pub since: String,
    /// What is being done.
    pub state: String,
    /// The message that goes out.
    pub message: Option<String>,
    /// Octets that came, in clear where there is TLS.
    pub received: u64,
    /// Octets that went.
    pub sent: u64,
}

/// Which sessions: the query of `GET /v1/sessions`; all of them when empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SessionQuery {
    /// Those of this kind alone: `in` or `out`.
    #[serde(default)]
    pub only: Option<String>,
    /// This one alone.
    #[serde(default)]
    pub id: Option<String>,
    /// Those behind this one.
    #[serde(default)]
    pub after: Option<String>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// The answer of `POST /v1/reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reloaded {
    /// What somebody should look at all the same.
    pub warnings: Vec<String>,
}

/// The answer of `POST /v1/upgrade`. What is under way ends first; `started` of the status is
/// another once the other program answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upgrading {
    /// The program that takes the place.
    pub program: String,
}

/// The answer of a call that is refused or fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// What is wrong.
    pub error: String,
    /// At the sign-in of the console: whether the password is right, and a code is asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_code: bool,
}
