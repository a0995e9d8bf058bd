//! Acts on the relay itself.

use daemon::api::{ConfigApplied, ConfigRollBack, ConfigText, ConfigVersion, Reloaded, SessionRow};

use super::{Done, Plan, REASON, written};
use crate::cx::{Cx, Fields, address};
use crate::trouble::Trouble;
use crate::words;

/// A session is ended.
pub(super) async fn plan_kill(cx: &Cx) -> Result<Plan, Trouble> {
    let id = cx.query.get("session");
    let path = address("/v1/sessions", &[("id", id)]);
    let rows: Vec<SessionRow> = cx.api.get(&path).await?;
    let session = rows.first();
    let sampled = |row: &SessionRow| {
        format!(
            "{} {} since {}: {}",
            row.peer, row.way, row.since, row.state
        )
    };
    Ok(Plan {
        title: format!("End session {id}"),
        says: "It is told 421 and closed. A message that was not accepted yet is the client's to send again; one on its way out is tried again.".to_owned(),
        sample: session.into_iter().map(sampled).collect(),
        button: format!("End session {id}"),
        command: words::command("session kill", id),
        nothing: session.is_none().then(|| format!("The session {id} has ended.")),
        ..Plan::default()
    })
}

pub(super) async fn kill(cx: &Cx, form: &Fields) -> Result<(), Trouble> {
    let id = words::encoded(form.get("session"));
    let path = format!("/v1/sessions/{id}/kill");
    let _ended: SessionRow = cx.api.post(&path, &serde_json::json!({})).await?;
    Ok(())
}

/// The configuration is read again.
pub(super) fn plan_reload() -> Plan {
    Plan {
        title: "Reload the configuration".to_owned(),
        says: "The file is read again and put in force as a whole, or not at all when something in it is wrong.".to_owned(),
        button: "Reload the configuration".to_owned(),
        command: "gatepost reload".to_owned(),
        ..Plan::default()
    }
}

pub(super) async fn reload(cx: &Cx) -> Result<(), Trouble> {
    let _warned: Reloaded = cx.api.post("/v1/reload", &serde_json::json!({})).await?;
    Ok(())
}

/// The digest of the text that was in force when somebody saw what would be undone.
const FROM: &str = "from";

/// A version of the configuration is put back, and in force.
pub(super) async fn plan_roll_back(cx: &Cx) -> Result<Plan, Trouble> {
    let number = cx.query.get("version");
    let now: ConfigText = cx.api.get("/v1/config?brief=true").await?;
    let versions: Vec<ConfigVersion> = cx.api.get("/v1/config/versions").await?;
    let version = versions
        .iter()
        .find(|version| version.number.to_string() == number);
    let newer = versions
        .iter()
        .filter(|version| version.number.to_string() != number);
    let newer = newer.take_while(|one| version.is_some_and(|version| one.number > version.number));
    let undone = |one: &ConfigVersion| {
        let by = one.by.as_deref().unwrap_or("hand");
        format!("undone: version {} by {by}, {}", one.number, one.at)
    };
    Ok(Plan {
        title: format!("Put back version {number}"),
        says: "The file gets the text of that version, and it is in force at once, as a whole or not at all.".to_owned(),
        sample: newer.map(undone).collect(),
        asks: vec![REASON],
        pinned: vec![(FROM, now.hash)],
        button: format!("Put back version {number}"),
        nothing: version.is_none().then(|| "That version is no longer kept.".to_owned()),
        ..Plan::default()
    })
}

pub(super) async fn roll_back(cx: &Cx, form: &Fields) -> Result<Done, Trouble> {
    let version = form.get("version").parse();
    let version = version.map_err(|_| Trouble::asked_wrongly("a version is a number"))?;
    let back = ConfigRollBack {
        version,
        reason: written(form, "reason"),
        expected_hash: written(form, FROM),
        by: cx.visitor.name.clone(),
    };
    let applied: ConfigApplied = cx.api.post("/v1/config/roll-back", &back).await?;
    let page = "/configuration/versions";
    Ok(match applied.why_not {
        None => Done::At(page.to_owned()),
        Some(why) => {
            let lines = std::iter::once(why).chain(applied.diff.lines().map(str::to_owned));
            Done::Told("To be done by hand".to_owned(), lines.collect(), page)
        }
    })
}
