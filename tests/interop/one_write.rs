//! A message goes out in as few writes as its size allows: one that stands alone, the first line of
//! the header or the last dot, can make the server wait with everything until its acknowledgement,
//! which it delays, has reached us. strace shows the writes.

use std::fs;
use std::path::Path;

use crate::client::{message, submit};
use crate::network::Network;
use crate::program::path_of;
use crate::relay::Relay;
use crate::server::RecordingServer;

/// What the relay wrote to TCP connections, as strace shows it, a call each.
fn written(traces: &Path) -> Vec<String> {
    let files = fs::read_dir(traces).expect("the folder of traces");
    let texts = files.map(|file| fs::read_to_string(file.expect("a file").path()));
    texts
        .flat_map(|text| {
            let text = text.expect("a trace");
            let calls = text.lines().filter(|line| line.contains("<TCP"));
            calls.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn head_content_and_dot_go_out_together() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = Relay::prepare(network, &config);
    let traces = relay.folder().join("traces");
    fs::create_dir(&traces).expect("a folder");
    let prefix = traces.join("t").display().to_string();
    let strace = path_of("strace").display().to_string();
    let calls = "trace=write,writev,sendto,sendmsg";
    relay.wrap(&[
        &strace, "-ff", "-yy", "-s", "1000000", "-e", calls, "-o", &prefix,
    ]);
    relay.run();
    // The spool keeps the larger one as a file.
    let long = message("long") + &"It is long.\r\n".repeat(30_000);
    for (id, content) in [("short", &message("short")), ("long", &long)] {
        submit(
            network.permitted(),
            relay.address(),
            "ann@client.test",
            &["bob@hosted.test"],
            content,
        );
        server.wait_for(id);
    }
    relay.wait_until_empty();
    assert!(relay.stop().success(), "a graceful stop");
    let written = written(&traces);
    let with = |words: &str| written.iter().find(|call| call.contains(words));
    let short = with("Subject: short").expect("the short message in the trace");
    for part in ["Received: ", r"End of short.\r\n.\r\n"] {
        assert!(short.contains(part), "{part} is missing: {short}");
    }
    let long = with("Subject: long").expect("the long message in the trace");
    assert!(long.contains("Received: "), "{long:.400}");
    let alone = with(r#"".\r\n""#);
    assert_eq!(alone, None, "the dot alone");
}
