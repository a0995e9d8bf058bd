//! `[log.NAME]`: protocol logs beside the operator's log.

mod memory;

use std::time::Duration;

use memory::{bad, good};
use protocol_log::{Field, Form, Rotation, Settings};

fn logs(text: &str) -> Vec<Settings> {
    let logs = good(text).config.log.protocol.into_iter();
    logs.map(|log| log.settings).collect()
}

#[test]
fn there_are_as_many_as_somebody_wrote() {
    assert_eq!(logs("[log]\nlevel = \"warn\"\n"), []);
    let logs = logs("log.level = \"debug\"\n[log.w3c]\n[log.\"for us\"]\nformat = \"json\"\n");
    let names: Vec<(&str, Form)> = logs.iter().map(|log| (&*log.name, log.form)).collect();
    assert_eq!(names, [("w3c", Form::W3c), ("for us", Form::Json)]);
}

#[test]
fn the_defaults_are_those_of_iis() {
    let logs = logs("data_dir = \"/d\"\n[log.w3c]\n");
    let log = &logs[0];
    assert_eq!(log.fields, Field::DEFAULT);
    assert_eq!(
        (log.rotation, log.truncate_size),
        (Rotation::Daily, 20_480_000)
    );
    assert_eq!(log.directory, std::path::Path::new("/d/log/w3c"));
    assert!(log.repeat_header && log.outbound && log.zone.is_none());
    assert_eq!(log.keep, Some(Duration::from_secs(30 * 86_400)));
}

#[test]
fn fields_stand_in_the_order_of_iis() {
    let fields = |text: &str| {
        let text = format!("[log.w3c]\nfields = {text}\n");
        logs(&text)[0].fields.clone()
    };
    assert_eq!(fields("\"all\""), Field::ALL);
    assert_eq!(
        fields("[\"sc-status\", \"date\", \"cs(Cookie)\", \"date\"]"),
        [Field::Date, Field::Status, Field::Cookie]
    );
}

#[test]
fn sessions_of_some_listeners_alone() {
    let text =
        "[listener.a]\nbind = \"127.0.0.1:25\"\n[log.w3c]\nlisteners = \"a\"\noutbound = false\n";
    let log = &logs(text)[0];
    assert_eq!((&*log.listeners[0], log.outbound), ("a", false));
}

/// What all have together is shared out, so that there is always a file to give up.
#[test]
fn no_log_has_more_in_one_file_than_its_part_of_the_room_of_all() {
    let text = "[log]\nfile = \"/l\"\ntotal_size = \"12MB\"\n[log.x]\n[log.y]\nmax_size = \"2MB\"\n\
                [log.z]\nformat = \"json\"\njournald = true\n";
    let log = good(text).config.log;
    assert_eq!(log.total_size, Some(12_000_000));
    assert_eq!(log.max_size, 4_000_000);
    let sizes: Vec<u64> = log
        .protocol
        .iter()
        .map(|log| log.settings.max_size)
        .collect();
    assert_eq!(sizes, [8_000_000, 2_000_000, 1_000_000_000]);
    let free = |text| good(text).config.log.min_free;
    assert_eq!(free("spool.min_free = \"500MB\"\n"), 564_000_000);
    assert_eq!(free("spool.min_free = \"10MB\"\n"), 20_000_000);
    assert_eq!(free("log.min_free = \"3GB\"\n"), 3_000_000_000);
}

#[test]
fn what_makes_no_sense_is_said() {
    for (text, said) in [
        ("[log.w3c]\nfields = [\"sc-state\"]\n", "sc-status"),
        ("[log.w3c]\nfields = []\n", "at least one field"),
        (
            "[log.x]\nformat = \"iis\"\nfields = \"all\"\n",
            "are for the format w3c",
        ),
        ("[log.x]\nformat = \"odbc\"\n", "\"w3c\""),
        ("[log.x]\nmax_size = \"10kB\"\n", "at least 1MB"),
        (
            "[log]\ntotal_size = \"1MB\"\n[log.x]\n[log.y]\n",
            "at least 1MB for each log",
        ),
        ("[log.x]\nkeep = \"0s\"\n", "would keep nothing"),
        ("[log.\"../x\"]\n", "no name of a folder"),
        ("[log.x]\nprogram = \"a b\"\n", "one word"),
        (
            "[log.x]\nlisteners = [\"internat\"]\n",
            "there is no listener `internat`",
        ),
        (
            "[log.x]\n[log.y]\ndirectory = \"log/x\"\n[log.z]\ndirectory = \"log/x\"\n",
            "same folder",
        ),
        ("[log]\nlevl = \"info\"\n", "did you mean `level`?"),
        ("[log]\nkeep = \"1d\"\n", "as [log.NAME]"),
        (
            "[log.x]\nlevel = \"info\"\n",
            "unknown key `level` in [log.x]",
        ),
    ] {
        let refused = bad(text).to_string();
        assert!(refused.contains(said), "{text}\n{refused}");
    }
}
