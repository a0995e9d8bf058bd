//! `gatepost user totp`: the second factor of a user at the console.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use sign_in::Totp;

use super::{Book, done};
use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output::{self, say};

/// How often a first code may be typed.
const TRIES: u32 = 3;

/// Makes a secret, shows it, and writes it down once the phone is known to have it: else somebody
/// would be shut out. Without a terminal nobody is asked.
pub(super) fn give(cli: &Cli, book: &Book, name: &str, issuer: &str) -> Outcome {
    let no = |why: sign_in::EditError| Failure::No(why.to_string());
    let mut file = book.open()?;
    let totp =
        Totp::draw().map_err(|_| Failure::Temporary("the system has no randomness".to_owned()))?;
    file.set_totp(name, Some(&totp)).map_err(no)?;
    let (secret, uri) = (totp.to_base32(), totp.uri(issuer, name));
    if cli.json {
        book.write(&file)?;
        return output::json(&serde_json::json!({ "user": name, "secret": secret, "uri": uri }));
    }
    say!("{uri}");
    say!("The secret, if the program cannot read that: {secret}");
    say!("It is not shown again. Whoever has it can make the codes.");
    if std::io::stdin().is_terminal() {
        ask_for_code(&totp)?;
    }
    book.write(&file)?;
    let name = mail::escaped(name);
    done(
        cli,
        &format!("{name} signs in at the console by password and code"),
    )
}

fn ask_for_code(totp: &Totp) -> Result<(), Failure> {
    let unreadable =
        |error: std::io::Error| Failure::Usage(format!("the code cannot be read: {error}"));
    for _ in 0..TRIES {
        print!("The code that the program shows now: ");
        std::io::stdout().flush().map_err(unreadable)?;
        let mut code = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut code)
            .map_err(unreadable)?;
        let now = daemon::now().as_secs();
        if totp.step_of(code.trim(), now).is_some() {
            return Ok(());
        }
        say!("That is not the code of now (is the clock of both sides right?)");
    }
    Err(Failure::No("nothing was changed".to_owned()))
}
