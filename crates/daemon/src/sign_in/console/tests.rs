use std::sync::LazyLock;
use std::time::Duration;

use engine::{SignInOutcome, SignInStep};
use sign_in::{NewUser, Sources, Totp, UserFile, Users};

use super::*;

const PASSWORD: &str = "correct horse";
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

static TOTP: LazyLock<Totp> = LazyLock::new(|| Totp::draw().unwrap());

/// `ann` is an operator, `eve` an admin with a second factor, `bob` sends mail alone.
static SETTINGS: LazyLock<SignInSettings> = LazyLock::new(|| {
    let mut file = UserFile::open("").unwrap();
    for (name, role) in [
        ("ann", Some(ConsoleRole::Operator)),
        ("eve", Some(ConsoleRole::Admin)),
        ("bob", None),
    ] {
        let user = NewUser {
            name,
            password: Some(PASSWORD),
            may_relay: false,
            senders: &[],
            recipients: &[],
            console_role: role,
        };
        file.add(&user).unwrap();
    }
    file.set_totp("eve", Some(&TOTP)).unwrap();
    let users = Users::parse(&file.text(), &"users".into()).unwrap();
    SignInSettings {
        sources: Arc::new(Sources::new(users, Vec::new())),
        tokens: None,
        issuer: None,
        binds: false,
    }
});

/// One try; what came of it, and after how long.
async fn attempt(
    sign_ins: &SignInService,
    client: IpAddr,
    (user, password, code): (&str, &str, Option<&str>),
) -> (Result<Welcome, Unwelcome>, Duration) {
    let heard = tokio::time::Instant::now();
    let claim = Claim {
        user: user.to_owned(),
        password: password.to_owned(),
        code: code.map(str::to_owned),
    };
    let result = sign_ins.at_console(&SETTINGS, client, &claim).await;
    (result.map_err(bare), heard.elapsed())
}

/// Nobody is told what was wrong: all of these are one.
fn unwelcome() -> Unwelcome {
    Unwelcome::Wrong {
        user: None,
        why: Box::default(),
    }
}

fn bare(why: Unwelcome) -> Unwelcome {
    match why {
        Unwelcome::Wrong { .. } => unwelcome(),
        other => other,
    }
}

async fn at_smtp(sign_ins: &SignInService, client: IpAddr, password: &str) -> bool {
    let step = SignInStep::Begin {
        mechanism: "PLAIN".into(),
        initial: Some(format!("\0eve\0{password}").into_bytes()),
    };
    let outcome = sign_ins.step(&SETTINGS, client, None, step).await;
    matches!(outcome, SignInOutcome::Welcome(_))
}

fn code() -> String {
    TOTP.code_at(clock::now().as_secs())
}

/// Six digits that are no code of about now.
fn wrong_code() -> String {
    let now = clock::now().as_secs();
    let is_wrong = |code: &String| (0..5).all(|n| TOTP.code_at(now + 30 * n - 60) != *code);
    (0..6).map(|n| format!("{n:06}")).find(is_wrong).unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_who_has_a_role_is_welcome_and_nobody_learns_why_he_is_not() {
    let sign_ins = SignInService::default();
    let (result, took) = attempt(&sign_ins, HOME, (" ANN", PASSWORD, None)).await;
    let welcome = Welcome {
        name: "ann".into(),
        role: ConsoleRole::Operator,
        second_factor: false,
    };
    assert_eq!((result, took.is_zero()), (Ok(welcome), true));
    for claim in [
        ("ann", "wrong", None),
        ("bob", PASSWORD, None),
        ("nobody", PASSWORD, None),
        ("eve", PASSWORD, Some(&*wrong_code())),
        ("a\0nn", PASSWORD, None),
        ("", "", None),
    ] {
        let (result, took) = attempt(&sign_ins, HOME, claim).await;
        assert_eq!(
            (result, took),
            (Err(unwelcome()), REFUSAL_AFTER),
            "{claim:?}"
        );
    }
    let nobody = SignInSettings::default();
    let claim = Claim {
        user: "ann".to_owned(),
        password: PASSWORD.to_owned(),
        code: None,
    };
    let result = sign_ins.at_console(&nobody, HOME, &claim).await;
    let noted = Unwelcome::Wrong {
        user: Some("ann".into()),
        why: Reason::WrongSecret.to_string().into(),
    };
    assert_eq!(result, Err(noted));
}

#[tokio::test(start_paused = true)]
async fn a_code_is_asked_for_after_the_right_password_and_counts_once() {
    let sign_ins = SignInService::default();
    let (code, wrong) = (code(), wrong_code());
    for (password, code, expected) in [
        (PASSWORD, None, Err(Unwelcome::NeedsCode)),
        ("wrong", None, Err(unwelcome())),
        ("wrong", Some(&*code), Err(unwelcome())),
        (PASSWORD, Some(&*code), Ok(true)),
        (PASSWORD, Some(&*code), Err(unwelcome())),
        (PASSWORD, Some(&*wrong), Err(unwelcome())),
    ] {
        let (result, _) = attempt(&sign_ins, HOME, ("eve", password, code)).await;
        assert_eq!(
            result.map(|welcome| welcome.second_factor),
            expected,
            "{password} {code:?}"
        );
    }
}

/// The right password does not forgive guesses at the code.
#[tokio::test(start_paused = true)]
async fn who_guesses_codes_is_banned_here_and_at_smtp_and_others_are_not() {
    let sign_ins = SignInService::default();
    let wrong = wrong_code();
    for code in [Some(&*wrong), Some(&*wrong), None, Some(&*wrong)] {
        let (result, _) = attempt(&sign_ins, HOME, ("eve", PASSWORD, code)).await;
        assert!(result.is_err());
    }
    // Nor does he learn any more that the password is right.
    for code in [None, Some(&*code())] {
        let (result, _) = attempt(&sign_ins, HOME, ("eve", PASSWORD, code)).await;
        assert_eq!(result, Err(unwelcome()));
    }
    assert!(!at_smtp(&sign_ins, HOME, PASSWORD).await);
    assert!(at_smtp(&sign_ins, ELSEWHERE, PASSWORD).await);
    let (result, _) = attempt(&sign_ins, ELSEWHERE, ("eve", PASSWORD, Some(&code()))).await;
    assert!(result.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_guessed_at_smtp_is_banned_here() {
    let sign_ins = SignInService::default();
    for _ in 0..3 {
        assert!(!at_smtp(&sign_ins, HOME, "guess").await);
    }
    let (result, _) = attempt(&sign_ins, HOME, ("eve", PASSWORD, Some(&code()))).await;
    assert_eq!(result, Err(unwelcome()));
    let (result, _) = attempt(&sign_ins, ELSEWHERE, ("eve", PASSWORD, Some(&code()))).await;
    assert!(result.is_ok());
}
