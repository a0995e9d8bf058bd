//! `docs/five-minutes.md`, walked: every command of its blocks, in their order, on a machine of its own
//! in which nothing of this one can be reached or changed, up to mail that arrives.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::program::{self, need_root};
use crate::relay::binary;

const GUIDE: &str = include_str!("../../docs/five-minutes.md");

/// Users, configuration and data are its own, as are the network and the processes; `$1` is a folder. The
/// mail server is on another machine, at the other end of a cable.
const MACHINE: &str = r#"set -e
ip link set lo up
mkdir "$1/etc" "$1/lib"
cp -a /etc/. "$1/etc"
mount --bind "$1/etc" /etc
mount --bind "$1/lib" /var/lib
rm -rf /etc/gatepost
userdel gatepost 2>/dev/null || true
PATH="$1/bin:$PATH:/usr/sbin:/sbin"
wait_for() {
  for try in $(seq 300); do
    if "$@" >waited 2>&1; then return 0; fi
    sleep 0.1
  done
  cat waited
  return 1
}
cd "$1"
unshare --net sh -c 'touch up
  until ip address add 192.168.1.254/24 dev server; do sleep 0.1; done 2>errors
  ip link set server up
  exec smtp-sink -u nobody 192.168.1.254:25 8' &
wait_for test -e up
ip link add relay type veth peer name server netns $!
ip address add 192.168.1.1/24 dev relay
ip link set relay up
"#;

/// What somebody does next who has walked it: mail for the domain, and what a stranger must not do.
const MAIL: &str = r#"
send() { swaks --server 127.0.0.1 --helo client.example --from eve@stranger.example --to "$1"; }
send bob@example.com
if send bob@elsewhere.example; then exit 3; fi
arrived() { gatepost track to:bob@example.com | grep delivered; }
wait_for arrived
echo arrived
"#;

/// The commands of the blocks; the relay that is run stays, and is waited for.
fn commands() -> String {
    let blocks = GUIDE.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| {
        let block = block.split("```").next().unwrap_or_default();
        block.lines()
    });
    let command = |line: &str| match line.trim_start_matches("sudo ") {
        "gatepost run" => format!("{line} >relay.log 2>&1 &\nwait_for gatepost status\n"),
        // Here no name and no address is known to anybody.
        "gatepost doctor" => format!("{line} || test $? -eq 1\n"),
        _ => format!("{line}\n"),
    };
    let shown = |line: &str| format!("echo '$ {line}'\n{}", command(line));
    lines.map(shown).collect()
}

/// A folder with the program as it is called, and a `sudo` for who is root already.
fn programs(folder: &Path) {
    let bin = folder.join("bin");
    fs::create_dir(&bin).expect("a folder");
    symlink(binary(), bin.join("gatepost")).expect("the program");
    let sudo = bin.join("sudo");
    fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n").expect("sudo");
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).expect("its mode");
}

#[test]
fn the_guide_leads_to_mail_that_arrives() {
    need_root("a machine of its own takes namespaces");
    let commands = commands();
    for walked in [
        "useradd ",
        "gatepost init ",
        "gatepost doctor",
        "gatepost run",
    ] {
        assert!(commands.contains(walked), "{walked} in {commands}");
    }
    let folder = TempDir::new().expect("a temporary folder");
    programs(folder.path());
    let script = format!("{MACHINE}{commands}{MAIL}");
    let path = folder.path().display().to_string();
    let namespaces = [
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ];
    let words = [&namespaces[..], &["bash", "-c", &script, "bash", &path]].concat();
    let ran = program::run("unshare", &words);
    let log = fs::read_to_string(folder.path().join("relay.log")).unwrap_or_default();
    assert!(
        ran.code == 0 && ran.out.ends_with("arrived\n"),
        "{}: {}\n{log}",
        ran.code,
        ran.text()
    );
    assert!(
        ran.out.contains("CLOSED: no stranger can relay"),
        "{}",
        ran.out
    );
}
