//! What is an open relay and what is not; and that closed means closed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mail::{Client, Mailbox, Place, ReversePath};
use proptest::prelude::*;
use relay_audit::*;
use relay_policy::*;

fn list(texts: &[&str]) -> List {
    List::from_texts(texts).unwrap()
}

/// The rules that a case is about: everything else is closed, on a listener for all.
#[derive(Default)]
struct Case {
    bind: &'static str,
    connect_allow: Option<&'static [&'static str]>,
    connect_except: &'static [&'static str],
    allow: &'static [&'static str],
    except: Option<&'static [&'static str]>,
    deny: &'static [&'static str],
    domain: Option<&'static str>,
    accept_from: Option<&'static [&'static str]>,
}

fn rules(case: &Case) -> Rules {
    let mut rules = Rules::closed("internet");
    if !case.bind.is_empty() {
        rules.listener.binds = vec![case.bind.parse().unwrap()];
    }
    rules.connect = match case.connect_allow {
        Some(allow) => Access::only_list(list(allow), "connect.allow", Place::Default),
        None => Access::all_except(list(case.connect_except), "connect.except", Place::Default),
    };
    rules.relay.access = match case.except {
        Some(except) => Access::all_except(list(except), "relay.except", Place::Default),
        None => Access::only_list(list(case.allow), "relay.allow", Place::Default),
    };
    rules.relay.deny = list(case.deny);
    if let Some(name) = case.domain {
        let mut rule = DomainRule::remote(NamePattern::parse(name).unwrap(), Place::Default);
        if let Some(from) = case.accept_from {
            let relay = from == ["relay"];
            rule.accept_from = if relay {
                AcceptFrom::Relay
            } else {
                AcceptFrom::List(list(from))
            };
        }
        let mut table = DomainTable::default();
        table.insert(rule);
        rules.domains = Arc::new(table);
    }
    rules
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_open() {
    let case = Case::default;
    let open = [
        Case {
            except: Some(&[]),
            ..case()
        },
        Case {
            except: Some(&["198.51.100.7"]),
            ..case()
        },
        Case {
            except: Some(&[]),
            bind: "192.168.1.5:25",
            ..case()
        },
        Case {
            except: Some(&[]),
            bind: "[::]:25",
            ..case()
        },
        Case {
            allow: &["0.0.0.0/0"],
            ..case()
        },
        Case {
            allow: &["0.0.0.0/1", "128.0.0.0/1"],
            ..case()
        },
        Case {
            allow: &["8.0.0.0/15"],
            ..case()
        },
        Case {
            allow: &["8.0.0.0/16", "9.9.9.9"],
            ..case()
        },
        Case {
            allow: &["2600::/47"],
            ..case()
        },
        Case {
            allow: &["::/0"],
            ..case()
        },
        Case {
            allow: &["64:ff9b::/96"],
            ..case()
        },
        Case {
            allow: &["0.0.0.0/0"],
            deny: &["0.0.0.0/1"],
            ..case()
        },
        Case {
            allow: &["*.com"],
            ..case()
        },
        Case {
            allow: &["*.co.uk"],
            ..case()
        },
        Case {
            allow: &["*.amazonaws.com"],
            ..case()
        },
        Case {
            allow: &["*.com"],
            deny: &["10.0.0.0/8", "*.stranger.com"],
            ..case()
        },
        Case {
            allow: &["0.0.0.0/0"],
            connect_except: &["10.0.0.0/8"],
            ..case()
        },
        Case {
            allow: &["0.0.0.0/0"],
            connect_allow: Some(&["0.0.0.0/0"]),
            ..case()
        },
        Case {
            except: Some(&[]),
            connect_allow: Some(&["*.net"]),
            ..case()
        },
        Case {
            domain: Some("*"),
            ..case()
        },
        Case {
            domain: Some("*.com"),
            ..case()
        },
        Case {
            domain: Some("com"),
            ..case()
        },
        Case {
            domain: Some("*.co.uk"),
            ..case()
        },
        Case {
            domain: Some("*"),
            accept_from: Some(&["0.0.0.0/0"]),
            ..case()
        },
        Case {
            domain: Some("*"),
            accept_from: Some(&["*.org"]),
            ..case()
        },
    ];
    for (number, case) in open.iter().enumerate() {
        let rules = rules(case);
        let posture = posture([&rules]);
        assert!(!posture.is_closed(), "case {number}");
        for hole in posture.holes {
            assert!(
                proves(&rules, &hole.proof),
                "case {number}: {:?}",
                hole.proof
            );
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_closed() {
    let case = Case::default;
    let closed = [
        case(),
        Case {
            except: Some(&[]),
            bind: "127.0.0.1:25",
            ..case()
        },
        Case {
            except: Some(&[]),
            bind: "[::1]:25",
            ..case()
        },
        Case {
            except: Some(&[]),
            connect_allow: Some(&["203.0.113.0/24"]),
            ..case()
        },
        Case {
            except: Some(&[]),
            connect_allow: Some(&["*.partner.example"]),
            ..case()
        },
        Case {
            except: Some(&[]),
            deny: &["0.0.0.0/0", "::/0"],
            ..case()
        },
        Case {
            allow: &["192.168.1.254"],
            ..case()
        },
        Case {
            allow: &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
            ..case()
        },
        Case {
            allow: &["8.0.0.0/16"],
            ..case()
        },
        Case {
            allow: &["2600::/48"],
            ..case()
        },
        Case {
            allow: &["0.0.0.0/0"],
            connect_allow: Some(&["8.8.8.0/24"]),
            ..case()
        },
        Case {
            allow: &["0.0.0.0/0"],
            deny: &["0.0.0.0/0"],
            ..case()
        },
        Case {
            allow: &["*.example.com"],
            ..case()
        },
        Case {
            allow: &["*.com"],
            deny: &["*.com"],
            ..case()
        },
        Case {
            allow: &["*.com"],
            connect_allow: Some(&["192.168.0.0/16"]),
            ..case()
        },
        Case {
            domain: Some("*.example.com"),
            ..case()
        },
        Case {
            domain: Some("example.com"),
            ..case()
        },
        Case {
            domain: Some("*.corp"),
            ..case()
        },
        Case {
            domain: Some("*"),
            accept_from: Some(&["relay"]),
            ..case()
        },
        Case {
            domain: Some("*"),
            accept_from: Some(&["192.168.0.0/16"]),
            ..case()
        },
        Case {
            domain: Some("*"),
            connect_allow: Some(&["192.168.0.0/16"]),
            ..case()
        },
    ];
    for (number, case) in closed.iter().enumerate() {
        let posture = posture([&rules(case)]);
        assert_eq!(posture.holes, [], "case {number}");
    }
}

#[test]
fn what_looks_wrong_is_told() {
    let cases: [(&[&str], &[&str], usize); 7] = [
        (&["192.168.1.254"], &[], 0),
        (&["192.168.1.1"], &[], 1),
        (&["172.17.0.1", "10.88.0.1"], &[], 2),
        (&["172.16.0.0/12"], &[], 1),
        (&["172.16.0.0/12"], &["172.17.0.1"], 0),
        (&["8.8.0.0/16"], &[], 1),
        (&["8.8.8.0/24"], &[], 0),
    ];
    for (allow, deny, count) in cases {
        let mut rules = Rules::closed("internet");
        rules.relay.access = Access::only_list(list(allow), "relay.allow", Place::Default);
        rules.relay.deny = list(deny);
        assert_eq!(posture([&rules]).suspicions.len(), count, "{allow:?}");
    }
}

#[test]
fn what_listeners_share_is_told_once() {
    let case = Case {
        except: Some(&[]),
        ..Case::default()
    };
    assert_eq!(posture([&rules(&case), &rules(&case)]).holes.len(), 1);
}

fn client(address: IpAddr) -> Client {
    Client::new(
        SocketAddr::new(address, 1),
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 25),
        "internet".into(),
    )
}

fn proves(rules: &Rules, proof: &Proof) -> bool {
    let name = proof.client_name.clone().map_or(Fact::No, Fact::Yes);
    let facts = Facts {
        confirmed_name: Some(name),
        ..Facts::default()
    };
    let decision = decide(
        rules,
        &client(proof.client),
        &ReversePath::Null,
        &proof.recipient,
        &facts,
    );
    matches!(decision, Decision::Carry { .. })
}

fn entry() -> impl Strategy<Value = String> {
    let block = (any::<u32>(), 0u8..=32).prop_map(|(n, bits)| {
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        format!("{}/{bits}", Ipv4Addr::from(n & mask))
    });
    let range = (any::<u32>(), 0u32..1 << 20).prop_map(|(n, len)| {
        format!(
            "{}-{}",
            Ipv4Addr::from(n),
            Ipv4Addr::from(n.saturating_add(len))
        )
    });
    let single = any::<u32>().prop_map(|n| Ipv4Addr::from(n).to_string());
    prop_oneof![3 => block, 2 => range, 2 => single]
}

fn entries() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(entry(), 0..5)
}

fn access(all_except: bool, texts: &[String]) -> Access {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    if all_except {
        Access::all_except(list(&texts), "except", Place::Default)
    } else {
        Access::only_list(list(&texts), "allow", Place::Default)
    }
}

/// Addresses spread over the whole of IPv4, with the same few in every run.
fn probes() -> impl Iterator<Item = IpAddr> {
    (0..4096u32).map(|n| {
        IpAddr::V4(Ipv4Addr::from(
            (n << 20) | (n.wrapping_mul(2_654_435_761) >> 12),
        ))
    })
}

fn is_public(address: IpAddr) -> bool {
    let IpAddr::V4(a) = address else { return false };
    let o = a.octets();
    !(a.is_private()
        || a.is_loopback()
        || a.is_link_local()
        || o[0] == 0
        || o[0] >= 224
        || (o[0] == 100 && o[1] & 0xC0 == 64))
}

proptest! {
    /// Closed means closed: of 4096 public addresses spread over IPv4, hardly one that no list
    /// names reaches a foreign domain.
    #[test]
    fn closed_means_closed(
        connect_except in any::<bool>(), connect in entries(),
        relay_except in any::<bool>(), relay in entries(),
        deny in entries(), deny_all in any::<bool>(),
    ) {
        let mut rules = Rules::closed("internet");
        rules.connect = access(connect_except, &connect);
        rules.relay.access = access(relay_except, &relay);
        let mut deny = deny;
        if deny_all {
            deny.extend(["0.0.0.0/0".to_owned(), "::/0".to_owned()]);
        }
        rules.relay.deny = access(false, &deny).list;
        let posture = posture([&rules]);
        let recipient = Mailbox::parse("victim@elsewhere.example").unwrap();
        let facts = Facts::default();
        let reaches = |address: &IpAddr| {
            let client = client(*address);
            matches!(may_connect(&rules, &client, &facts), Connect::Yes(_))
                && matches!(decide(&rules, &client, &ReversePath::Null, &recipient, &facts), Decision::Carry { .. })
        };
        let open = probes().filter(|a| is_public(*a)).filter(reaches).count();
        if posture.is_closed() {
            // One probe stands for 2^20 addresses; the permitted ones may be hit by chance, not by
            // the dozen.
            prop_assert!(open <= 2, "{open} of 4096 strangers relay");
            if !relay_except {
                let unlisted = probes().filter(reaches).filter(|a| {
                    !rules.relay.access.list.entries().iter().any(|e| match &e.clients {
                        Clients::Range(range) => range.contains(*a),
                        Clients::Below(_) => false,
                    })
                });
                prop_assert_eq!(unlisted.count(), 0);
            }
        }
        for hole in &posture.holes {
            prop_assert!(proves(&rules, &hole.proof));
            prop_assert!(reaches(&hole.proof.client));
        }
    }
}

/// Anything is relayed that comes back from a filter: who may be one is few, wherever it is.
#[test]
fn the_way_back_from_a_filter_is_for_few() {
    let way_back = |allow: &[&str]| {
        let mut rules = Rules::closed("back");
        rules.relay = RelayRule {
            access: Access::only_list(list(allow), "after_queue.from", Place::Default),
            ..RelayRule::closed()
        };
        rules.connect = Access::only_list(list(allow), "after_queue.from", Place::Default);
        rules.way_back = Some(Arc::new(WayBack {
            filter: "amavis".into(),
            place: Place::Default,
        }));
        posture([&rules])
    };
    for (allow, is_closed) in [
        (&["127.0.0.0/8", "::1"][..], true),
        (&["10.0.0.0/8"], true),
        (&["8.8.8.8"], true),
        (&["8.8.8.0/24"], true),
        (&["8.8.0.0/23"], false),
        (&["0.0.0.0/0"], false),
        (&["2600::/48"], false),
    ] {
        let posture = way_back(allow);
        assert_eq!(posture.is_closed(), is_closed, "{allow:?}: {posture}");
        let told = "the filter amavis on back (default)";
        assert!(posture.to_string().contains(told), "{posture}");
    }
}

/// A policy service may refuse what it likes: an open relay is found in spite of it.
#[test]
fn no_policy_service_hides_an_open_relay() {
    let mut rules = rules(&Case {
        except: Some(&[]),
        ..Case::default()
    });
    rules.policies = [false, true]
        .map(|of_submitters| PolicyService {
            name: "spf".into(),
            of_submitters,
            listeners: Box::default(),
            to: Box::default(),
            place: Place::Default,
        })
        .into();
    assert!(!posture([&rules]).is_closed());
}
