//! Real proxies before the relay: HAProxy, which also looks how the relay is, and nginx's mail
//! proxy, as docs/configuration.md sets them up. The client is whom they name, in rules, rates and
//! traces; they themselves are no clients.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::authority::Authority;
use crate::client::{Dialogue, message};
use crate::encrypted::Encrypted;
use crate::network::Network;
use crate::program::{path_of, signal};
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until, until_true};

/// One of them at work.
struct Proxy {
    folder: TempDir,
    child: Child,
}

impl Proxy {
    /// `config` may say `FOLDER` for a folder of its own.
    fn start(name: &str, options: &[&str], config: &str) -> Proxy {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("proxy.conf");
        let text = config.replace("FOLDER", &folder.path().display().to_string());
        fs::write(&path, text).expect("its configuration");
        let output = fs::File::create(folder.path().join("output")).expect("a file");
        let mut command = Command::new(path_of(name));
        command.args(options).arg(&path).stdin(Stdio::null());
        command
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output);
        let child = command.spawn().expect("a proxy");
        Proxy { folder, child }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its workers end with it.
        signal("TERM", self.child.id());
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- the proxy's output ---\n{}--- end of it ---",
                self.output()
            );
        }
    }
}

/// A relay with one listener, behind proxies at `proxies`, that holds clients on loopback addresses
/// to the rates of strangers.
fn relay_behind(
    network: Network,
    proxies: &[IpAddr],
    limits: &str,
    server: &RecordingServer,
) -> Relay {
    let mut relay = Relay::prepare(network, "");
    let proxies: Vec<String> = proxies.iter().map(ToString::to_string).collect();
    let more = format!(
        "[listener.internet]\nbind = \"{}:0\"\nproxy_protocol_from = {proxies:?}\n{limits}\n\
         [domain.\"hosted.test\"]\nroute = \"{}\"\n[log]\nformat = \"json\"\nlevel = \"debug\"\n",
        network.relay(),
        server.route(),
    );
    relay.write_bare_config("", &more);
    relay.run();
    relay
}

/// A dialogue with the relay, as soon as the proxy lets it through.
fn through(from: IpAddr, front: SocketAddr) -> Dialogue {
    until("the proxy to let a client through", seconds(30), || {
        let mut dialogue = Dialogue::try_connect(from, front).ok()?;
        (dialogue.reply()?.code == 220).then_some(dialogue)
    })
}

fn haproxy_config(
    front: SocketAddr,
    encrypted: SocketAddr,
    proxy: IpAddr,
    relay: SocketAddr,
    pem: &Path,
) -> String {
    let check = format!("{relay} source {proxy} check inter 100ms rise 2");
    format!(
        "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n timeout check 10s\n\
         frontend clear\n bind {front}\n unique-id-format relay-%rt\n default_backend second\n\
         frontend tls\n bind {encrypted} ssl crt {}\n unique-id-format relay-%rt\n default_backend second\n\
         backend first\n server plain {check}\n server one {check} send-proxy check-send-proxy\n\
         backend second\n option smtpchk EHLO balancer.test\n\
         server two {check} send-proxy-v2 check-send-proxy proxy-v2-options crc32c,unique-id,ssl\n",
        pem.display(),
    )
}

/// Its checks come ten times a second in every way it knows: with version 1 in its own name, with
/// version 2 as LOCAL, without a header.
#[test]
fn haproxy_may_look_how_we_are_as_often_as_it_likes_and_its_clients_are_counted() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let (stranger, proxy) = (network.stranger(), network.host(30));
    let limits = format!(
        "connect = {{ mode = \"only-list\", allow = [\"{stranger}\", \"{}\"] }}\nmax_per_client = 3\n\
         [limits]\nrate_loopback = true\nrate_per_client = {{ connections = \"3/1d\" }}",
        network.host(8),
    );
    let relay = relay_behind(network, &[proxy], &limits, &server);
    let (front, encrypted) = (
        network.free_port(proxy),
        network.free_port(network.host(31)),
    );
    let authority = Authority::new();
    let pair = authority.issue("front.test");
    let pem = relay.folder().join("front.pem");
    let both = [&pair.certificate, &pair.key].map(|file| fs::read(file).expect("a PEM file"));
    fs::write(&pem, both.concat()).expect("a PEM file");
    let config = haproxy_config(front, encrypted, proxy, relay.address(), &pem);
    let balancer = Proxy::start("haproxy", &["-db", "-f"], &config);
    // Others only look whether the port is open. (HAProxy too; but it resets before we could see
    // it.)
    for _ in 0..20 {
        drop(Dialogue::connect(proxy, relay.address()));
    }
    let looks = |words: &str| relay.log().matches(words).count();
    until_true("its checks", seconds(60), || {
        looks("a proxy looked how we are") > 20 && looks("came and went without a word") >= 20
    });
    for word in ["\"turned away\"", "no PROXY header"] {
        assert_eq!(looks(word), 0, "{word}: {}", relay.log());
    }
    for line in relay
        .log()
        .lines()
        .filter(|line| line.contains(&proxy.to_string()))
    {
        assert!(line.contains("\"DEBUG\""), "{line}");
    }
    assert!(!balancer.output().contains("DOWN"), "{}", balancer.output());

    let mut client = through(stranger, front);
    client.ask("EHLO client.test", 250);
    let reply = client.submit(
        "ann@client.test",
        &["bob@hosted.test"],
        &message("balanced"),
    );
    assert_eq!(reply.code, 250, "{}", reply.text());
    let trace = server
        .wait_for("balanced")
        .header("Received")
        .expect("a trace");
    assert!(trace.contains(&format!("[{stranger}]")), "{trace}");
    relay.wait_for_log(&[
        "\"proxied\"",
        "relay-",
        &format!("\"client\":\"{stranger}\""),
    ]);
    client.ask("RCPT TO:<bob@elsewhere.test>", 503);

    let pass = Encrypted::from_the_start(network.host(8), encrypted).open();
    drop(pass);
    relay.wait_for_log(&["\"proxied\"", "\"version\":\"TLSv1.3\""]);

    // Each client has three connections a day.
    let codes = [(); 3].map(|()| {
        let reply = Dialogue::connect(stranger, front).reply();
        reply.map_or(0, |reply| reply.code)
    });
    assert_eq!(codes, [220, 220, 421]);
    let refused = Dialogue::connect(network.host(7), front)
        .reply()
        .expect("a word");
    assert!(refused.is_refusal(), "{}", refused.text());
}

#[test]
fn behind_nginx_the_client_is_the_one_that_it_names() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let nginx = "127.0.0.1".parse().expect("where nginx connects from");
    let relay = relay_behind(network, &[nginx], "", &server);
    let front = network.free_port(network.host(30));
    let chooser = network.free_port(network.host(31));
    let config = nginx_config(front, chooser, relay.address());
    let _nginx = Proxy::start("nginx", &["-p", "/nonexistent", "-c"], &config);
    let stranger = network.stranger();
    let mut client = through(stranger, front);
    client.ask("EHLO client.test", 250);
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.ask("RCPT TO:<bob@elsewhere.test>", 550);
    client.ask("RCPT TO:<bob@hosted.test>", 250);
    client.ask("DATA", 354);
    client.send(message("by-nginx").as_bytes());
    client.ask(".", 250);
    let trace = server
        .wait_for("by-nginx")
        .header("Received")
        .expect("a trace");
    assert!(trace.contains(&format!("[{stranger}]")), "{trace}");
}

fn nginx_config(front: SocketAddr, chooser: SocketAddr, relay: SocketAddr) -> String {
    let (ip, port) = (relay.ip(), relay.port());
    format!(
        "load_module /usr/lib/nginx/modules/ngx_mail_module.so;\ndaemon off;\nuser root;\npid FOLDER/pid;\n\
         error_log stderr info;\nevents {{}}\n\
         mail {{\n server_name front.test;\n auth_http {chooser}/;\n\
         server {{ listen {front}; protocol smtp; smtp_auth none; xclient off; proxy_protocol on; }}\n}}\n\
         http {{\n access_log off;\n client_body_temp_path FOLDER/a; proxy_temp_path FOLDER/b;\n\
         fastcgi_temp_path FOLDER/c; uwsgi_temp_path FOLDER/d; scgi_temp_path FOLDER/e;\n\
         server {{ listen {chooser}; location / {{\n add_header Auth-Status OK; add_header Auth-Server {ip};\n\
         add_header Auth-Port {port}; return 204;\n}} }}\n}}\n"
    )
}
