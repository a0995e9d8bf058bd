use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use daemon::api::{QueueChange, Verb};
use daemon::diagnosis::doctor;
use mail::Domain;
use sign_in::ConsoleRole;

use crate::bench_arguments::BenchVerb;

/// Where the configuration is when nobody says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/gatepost/gatepost.toml";

/// An SMTP relay between the Internet and your mail server: closed by default, nothing lost, every
/// answer explained.
#[derive(Debug, Parser)]
#[command(
    name = "gatepost",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = DEFAULT_CONFIG
    )]
    pub config: PathBuf,
    /// Print data instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the relay in the foreground.
    Run,
    /// Show the main job: the real relay between a pretend mail server and a pretend Internet, on
    /// loopback.
    Demo {
        /// End after the scenarios: 0 when all went as expected, 1 otherwise.
        #[arg(long)]
        once: bool,
    },
    /// Find out how much a machine carries: a load of messages, and a next hop that throws them away.
    /// No configuration is read, and no relay asked.
    Bench {
        /// Which of the two.
        #[command(subcommand)]
        verb: BenchVerb,
    },
    /// Write a first configuration from six answers, prove that it is closed, and print the records
    /// to publish in DNS. What the flags do not say is asked; with --hostname, --domain and
    /// --mail-server nothing is. Exit 0: closed, 1: a file is there, 2: an answer cannot be used, 78: a
    /// start would fail.
    Init(InitArguments),
    /// Find out what keeps the relay from its work though its configuration is sound, each with the
    /// cure: ports, DNS, names of its addresses, the way out, the disk, the clock, certificates, block
    /// lists. No mail is sent. Exit 0: nothing, 1: something, 75: it could not all be found out.
    Doctor(DoctorArguments),
    /// Make the running relay read its configuration again.
    Reload,
    /// Put the program that now stands where the running relay was started from in its place. No
    /// client is turned away: those that come meanwhile wait for their greeting, what is under way
    /// ends first. A program that would not start with the configuration is refused, and everything
    /// goes on as before. Exit 0: the new one answers, 1: it was refused, 75: it does not answer yet.
    Upgrade,
    /// Show what the running relay does.
    Status {
        /// What it counts and measures, as Prometheus reads it.
        #[arg(long)]
        metrics: bool,
        /// Only whether it takes new mail: ends with 0 or 1, as a container's health check.
        #[arg(long, conflicts_with = "metrics")]
        ready: bool,
    },
    /// Print the version.
    Version,
    /// Check, show and explain the configuration.
    Config {
        /// Which of these.
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Make a configuration from that of another mail server, with a table of what became of each
    /// setting. Nothing is changed there, and nothing is put in force here.
    Import {
        /// Whose configuration it is.
        #[command(subcommand)]
        source: ImportSource,
    },
    /// Ask who may relay.
    Relay {
        /// Which of these.
        #[command(subcommand)]
        verb: RelayVerb,
    },
    /// Ask where mail goes.
    Route {
        /// Which of these.
        #[command(subcommand)]
        verb: RouteVerb,
    },
    /// Try deliveries and DNS, without sending anything.
    Test {
        /// Which of these.
        #[command(subcommand)]
        verb: TestVerb,
    },
    /// Say who may sign in, for mail and at the console: add, list and remove users, change passwords.
    User {
        /// Which of these.
        #[command(subcommand)]
        verb: UserVerb,
    },
    /// Say by what a certificate is known again.
    Cert {
        /// Which of these.
        #[command(subcommand)]
        verb: CertVerb,
    },
    /// Make the keys by which mail is signed (DKIM), and look whether they are published.
    Dkim {
        /// Which of these.
        #[command(subcommand)]
        verb: DkimVerb,
    },
    /// Send the message on standard input, as programs call `sendmail`: -t, -i, -f, -F, -N, -R, -V,
    /// -B, -v, -bs, -bp and their like. Also when the binary is called by that name.
    Sendmail {
        /// Options of sendmail, then recipients.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGUMENT"
        )]
        arguments: Vec<String>,
    },
    /// Come in at the web console.
    Console {
        /// Which of these.
        #[command(subcommand)]
        verb: ConsoleVerb,
    },
    /// Look at the connections of the running relay, and end them.
    Session {
        /// Which of these.
        #[command(subcommand)]
        verb: SessionVerb,
    },
    /// Look at the certificates that the running relay gets by ACME ([tls.acme]), and renew them.
    Acme {
        /// Which of these.
        #[command(subcommand)]
        verb: AcmeVerb,
    },
    /// Show who sends how much to other domains, and who sends too much.
    Guardian {
        /// Which of these.
        #[command(subcommand)]
        verb: GuardianVerb,
    },
    /// Show what is remembered of strangers, for greylisting and reputation, and forget some of it.
    Greylist {
        /// Which of these.
        #[command(subcommand)]
        verb: GreylistVerb,
    },
    /// Describe the control socket, for programs that ask a running relay.
    Control {
        /// Which of these.
        #[command(subcommand)]
        verb: ControlVerb,
    },
    /// Describe what programs are asked that look at messages beside the relay.
    Scanner {
        /// Which of these.
        #[command(subcommand)]
        verb: ScannerVerb,
    },
    /// Say what became of messages, newest first: each recipient once, refused ones included.
    Track(Tracking),
    /// Tell the whole life of one message: received, decided, each attempt, notices, and by hands.
    Trace {
        /// Its queue id, or its Message-ID; or a session, as in-5, with --transcript.
        #[arg(value_name = "ID")]
        id: String,
        /// With the SMTP dialogues that were kept.
        #[arg(long)]
        transcript: bool,
    },
    /// Have more written down for a while.
    Log {
        /// Which of these.
        #[command(subcommand)]
        verb: LogVerb,
    },
    /// Print what happens to mail, as it happens.
    Tail {
        /// What of it.
        #[command(flatten)]
        selection: TrackSelection,
    },
    /// Look at and change the queue of the running relay.
    Queue {
        /// Which of these.
        #[command(subcommand)]
        verb: QueueVerb,
    },
    /// Add up what others report about mail of your domains (DMARC) and connections to them (TLS).
    /// Exit 1: something could not be read, and is named; the rest is shown.
    Reports {
        /// Reports as they come: XML or JSON, plain, in gzip or ZIP, or whole messages; `-` is
        /// standard input.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Look at what screening holds, let it go on, or delete it.
    Quarantine {
        /// Which of these.
        #[command(subcommand)]
        verb: QuarantineVerb,
    },
    /// Print a script by which a shell completes these commands and their options.
    Completions {
        /// Which shell.
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Write the manual pages: one for each command, and gatepost.toml(5) with every option of the
    /// configuration. Pages that are there are written over.
    Man {
        /// Below which they go, into man1 and man5, as in /usr/local/share/man.
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },
}

/// A shell that completes what is typed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Shell {
    /// Source it, or put it into /usr/share/bash-completion/completions.
    Bash,
    /// Put it into ~/.config/fish/completions as gatepost.fish.
    Fish,
    /// Put it as _gatepost into a directory of $fpath.
    Zsh,
}

/// Whom `gatepost doctor` asks.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// An address from which mail goes out to the Internet, where this machine does not know it:
    /// behind an address translation. May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub address: Vec<IpAddr>,
    /// A domain to whose mail servers a connection is tried, where mail goes by MX; `off` for none.
    #[arg(long, value_name = "DOMAIN", default_value = doctor::PROBE)]
    pub probe: String,
    /// Who tells the time (NTP), HOST or HOST:PORT; `off` for nobody.
    #[arg(long, value_name = "SERVER", default_value = doctor::TIME_SERVER)]
    pub time_server: String,
    /// A DNS list of addresses that servers take no mail from; `off` for none. May be given several
    /// times. Some answer no questions from public resolvers.
    #[arg(long, value_name = "ZONE", default_values = doctor::BLOCK_LISTS)]
    pub block_list: Vec<String>,
}

/// The answers to `gatepost init`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The name of the relay, as other servers see it; the machine's when left out.
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// A domain whose mail comes in here. May be given several times.
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Vec<String>,
    /// The mail server that gets the mail of these domains: HOST or HOST:PORT.
    #[arg(long, value_name = "SERVER")]
    pub mail_server: Option<String>,
    /// Who may send to every other domain: address, block, `*.host.name`; `users` for people who sign
    /// in on port 587, or `nobody`. May be given several times; the mail server's address when left
    /// out.
    #[arg(long, value_name = "CLIENT")]
    pub allow: Vec<String>,
    /// The certificate (PEM), or `self-signed`, which is meant when left out.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<String>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<String>,
    /// Where mail for every other domain goes: `mx`, which is meant when left out, or a smart host,
    /// HOST or HOST:PORT.
    #[arg(long, value_name = "SERVER")]
    pub outbound: Option<String>,
    /// Write over a configuration that is there.
    #[arg(long)]
    pub force: bool,
}

/// `gatepost config ...`
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Say whether the configuration can be used, and everything that is wrong with it and with the
    /// files that it names. As root it reads them as the relay's account would.
    Check {
        /// Only the text: not the certificates, keys, secrets and users that it names. For a
        /// configuration of another machine.
        #[arg(long)]
        without_files: bool,
    },
    /// Print every option with its value and the line that set it.
    Show {
        /// Only what differs from the default.
        #[arg(long)]
        changed: bool,
    },
    /// Change an option in the configuration file: comments, blanks and order stay as they are. The
    /// difference is printed; what could not be used is refused, and nothing is written then.
    Set {
        /// The option, as `relay.allow`, `domain."example.com".route` or `screen["NAME"].then`.
        key: String,
        /// Its value as TOML; text may go without its quotes.
        #[arg(required_unless_present = "remove", conflicts_with = "remove")]
        value: Option<String>,
        /// Add the value to a list; `{ name = "...", ... }` to a list of tables.
        #[arg(long, conflicts_with_all = ["take", "remove", "move_to"])]
        append: bool,
        /// Take the value out of a list.
        #[arg(long, conflicts_with_all = ["remove", "move_to"])]
        take: bool,
        /// Move a table of a list, as `screen["NAME"]`, to the place of the value in it, from 0.
        #[arg(long = "move", conflicts_with = "remove")]
        move_to: bool,
        /// Remove the option or section from the file.
        #[arg(long)]
        remove: bool,
        /// Only print the difference.
        #[arg(long)]
        dry_run: bool,
    },
    /// Compare the configuration file with what the running relay read of it, or with another file: its
    /// lines, who may relay, and what is decided otherwise of clients and recipients that stand in
    /// either of them, in lists in files, too. What changes for senders, for single users and on the
    /// way out is in the lines alone. Exit 0: the same, 1: another.
    Diff {
        /// The file to compare with, as what was before. Default: what is in force.
        #[arg(value_name = "BEFORE")]
        before: Option<PathBuf>,
    },
    /// Say what an option means, what it takes and what holds without it.
    Explain {
        /// The option, as `relay.allow` or `listener.NAME.bind`.
        key: String,
    },
    /// Print all options as a JSON schema, by which an editor completes and checks the file.
    Schema,
}

/// `gatepost import ...`
#[derive(Debug, Subcommand)]
pub enum ImportSource {
    /// Postfix: main.cf, master.cf and the tables that they name, in their source texts.
    Postfix {
        /// The folder with main.cf, or a copy of it. What lies elsewhere is read where main.cf says.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Where it goes.
        #[command(flatten)]
        to: ImportTo,
    },
    /// Exchange, 2000 to Subscription Edition: what its cmdlets and the directory export.
    Exchange(ImportExchange),
    /// The SMTP service of IIS: MetaBase.xml of IIS 6, and of Windows Server 2008 to 2022.
    Iis {
        /// MetaBase.xml, or a copy of it: it lies in C:\Windows\System32\inetsrv.
        #[arg(value_name = "METABASE.xml")]
        file: PathBuf,
        /// Where it goes.
        #[command(flatten)]
        to: ImportTo,
    },
}

/// `gatepost import exchange ...`
#[derive(Debug, Args)]
pub struct ImportExchange {
    /// Files of the export: what Get-ReceiveConnector, Get-ADPermission, Get-SendConnector,
    /// Get-AcceptedDomain, Get-TransportConfig, Get-RemoteDomain, Get-TransportService and Get-Recipient
    /// give, by Format-List, Export-Clixml, ConvertTo-Json or Export-Csv, and LDIF of ldifde or ldapsearch.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The server whose receive connectors, or virtual servers, are meant. Default: the first that the
    /// files name.
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Where the mailboxes are, a host or an address, with or without a port; may be given again.
    /// Default: the server of Exchange.
    #[arg(long = "mail-server", value_name = "HOST")]
    pub mail_servers: Vec<String>,
    /// Where it goes. Lists of recipients are written beside the configuration.
    #[command(flatten)]
    pub to: ImportTo,
}

/// Where the results of `gatepost import` go.
#[derive(Debug, Args)]
pub struct ImportTo {
    /// The file for the configuration. Default: standard output.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The file for the table of what became of each setting. Default: standard error.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write over files that are there.
    #[arg(long)]
    pub force: bool,
}

/// `gatepost relay ...`
#[derive(Debug, Subcommand)]
pub enum RelayVerb {
    /// Say what a client would hear at RCPT, step by step, with the line that decides. Exit 0:
    /// accepted, 1: refused, 75: cannot tell.
    Check(RelayCheck),
    /// Try every known way of relaying as a stranger, on the rules or against a server; nothing is
    /// ever sent. Exit 0: closed, 1: open, 75: could not tell.
    Prove(RelayProve),
}

/// `gatepost route ...`
#[derive(Debug, Subcommand)]
pub enum RouteVerb {
    /// Say where mail for an address goes and how, with the line that says so; asks DNS as the
    /// running relay does, and connects nowhere. Exit 0: there is a way, 1: none, 75: none now.
    Show {
        /// For whom the mail would be.
        address: String,
        /// MAIL FROM of somebody of ours; the null sender when left out.
        #[arg(long, value_name = "ADDRESS", default_value = "")]
        from: String,
    },
}

/// `gatepost test ...`
#[derive(Debug, Subcommand)]
pub enum TestVerb {
    /// Try every host to which mail for an address may go, as far as RCPT, as the relay would; no
    /// message is sent. Exit 0: it would be taken, 1: refused, 75: not now.
    Delivery(TestDelivery),
    /// Look at what DNS says of this relay and the domains of its configuration, as other servers
    /// see it. Exit 0: nothing is wrong, 1: something is, 75: it could not all be found out.
    Dns {
        /// An address from which mail goes out to the Internet, where this machine does not know
        /// it: behind an address translation. May be given several times.
        #[arg(long, value_name = "ADDRESS")]
        address: Vec<IpAddr>,
    },
}

/// Which delivery to try.
#[derive(Debug, Args)]
pub struct TestDelivery {
    /// For whom the mail would be.
    pub address: String,
    /// MAIL FROM; the null sender when left out.
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    pub from: String,
}

/// Who asks for what.
#[derive(Debug, Args)]
pub struct RelayCheck {
    /// The client's address.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "local")]
    pub client: Option<IpAddr>,
    /// In place of a client: an account of this machine that hands the message in by `pickup` or
    /// `submit`.
    #[arg(long, value_name = "WAY", conflicts_with_all = ["client", "tls", "certificate", "user", "listener"])]
    pub local: Option<String>,
    /// It came over TLS.
    #[arg(long)]
    pub tls: bool,
    /// It showed a certificate: sha256:HEX, spki:sha256:HEX of its key, or a name in one that
    /// tls.client_ca covers. Implies --tls.
    #[arg(long, value_name = "CERTIFICATE")]
    pub certificate: Option<String>,
    /// It signed in as this user. Implies --tls.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The listener it connects to; the first one when left out.
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// MAIL FROM; `<>` or nothing for the null sender.
    #[arg(long, value_name = "ADDRESS", default_value = "someone@client.example")]
    pub mail: String,
    /// HELO or EHLO: how it calls itself, for SPF and policy services.
    #[arg(long, value_name = "NAME")]
    pub helo: Option<String>,
    /// RCPT TO: for whom the message would be.
    #[arg(long, value_name = "ADDRESS")]
    pub rcpt: String,
    /// The message itself, in a file: what the rules of screening say of it, each by its line.
    #[arg(long, value_name = "FILE")]
    pub message: Option<PathBuf>,
}

/// What to prove.
#[derive(Debug, Args)]
pub struct RelayProve {
    /// MAIL FROM of the probes.
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,
    /// RCPT TO of the probes: an address that the relay does not deliver.
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// A server to try over the network, instead of the rules; ask its owner first.
    #[arg(long, value_name = "HOST:PORT")]
    pub live: Option<String>,
    /// An address that the server must accept from strangers: without it refusals prove nothing.
    #[arg(long, value_name = "ADDRESS", requires = "live")]
    pub hosted: Option<String>,
    /// Print every probe, not only those that did not go as they should.
    #[arg(long)]
    pub all: bool,
}

/// `gatepost user ...`
#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// Add a user. The password is asked for, or read from the first line of standard input.
    Add {
        /// The name to sign in with, usually the mail address.
        name: String,
        /// The user may send to hosted domains only.
        #[arg(long)]
        no_relay: bool,
        /// A sender that the user may name: address or domain. May be given several times; any
        /// sender when left out.
        #[arg(long, value_name = "ADDRESS")]
        sender: Vec<String>,
        /// A recipient that the user may name: address, domain, or `hosted` for all domains that are
        /// hosted here. May be given several times; anybody when left out.
        #[arg(long, value_name = "ADDRESS")]
        recipient: Vec<String>,
        /// What the user may do at the console.
        #[arg(long, value_name = "ROLE", default_value = "none")]
        console_role: RoleWord,
    },
    /// Give a user a new password, asked for or read from the first line of standard input.
    Passwd {
        /// The name that the user signs in with.
        name: String,
    },
    /// Say what a user may do at the console, or take it away.
    Role {
        /// The name that the user signs in with.
        name: String,
        /// What the user may do there.
        #[arg(value_name = "ROLE")]
        role: RoleWord,
    },
    /// Give a user a second factor for the console: a secret for a program that shows codes (TOTP), in
    /// place of the one before. It is printed once, and on a terminal a first code is asked for.
    Totp {
        /// The name that the user signs in with.
        name: String,
        /// Take it away: the password alone will do.
        #[arg(long)]
        remove: bool,
    },
    /// List users and what they may do.
    List,
    /// Remove a user.
    Remove {
        /// The name that the user signs in with.
        name: String,
    },
}

/// What somebody may do at the console.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum RoleWord {
    /// See everything but secrets.
    Viewer,
    /// Act on mail and sessions.
    Operator,
    /// Change the configuration.
    Admin,
    /// Nothing: no sign-in there.
    None,
}

impl RoleWord {
    /// As the users file has it.
    pub fn role(self) -> Option<ConsoleRole> {
        match self {
            Self::Viewer => Some(ConsoleRole::Viewer),
            Self::Operator => Some(ConsoleRole::Operator),
            Self::Admin => Some(ConsoleRole::Admin),
            Self::None => None,
        }
    }
}

/// `gatepost cert ...`
#[derive(Debug, Subcommand)]
pub enum CertVerb {
    /// Print the fingerprint of a certificate and the pin of its key, for relay.certificates, and
    /// the TLSA record to publish for it.
    Fingerprint {
        /// The certificate, PEM or DER; of several the first.
        file: PathBuf,
    },
    /// Make a certificate by which a client proves who it is, signed by a private authority that
    /// tls.client_ca trusts. A file that is there is never written over.
    Client {
        /// The client's name, as it stands in relay.certificates.
        name: Domain,
        /// Where the authority is, as authority.crt and authority.key; it is made there, for ten
        /// years, where there is none.
        #[arg(long, value_name = "DIRECTORY")]
        authority: PathBuf,
        /// Where certificate and key are written, as NAME.crt and NAME.key; beside the authority when
        /// left out.
        #[arg(long, value_name = "DIRECTORY")]
        out: Option<PathBuf>,
        /// How long it lasts, and never longer than the authority.
        #[arg(long, value_name = "NUMBER", default_value_t = 730, value_parser = clap::value_parser!(u16).range(1..=3650))]
        days: u16,
    },
}

/// `gatepost dkim ...`
#[derive(Debug, Subcommand)]
pub enum DkimVerb {
    /// Make a key, RSA of 2048 bits, and print the record to publish for it. A file that is there is
    /// never written over.
    Keygen {
        /// The domain for which it will sign.
        domain: Domain,
        /// Which of the domain's keys it will be; `rsa` or `ed25519` when left out.
        #[arg(long)]
        selector: Option<Domain>,
        /// An Ed25519 key. Many servers cannot verify by it yet: it is used beside an RSA key.
        #[arg(long)]
        ed25519: bool,
        /// Where the key is written, as SELECTOR.DOMAIN.key, for the account that the relay runs as;
        /// the directory is made if need be.
        #[arg(long, value_name = "DIRECTORY")]
        out: PathBuf,
    },
    /// Ask DNS whether the record for a key is published. Exit 0: it is, 1: it is not, 75: nobody
    /// can tell.
    Check {
        /// The domain for which it signs.
        domain: Domain,
        /// Which of the domain's keys it is.
        #[arg(long)]
        selector: Domain,
        /// The key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Lead from the key that signs for a domain to a new one: say where it stands, by the
    /// configuration and DNS, and what comes next. The first time the new key is made beside the old
    /// one, and its record printed. Exit 75: DNS does not answer.
    Rotate {
        /// The domain.
        domain: Domain,
    },
}

/// `gatepost console ...`
#[derive(Debug, Subcommand)]
pub enum ConsoleVerb {
    /// Print a link that signs in once, as admin, within five minutes.
    Login,
}

/// `gatepost session ...`
#[derive(Debug, Subcommand)]
pub enum SessionVerb {
    /// List who is connected, and where the relay is connected.
    List,
    /// End a connection: a client hears 421, and an attempt counts as one that failed.
    Kill {
        /// Its name in the list, as `in-42` or `out-7`.
        id: String,
    },
}

/// `gatepost control ...`
#[derive(Debug, Subcommand)]
pub enum ControlVerb {
    /// Print what can be asked over the control socket, and how (OpenAPI). A running relay says it at
    /// /v1/openapi.json.
    Openapi,
}

/// `gatepost scanner ...`
#[derive(Debug, Subcommand)]
pub enum ScannerVerb {
    /// Print what a hook is asked, and what it may answer (OpenAPI).
    Openapi,
}

/// `gatepost queue ...`
#[derive(Debug, Subcommand)]
pub enum QueueVerb {
    /// List recipients that wait or are held, the oldest first.
    List {
        #[command(flatten)]
        selection: Selection,
        /// So many messages at most; 0: all of them.
        #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
        limit: usize,
    },
    /// Count recipients that wait or are held.
    Count(Selection),
    /// Show one message with all its recipients.
    Show {
        /// The queue id.
        id: String,
    },
    /// Show what is in a message that is held as badmail: why, header, parts and texts, all as text.
    View {
        /// The queue id.
        id: String,
    },
    /// Show the sites to which mail goes or waits: connections, pace, and why nothing goes there.
    Shape,
    /// Let nothing go out for a while: to a site, or at all. Mail is taken in as ever.
    Pause {
        /// The site, by its name in `queue shape`; the whole queue when left out.
        site: Option<String>,
        /// Why, for those who look at the queue.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// For how long, as 30m or 2h; until `queue resume` when left out.
        #[arg(long = "for", value_name = "DURATION")]
        lasting: Option<String>,
    },
    /// End the pause of a site, or of the whole queue.
    Resume {
        /// The site, as it was paused; the pause of the whole queue when left out.
        site: Option<String>,
    },
    /// List what `retry`, `hold` and their like have still to do, and what they did of late.
    Operations {
        #[command(subcommand)]
        verb: Option<OperationVerb>,
    },
    /// Change what waits or is held.
    #[command(flatten)]
    Change(QueueChangeVerb),
}

/// `gatepost quarantine ...`
#[derive(Debug, Subcommand)]
pub enum QuarantineVerb {
    /// List what is held, for each recipient, with the rule and what it found, the oldest first.
    List {
        #[command(flatten)]
        selection: Selection,
        /// So many messages at most; 0: all of them.
        #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
        limit: usize,
    },
    /// Show what is in one message: header, parts, attachments and texts, all as text.
    Show {
        /// The queue id.
        id: String,
    },
    /// Let held messages go on as they are, past the rules.
    Release {
        /// Which recipients.
        #[command(flatten)]
        change: ChangeSelection,
        /// Only for this recipient of them. May be given several times.
        #[arg(long, value_name = "ADDRESS")]
        to: Vec<String>,
        /// Without attachments: a text in the place of each says what was there. It goes on as a new
        /// message; one of which something cannot be taken out without harm, as it is signed or
        /// encrypted, stays as it is.
        #[arg(long, conflicts_with = "no_wait")]
        without_attachments: bool,
        /// Teach scanners first that they are no spam, as learn-ham does.
        #[arg(long)]
        learn: bool,
    },
    /// Delete held messages, without telling anybody.
    Delete {
        /// Which recipients.
        #[command(flatten)]
        selection: FinalSelection,
        /// Teach scanners first that they are spam, as learn-spam does.
        #[arg(long)]
        learn: bool,
    },
    /// Teach scanners that have a learn_address that held messages are spam. They stay held.
    LearnSpam(Selection),
    /// Teach them that held messages are no spam. They stay held.
    LearnHam(Selection),
    /// Count what is held, by rule, by the sender's domain and by recipient.
    Report(Selection),
    /// Tell at once what was held since the last digest, as quarantine.digest has it.
    Digest,
}

/// `gatepost queue operations ...`
#[derive(Debug, Subcommand)]
pub enum OperationVerb {
    /// End one where it stands. What it did stays as it is; whom it kept from going out goes out.
    Stop {
        /// Its number in the list.
        number: u64,
    },
}

/// The verbs of `gatepost queue` that change all recipients that match.
#[derive(Debug, Subcommand)]
pub enum QueueChangeVerb {
    /// Try now.
    Retry(ChangeSelection),
    /// Keep, and do not try.
    Hold(ChangeSelection),
    /// Try held ones again.
    Release(ChangeSelection),
    /// Forget, without telling the sender.
    Delete(FinalSelection),
    /// Give up now, and tell the sender, as after a refusal.
    Bounce(FinalSelection),
    /// Send by a route of the configuration from now on, whatever sender and domain say.
    Reroute(Rerouting),
}

/// Recipients with whom something is done, and how much of it is waited for.
#[derive(Debug, Args)]
pub struct ChangeSelection {
    /// Which recipients.
    #[command(flatten)]
    pub selection: Selection,
    /// Do not wait until it is done for all of them: print the number of the operation.
    #[arg(long)]
    pub no_wait: bool,
}

/// Recipients of whom nothing stays in the queue.
#[derive(Debug, Args)]
pub struct FinalSelection {
    /// Which recipients.
    #[command(flatten)]
    pub change: ChangeSelection,
    /// Do it without asking.
    #[arg(long)]
    pub yes: bool,
    /// Why: for the log, and for the senders of what bounces.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Which recipients go where.
#[derive(Debug, Args)]
pub struct Rerouting {
    /// Which recipients, as for the other verbs; the last word is the route, NAME of [route.NAME],
    /// unless they are given back.
    #[arg(value_name = "FILTER> <ROUTE", required_unless_present = "back")]
    pub words: Vec<String>,
    /// Give them back to what sender and domain say.
    #[arg(long)]
    pub back: bool,
    /// Do not wait until it is done for all of them: print the number of the operation.
    #[arg(long)]
    pub no_wait: bool,
}

impl QueueChangeVerb {
    /// The verb alone.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Retry(_) => Verb::Retry,
            Self::Hold(_) => Verb::Hold,
            Self::Release(_) => Verb::Release,
            Self::Delete(_) => Verb::Delete,
            Self::Bounce(_) => Verb::Bounce,
            Self::Reroute(_) => Verb::Reroute,
        }
    }

    /// What the relay is asked for, by whom, and whether its end is waited for.
    pub fn change(&self, by: String) -> (QueueChange, bool) {
        let (filter, no_wait, reason, route, back) = match self {
            Self::Retry(one) | Self::Hold(one) | Self::Release(one) => {
                (one.selection.text(), one.no_wait, None, None, false)
            }
            Self::Delete(one) | Self::Bounce(one) => {
                let (change, reason) = (&one.change, one.reason.clone());
                (change.selection.text(), change.no_wait, reason, None, false)
            }
            Self::Reroute(one) => {
                let mut filter = one.words.clone();
                let route = if one.back { None } else { filter.pop() };
                (filter.join(" "), one.no_wait, None, route, one.back)
            }
        };
        let change = QueueChange {
            filter,
            by,
            reason,
            route,
            back,
        };
        (change, !no_wait)
    }

    /// Whether nothing stays of what is changed, and it was not said that this is meant.
    pub fn asks(&self) -> bool {
        match self {
            Self::Delete(one) | Self::Bounce(one) => !one.yes,
            Self::Retry(_) | Self::Hold(_) | Self::Release(_) | Self::Reroute(_) => false,
        }
    }
}

/// `gatepost log ...`
#[derive(Debug, Subcommand)]
pub enum LogVerb {
    /// Keep the SMTP dialogues of somebody, whatever comes of them; without arguments, say whose are
    /// kept. `gatepost trace ID --transcript` shows them.
    Trace(LogTrace),
    /// Send a message to each [syslog.NAME], and say what becomes of it. The relay need not run.
    TestSyslog,
}

/// What to do with certificates by ACME.
#[derive(Debug, Subcommand)]
pub enum AcmeVerb {
    /// Each name with its certificate: when it ends, when it is renewed, what is wrong.
    Status,
    /// Order a certificate now, for one name or for all, and wait until that has ended; exit code 1
    /// where one failed. The old one is shown until the new one is there.
    Renew {
        /// One of tls.acme.names.
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

/// What to do with those who send.
#[derive(Debug, Subcommand)]
pub enum GuardianVerb {
    /// The worst first: new recipients, messages and failures are those of a day.
    List {
        /// So many at most.
        #[arg(long, value_name = "NUMBER", default_value_t = 20)]
        limit: usize,
    },
    /// Count anew for somebody, who sends too much by that no more. What is held stays so until it is
    /// released.
    Clear {
        /// What it is.
        #[arg(value_name = "KIND")]
        kind: GuardianKind,
        /// Its name, as in the list.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Of whom is counted.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum GuardianKind {
    /// Who signed in.
    User,
    /// A client that may relay.
    Client,
    /// An account of this machine.
    Account,
    /// Everybody who sends as this domain.
    SenderDomain,
}

impl GuardianKind {
    /// The word of the relay.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
            Self::Account => "account",
            Self::SenderDomain => "sender domain",
        }
    }
}

/// What to do with what is remembered of strangers.
#[derive(Debug, Subcommand)]
pub enum GreylistVerb {
    /// What waits and what passed, and what networks of clients and domains of senders are worth by what
    /// they did here; the latest of each kind first.
    List {
        /// Of this kind alone.
        #[arg(value_name = "KIND")]
        kind: Option<GreylistKind>,
        /// So many of each kind at most.
        #[arg(long, value_name = "NUMBER", default_value_t = 20)]
        limit: usize,
    },
    /// Forget somebody, who is then as new as one who was never here.
    Clear {
        /// What it is.
        #[arg(value_name = "KIND")]
        kind: GreylistSubject,
        /// The network or an address in it; or the domain.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What is remembered.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum GreylistKind {
    /// Client, sender and recipient that have to come again.
    Waiting,
    /// Those that passed.
    Passed,
    /// Networks of clients.
    Client,
    /// Domains of senders.
    SenderDomain,
}

/// Of whom something is remembered.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum GreylistSubject {
    /// A network of clients.
    Client,
    /// A domain of senders.
    SenderDomain,
}

impl GreylistKind {
    /// The word of the relay, as in an URL.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Passed => "passed",
            Self::Client => "client",
            Self::SenderDomain => "sender%20domain",
        }
    }
}

impl GreylistSubject {
    /// The word of the relay.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::SenderDomain => "sender domain",
        }
    }
}

/// Arguments of `gatepost log trace`.
#[derive(Debug, Args)]
pub struct LogTrace {
    /// Sessions of clients with this address, or in this network.
    #[arg(long, value_name = "NETWORK")]
    pub client: Option<String>,
    /// Sessions of this user.
    #[arg(long, value_name = "NAME", conflicts_with = "client")]
    pub user: Option<String>,
    /// Attempts at this site, by its name in `gatepost queue shape`.
    #[arg(long, value_name = "SITE", conflicts_with_all = ["client", "user"])]
    pub site: Option<String>,
    /// Sessions and attempts for this recipient.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["client", "user", "site"])]
    pub address: Option<String>,
    /// For so long, seven days at most.
    #[arg(long = "for", value_name = "DURATION", default_value = "1h")]
    pub lasting: String,
}

/// Arguments of `gatepost track`.
#[derive(Debug, Args)]
pub struct Tracking {
    /// Which recipients.
    #[command(flatten)]
    pub selection: TrackSelection,
    /// All that happened, not only what happened last to each recipient.
    #[arg(long)]
    pub events: bool,
    /// At most so many rows; 0 for all.
    #[arg(long, default_value_t = 50, value_name = "ROWS")]
    pub limit: usize,
    /// Print comma-separated values.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Go on with what happens from now on.
    #[arg(long, conflicts_with_all = ["csv", "events", "limit"])]
    pub follow: bool,
}

/// Of what it is asked what became of it.
#[derive(Debug, Args)]
pub struct TrackSelection {
    /// `to:*@x.example from:<> state:failed age:<1d client:10.0.0.0/8 reply:spam host:mx1.* route:NAME
    /// message-id:... listener:NAME hello:* subject:word`, or a queue id; everything when left out.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

impl TrackSelection {
    /// The filter as one text.
    pub fn text(&self) -> String {
        self.filter.join(" ")
    }
}

/// Which recipients a verb concerns.
#[derive(Debug, Args)]
pub struct Selection {
    /// `to:*@x.example from:<> state:deferred age:>1h code:4.7.* client:10.0.0.0/8`, or a queue id;
    /// everything when left out.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

impl Selection {
    /// The filter as one text.
    pub fn text(&self) -> String {
        self.filter.join(" ")
    }
}
