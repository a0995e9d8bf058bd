//! Whether the system's clock is right, as a time server sees it (SNTP, RFC 4330).

use std::net::SocketAddr;
use std::time::Duration;

use lookups::Inquiries;
use mail::Timestamp;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::super::dns::Mark;
use super::Examined;
use crate::clock;

/// Where time servers listen.
const NTP_PORT: u16 = 123;
/// How long the server has for its answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// RFC 4330 section 4: version 4, mode 3 (client).
const CLIENT: u8 = 4 << 3 | 3;
const MODE_SERVER: u8 = 4;
const PACKET_BYTES: usize = 48;
/// Where in an answer the time stands at which it was sent, and what of the question comes back.
const TRANSMITTED: std::ops::Range<usize> = 40..44;
const ORIGINATED: std::ops::Range<usize> = 24..32;
/// Seconds from 1900, from which NTP counts, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;
/// Codes (TOTP) and tokens are off by less.
const OFF: u64 = 5;
/// From here on signatures, tokens and certificates are refused.
const WRONG: u64 = 300;

pub(super) async fn look(inquiries: &Inquiries, server: &str) -> Examined {
    let examined = |mark, text: String| Examined::new(mark, server, "clock", text);
    let theirs = match ask(inquiries, server).await {
        Ok(theirs) => theirs,
        Err(why) => {
            return examined(Mark::CannotTell, why)
                .cure("let UDP to port 123 pass, or name a server of yours by --time-server");
        }
    };
    let ours = seconds(clock::now());
    let off = ours.abs_diff(theirs);
    let text = format!(
        "this machine is {off} s {} it",
        if ours > theirs { "ahead of" } else { "behind" }
    );
    let cure = "let chrony or systemd-timesyncd set the clock (timedatectl set-ntp true)";
    if off > WRONG {
        examined(Mark::Fail, text).cure(cure)
    } else if off > OFF {
        examined(Mark::Warning, text).cure(cure)
    } else {
        examined(Mark::Ok, "right to some seconds".to_owned())
    }
}

fn seconds(at: Timestamp) -> u64 {
    at.as_secs()
}

/// The server's time, in seconds since 1970.
async fn ask(inquiries: &Inquiries, server: &str) -> Result<u64, String> {
    let address = address(inquiries, server).await?;
    let asked = async {
        let here: SocketAddr = if address.is_ipv4() {
            (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(here).await?;
        socket.connect(address).await?;
        let mut question = [0; PACKET_BYTES];
        question[0] = CLIENT;
        // Comes back, so that an answer is one to this question.
        let nonce: [u8; 8] = rand::random();
        question[40..].copy_from_slice(&nonce);
        socket.send(&question).await?;
        let mut answer = [0; PACKET_BYTES];
        loop {
            let read = socket.recv(&mut answer).await?;
            if read == PACKET_BYTES && answer[ORIGINATED] == nonce && answer[0] & 7 == MODE_SERVER {
                return Ok::<_, std::io::Error>(answer);
            }
        }
    };
    let answer = match timeout(ANSWER_WAIT, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("no answer in time".to_owned()),
    };
    told(&answer).ok_or_else(|| "it does not know the time itself".to_owned())
}

/// What an answer says; `None` where the server does not know (RFC 4330 section 5).
fn told(answer: &[u8; PACKET_BYTES]) -> Option<u64> {
    let [leap_version_mode, stratum, ..] = *answer;
    if leap_version_mode >> 6 == 3 || stratum == 0 {
        return None;
    }
    let seconds: [u8; 4] = answer[TRANSMITTED].try_into().ok()?;
    let seconds = u64::from(u32::from_be_bytes(seconds));
    // RFC 4330 section 3: without the topmost bit it counts from 2036.
    let era = if seconds & 0x8000_0000 == 0 {
        1 << 32
    } else {
        0
    };
    (seconds + era).checked_sub(NTP_TO_UNIX)
}

async fn address(inquiries: &Inquiries, server: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = server.parse() {
        return Ok(address);
    }
    if let Ok(ip) = server.parse() {
        return Ok(SocketAddr::new(ip, NTP_PORT));
    }
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| "no such port".to_owned())?),
        None => (server, NTP_PORT),
    };
    let host = mail::Domain::parse(host).map_err(|why| why.to_string())?;
    match inquiries
        .route_answer(&route::Question::Addresses(host))
        .await
    {
        route::Answer::Addresses { list, .. } => list
            .first()
            .map(|ip| SocketAddr::new(*ip, port))
            .ok_or_else(|| "no address".to_owned()),
        route::Answer::Failed(why) => Err(why.into()),
        route::Answer::NoSuchName
        | route::Answer::NoData { .. }
        | route::Answer::Mx { .. }
        | route::Answer::Tlsa { .. }
        | route::Answer::MtaSts(_) => Err("no such host".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(first: u8, stratum: u8, seconds: u32) -> [u8; PACKET_BYTES] {
        let mut answer = [0; PACKET_BYTES];
        (answer[0], answer[1]) = (first, stratum);
        answer[TRANSMITTED].copy_from_slice(&seconds.to_be_bytes());
        answer
    }

    #[test]
    fn answers_tell_the_time_in_both_eras() {
        let server = 4 << 3 | MODE_SERVER;
        assert_eq!(told(&answer(server, 2, 2_208_988_801)), Some(1));
        // 7 February 2036 06:28:16 UTC, where the seconds begin anew.
        assert_eq!(told(&answer(server, 2, 0)), Some(2_085_978_496));
        assert_eq!(
            told(&answer(3 << 6 | server, 2, u32::MAX)),
            None,
            "unsynchronized"
        );
        assert_eq!(told(&answer(server, 0, u32::MAX)), None, "a kiss of death");
    }
}
