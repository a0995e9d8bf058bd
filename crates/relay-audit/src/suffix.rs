//! Names under which everybody may have a host: the public suffixes, and the names above them.

use mail::Domain;

/// Top-level names that are nobody's on the Internet (RFC 2606, RFC 6761, RFC 6762 appendix G, and
/// `internal`), so a rule for them is a rule for one's own network.
const PRIVATE_USE: [&str; 13] = [
    "corp",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "private",
    "test",
];

/// Labels that stand in front of a provider's name in the list, where the list cannot be walked
/// downwards.
const CHILDREN: [&str; 12] = [
    "compute",
    "compute-1",
    "cloudapp",
    "s3",
    "us-east-1",
    "eu-west-1",
    "elb",
    "region",
    "user",
    "customer",
    "co",
    "com",
];

/// Whether a rule for every name below this one is a rule for strangers: the name is a public
/// suffix, or above one.
pub(crate) fn is_wide(name: &Domain) -> bool {
    is_top_level(name)
        || listed(name.as_str())
        || CHILDREN
            .iter()
            .any(|label| listed(&format!("{label}.{name}")))
        || listed(&format!("{PROBE}.{name}"))
}

/// Whether a name that is hosted itself is a registry's and not an organisation's: a top-level
/// name, or a suffix such as `co.uk`. A provider that lets its customers have names below its own
/// may still host its own mail.
pub(crate) fn is_registry(name: &Domain) -> bool {
    is_top_level(name) || kind_of(name.as_str()) == Some(psl::Type::Icann)
}

/// A label that no rule names: only a wildcard rule (`*.ck`) makes it a suffix.
const PROBE: &str = "no-such-label-in-the-list";

fn is_top_level(name: &Domain) -> bool {
    !name.as_str().contains('.') && !PRIVATE_USE.contains(&name.as_str())
}

fn listed(name: &str) -> bool {
    kind_of(name).is_some()
}

/// Whose suffix the list says this name is; `None` when it is no suffix, or when only the list's
/// rule for unknown names says so.
fn kind_of(name: &str) -> Option<psl::Type> {
    let (name, _) = idna::domain_to_unicode(name);
    let suffix = psl::suffix(name.as_bytes())?;
    if suffix.as_bytes() == name.as_bytes() {
        suffix.typ()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_told_from_names_of_somebody() {
        let cases = [
            ("com", true, true),
            ("co.uk", true, true),
            ("ck", true, true),
            ("kawasaki.jp", true, false),
            ("xn--55qx5d.cn", true, true),
            ("github.io", true, false),
            ("amazonaws.com", true, false),
            ("brandnewtoplevel", true, true),
            ("example.com", false, false),
            ("mail.example.co.uk", false, false),
            ("lan", false, false),
            ("example", false, false),
            ("corp.local", false, false),
        ];
        for (name, wide, registry) in cases {
            let domain = Domain::parse(name).unwrap();
            assert_eq!(
                (is_wide(&domain), is_registry(&domain)),
                (wide, registry),
                "{name}"
            );
        }
    }
}
