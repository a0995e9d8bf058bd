use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use mail::{Mailbox, Reply};
use relay_audit::prove::{Finding, Judgement, Meaning, Parts, judgement};

use super::client::Client;
use super::stage::{PASSWORD, STRANGER, Stage, USER, letter};
use crate::relay_prove;

/// How long a delivery may take before it counts as not happening.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an arrival that must not happen is waited for.
const SILENCE: Duration = Duration::from_millis(300);
/// Messages sent while the mail server is down.
const WHILE_DOWN: usize = 20;

/// What happened: as expected, or not.
pub type Played = Result<String, String>;

/// One scenario of the demo.
pub struct Scenario {
    /// What is shown.
    pub name: &'static str,
    /// What must happen.
    pub expected: &'static str,
    /// Plays the scenario on a stage, and tells whether what had to happen did.
    pub play: for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = Played> + Send + 'a>>,
}

macro_rules! scenario {
    ($name:expr, $expected:expr, $play:ident) => {
        Scenario {
            name: $name,
            expected: $expected,
            play: |stage| Box::pin($play(stage)),
        }
    };
}

/// In the order in which they are played.
pub const SCENARIOS: &[Scenario] = &[
    scenario!(
        "Internet to hosted domain",
        "250, and it reaches the mail server",
        inbound
    ),
    scenario!(
        "stranger to elsewhere",
        "550 5.7.1 Unable to relay",
        stranger
    ),
    scenario!(
        "mail server to the Internet",
        "250, and it reaches the MX host",
        outbound
    ),
    scenario!(
        "signed-in user to the Internet",
        "235, 250, and it reaches the MX host",
        signed_in
    ),
    scenario!("wrong password", "535 5.7.8", wrong_password),
    scenario!(
        "sign-in before TLS",
        "refused: TLS comes first",
        sign_in_in_clear
    ),
    scenario!(
        "blocked domain",
        "550 5.7.1, even for the mail server",
        blocked
    ),
    scenario!(
        "greylisting host",
        "turned away once, delivered on retry",
        greylisted
    ),
    scenario!(
        "mail server down, 20 messages, up again",
        "all 20 arrive",
        down_and_up
    ),
    scenario!("dead host, expiry", "a bounce reaches the sender", bounced),
    scenario!("message too big", "552 5.3.4", too_big),
    scenario!(
        "smuggling: LF . LF inside a message",
        "refused, nothing arrives",
        smuggling
    ),
    scenario!(
        "open-relay battery",
        "every pattern refused, the control accepted",
        battery
    ),
];

fn expect(ok: bool, actual: String) -> Played {
    if ok { Ok(actual) } else { Err(actual) }
}

async fn inbound(stage: &Stage) -> Played {
    let reply = stage.internet_to_hosted("inbound").await?;
    let arrived = stage
        .exchange
        .wait_for("This is inbound.", 1, PATIENCE)
        .await;
    expect(
        reply.starts_with("250") && arrived == 1,
        format!("{reply}; arrived: {arrived}"),
    )
}

async fn stranger(stage: &Stage) -> Played {
    let mut client = Client::connect(STRANGER, stage.relay).await?;
    let reply = client
        .message("ann@good.example", "eve@good.example", &letter("relayed"))
        .await?;
    expect(
        reply == "550 5.7.1 Unable to relay for eve@good.example",
        reply,
    )
}

async fn outbound(stage: &Stage) -> Played {
    let reply = stage.mail_server_to("eve@good.example", "outbound").await?;
    let arrived = stage.good.wait_for("This is outbound.", 1, PATIENCE).await;
    expect(
        reply.starts_with("250") && arrived == 1,
        format!("{reply}; arrived: {arrived}"),
    )
}

async fn signed_in(stage: &Stage) -> Played {
    let mut client = Client::connect(STRANGER, stage.submission).await?;
    client.encrypt().await?;
    let welcome = client.sign_in(USER, PASSWORD).await?;
    let reply = client
        .message(USER, "eve@good.example", &letter("signed in"))
        .await?;
    let arrived = stage.good.wait_for("This is signed in.", 1, PATIENCE).await;
    expect(
        welcome.starts_with("235") && reply.starts_with("250") && arrived == 1,
        format!("{welcome}; {reply}; arrived: {arrived}"),
    )
}

async fn wrong_password(stage: &Stage) -> Played {
    let mut client = Client::connect(STRANGER, stage.submission).await?;
    client.encrypt().await?;
    let reply = client.sign_in(USER, "guessed").await?;
    expect(reply.starts_with("535 5.7.8"), reply)
}

async fn sign_in_in_clear(stage: &Stage) -> Played {
    let mut client = Client::connect(STRANGER, stage.submission).await?;
    let reply = client.sign_in(USER, PASSWORD).await?;
    expect(
        reply.starts_with("538 5.7.11") || reply.starts_with("530 5.7.0"),
        reply,
    )
}

async fn blocked(stage: &Stage) -> Played {
    let reply = stage
        .mail_server_to("eve@blocked.example", "blocked")
        .await?;
    expect(reply.starts_with("550 5.7.1"), reply)
}

async fn greylisted(stage: &Stage) -> Played {
    let reply = stage
        .mail_server_to("eve@grey.example", "greylisted")
        .await?;
    let arrived = stage
        .grey
        .wait_for("This is greylisted.", 1, PATIENCE)
        .await;
    expect(
        reply.starts_with("250") && arrived == 1,
        format!("{reply}; arrived on retry: {arrived}"),
    )
}

async fn down_and_up(stage: &Stage) -> Played {
    stage.exchange.take_down().await;
    let mut accepted = 0;
    for number in 0..WHILE_DOWN {
        let reply = stage
            .internet_to_hosted(&format!("while-down-{number}"))
            .await?;
        accepted += usize::from(reply.starts_with("250"));
    }
    let early = stage.exchange.count("This is while-down-");
    stage.exchange.bring_up().await.map_err(|e| e.to_string())?;
    let arrived = stage
        .exchange
        .wait_for("This is while-down-", WHILE_DOWN, PATIENCE)
        .await;
    let actual = format!("{accepted} accepted while down, {early} delivered then, {arrived} after");
    expect(
        accepted == WHILE_DOWN && early == 0 && arrived == WHILE_DOWN,
        actual,
    )
}

async fn bounced(stage: &Stage) -> Played {
    let reply = stage
        .mail_server_to("eve@dead.example", "undeliverable")
        .await?;
    let bounces = stage
        .exchange
        .wait_for("Final-Recipient: rfc822;eve@dead.example", 1, PATIENCE);
    let mut bounces = bounces.await;
    if bounces == 0 {
        bounces = stage
            .exchange
            .count("Final-Recipient: rfc822; eve@dead.example");
    }
    expect(
        reply.starts_with("250") && bounces == 1,
        format!("{reply}; bounces: {bounces}"),
    )
}

async fn too_big(stage: &Stage) -> Played {
    let mut client = Client::connect(STRANGER, stage.relay).await?;
    let reply = client
        .say("MAIL FROM:<ann@good.example> SIZE=2000000")
        .await?;
    expect(reply.starts_with("552 5.3.4"), reply)
}

async fn smuggling(stage: &Stage) -> Played {
    let mut client = Client::connect(STRANGER, stage.relay).await?;
    for command in [
        "MAIL FROM:<ann@good.example>",
        "RCPT TO:<bob@hosted.example>",
        "DATA",
    ] {
        client.say(command).await?;
    }
    let hidden = "Subject: outer\r\n\r\nouter\n.\nMAIL FROM:<x@hosted.example>\r\n";
    client.send(hidden.as_bytes()).await?;
    let reply = client.reply().await?;
    let arrived = stage.exchange.wait_for("outer", 1, SILENCE).await;
    expect(
        reply.starts_with('5') && arrived == 0,
        format!("{reply}; arrived: {arrived}"),
    )
}

/// The same battery as `gatepost relay prove --live`, against the relay that runs.
async fn battery(stage: &Stage) -> Played {
    let relay = stage.relay.to_string();
    let mailbox = |text: &str| Mailbox::parse(text).map_err(|why| why.to_string());
    let parts = Parts {
        sender: Some(mailbox("a@good.example")?),
        recipient: Some(mailbox("u@good.example")?),
    };
    let hosted = mailbox("bob@hosted.example")?;
    let played = tokio::task::spawn_blocking(move || relay_prove::battery(&relay, parts, hosted));
    let findings = played.await.map_err(|fault| fault.to_string())??;
    let accepted = |finding: &&Finding| finding.answer.as_ref().is_ok_and(Reply::is_positive);
    let (controls, probes): (Vec<_>, Vec<_>) = findings
        .iter()
        .partition(|finding| finding.probe.meaning == Meaning::Control);
    let actual = format!(
        "{} probes, {} accepted; {} of {} controls accepted",
        probes.len(),
        probes.iter().copied().filter(accepted).count(),
        controls.iter().copied().filter(accepted).count(),
        controls.len()
    );
    expect(judgement(&findings) == Judgement::Closed, actual)
}
