use std::future::Future as _;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::wrong_sign_in;
use mail::Place;
use relay_policy::Rights;
use sign_in::{Account, Person, Source, Tried, Unavailable, Users};

use super::*;
use admission::Judgement;

/// The names of one person.
const NAMES: [&str; 2] = ["ann", "ann@example.com"];

/// One person with the password `right`; `away` is known to somebody who cannot be asked.
#[derive(Default)]
struct People {
    asked: Arc<AtomicU32>,
}

impl Source for People {
    fn find(&self, name: &str) -> Result<Option<Person>, Unavailable> {
        if name == "away" {
            return Err(Unavailable::new("the directory is down"));
        }
        let rights = Rights {
            may_relay: true,
            senders: Box::default(),
            only_to: Box::default(),
            place: Place::Default,
        };
        Ok(NAMES.contains(&name).then(|| Person {
            account: Account {
                name: "ann".into(),
                rights: Arc::new(rights),
                messages_per_hour: None,
                recipients_per_hour: None,
            },
            names: Some(NAMES.map(str::to_owned).into()),
        }))
    }

    fn verify(&self, name: &str, password: &str) -> Result<Tried<Person>, Unavailable> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(match self.find(name)? {
            Some(person) if password == "right" => Tried::Right(person),
            Some(person) => Tried::Wrong(person.account.name),
            None => Tried::Unknown,
        })
    }
}

fn settings(people: People) -> SignInSettings {
    SignInSettings {
        sources: Arc::new(Sources::new(Users::default(), vec![Arc::new(people)])),
        tokens: None,
        issuer: None,
        binds: true,
    }
}

fn client(number: u8) -> IpAddr {
    [198, 51, 100, number].into()
}

/// An address in another network than that of the clients that `client` makes.
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

fn plain(user: &str, password: &str) -> SignInStep {
    SignInStep::Begin {
        mechanism: "PLAIN".into(),
        initial: Some(format!("\0{user}\0{password}").into_bytes()),
    }
}

fn code(outcome: &SignInOutcome) -> u16 {
    match outcome {
        SignInOutcome::Challenge { .. } => 334,
        SignInOutcome::Welcome(_) => 235,
        SignInOutcome::Refused(refusal) => refusal.reply.code(),
    }
}

/// Who was welcome.
fn user(outcome: SignInOutcome) -> String {
    match outcome {
        SignInOutcome::Welcome(account) => account.name.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The client's answer to a challenge.
fn answer(outcome: SignInOutcome, response: &str) -> SignInStep {
    let SignInOutcome::Challenge { exchange, .. } = outcome else {
        panic!("{outcome:?}")
    };
    SignInStep::GoOn {
        exchange,
        response: response.as_bytes().to_vec(),
    }
}

fn judge(sign_ins: &SignInService, user: Option<&str>, client: IpAddr) -> Judgement {
    sign_ins.with(|guard, now| guard.check(user, client, now))
}

/// One attempt; the answer, and how long it took.
async fn attempt(
    sign_ins: &SignInService,
    client: IpAddr,
    user: &str,
    password: &str,
) -> (SignInOutcome, Duration) {
    let heard = Instant::now();
    let (settings, step) = (settings(People::default()), plain(user, password));
    let outcome = sign_ins.step(&settings, client, None, step).await;
    (outcome, heard.elapsed())
}

#[tokio::test]
async fn nobody_learns_what_was_wrong() {
    let sign_ins = SignInService::default();
    let (wrong_password, nobody, banned) = tokio::join!(
        attempt(&sign_ins, client(1), "ann", "wrong"),
        attempt(&sign_ins, ELSEWHERE, "nobody", "right"),
        async {
            let sign_ins = SignInService::default();
            for _ in 0..3 {
                sign_ins.with(|guard, now| guard.failed(Some("ann"), client(1), now));
            }
            // The right password, from where it was guessed at.
            attempt(&sign_ins, client(9), "ann", "right").await
        }
    );
    for (outcome, took) in [wrong_password, nobody, banned] {
        let SignInOutcome::Refused(refusal) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(refusal.reply, wrong_sign_in());
        assert!(took >= REFUSAL_AFTER);
    }
}

/// Whoever guesses at one name of somebody has guessed at all of them.
#[tokio::test]
async fn a_ban_holds_for_all_names_of_a_user() {
    let sign_ins = SignInService::default();
    let guess = || attempt(&sign_ins, client(1), "ann@example.com", "wrong");
    let all = tokio::join!(guess(), guess(), guess());
    for (outcome, _) in [all.0, all.1, all.2] {
        assert_eq!(code(&outcome), 535);
    }
    for name in NAMES {
        let (outcome, _) = attempt(&sign_ins, client(2), name, "right").await;
        assert_eq!(code(&outcome), 535, "{name}");
    }
    let (outcome, _) = attempt(&sign_ins, ELSEWHERE, "ann@example.com", "right").await;
    assert_eq!(user(outcome), "ann");
}

#[tokio::test]
async fn guesses_from_one_network_keep_nobody_out_elsewhere_and_slow_them_down() {
    let sign_ins = SignInService::default();
    for _ in 0..3 {
        sign_ins.with(|guard, now| guard.failed(Some("ann"), client(1), now));
    }
    let Judgement::Allowed { delay } = judge(&sign_ins, Some("ann"), ELSEWHERE) else {
        panic!("banned")
    };
    assert!(!delay.is_zero());
    let (outcome, took) = attempt(&sign_ins, ELSEWHERE, "ann", "right").await;
    assert_eq!(code(&outcome), 235);
    assert!(took >= delay);
    assert_eq!(user(outcome), "ann");
}

#[tokio::test]
async fn a_network_that_guesses_at_everybody_costs_no_hash() {
    let sign_ins = SignInService::default();
    // Each up to its own ban, so that no client is the only one to blame.
    for number in 3.. {
        while !matches!(
            judge(&sign_ins, None, client(number)),
            Judgement::Banned { .. }
        ) {
            sign_ins.with(|guard, now| guard.failed(None, client(number), now));
        }
        if matches!(judge(&sign_ins, None, client(2)), Judgement::Banned { .. }) {
            break;
        }
    }
    let people = People::default();
    let asked = Arc::clone(&people.asked);
    let settings = settings(people);
    let step = sign_ins.step(&settings, client(2), None, plain("ann", "right"));
    assert_eq!(code(&step.await), 535);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let step = sign_ins.step(&settings, ELSEWHERE, None, plain("ann", "right"));
    assert_eq!(code(&step.await), 235);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_flood_waits_its_turn() {
    let sign_ins = SignInService::default();
    let turns = u32::try_from(SIGN_IN_STEPS_MAX).unwrap();
    let busy = sign_ins.turns.acquire_many(turns).await.unwrap();
    let people = People::default();
    let asked = Arc::clone(&people.asked);
    let settings = settings(people);
    let mut step = pin!(sign_ins.step(&settings, client(1), None, plain("ann", "right")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(step.as_mut().poll(&mut context).is_pending());
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    drop(busy);
    assert_eq!(code(&step.await), 235);
    assert_eq!(sign_ins.turns.available_permits(), SIGN_IN_STEPS_MAX);
}

#[tokio::test]
async fn who_cannot_be_judged_now_is_not_refused_for_good() {
    let sign_ins = SignInService::default();
    let (outcome, _) = attempt(&sign_ins, client(1), "away", "right").await;
    assert_eq!(code(&outcome), 454);
    let judgement = judge(&sign_ins, Some("away"), client(1));
    assert!(matches!(
        judgement,
        Judgement::Allowed {
            delay: Duration::ZERO
        }
    ));
}

#[tokio::test]
async fn an_exchange_goes_step_by_step() {
    let sign_ins = SignInService::default();
    let settings = settings(People::default());
    let step = |step| sign_ins.step(&settings, client(1), None, step);
    let begin = |mechanism: &str| SignInStep::Begin {
        mechanism: mechanism.into(),
        initial: None,
    };
    let asked = step(begin("LOGIN")).await;
    let asked = step(answer(asked, "ann")).await;
    assert_eq!(code(&step(answer(asked, "right")).await), 235);
    assert_eq!(code(&step(begin("CRAM-MD5")).await), 504);
}

/// A token that names a key which the issuer did not list when it was asked last.
fn token_under_a_new_key() -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let head = part(r#"{"typ":"JWT","alg":"ES256","kid":"new"}"#);
    let claims = part(r#"{"iss":"https://login.test/","aud":"us","email":"ann","exp":4102444800}"#);
    format!("{head}.{claims}.{}", part("no signature"))
}

#[tokio::test]
async fn a_token_under_a_new_key_of_the_issuer_is_no_guess() {
    // RFC 7517 appendix A.1
    let keys = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"old","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), keys).unwrap();
    let issuer = Issuer {
        issuer: "https://login.test/".to_owned(),
        audience: "us".to_owned(),
        keys: config::KeySource::File(file.path().to_owned()),
        user_claim: "email".to_owned(),
        algorithms: vec!["ES256".to_owned()],
        place: Place::Default,
    };
    let resolver = Arc::new(Resolver::new(&[], Duration::from_secs(1)));
    let tokens = Arc::new(TokenIssuer::new(&issuer, &resolver).unwrap());
    let (sign_ins, bearer) = (SignInService::default(), token_under_a_new_key());
    let attempt = || async {
        let settings = SignInSettings {
            tokens: Some(Arc::clone(&tokens)),
            ..SignInSettings::default()
        };
        let step = SignInStep::Begin {
            mechanism: "XOAUTH2".into(),
            initial: Some(format!("user=ann\u{1}auth=Bearer {bearer}\u{1}\u{1}").into_bytes()),
        };
        let first = sign_ins.step(&settings, client(1), None, step).await;
        let heard = answer(first, "");
        code(&sign_ins.step(&settings, client(1), None, heard).await)
    };
    let all = tokio::join!(attempt(), attempt(), attempt(), attempt());
    assert_eq!(all, (454, 454, 454, 454));
    // So many wrong ones would have been too many.
    let delay = Duration::ZERO;
    assert_eq!(
        judge(&sign_ins, Some("ann"), client(1)),
        Judgement::Allowed { delay }
    );
}
