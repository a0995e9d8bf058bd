//! The accounts of this machine, as its files tell: passwd(5) and group(5), and numbers.
//!
//! The C library would ask whatever nsswitch.conf(5) names, by loading libraries that have to be of
//! its own version. A program that is linked statically brings its own one, and runs elsewhere.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};

use nix::unistd::{Gid, Uid};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// What is read of either file.
const FILE_MAX: u64 = 16 << 20;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: Uid,
    /// The number of its own group.
    pub gid: Gid,
}

/// The account of this name; one that is a number and no name stands for itself and for the group of
/// the same number, as in a container without accounts.
///
/// # Errors
/// /etc/passwd cannot be read. One that is not there has no accounts.
pub fn account_named(name: &str) -> io::Result<Option<Account>> {
    let text = read(PASSWD)?;
    let found = accounts(&text).find(|account| account.name == name);
    Ok(found.or_else(|| numbered(name, &text)))
}

/// The account of this number.
pub fn account_of(uid: Uid) -> Option<Account> {
    let text = read(PASSWD).ok()?;
    accounts(&text).find(|account| account.uid == uid)
}

/// The number of the group of this name; a name that is only a number stands for itself.
///
/// # Errors
/// /etc/group cannot be read. One that is not there has no groups.
pub fn group_named(name: &str) -> io::Result<Option<Gid>> {
    let text = read(GROUP)?;
    let found = groups(&text).find(|(group, _)| *group == name);
    let number = || name.parse().ok().map(Gid::from_raw);
    Ok(found.map(|(_, gid)| gid).or_else(number))
}

fn read(path: &str) -> io::Result<String> {
    let mut octets = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(FILE_MAX).read_to_end(&mut octets)?,
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    // People's names may be in any charset.
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

fn numbered(name: &str, passwd: &str) -> Option<Account> {
    let number: u32 = name.parse().ok()?;
    let uid = Uid::from_raw(number);
    let known = accounts(passwd).find(|account| account.uid == uid);
    Some(known.unwrap_or_else(|| Account {
        name: name.to_owned(),
        uid,
        gid: Gid::from_raw(number),
    }))
}

/// Lines that are none of the file's form are passed over.
fn accounts(passwd: &str) -> impl Iterator<Item = Account> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let _password = fields.next()?;
        let uid = Uid::from_raw(fields.next()?.parse().ok()?);
        let gid = Gid::from_raw(fields.next()?.parse().ok()?);
        Some(Account { name, uid, gid })
    })
}

fn groups(group: &str) -> impl Iterator<Item = (&str, Gid)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let _password = fields.next()?;
        let gid = Gid::from_raw(fields.next()?.parse().ok()?);
        Some((name, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "root:x:0:0:root:/root:/bin/bash\n# none\n\ngatepost:x:998:997::/var/lib/gatepost:/usr/sbin/nologin\n+::::::\nshort:x:12\nbad:x:-1:5::/:/\n";

    #[test]
    fn lines_of_the_form_are_accounts() {
        let found: Vec<_> = accounts(TEXT)
            .map(|account| (account.name, account.uid.as_raw(), account.gid.as_raw()))
            .collect();
        let expected = [("root".to_owned(), 0, 0), ("gatepost".to_owned(), 998, 997)];
        assert_eq!(found, expected);
        let found: Vec<_> = groups("mail:x:8:ann,bob\n:x:9:\nmail\nfax:x:21").collect();
        let expected = [("mail", Gid::from_raw(8)), ("fax", Gid::from_raw(21))];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_number_stands_for_the_account_that_has_it_or_for_itself() {
        let known = numbered("998", TEXT).expect("an account");
        assert_eq!((&*known.name, known.gid.as_raw()), ("gatepost", 997));
        let unknown = numbered("10025", TEXT).expect("an account");
        let numbers = (unknown.uid.as_raw(), unknown.gid.as_raw());
        assert_eq!((&*unknown.name, numbers), ("10025", (10025, 10025)));
        for name in ["", "ann", "-1", "4294967296", "1x"] {
            assert_eq!(numbered(name, TEXT), None, "{name}");
        }
    }

    #[test]
    fn this_machine_has_root() {
        let root = account_named("root").expect("the file").expect("root");
        assert!(root.uid.is_root());
        assert_eq!(account_of(root.uid), Some(root));
        let group = group_named("root").expect("the file");
        assert_eq!(group, Some(Gid::from_raw(0)));
        assert_eq!(account_named("no such").expect("the file"), None);
        assert_eq!(group_named("no such").expect("the file"), None);
    }
}
