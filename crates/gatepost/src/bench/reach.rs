use std::net::IpAddr;

use crate::bench_arguments::Reach;
use crate::exit::Failure;

impl Reach {
    /// Whether the load may go to `address`, or come from there.
    pub fn check(&self, address: IpAddr) -> Result<(), Failure> {
        let address = address.to_canonical();
        let lacking = if address.is_loopback() {
            return Ok(());
        } else if !self.beyond_loopback {
            "--beyond-loopback: it is not an address of this machine"
        } else if !is_private(address) && !self.public_address {
            "--public-address: it is not an address of a private network"
        } else {
            return Ok(());
        };
        Err(Failure::Usage(format!(
            "{address} needs {lacking}. A load test is for machines of your own alone"
        )))
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_away_from_this_machine_needs_a_word_of_its_own() {
        let cases = [
            ("127.0.0.1", 0),
            ("127.77.0.1", 0),
            ("::1", 0),
            ("::ffff:127.0.0.1", 0),
            ("10.1.2.3", 1),
            ("192.168.0.1", 1),
            ("::ffff:10.1.2.3", 1),
            ("fd00::1", 1),
            ("0.0.0.0", 2),
            ("192.0.2.1", 2),
            ("::ffff:192.0.2.1", 2),
            ("2001:db8::1", 2),
            ("::", 2),
        ];
        for (address, needed) in cases {
            for words in 0..=2 {
                let reach = Reach {
                    beyond_loopback: words >= 1,
                    public_address: words >= 2,
                };
                let permitted = reach.check(address.parse().unwrap()).is_ok();
                assert_eq!(permitted, words >= needed, "{address} with {words}");
            }
        }
    }
}
