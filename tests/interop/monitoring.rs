//! What Prometheus sees of the relay, and whoever asks whether it is ready. Prometheus itself reads
//! the page, and promtool looks for what Prometheus would let pass.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::program::{self, Ran, feed, finish, path_of, run, signal};
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until, until_true};

/// The body of an answer, and its status.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let ran = run(
        "curl",
        &[
            "-s",
            "-w",
            "\n%{http_code}",
            &format!("http://{address}{path}"),
        ],
    );
    let (body, status) = ran.out.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

/// The file of that name in the folder for packagers.
fn packaged(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    folder
        .join(name)
        .canonicalize()
        .expect("a file")
        .display()
        .to_string()
}

/// Prometheus, which looks at one relay each second.
struct Prometheus {
    folder: TempDir,
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn start(network: Network, relay: SocketAddr) -> Prometheus {
        let (folder, address) = (
            TempDir::new().expect("a temporary folder"),
            network.free_port(network.host(91)),
        );
        let config = format!(
            "global: {{scrape_interval: 1s}}\nrule_files: [{:?}]\n\
             scrape_configs: [{{job_name: gatepost, static_configs: [{{targets: [\"{relay}\"]}}]}}]\n",
            packaged("prometheus/alerts.yml")
        );
        let path = folder.path().join("prometheus.yml");
        fs::write(&path, config).expect("its configuration");
        let output = File::create(folder.path().join("output")).expect("a file");
        let mut command = Command::new(path_of("prometheus"));
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output);
        let child = command.spawn().expect("Prometheus");
        Prometheus {
            folder,
            child,
            address,
        }
    }

    /// The answer to a question of one kind, about all that it knows.
    fn ask(&self, kind: &str, query: &str) -> Value {
        let ran = run(
            "curl",
            &[
                "-sG",
                &format!("http://{}/api/v1/{kind}", self.address),
                "--data-urlencode",
                &format!("query={query}"),
                "-d",
                "start=0",
                "-d",
                "end=9999999999",
            ],
        );
        serde_json::from_str(&ran.out).unwrap_or_default()
    }

    /// The value of each series of an answer; none before there is any.
    fn values(&self, query: &str) -> Vec<String> {
        let answer = self.ask("query", query);
        let series = answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let value = |series: Value| series["value"][1].as_str().map(str::to_owned);
        series.into_iter().filter_map(value).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        signal("KILL", self.child.id());
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            let output = fs::read_to_string(self.folder.path().join("output"));
            eprintln!("--- Prometheus ---\n{}", output.unwrap_or_default());
        }
    }
}

/// A relay with a route `back` to the server, which is watched at the address.
fn watched(network: Network, server: &RecordingServer, more: &str) -> (Relay, SocketAddr) {
    let address = network.free_port(network.relay());
    let config = format!(
        "[route.back]\nhosts = [\"{}\"]\n[domain.\"hosted.test\"]\nroute = \"back\"\n\
         [metrics]\nbind = \"{address}\"\n{more}",
        server.route(),
    );
    (Relay::start(network, &config), address)
}

#[test]
fn what_happens_is_counted_where_prometheus_reads_it() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let (relay, address) = watched(network, &server, "");
    let prometheus = Prometheus::start(network, address);
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("counted"),
    );
    server.wait_for("counted");
    relay.wait_until_empty();
    let mut stranger = Dialogue::ready(network.stranger(), relay.address());
    stranger.ask("MAIL FROM:<ann@client.test>", 250);
    stranger.ask("RCPT TO:<victim@elsewhere.test>", 550);
    stranger.ask("RSET", 250);
    stranger.ask("MAIL FROM:<ann@client.test> SIZE=999999999999", 552);
    stranger.ask("QUIT", 221);
    until_true("the ends of two sessions", seconds(30), || {
        relay.log().matches("\"session ended\"").count() == 2
    });

    let page = get(address, "/metrics").1;
    is_counted_as_logged(&page, &relay.log());
    for expected in [
        "gatepost_connections_total{listener=\"internet\"} 2",
        "gatepost_messages_received_total{listener=\"internet\"} 1",
        "gatepost_recipients_accepted_total{listener=\"internet\",grounds=\"our-domain\"} 1",
        "gatepost_recipients_refused_total{listener=\"internet\",reason=\"relaying-denied\"} 1",
        "gatepost_recipients_tried_total{route=\"route:back\",result=\"delivered\"} 1",
        "gatepost_messages_tried_total{route=\"route:back\",assurance=\"clear\"} 1",
        "gatepost_recipients_settled_total{fate=\"delivered\"} 1",
        "gatepost_queue_time_seconds_count{route=\"route:back\"} 1",
        "gatepost_connect_duration_seconds_count{route=\"route:back\"} 1",
        "gatepost_final_reply_duration_seconds_count{route=\"route:back\"} 1",
        "gatepost_message_size_bytes_count 1",
        "gatepost_posture_closed 1",
        "gatepost_queue_messages 0",
    ] {
        assert!(
            page.lines().any(|line| line == expected),
            "{expected} in\n{page}"
        );
    }
    feed("promtool", &["check", "metrics"], page.as_bytes()).expect_code(0);
    let told = relay.command(&["status", "--metrics"]).expect_code(0);
    assert!(told.out.contains("gatepost_messages_received_total"));

    // What it asks for is OpenMetrics, of which one wrong line costs the whole page.
    until_true("the relay as Prometheus sees it", seconds(60), || {
        prometheus.values("gatepost_messages_received_total") == ["1"]
    });
    assert_eq!(prometheus.values("up"), ["1"]);
    assert_eq!(prometheus.values("sum(gatepost_queue_recipients)"), ["0"]);
    let taken = relay.wait_for_log(&["message accepted"]);
    let taken: Value = serde_json::from_str(&taken).expect("a line of the log");
    let examples = prometheus.ask("query_exemplars", "gatepost_queue_time_seconds_bucket");
    let example = &examples["data"][0]["exemplars"][0]["labels"];
    assert_eq!(example["queue_id"], taken["id"], "{examples}");
    let typed = run(
        "curl",
        &[
            "-sI",
            "-X",
            "GET",
            "-H",
            "Accept: application/openmetrics-text",
            &format!("http://{address}/metrics"),
        ],
    );
    assert!(
        typed
            .out
            .contains("application/openmetrics-text; version=1.0.0"),
        "{}",
        typed.out
    );
}

/// As many lines of the log say so as the counters do.
fn is_counted_as_logged(page: &str, log: &str) {
    for (line, counter, label) in [
        ("message accepted", "gatepost_messages_received_total", ""),
        ("message refused", "gatepost_messages_refused_total", ""),
        ("recipient refused", "gatepost_recipients_refused_total", ""),
        ("session ended", "gatepost_sessions_ended_total", ""),
        (
            "delivered",
            "gatepost_recipients_tried_total",
            "result=\"delivered\"",
        ),
    ] {
        let logged = log.matches(&format!("\"message\":\"{line}\"")).count();
        let series = page.lines().filter(|series| series.starts_with(counter));
        let series = series.filter(|series| series.contains(label));
        let values = series.filter_map(|series| series.rsplit_once(' ')?.1.parse::<usize>().ok());
        let counted: usize = values.sum();
        assert!(
            logged == counted && counted > 0,
            "{line}: {logged}, {counter}: {counted}"
        );
    }
}

/// Whoever sends clients here has time to hear of the stop, and none of them is turned away meanwhile.
#[test]
fn a_relay_that_is_to_stop_goes_on_for_a_while_and_is_not_ready() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let (mut relay, address) = watched(network, &server, "");
    let config = fs::read_to_string(relay.config()).expect("the configuration");
    fs::write(relay.config(), format!("stop_delay = \"1h\"\n{config}")).expect("a change");
    relay.command(&["reload"]).expect_code(0);
    relay.command(&["status", "--ready"]).expect_code(0);
    program::signal("TERM", relay.child());
    until_true("the word of the stop", seconds(10), || {
        get(address, "/ready").0 == 503
    });
    let ran = relay.command(&["status", "--ready"]).expect_code(1);
    assert!(ran.err.contains("the relay is stopping"), "{}", ran.text());
    let mut client = Dialogue::ready(network.stranger(), relay.address());
    client.submit(
        "ann@client.test",
        &["bob@hosted.test"],
        &message("while-leaving"),
    );
    server.wait_for("while-leaving");
    // Another one has no more patience.
    program::signal("TERM", relay.child());
    assert!(relay.wait_for_end().success(), "a graceful stop");
}

#[test]
fn who_asks_whether_it_is_ready_hears_why_not() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let (mut relay, address) = watched(network, &server, "");
    assert_eq!(get(address, "/ready"), (200, "ready\n".to_owned()));
    assert_eq!(get(address, "/live"), (200, "live\n".to_owned()));
    let mut busy = Dialogue::ready(network.stranger(), relay.address());
    busy.ask("MAIL FROM:<ann@client.test>", 250);
    busy.ask("RCPT TO:<bob@hosted.test>", 250);
    busy.ask("DATA", 354);
    program::signal("TERM", relay.child());
    until("the word of the stop", seconds(10), || {
        let (status, why) = get(address, "/ready");
        (status == 503 && why == "the relay is stopping\n").then_some(())
    });
    assert_eq!(get(address, "/live").0, 200);
    busy.send(message("at-the-last-moment").as_bytes());
    busy.send(b".\r\n");
    assert!(relay.wait_for_end().success(), "a graceful stop");

    let config = fs::read_to_string(relay.config()).expect("the configuration");
    let config = config.replace("min_free = \"0MB\"", "min_free = \"1000000GB\"");
    relay.write_whole_config(&config);
    relay.run();
    let (status, why) = get(address, "/ready");
    assert!(
        status == 503 && why.starts_with("the spool takes no mail: "),
        "{status} {why}"
    );
}

/// The rules fire when they should, and at no other time.
#[test]
fn the_alerts_are_what_promtool_takes_them_for() {
    run(
        "promtool",
        &["check", "rules", &packaged("prometheus/alerts.yml")],
    )
    .expect_code(0);
    run(
        "promtool",
        &["test", "rules", &packaged("prometheus/alerts-test.yml")],
    )
    .expect_code(0);
}

/// Where scripts/test puts what Grafana knows of dashboards, a folder for each version.
const GRAFANA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/grafana");

/// What models of Grafana make of a dashboard, and whether it is what they take.
fn judged_by_grafana(version: &str, dashboard: &Path) -> Ran {
    let mut command = Command::new(path_of("python3"));
    command
        .env("PYTHONPATH", format!("{GRAFANA}/{version}"))
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/interop/python/grafana_dashboard.py"
        ))
        .arg(dashboard);
    finish(command, b"")
}

#[test]
fn the_dashboard_is_what_grafana_takes_for_one() {
    let path = packaged("grafana/gatepost.json");
    let ours = fs::read_to_string(&path).expect("the dashboard");
    // Each stands in it, and in its place what Grafana has no word for.
    let faults = [
        ("\"expr\":", "\"exp\":"),
        ("\"type\": \"timeseries\"", "\"type\": \"graph\""),
        ("\"placement\": \"bottom\"", "\"placement\": \"below\""),
        ("\"schemaVersion\": 38", "\"schemaVersion\": \"38\""),
    ];
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    for version in ["10.1.0", "11.6.0"] {
        judged_by_grafana(version, path.as_ref()).expect_code(0);
        for (right, wrong) in faults {
            assert!(ours.contains(right), "{right}");
            fs::write(file.path(), ours.replacen(right, wrong, 1)).expect("written");
            let judged = judged_by_grafana(version, file.path());
            assert_eq!(judged.code, 1, "{wrong}: {}", judged.text());
            assert!(!judged.out.trim().is_empty(), "{}", judged.text());
        }
    }
}

#[test]
fn what_the_dashboard_asks_is_understood() {
    let dashboard = fs::read_to_string(packaged("grafana/gatepost.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (number, target) in targets.flatten().enumerate() {
        // As Grafana fills them in.
        let expression = target["expr"].as_str().expect("an expression");
        let expression = expression.replace("$__rate_interval", "1m");
        let expression = serde_json::to_string(&expression).expect("a text");
        rules += &format!("  - {{record: \"a{number}\", expr: {expression}}}\n");
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), rules).expect("the rules");
    let path = file.path().display().to_string();
    run("promtool", &["check", "rules", &path]).expect_code(0);
}
