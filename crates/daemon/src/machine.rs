use config::Environment;
use mail::Domain;

/// What this machine says about itself: the defaults that the configuration takes from it.
pub fn environment() -> Environment {
    let hostname = nix::unistd::gethostname().ok();
    let hostname = hostname.and_then(|name| name.into_string().ok());
    let addresses = nix::ifaddrs::getifaddrs().map(|interfaces| {
        interfaces.filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| a.ip().into());
            v4.or_else(|| address.as_sockaddr_in6().map(|a| a.ip().into()))
        })
    });
    Environment {
        hostname: hostname.and_then(|name| Domain::parse(&name).ok()),
        addresses: addresses.map(Iterator::collect).unwrap_or_default(),
    }
}
