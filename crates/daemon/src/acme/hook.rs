//! The program that writes and removes records for dns-01.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::called;

/// Where it finds the programs that it calls.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Calls `HOOK verb record text` and waits until it has ended, or for `limit`.
///
/// # Errors
/// It could not be called, took too long or ended with another code than 0: then with what it wrote
/// to its error output.
pub(super) async fn call(
    hook: &Path,
    [verb, record, text]: [&str; 3],
    limit: Duration,
) -> Result<(), String> {
    let mut command = Command::new(hook);
    command
        .args([verb, record, text])
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/");
    let called = called::call(&mut command, limit).await;
    called.map_err(|why| format!("{} {verb} {record}: {why}", hook.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use nix::sys::signal::Signal;
    use nix::unistd::Pid;
    use tokio::time::timeout;

    use super::*;

    const SECONDS: Duration = Duration::from_secs(30);

    fn script(folder: &Path, text: &str) -> std::path::PathBuf {
        let path = folder.join("hook");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn its_words_are_three_and_no_shell_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let hook = script(
            folder.path(),
            &format!("printf '%s|' \"$#\" \"$@\" \"$HOME\" > {}", out.display()),
        );
        let words = ["add", "_acme-challenge.a.test", "$(id) `id`; *"];
        call(&hook, words, SECONDS).await.unwrap();
        let said = fs::read_to_string(out).unwrap();
        assert_eq!(said, "3|add|_acme-challenge.a.test|$(id) `id`; *||");
    }

    #[tokio::test]
    async fn what_it_says_is_told_when_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(folder.path(), "echo no such zone >&2; exit 3");
        let failed = call(&hook, ["add", "a.test", "b"], SECONDS).await;
        let said = failed.unwrap_err();
        assert!(
            said.ends_with("add a.test: it ended with 3: no such zone"),
            "{said}"
        );
        let missing = folder.path().join("missing");
        let said = call(&missing, ["add", "a", "b"], SECONDS)
            .await
            .unwrap_err();
        assert!(said.contains("cannot be called"), "{said}");
    }

    #[tokio::test]
    async fn it_does_not_last_for_ever_nor_what_it_called() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(folder.path(), "sleep 1000 & sleep 1000");
        let said = call(&hook, ["add", "a.test", "b"], Duration::from_millis(300)).await;
        assert!(said.unwrap_err().contains("took longer"));
    }

    #[tokio::test]
    async fn what_it_leaves_running_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(folder.path(), "sleep 1000 & echo $! >\"$3\"; exit $2");
        let left = folder.path().join("left");
        for (code, fails) in [("0", false), ("3", true)] {
            let words = ["add", code, left.to_str().unwrap()];
            assert_eq!(call(&hook, words, SECONDS).await.is_err(), fails);
            let left: i32 = fs::read_to_string(&left).unwrap().trim().parse().unwrap();
            nix::sys::signal::kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
        }
    }

    /// As when the relay stops.
    #[tokio::test]
    async fn whoever_waits_for_it_no_longer_ends_it_and_what_it_called() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(
            folder.path(),
            "sleep 1000 & echo $! >\"$3\".new; mv \"$3\".new \"$3\"; wait",
        );
        let left = folder.path().join("left");
        let words = ["add", "a.test", left.to_str().unwrap()];
        {
            let called = call(&hook, words, SECONDS);
            tokio::pin!(called);
            while !left.exists() {
                assert!(
                    timeout(Duration::from_millis(10), &mut called)
                        .await
                        .is_err()
                );
            }
        }
        let left: i32 = fs::read_to_string(&left).unwrap().trim().parse().unwrap();
        let state = || fs::read_to_string(format!("/proc/{left}/stat")).unwrap_or_default();
        while !state().is_empty() && !state().contains(") Z ") {
            tokio::task::yield_now().await;
        }
    }
}
