//! `gatepost track` and `gatepost tail`.

use std::process::ExitCode;

use daemon::Remote;
use daemon::api::{TrackPage, TrackRow};

use crate::cli::{Cli, Tracking};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, status};

/// `gatepost track`
pub fn track(cli: &Cli, arguments: &Tracking) -> Outcome {
    let filter = arguments.selection.text();
    if arguments.follow {
        return follow(cli, &filter);
    }
    let limit = match arguments.limit {
        0 => usize::MAX,
        limit => limit,
    };
    let (rows, more) = rows(&status::remote(cli), &filter, arguments.events, limit)?;
    if more {
        eprintln!("the newest {limit}; --limit 0 lists all");
    }
    if cli.json {
        return output::json(&rows);
    }
    if arguments.csv {
        return csv(&rows);
    }
    if rows.is_empty() {
        say!("nothing that happened matches");
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    output::table(
        &[
            "TIME", "RESULT", "ID", "FROM", "TO", "CLIENT", "WHERE", "REPLY", "BY",
        ],
        &cells,
    );
    Ok(ExitCode::SUCCESS)
}

/// Prints what happens as it happens, until somebody ends it.
pub fn follow(cli: &Cli, filter: &str) -> Outcome {
    let remote = status::remote(cli);
    let filter = output::percent_encoded(filter);
    let page = |query: String| -> Result<TrackPage, Failure> {
        Ok(remote.get(&format!("/v1/track?filter={filter}&{query}"))?)
    };
    let mut after = page("limit=0".to_owned())?.end;
    loop {
        let TrackPage { rows, end, .. } = page(format!("after={after}"))?;
        for row in rows {
            if cli.json {
                let text = serde_json::to_string(&row);
                say!("{}", text.map_err(|e| Failure::Temporary(e.to_string()))?);
            } else {
                say!("{}", mail::escaped(&cells(&row).join("  ")));
            }
        }
        after = end;
    }
}

/// The newest rows that match, page after page, and whether there are more.
fn rows(
    remote: &Remote,
    filter: &str,
    events: bool,
    limit: usize,
) -> Result<(Vec<TrackRow>, bool), Failure> {
    let filter = output::percent_encoded(filter);
    let (mut rows, mut next): (Vec<TrackRow>, Option<i64>) = (Vec::new(), None);
    loop {
        // One more, which tells that there are more.
        let wanted = limit.saturating_add(1) - rows.len();
        let mut path = format!("/v1/track?filter={filter}&events={events}&limit={wanted}");
        if let Some(before) = next {
            path += &format!("&before={before}");
        }
        let page: TrackPage = remote.get(&path)?;
        rows.extend(page.rows);
        if rows.len() > limit {
            rows.truncate(limit);
            return Ok((rows, true));
        }
        next = page.next;
        if next.is_none() {
            return Ok((rows, false));
        }
    }
}

fn cells(row: &TrackRow) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let from = row.from.as_ref().map(|from| format!("<{from}>"));
    let reply = row.reply.clone().or_else(|| row.note.clone());
    vec![
        row.at.clone(),
        row.result.clone(),
        text(&row.id),
        from.unwrap_or_default(),
        text(&row.to),
        text(&row.client),
        row.host
            .clone()
            .or_else(|| row.route.clone())
            .or_else(|| row.listener.clone())
            .unwrap_or_default(),
        reply.unwrap_or_default(),
        text(&row.place),
    ]
}

/// Every field of every row.
fn csv(rows: &[TrackRow]) -> Outcome {
    let text = daemon::api::as_csv(rows).map_err(|e| Failure::Temporary(e.to_string()))?;
    say!("{}", text.trim_end());
    Ok(ExitCode::SUCCESS)
}
