use std::process::ExitCode;

use config::{Change, Config, Diagnostic, Disk, Edit, Replaced, Severity};

use crate::cli::{Cli, ConfigVerb};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{config_diff, output, run};

/// `gatepost config ...`
pub fn command(cli: &Cli, verb: &ConfigVerb) -> Outcome {
    match verb {
        ConfigVerb::Check { without_files } => check(cli, *without_files),
        ConfigVerb::Show { changed } => show(cli, *changed),
        ConfigVerb::Set {
            key,
            value,
            append,
            take,
            move_to,
            remove: _,
            dry_run,
        } => {
            let value = value.as_deref().map(as_toml);
            let change = match (value, append, take) {
                (None, ..) => Change::Remove,
                (Some(value), true, _) => Change::Append(value),
                (Some(value), _, true) => Change::Take(value),
                (Some(value), ..) if *move_to => Change::Move(value),
                (Some(value), ..) => Change::Set(value),
            };
            let key = key.clone();
            set(cli, &Edit { key, change }, *dry_run)
        }
        ConfigVerb::Diff { before } => config_diff::command(cli, before.as_deref()),
        ConfigVerb::Explain { key } => explain(key),
        ConfigVerb::Schema => schema(),
    }
}

/// `gatepost config check`
fn check(cli: &Cli, without_files: bool) -> Outcome {
    let loaded = match config::load(&cli.config, &Disk, &daemon::environment()) {
        Ok(loaded) => loaded,
        Err(diagnostics) if cli.json => {
            output::json(&as_json(&diagnostics.0))?;
            return Ok(ExitCode::from(78));
        }
        Err(diagnostics) => return Err(Failure::Configuration(diagnostics.to_string())),
    };
    let config = loaded.config;
    let sound = format!(
        "{}: sound, {} listeners, {} relay tests as expected\nrelay {}",
        cli.config.display(),
        config.listeners.len(),
        config.relay_tests.len(),
        config.posture
    );
    let looked = if without_files {
        Ok(Vec::new())
    } else {
        look(cli, config)
    };
    if cli.json {
        let mut report = as_json(&loaded.warnings);
        let (kind, lines) = match &looked {
            Ok(warnings) => ("warnings", warnings.clone()),
            Err(problems) => ("errors", problems.lines().map(str::to_owned).collect()),
        };
        if let Some(found) = report[kind].as_array_mut() {
            found.extend(lines.iter().map(|line| line_as_json(line)));
        }
        output::json(&report)?;
        return Ok(looked.map_or(ExitCode::from(78), |_| ExitCode::SUCCESS));
    }
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    for warning in looked.map_err(Failure::Configuration)? {
        eprintln!("warning: {warning}");
    }
    say!("{sound}");
    Ok(ExitCode::SUCCESS)
}

/// What comes of the files that the configuration names; from then on this process is the relay's
/// account, where it was root.
pub fn look(cli: &Cli, config: Config) -> Result<Vec<String>, String> {
    let mut warnings = daemon::check(config)?;
    // From here on we are the relay's account, which has to read the configuration at each reload.
    if let Err(diagnostics) = config::load(&cli.config, &Disk, &daemon::environment()) {
        warnings.push(format!(
            "the relay's account cannot read all of it, so that a reload would fail:\n{diagnostics}"
        ));
    }
    Ok(warnings)
}

fn line_as_json(line: &str) -> serde_json::Value {
    serde_json::json!({ "message": line, "file": null, "line": null, "column": null, "text": line })
}

fn as_json(diagnostics: &[Diagnostic]) -> serde_json::Value {
    let of = |severity: Severity| -> Vec<serde_json::Value> {
        let chosen = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity);
        chosen
            .map(|diagnostic| {
                let location = diagnostic.location.as_ref();
                serde_json::json!({
                    "message": diagnostic.message,
                    "file": location.map(|location| &location.file),
                    "line": location.map(|location| location.line),
                    "column": location.map(|location| location.column),
                    "text": diagnostic.to_string(),
                })
            })
            .collect()
    };
    serde_json::json!({ "errors": of(Severity::Error), "warnings": of(Severity::Warning) })
}

/// `gatepost config show`
fn show(cli: &Cli, changed: bool) -> Outcome {
    let loaded = run::load(&cli.config)?;
    if cli.json {
        let rows: Vec<_> = loaded
            .config
            .options()
            .map(|shown| {
                serde_json::json!({
                    "key": shown.key,
                    "value": shown.value,
                    "place": shown.place.to_string(),
                })
            })
            .collect();
        return output::json(&rows);
    }
    say!("{}", config::show(&loaded.config, changed).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// A value as it is given on a command line: where it is no TOML, it is text.
fn as_toml(value: &str) -> String {
    if config::is_value(value) {
        return value.to_owned();
    }
    config::text_value(value)
}

/// `gatepost config set KEY VALUE`
fn set(cli: &Cli, edit: &Edit, dry_run: bool) -> Outcome {
    let path = &cli.config;
    let name = path.display().to_string();
    let unreadable = |why| Failure::Configuration(format!("cannot read {name}: {why}"));
    let before = std::fs::read_to_string(path).map_err(unreadable)?;
    let edited = config::edit(&before, std::slice::from_ref(edit));
    let text = edited.map_err(|why| Failure::No(why.to_string()))?;
    let files = Replaced {
        files: &Disk,
        path,
        text: &text,
    };
    config::load(path, &files, &daemon::environment())
        .map_err(|wrong| Failure::Configuration(wrong.to_string()))?;
    let diff = config::diff(&name, &before, &text);
    if !dry_run && !diff.is_empty() {
        let unwritable = |why| Failure::Temporary(format!("cannot write {name}: {why}"));
        daemon::write_configuration(path, &text).map_err(unwritable)?;
    }
    if cli.json {
        let written = !dry_run && !diff.is_empty();
        output::json(&serde_json::json!({ "diff": diff, "written": written }))?;
    } else if diff.is_empty() {
        say!("nothing changes");
    } else {
        say!("{}", diff.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// `gatepost config explain KEY`
fn explain(key: &str) -> Outcome {
    match config::explain(key) {
        Some(text) => {
            say!("{}", text.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        None => Err(Failure::No(format!("there is no option `{key}`"))),
    }
}

/// `gatepost config schema`
fn schema() -> Outcome {
    output::json(&config::schema())
}
