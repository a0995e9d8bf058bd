use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The configuration in force: `GET /v1/config`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigText {
    /// Its main file; none where a program made it.
    pub path: Option<String>,
    /// The text of that file, as it is in force. Secrets are never in it: options name where one is.
    pub text: String,
    /// A digest of the text (SHA-256).
    pub hash: String,
    /// Other files that it includes, by their paths; they are changed by hand.
    pub included: Vec<String>,
    /// Files that it includes or takes recipients, words or tests from, as they were read.
    #[serde(default)]
    pub named: Vec<NamedFile>,
    /// Whether the file can be changed over this API.
    pub writable: bool,
    /// Why not, if so.
    pub why_not: Option<String>,
    /// The file is no longer as it was read.
    pub changed: bool,
    /// How it differs from what is in force then, as `diff -u` tells it; or that it cannot be used.
    pub difference: Option<String>,
}

/// A file that a configuration names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedFile {
    /// Where it is.
    pub path: String,
    /// A digest of what it said (SHA-256).
    pub hash: String,
}

/// The query of `GET /v1/config`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConfigTextQuery {
    /// All but the text, which is empty then.
    #[serde(default)]
    pub brief: bool,
}

/// Which options: the query of `GET /v1/config/options`; all of them when empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConfigOptionsQuery {
    /// Those of sections that begin with one of these words, which commas part.
    #[serde(default)]
    pub sections: Option<String>,
    /// Those of no section that begins with one of these.
    #[serde(default)]
    pub except: Option<String>,
    /// The one with this key, or that stands there.
    #[serde(default)]
    pub key: Option<String>,
    /// Those of one section, `tls` or `domain."example.com"`, and what it says; `domain.NAME`: of a new one.
    /// Lists of tables in it are left out.
    #[serde(default)]
    pub within: Option<String>,
    /// Those in whose key or meaning this is; of others, what has it in its key or value.
    #[serde(default)]
    pub find: Option<String>,
    /// Not the first so many: each value counts, and an option without one.
    #[serde(default)]
    pub skip: usize,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// One option of the table: `GET /v1/config/options`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigOption {
    /// Its key; `NAME` stands for a name of the administrator's: `listener.NAME.bind`.
    pub key: String,
    /// Its section.
    pub section: String,
    /// What it takes, with its unit.
    pub takes: String,
    /// What is meant when nothing is written, as TOML; empty: nothing, or what the meaning says.
    pub default: String,
    /// What it means.
    pub meaning: String,
    /// Whether it does something in this version.
    pub in_force: bool,
    /// Whether it changes without a restart.
    pub reloads: bool,
    /// Its values as a JSON schema.
    pub schema: Value,
    /// What it is now, once for each place where it stands.
    pub values: Vec<ConfigValue>,
}

/// What an option is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigValue {
    /// Where it stands: `listener.internet.bind`.
    pub key: String,
    /// Its value as TOML.
    pub value: String,
    /// The line that says so, `preset` or `default`.
    pub place: String,
}

/// What becomes of an option in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConfigVerb {
    /// It gets the value.
    Set,
    /// The value is one more in its list.
    Append,
    /// The value is no longer in its list.
    Take,
    /// It is no longer written.
    Remove,
    /// This table of a list of tables stands at the place of the value in it, a number from 0.
    Move,
}

/// One change to the file, all comments and the order kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigEdit {
    /// The option or section: `relay.allow`, `domain."example.com".route`, `screen["no exe"].then`;
    /// tables of a list by name or from `[0]`.
    pub key: String,
    /// What becomes of it.
    pub change: ConfigVerb,
    /// The value as TOML; none for `remove`.
    #[serde(default)]
    pub value: Option<String>,
}

/// The body of `POST /v1/config/try`: changes, or a whole new text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigProposal {
    /// Changes, made one after the other.
    #[serde(default)]
    pub edits: Vec<ConfigEdit>,
    /// The new text in place of them.
    #[serde(default)]
    pub text: Option<String>,
}

/// What would come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigTried {
    /// The new text.
    pub text: String,
    /// How it differs from the file, as `diff -u` tells it; nothing where it does not.
    pub diff: String,
    /// The digest of the file from which that starts: what `apply` expects.
    pub expected_hash: String,
    /// What is wrong with it: nothing where it can be used.
    pub errors: Vec<ConfigProblem>,
    /// What somebody should look at all the same.
    pub warnings: Vec<ConfigProblem>,
    /// Options among the changed ones that take a restart: the file has to be changed by hand for them.
    pub restart: Vec<String>,
    /// Why `apply` would refuse it, beside errors.
    pub refused: Option<String>,
    /// What would be otherwise; none where its text cannot be used.
    pub effect: Option<ConfigEffect>,
}

/// Something that is wrong with a configuration, or looks so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigProblem {
    /// What, in one line.
    pub message: String,
    /// In which file.
    pub file: Option<String>,
    /// On which line, from 1.
    pub line: Option<u32>,
    /// In which column, from 1 in characters.
    pub column: Option<u32>,
    /// The whole as a terminal shows it: the line, a caret, what to do.
    pub text: String,
}

/// What would be otherwise by another configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigEffect {
    /// Who may relay now.
    pub posture_before: String,
    /// And then.
    pub posture_after: String,
    /// Whether the relay is closed to strangers then.
    pub closed_after: bool,
    /// Who may relay then and may not now.
    pub gained: Vec<ConfigClients>,
    /// Who may relay now and may not then.
    pub lost: Vec<ConfigClients>,
    /// What would have become of the recipients of the last day.
    pub replay: ConfigReplay,
}

/// Some who may relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigClients {
    /// A network, hosts below a name, a certificate, users.
    pub who: String,
    /// Through which listeners.
    pub listeners: Vec<String>,
}

/// The newest decisions of the last day, made once more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConfigReplay {
    /// So many recipients were looked at, the newest first.
    pub rows: u64,
    /// So many decisions there were among them, each once.
    pub decisions: u64,
    /// From when on, RFC 3339.
    pub since: Option<String>,
    /// Not all of the day was looked at: there was more than is looked at at once.
    pub cut: bool,
    /// Why nothing was; none where it was.
    pub trouble: Option<String>,
    /// Decisions for which something would have to be asked that was not written down.
    pub cannot_tell: u64,
    /// What was taken and would be refused.
    pub refused: ConfigChanged,
    /// What was refused and would be taken.
    pub accepted: ConfigChanged,
}

/// Decisions that would be otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChanged {
    /// How many.
    pub decisions: u64,
    /// How many recipients they were made for.
    pub recipients: u64,
    /// A few of them, the newest first.
    pub examples: Vec<ConfigDecision>,
}

/// A decision that would be otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigDecision {
    /// When it was made last, RFC 3339.
    pub at: String,
    /// Through which listener.
    pub listener: String,
    /// Who sent.
    pub client: String,
    /// Who had signed in.
    pub user: Option<String>,
    /// Whether the connection was encrypted.
    pub tls: bool,
    /// MAIL FROM; empty for the null sender.
    pub from: String,
    /// The recipient.
    pub to: String,
    /// What became of it.
    pub was: String,
    /// What would be answered.
    pub now: String,
    /// The line that would decide.
    pub place: Option<String>,
    /// For how many recipients it was made.
    pub count: u64,
}

/// The body of `POST /v1/config/apply`: changes, or a whole new text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChange {
    /// Changes, made one after the other.
    #[serde(default)]
    pub edits: Vec<ConfigEdit>,
    /// The new text in place of them.
    #[serde(default)]
    pub text: Option<String>,
    /// The digest of the file from which it starts.
    pub expected_hash: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who says so.
    pub by: String,
}

/// The body of `POST /v1/config/roll-back`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigRollBack {
    /// To which version.
    pub version: u64,
    /// The digest of the text in force from which that starts, where another one is to be refused.
    #[serde(default)]
    pub expected_hash: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who says so.
    pub by: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigApplied {
    /// It is in the file and in force; else the difference is to be put in by hand.
    pub applied: bool,
    /// Why not, if so: the file cannot be written.
    pub why_not: Option<String>,
    /// How the file differs from before, as `diff -u` tells it.
    pub diff: String,
    /// The digest of the file now.
    pub hash: String,
    /// The number of the version, where it is applied and something changed.
    pub version: Option<u64>,
    /// What somebody should look at all the same.
    pub warnings: Vec<String>,
}

/// A version of the file that was in force: `GET /v1/config/versions`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigVersion {
    /// Its number: later ones have higher ones.
    pub number: u64,
    /// Since when, RFC 3339; of one that was changed by hand, when that was found.
    pub at: String,
    /// Who said so; none: somebody by hand.
    pub by: Option<String>,
    /// And why.
    pub reason: Option<String>,
    /// The digest of its text.
    pub hash: String,
    /// It is the file's text now.
    pub current: bool,
    /// How it differs from the version before it, as `diff -u` tells it; nothing of the first one.
    pub diff: String,
}
