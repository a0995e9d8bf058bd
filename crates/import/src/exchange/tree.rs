//! Values within values, as CLIXML and JSON have them, and what of them becomes properties.

use super::export::{OBJECTS_MAX, Object};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Nothing,
    Text(String),
    List(Vec<Item>),
    Map(Vec<Member>),
}

/// One of a list, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub line: usize,
    pub node: Node,
}

/// One of an object, with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub name: String,
    pub line: usize,
    pub node: Node,
}

/// Values lie in each other no deeper than this.
pub(super) const DEPTH_MAX: usize = 24;

/// Where of an object as a value its text stands: which one is there first counts.
const TEXTS: [&str; 9] = [
    // A credential: never more than the name.
    "UserName",
    "Expression",
    "IPAddressToString",
    "ProxyAddressString",
    "Address",
    "Domain",
    "Value",
    "Name",
    "ToString",
];

impl Node {
    /// What it is as one text.
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Nothing | Self::List(_) => None,
            Self::Map(members) => map_text(members),
        }
    }
}

fn member<'a>(members: &'a [Member], name: &str) -> Option<&'a Node> {
    let mut all = members.iter();
    let found = all.find(|member| member.name.eq_ignore_ascii_case(name))?;
    Some(&found.node)
}

fn map_text(members: &[Member]) -> Option<String> {
    let get = |name: &str| match member(members, name)? {
        Node::Map(inner) => TEXTS.iter().find_map(|name| match member(inner, name)? {
            Node::Text(text) => Some(text.clone()),
            _ => None,
        }),
        node => node.text(),
    };
    if get("IsUnlimited").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Some("Unlimited".to_owned());
    }
    if let (Some(address), Some(port)) = (get("Address"), get("Port")) {
        let v6 = address.contains(':') && !address.starts_with('[');
        return Some(match v6 {
            true => format!("[{address}]:{port}"),
            false => format!("{address}:{port}"),
        });
    }
    if let Some(ticks) = get("Ticks").and_then(|text| text.parse::<u64>().ok()) {
        return Some(format!("PT{}S", ticks / TICKS_PER_SECOND));
    }
    TEXTS.iter().find_map(|name| get(name))
}

/// Of .NET's spans of time.
const TICKS_PER_SECOND: u64 = 10_000_000;

/// The objects at the top: one, or a list of them.
pub(super) fn objects(file: &str, line: usize, node: Node) -> Vec<Object> {
    let items = match node {
        Node::List(items) => items,
        node => vec![Item { line, node }],
    };
    let objects = items.into_iter().filter_map(|item| match item.node {
        Node::Map(members) => Some(object(file, item.line, members)),
        _ => None,
    });
    objects.take(OBJECTS_MAX).collect()
}

fn object(file: &str, line: usize, members: Vec<Member>) -> Object {
    let mut object = Object::new(file, line);
    for Member { name, line, node } in members {
        object.add(&name, line, None);
        match node {
            Node::List(items) => {
                for item in items {
                    match item.node.text() {
                        Some(text) => object.add(&name, item.line, Some(text)),
                        None => object.property(&name, line).cut = true,
                    }
                }
            }
            node => {
                let text = node.text().filter(|text| !text.is_empty());
                object.add(&name, line, text);
            }
        }
    }
    object
}
