use nix::unistd::Uid;

/// The account that calls, for those who ask later who it was: root by the name of whoever became
/// root.
pub fn caller() -> String {
    let uid = Uid::current();
    let became = std::env::var("SUDO_USER").ok().filter(|_| uid.is_root());
    let name = || daemon::account_of(uid).map(|account| account.name);
    let caller = became.filter(|name| !name.is_empty()).or_else(name);
    caller.unwrap_or_else(|| format!("uid {uid}"))
}
